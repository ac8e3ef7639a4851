"""What each command does, prints and leaves behind; `fl_simu.cli.app` says what it is called with."""
