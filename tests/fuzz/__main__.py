"""Try many inputs; print those that end in a traceback, a hang, or more than one line. See `--help`."""

import argparse
import contextlib
import multiprocessing
import os
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

from tests.fuzz import files
from tests.fuzz.inputs import Input, make

SECONDS = 30.0
MEMORY = 4 * 2**30
LONGEST = 500


class Verdict(NamedTuple):
    """The result of an input; `wrong` is empty if the program behaved correctly."""

    number: int
    kind: str
    status: int
    seconds: float
    wrong: str
    said: str


def check(task: Tuple[int, int]) -> Verdict:
    """Try one input in its own process."""
    seed, number = task
    folder = Path(tempfile.mkdtemp(prefix="fl_simu-fuzz-"))
    try:
        one = make(seed, number)
        one.prepare(folder)
        began = time.monotonic()
        status = _status(one, folder)
        seconds = time.monotonic() - began
        said = (folder / ".stderr").read_text(errors="replace").replace(str(folder), "")
        return Verdict(number, one.kind, status, seconds, wrong(status, said), said)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def wrong(status: int, said: str) -> str:
    """What is wrong with an exit status and the text on stderr; empty if nothing."""
    last = (said.strip().splitlines() or [""])[-1][:300]
    if status == -signal.SIGKILL:
        return f"not done in {SECONDS:g} s"
    if status not in (0, 2):
        return f"status {status}: {last}"
    if "Traceback" in said or "Warning" in said:
        return f"said {last}"
    if status == 0:
        return ""
    lines = said.splitlines()
    if len(lines) != 1 or not lines[0].startswith("fl_simu: "):
        return f"{len(lines)} lines: {last}"
    if len(lines[0]) > LONGEST:
        return f"a line of {len(lines[0])} characters: {last}"
    return f"no field named: {last}" if "out of memory" in said else ""


def _status(one: Input, folder: Path) -> int:
    """Exit status of a process that runs the input; -9 if it takes too long."""
    child = os.fork()
    if child == 0:
        _become(one, folder)
    ends = time.monotonic() + SECONDS
    try:
        while time.monotonic() < ends:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status) - 100
            time.sleep(0.005)
        return -signal.SIGKILL
    finally:
        _end_group(child)


def _end_group(leader: int) -> None:
    """End a process and its descendants."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(leader, 0)


def _become(one: Input, folder: Path) -> None:
    """Run the input in this process, which ends with it."""
    status = 1
    try:
        os.setsid()
        os.chdir(str(folder))
        for number, name in ((1, ".stdout"), (2, ".stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", errors="backslashreplace")
        resource.setrlimit(resource.RLIMIT_AS, (_held() + MEMORY,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Daemonic pool processes may not start children, so hide that this process is one.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        from fl_simu.cli.app import main

        status = main(list(one.arguments))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _held() -> int:
    return int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024  # type: ignore


def _offline(*_: object) -> None:
    from fl_simu.data.downloads import DataUnavailable

    raise DataUnavailable("it is not here, and the fuzzer downloads nothing")


def _one_by_one(todo: Sequence[Any], _: int, work: Callable[[Any], str], say: Callable, __: Path) -> None:
    for job in todo:
        say(work(job))


def _settle() -> None:
    """Import the modules that inputs need, and block the network and this machine's data."""
    import matplotlib

    matplotlib.use("Agg")
    import torch

    from fl_simu.data import downloads
    from fl_simu.loop import closing
    from fl_simu.studies import leakage

    torch.set_num_threads(1)
    os.environ.pop("FL_SIMU_DATA", None)
    os.environ["XDG_CACHE_HOME"] = "/nonexistent"
    downloads._download = _offline  # type: ignore[assignment]
    # A new interpreter would take seconds to import torch.
    leakage.run_all = _one_by_one  # type: ignore[assignment]
    draw = closing.draw_figures
    # Figures take longest, so only one run in ten draws them.
    closing.draw_figures = lambda *a, **k: draw(*a, **k) if os.getpid() % 10 == 0 else []  # type: ignore[assignment]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Try the inputs; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=3000, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all of them; another one each time")
    parser.add_argument("--only", type=int, nargs="+", metavar="K", help="these numbers alone, in full")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="inputs at a time")
    parser.add_argument("--kind", help="of this kind alone: config, data, trace, ...")
    parser.add_argument("--verbose", action="store_true", help="tell of all inputs, not only of those that failed")
    given = parser.parse_args(arguments)
    _settle()
    files.base_runs()
    numbers = given.only or range(given.inputs)
    tasks = [
        (given.seed, number) for number in numbers if not given.kind or make(given.seed, number).kind == given.kind
    ]
    began, failed, counts = time.monotonic(), 0, {}
    with multiprocessing.get_context("fork").Pool(given.jobs, maxtasksperchild=500) as pool:
        for verdict in pool.imap_unordered(check, tasks):
            key = (verdict.kind, verdict.status)
            counts[key] = counts.get(key, 0) + 1
            failed += bool(verdict.wrong)
            if sum(counts.values()) % 500 == 0:
                print(f"{sum(counts.values())} of {len(tasks)}, {failed} failed", flush=True)
            if verdict.wrong or given.only or given.verbose:
                print(_told(given.seed, verdict, given.only or given.verbose), flush=True)
    shutil.rmtree(str(files.base_runs()[0].parent))
    for (kind, status), count in sorted(counts.items()):
        print(f"{kind:<14} status {status:<5} {count}")
    print(f"seed {given.seed}: {len(tasks)} inputs, {failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _told(seed: int, verdict: Verdict, everything: bool) -> str:
    shortened = (word if len(word) < 200 else word[:100] + "..." for word in make(seed, verdict.number).arguments)
    line = ascii(" ".join(map(shlex.quote, shortened)))[1:-1]
    told = f"{verdict.number} ({verdict.kind}, {verdict.seconds:.1f} s): {verdict.wrong}\n    {line}"
    return told + "\n" + verdict.said if everything else told


if __name__ == "__main__":
    sys.exit(main())
