"""Experiments that a config cannot describe: a script of their own, in experiments/<name>/experiment.py.

The script has one function, `reproduce(setup)`, which returns what it found beside what the notes say. It runs in
a process of its own, so that what it hooks or seeds touches nothing else.
"""

import importlib.util
import multiprocessing
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Optional

from fl_simu import studies
from fl_simu.kernel.errors import UserError
from fl_simu.results.comparisons import Comparison, comparison_table, read_comparisons
from fl_simu.results.files import make_folder, write_json, write_text

FILE = "experiment.py"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """What a script may go by.

    Args:
        quick: whether it shall be a matter of a minute or two.
        out: its folder, for figures and whatever else it leaves behind.
        data_dir: where the user has data sets, as for a run.
        say: prints a line.
    """

    quick: bool
    out: Path
    data_dir: Optional[Path] = None
    say: Say = print


def names() -> List[str]:
    """The scripts that are there; none where the package was installed without its source."""
    return sorted(path.parent.name for path in studies.FOLDER.glob("*/" + FILE))


def run_script(name: str, setup: Setup) -> List[Comparison]:
    """Run the script of an experiment in a process of its own; write and return what it found.

    Raises:
        UserError: it failed, or was killed.
    """
    make_folder(setup.out)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, studies.FOLDER / name / FILE, setup))
    process.start()
    there.close()
    try:
        rows, error = here.recv()
    except EOFError:
        raise UserError(f"{name} was killed (out of memory?)") from None
    finally:
        process.terminate()
        process.join()
    if error:
        raise UserError(f"{name} failed: {error}")
    write_json(setup.out / "comparisons.json", rows)
    comparisons = read_comparisons(rows)
    write_text(setup.out / "table.md", comparison_table(comparisons))
    return comparisons


def _work(pipe: Any, file: Path, setup: Setup) -> None:
    try:
        spec = importlib.util.spec_from_file_location("experiment", str(file))
        assert spec is not None and spec.loader is not None, "a file that is there has a loader"
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        pipe.send(([one.as_dict() for one in module.reproduce(setup)], ""))
    except UserError as error:
        pipe.send(([], str(error)))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        traceback.print_exc()
        pipe.send(([], repr(error)))
