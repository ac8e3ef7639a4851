"""Child processes, each fresh, with one thread, and with glibc's malloc set alike for all of them."""

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
# By default glibc gives big blocks back to the system and asks for them again, at the cost of a fault a page.
# Which of two programs that slows more is chance, so neither does it.
NEVER = str(2**32)
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": NEVER,
    "MALLOC_TRIM_THRESHOLD_": NEVER,
    "PYTHONWARNINGS": "ignore",
}


def environment(**changes: Optional[str]) -> Dict[str, str]:
    """The environment of a child; a change to None takes a variable away."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    wanted = {**os.environ, **SETTINGS, "PYTHONPATH": path, **changes}
    return {name: value for name, value in wanted.items() if value is not None}


class ChildFailed(RuntimeError):
    """A child gave no figures; the message is what it said last, or that it took too long."""


def answer_of(
    command: Sequence[str], timeout_s: float = 600, threads: int = 1, **changes: Optional[str]
) -> Dict[str, Any]:
    """The JSON of a child's last line; what the child started ends with it.

    Args:
        threads: of OpenMP and MKL.
        changes: of its environment.

    Raises:
        ChildFailed: there is none.
    """
    changes = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), **changes}
    lines = [line for line in output_of(command, timeout_s, **changes).splitlines() if line.startswith("{")]
    if not lines:
        raise ChildFailed("ended with status 0")
    return json.loads(lines[-1])


def output_of(command: Sequence[str], timeout_s: float = 600, **changes: Optional[str]) -> str:
    """What a child says; what it started ends with it.

    Args:
        changes: of its environment.

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
    """What a script of this folder answers."""
    return answer_of([sys.executable, str(HERE / script), *arguments], **changes)


def answer_of_module(module: str, *arguments: str) -> Dict[str, Any]:
    """What a module answers that is run as a program."""
    return answer_of([sys.executable, "-m", module, *arguments])


class Turns:
    """A child that does a piece of work whenever it is told to: so several can take turns.

    Args:
        script: of this folder; it works for each line that it reads and answers with a line of JSON.
        arguments: its own.
        python: of the environment that it runs in.
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
        """Let it work once; what it answers.

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
    """Tell how far a benchmark is; stdout is for its figures."""
    print(line, file=sys.stderr, flush=True)
