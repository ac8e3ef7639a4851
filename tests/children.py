"""What tests do in processes of their own."""

import os
import signal
import sys
import warnings
from pathlib import Path

import fl_simu as fl
from fl_simu.cli.app import main


def run_and_die(file, folder, rounds):
    """Run the experiment of a file, until a kill -9 in the middle of the round after so many."""

    class Killer(fl.Observer):
        done = 0

        def aggregated(self, record, coordinator):
            self.done = record.round

        def fetched(self, ue):
            if self.done == rounds:
                os.kill(os.getpid(), signal.SIGKILL)

    fl.run(fl.Experiment.read(Path(file)), folder, [Killer()])


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


def command_of_a_group(*arguments):
    """`command` in a process group of its own, as a shell starts one."""
    os.setpgid(0, 0)
    command(*arguments)
