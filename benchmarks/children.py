"""Child processes, each fresh, with one thread, and with glibc's malloc set alike for all of them."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Union

PathLike = Union[str, Path]
HERE = Path(__file__).resolve().parent
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
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    wanted = {**os.environ, **SETTINGS, "PYTHONPATH": path, **changes}
    return {name: value for name, value in wanted.items() if value is not None}


def figures_of(script: str, *arguments: str, **changes: Optional[str]) -> Dict[str, Any]:
    """Run a script of this folder and read the JSON of its last line.

    Raises:
        RuntimeError: it failed; the message is what it said last.
    """
    command = [sys.executable, str(HERE / script), *arguments]
    ended = subprocess.run(
        command,
        capture_output=True,
        env=environment(**changes),
        text=True,
    )
    if ended.returncode:
        raise RuntimeError((ended.stderr or ended.stdout).strip().splitlines()[-1])
    return json.loads(ended.stdout.splitlines()[-1])


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
            RuntimeError: it has ended.
        """
        assert self.process.stdin and self.process.stdout
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(" ".join(map(str, self.process.args)) + " has ended")
        return json.loads(answer)
