"""The same federated jobs on fl_simu, a bare torch loop and other frameworks, side by side on one machine."""
