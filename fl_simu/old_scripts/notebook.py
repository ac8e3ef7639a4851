"""The names that a notebook has besides Python's own: get_ipython() and display()."""

import re
from typing import Any, Dict

from fl_simu.old_scripts.notices import Tell
from fl_simu.old_scripts.sources import AROUND

# The form in which nbconvert writes magics and shell lines into a script.
CONVERTED = re.compile(rb"get_ipython\(\)\.(system|getoutput|run_line_magic|run_cell_magic|magic)\(")


class Shell:
    """IPython's shell, as far as scripts use it: its actions are left out, and each is reported.

    Args:
        namespace: the script's namespace.
        tell: called with a line that says what is left out.
    """

    def __init__(self, namespace: Dict[str, Any], tell: Tell) -> None:
        self.user_ns, self._tell = namespace, tell
        self.config: Dict[str, Any] = {}

    def system(self, command: str) -> None:
        """Report a shell line."""
        self._tell(f"left out: !{command}")

    def getoutput(self, command: str) -> Any:
        """Report a shell line; its output is empty."""
        self._tell(f"left out: !{command}")
        return []

    def run_line_magic(self, name: str, line: str, *_: Any) -> None:
        """Report a line magic; %time runs its statement."""
        if name == "time" and line:
            exec(compile(line, f"%{name}", "exec"), self.user_ns)
        else:
            self._tell(f"left out: %{name} {line}".rstrip())

    def magic(self, line: str) -> None:
        """The same, with name and arguments in one string."""
        name, _, rest = line.lstrip("%").partition(" ")
        self.run_line_magic(name, rest)

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        """Report a cell magic; %%time and similar magics run the cell."""
        self._tell(f"left out: %%{name} {line}".rstrip())
        if name in AROUND:
            exec(compile(cell, f"%%{name}", "exec"), self.user_ns)


def display(*values: Any, **_: Any) -> None:
    """Print each value as a notebook shows it as plain text."""
    for value in values:
        print(repr(value))


def names(namespace: Dict[str, Any], tell: Tell) -> Dict[str, Any]:
    """The names to add to the namespace of a notebook, or of a script converted from one by nbconvert."""
    shell = Shell(namespace, tell)
    return {"get_ipython": lambda: shell, "display": display}
