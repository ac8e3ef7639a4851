"""Commands as a user types them. Standard library only, Python 3.6 and newer: `doctor` must run anywhere."""

import os
import shlex
import shutil
import sys
from typing import Optional

# scripts/stack.sh puts an environment first on PATH for its command, and stores the previous PATH here.
SHELL_PATH = "FL_SIMU_SHELL_PATH"


def python_command() -> str:
    """The shell command for this interpreter: `python` or `python3` if that runs it, otherwise its path."""
    here, executable = os.path.join(os.getcwd(), ""), sys.executable or "python"
    for name in ("python", "python3"):
        if _same(shutil.which(name, path=os.environ.get(SHELL_PATH)), executable):
            return name
    relative = executable[len(here) :] if executable.startswith(here) else ""
    return shlex.quote(relative if os.sep in relative else executable)


def _same(found: Optional[str], executable: str) -> bool:
    """Whether both are the same interpreter and environment: environments link to interpreters elsewhere."""
    if found is None or not os.path.exists(executable):
        return False
    return os.path.samefile(os.path.dirname(found), os.path.dirname(executable)) and os.path.samefile(
        found, executable
    )


def command_line(*words: object) -> str:
    """An fl_simu command, as a user would type it."""
    return " ".join([python_command(), "-m fl_simu"] + [shlex.quote(str(word)) for word in words])
