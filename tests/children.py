"""What tests do in processes of their own."""

import os
import signal
import sys
import warnings

from fl_simu.cli import main


def command(arguments, folder, environment, *outputs):
    """`python -m fl_simu`, as it is in a folder with an environment.

    Args:
        outputs: the paths of files for what it says and for what it complains of, or of one for both.
    """
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in outputs]
    os.dup2(opened[0], 1)
    os.dup2(opened[-1], 2)
    # What PYTHONWARNINGS of the environment tells a new interpreter.
    warnings.simplefilter("ignore")
    # A shell that starts the tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(arguments))
