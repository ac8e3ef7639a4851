"""What tests do in processes of their own."""

import os
import signal
import sys

from fl_simu.cli import main


def command(arguments, folder, environment, output):
    """`python -m fl_simu`, as it is in a folder with an environment, with all that it says in a file."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(opened, number)
    # A shell that starts the tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(arguments))
