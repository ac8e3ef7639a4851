"""Many runs: grids, scripts, sweeps, channel and leakage studies, and the processes that run them."""
