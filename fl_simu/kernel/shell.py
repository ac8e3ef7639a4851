"""Commands as a user types them. Standard library alone, Python 3.6 and newer: `doctor` needs it anywhere."""

import os
import shlex
import shutil
import sys
from typing import Optional

# scripts/stack.sh puts an environment first on PATH for the command that it runs, and leaves here what PATH was.
SHELL_PATH = "FL_SIMU_SHELL_PATH"


def python_command() -> str:
    """What a shell must be told to get this interpreter: `python` or `python3` where that is it, else its path."""
    here, executable = os.path.join(os.getcwd(), ""), sys.executable or "python"
    for name in ("python", "python3"):
        if _same(shutil.which(name, path=os.environ.get(SHELL_PATH)), executable):
            return name
    relative = executable[len(here) :] if executable.startswith(here) else ""
    return shlex.quote(relative if os.sep in relative else executable)


def _same(found: Optional[str], executable: str) -> bool:
    """Whether both are one interpreter of one environment: environments link to interpreters elsewhere."""
    if found is None or not os.path.exists(executable):
        return False
    return os.path.samefile(os.path.dirname(found), os.path.dirname(executable)) and os.path.samefile(
        found, executable
    )


def command_line(*words: object) -> str:
    """A command of fl_simu, as a user would type it."""
    return " ".join([python_command(), "-m fl_simu"] + [shlex.quote(str(word)) for word in words])
