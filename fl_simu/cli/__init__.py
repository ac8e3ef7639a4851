"""What each command does, prints and writes; `fl_simu.cli.app` defines its arguments."""
