"""Many runs: grids, scripts, sweeps, studies of a channel and of leakage, and the processes that run them."""
