"""Notices that `exec` prints on stderr besides the script's own output, each line once."""

from typing import Callable

from fl_simu.kernel.notices import tell_once

Tell = Callable[[str], None]


def tell(line: str) -> None:
    """Report what is left out, or how an old habit was made to work."""
    tell_once("fl_simu: " + line)
