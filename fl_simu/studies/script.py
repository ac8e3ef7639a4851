"""Experiments that a config cannot describe: each has its own script, experiment.py in its folder.

The script has one function, `reproduce(setup)`, which compares its results with the notes or a paper.
The line NEEDS_SYFT = True says that it imports syft, which is fl_simu.pointers unless real syft is installed.
The script runs in its own process, so that its hooks and seeds affect nothing else.
"""

import ast
import contextlib
import importlib.util
import multiprocessing
import signal
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from fl_simu.kernel.ending import end_with
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import lacks_syft, syft_installed
from fl_simu.results.comparisons import Comparison, comparison_table, read_comparisons
from fl_simu.results.files import make_folder, told_in_one_line, write_json, write_text
from fl_simu.results.findings import Finding, finding_table
from fl_simu.studies import catalogue
from fl_simu.studies.pool import ended_how

TRACEBACK = "traceback.txt"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """The settings that a script gets.

    Args:
        quick: whether it should take only a minute or two.
        out: its folder, for figures and other output.
        data_dir: the user's folder of data sets, as for a run.
        say: prints a line.
        jobs: number of processes that it may use at a time.
    """

    quick: bool
    out: Path
    data_dir: Optional[Path] = None
    say: Say = print
    jobs: int = 1


def title(name: str) -> str:
    """The first line of a script's docstring, which is read without running it."""
    return (ast.get_docstring(_tree(_file(name))) or "").partition("\n")[0]


def missing(name: str) -> str:
    """What this installation lacks for a script, in a few words; empty if nothing."""
    return lacks_syft() if _needs_syft(_file(name)) else ""


def _needs_syft(file: Path) -> bool:
    """Whether a script holds the line NEEDS_SYFT = True."""
    line = ast.dump(ast.parse("NEEDS_SYFT = True").body[0])
    return any(ast.dump(statement) == line for statement in _tree(file).body)


def _file(name: str) -> Path:
    return catalogue.folders()[name] / catalogue.SCRIPT


def _tree(file: Path) -> ast.Module:
    with told_in_one_line(file, "read"):
        text = file.read_text(encoding="utf-8", errors="replace")
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise UserError(f"{file} is no valid Python: {error}") from None


def run_script(name: str, setup: Setup) -> Tuple[List[Comparison], List[Finding]]:
    """Run the script of an experiment in its own process; write and return its comparisons with the notes, and
    its claims with their verdicts.

    Raises:
        UserError: the script failed or was killed.
    """
    with contextlib.suppress(FileNotFoundError):
        (make_folder(setup.out) / TRACEBACK).unlink()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    line, held = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, _file(name), replace(setup, say=print), line))
    process.start()
    there.close()
    try:
        kind, told = here.recv()
        while kind == "said":
            setup.say(told)
            kind, told = here.recv()
    except EOFError:
        process.join()
        raise UserError(f"{name} {ended_how(process.exitcode or 0)}") from None
    finally:
        process.terminate()
        process.join()
        for end in (here, line, held):
            end.close()
    if kind == "failed":
        raise UserError(f"{name} failed: {told}")
    comparisons = read_comparisons(told["comparisons"])
    findings = [Finding(**one) for one in told["findings"]]
    write_json(setup.out / "comparisons.json", told["comparisons"])
    write_json(setup.out / "findings.json", told["findings"])
    write_text(setup.out / "table.md", tables(comparisons, findings))
    return comparisons, findings


def tables(comparisons: Sequence[Comparison], findings: Sequence[Finding]) -> str:
    """The results as tables in Markdown."""
    found = [comparison_table(comparisons)] if comparisons else []
    found += [finding_table(findings)] if findings else []
    return "\n".join(found)


def _work(pipe: Any, file: Path, setup: Setup, line: Any) -> None:
    """Run a script; send its output, then ("found", its results) or ("failed", the reason)."""
    # Ctrl-C reaches the whole process group; the parent process then terminates this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SIGTERM raises KeyboardInterrupt, so that a script can end its own child processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end_with(line)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            pipe.send(("found", _run(file, replace(setup, say=lambda text: pipe.send(("said", text))))))
        except UserError as error:
            pipe.send(("failed", str(error)))
        except BrokenPipeError:
            raise
        except (Exception, SystemExit) as error:
            write_text(setup.out / TRACEBACK, traceback.format_exc())
            pipe.send(("failed", f"{error!r}; {setup.out / TRACEBACK} tells where"))
        # From here on the parent process may terminate this one at any time, and it must end without output.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(file: Path, setup: Setup) -> Dict[str, List[Any]]:
    if _needs_syft(file) and not syft_installed():
        from fl_simu.pointers import install

        install()
    found = list(_module(file).reproduce(setup))
    return {
        "comparisons": [one.as_dict() for one in found if not isinstance(one, Finding)],
        "findings": [one.as_dict() for one in found if isinstance(one, Finding)],
    }


def load(name: str) -> Any:
    """The module of a script, in this process."""
    return _module(_file(name))


def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.parent.name, str(file))
    assert spec is not None and spec.loader is not None, "a file that is there has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
