"""`python -m fl_simu` alone: the default experiment, end to end."""

from pathlib import Path
from typing import Callable, List, Optional, Sequence

from fl_simu.cli.defaults import DIGITS, MNIST
from fl_simu.cli.run import data_option, start
from fl_simu.data.downloads import DataUnavailable
from fl_simu.experiment import Experiment
from fl_simu.kernel.installation import syft_installed
from fl_simu.kernel.machine import keep_freed_memory
from fl_simu.kernel.shell import command_line
from fl_simu.loop.closing import Ended
from fl_simu.loop.plan import load_data, plan
from fl_simu.results.figures import require_matplotlib

Say = Callable[[str], None]


def run_default(data_dir: Optional[Path], out: Optional[Path], say: Say) -> None:
    """Run the default experiment end to end; then say where the results are and what to try next."""
    require_matplotlib()
    keep_freed_memory()
    if not syft_installed():
        say("syft is not installed (it needs the legacy stack: Python 3.7, torch 1.4.0); using backend torch")
    planned = plan(Experiment.read(MNIST))
    try:
        dataset = load_data(planned, data_dir)
    except DataUnavailable as error:
        say(f"{error}\nusing scikit-learn's handwritten digits instead of MNIST")
        planned = plan(Experiment.read(DIGITS))
        dataset = load_data(planned, data_dir)
    ended = start(planned, dataset, data_dir, out, say)
    say("\ntry next")
    for words in _next_steps(ended, data_option(planned, data_dir)):
        say("  " + command_line(*words))


def _next_steps(ended: Ended, data_option: Sequence[object]) -> List[List[object]]:
    config_file = ended.folder.config
    return [
        ["run", config_file, "--set", "channel.mean_mbps=25", *data_option],
        ["report", ended.folder.path],
        ["list", "codecs"],
    ]
