"""What `exec` tells on stderr beside the script's own words, each line once."""

from typing import Callable

from fl_simu.kernel.notices import tell_once

Tell = Callable[[str], None]


def tell(line: str) -> None:
    """Say what is left out, or what a habit was met with."""
    tell_once("fl_simu: " + line)
