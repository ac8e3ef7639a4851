"""What a notebook finds in its namespace beside Python: get_ipython() and display()."""

import re
from typing import Any, Dict

from fl_simu.old_scripts.notices import Tell
from fl_simu.old_scripts.sources import AROUND

# As nbconvert writes magics and shell lines into a script.
CONVERTED = re.compile(rb"get_ipython\(\)\.(system|getoutput|run_line_magic|run_cell_magic|magic)\(")


class Shell:
    """IPython's shell as far as scripts use it plainly: what it would do is told and left out.

    Args:
        namespace: that of the script.
        tell: says what is left out.
    """

    def __init__(self, namespace: Dict[str, Any], tell: Tell) -> None:
        self.user_ns, self._tell = namespace, tell
        self.config: Dict[str, Any] = {}

    def system(self, command: str) -> None:
        """A shell line."""
        self._tell(f"left out: !{command}")

    def getoutput(self, command: str) -> Any:
        """What a shell line prints."""
        self._tell(f"left out: !{command}")
        return []

    def run_line_magic(self, name: str, line: str, *_: Any) -> None:
        """A magic of a line; %time runs its statement."""
        if name == "time" and line:
            exec(compile(line, f"%{name}", "exec"), self.user_ns)
        else:
            self._tell(f"left out: %{name} {line}".rstrip())

    def magic(self, line: str) -> None:
        """The same, as one text."""
        name, _, rest = line.lstrip("%").partition(" ")
        self.run_line_magic(name, rest)

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        """A magic of a cell; %%time and its like run the cell."""
        self._tell(f"left out: %%{name} {line}".rstrip())
        if name in AROUND:
            exec(compile(cell, f"%%{name}", "exec"), self.user_ns)


def display(*values: Any, **_: Any) -> None:
    """Print each value as a notebook shows it in plain text."""
    for value in values:
        print(repr(value))


def names(namespace: Dict[str, Any], tell: Tell) -> Dict[str, Any]:
    """What to add to the namespace of a notebook, or of a script that nbconvert made of one."""
    shell = Shell(namespace, tell)
    return {"get_ipython": lambda: shell, "display": display}
