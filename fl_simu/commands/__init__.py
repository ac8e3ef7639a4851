"""What each command does, prints and leaves behind; `fl_simu.cli` says what it is called with."""
