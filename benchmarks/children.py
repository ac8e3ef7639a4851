"""Child processes, each fresh, single-threaded, and with the same settings of glibc's malloc."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

PathLike = Union[str, Path]
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# By default glibc returns large blocks to the system and requests them again, at the cost of a fault per page.
# Which of two programs this slows down more is chance, so it is off for both.
NEVER = str(2**32)
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": NEVER,
    "MALLOC_TRIM_THRESHOLD_": NEVER,
    "PYTHONWARNINGS": "ignore",
}


def environment(**changes: Optional[str]) -> Dict[str, str]:
    """The environment of a child; a change to None removes a variable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    wanted = {**os.environ, **SETTINGS, "PYTHONPATH": path, **changes}
    return {name: value for name, value in wanted.items() if value is not None}


class ChildFailed(RuntimeError):
    """A child printed no figures; the message is its last line on stderr, or that it took too long."""


def answer_of(
    command: Sequence[str], timeout_s: float = 600, threads: int = 1, **changes: Optional[str]
) -> Dict[str, Any]:
    """The last line with JSON that a child prints; processes that the child started end with it.

    Args:
        threads: number of threads of OpenMP and MKL.
        changes: changes to its environment.

    Raises:
        ChildFailed: the child failed, or printed no JSON.
    """
    changes = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), **changes}
    lines = [line for line in output_of(command, timeout_s, **changes).splitlines() if line.startswith("{")]
    if not lines:
        raise ChildFailed("ended with status 0")
    return json.loads(lines[-1])


def output_of(command: Sequence[str], timeout_s: float = 600, **changes: Optional[str]) -> str:
    """The output of a child; processes that it started end with it.

    Args:
        changes: changes to its environment.

    Raises:
        ChildFailed: it failed, with its last line on stderr; or it took too long.
    """
    env = environment(**changes)
    pipes: Dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=str(ROOT), env=env, text=True, start_new_session=True, **pipes)
    try:
        said, complained = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ChildFailed(f"did not end within {timeout_s:.0f} s") from None
        raise
    if process.returncode:
        last = [line for line in complained.splitlines() if line.strip() and not line.startswith(" ")]
        raise ChildFailed(last[-1].strip() if last else f"ended with status {process.returncode}")
    return said


def answer_of_script(script: str, *arguments: str, **changes: Optional[str]) -> Dict[str, Any]:
    """Run a script of this folder and return its answer."""
    return answer_of([sys.executable, str(HERE / script), *arguments], **changes)


def answer_of_module(module: str, *arguments: str) -> Dict[str, Any]:
    """Run a module as a program and return its answer."""
    return answer_of([sys.executable, "-m", module, *arguments])


class Turns:
    """A child that does a piece of work on request, so that several can take turns.

    Args:
        script: a script of this folder; for each line that it reads, it works and prints a line of JSON.
        arguments: the arguments of the script.
        python: the interpreter of its environment.
    """

    def __init__(self, script: str, *arguments: object, python: PathLike = sys.executable) -> None:
        command = [str(python), str(HERE / script), *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            text=True,
        )

    def __enter__(self) -> "Turns":
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.communicate()

    def take(self) -> Dict[str, float]:
        """Let it work once; returns its answer.

        Raises:
            ChildFailed: it has ended.
        """
        assert self.process.stdin and self.process.stdout
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise ChildFailed(" ".join(map(str, self.process.args)) + " has ended")
        return json.loads(answer)


def say(line: str) -> None:
    """Report the progress of a benchmark; stdout is for its figures."""
    print(line, file=sys.stderr, flush=True)
