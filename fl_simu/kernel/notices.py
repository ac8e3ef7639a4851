"""What a user is told once a process, on stderr."""

import sys
from typing import Set

_told: Set[str] = set()


def tell_once(line: str) -> None:
    """Print a line on stderr unless this process has done so."""
    if line not in _told:
        _told.add(line)
        print(line, file=sys.stderr, flush=True)
