"""Functions that tests run in separate processes."""

import os
import signal
import sys
import warnings
from pathlib import Path

import fl_simu as fl
from fl_simu.cli.app import main


def run_and_die(file, folder, rounds):
    """Run the experiment of a file, and kill -9 it in the middle of the round after this many rounds."""

    class Killer(fl.Observer):
        done = 0

        def aggregated(self, record, coordinator):
            self.done = record.round

        def fetched(self, ue):
            if self.done == rounds:
                os.kill(os.getpid(), signal.SIGKILL)

    fl.run(fl.Experiment.read(Path(file)), folder, [Killer()])


def command(arguments, folder, environment, *outputs):
    """`python -m fl_simu` in a folder and with an environment.

    Args:
        outputs: the paths of files for its standard output and standard error, or of one file for both.
    """
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in outputs]
    os.dup2(opened[0], 1)
    os.dup2(opened[-1], 2)
    # As PYTHONWARNINGS of the environment does for a new interpreter.
    warnings.simplefilter("ignore")
    # Tests that a shell starts in the background inherit that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(arguments))


def command_of_a_group(*arguments):
    """`command` in its own process group, as a shell starts it."""
    os.setpgid(0, 0)
    command(*arguments)
