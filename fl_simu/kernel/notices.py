"""Notices on stderr, printed once per process."""

import sys
from typing import Set

_told: Set[str] = set()


def tell_once(line: str) -> None:
    """Print a line on stderr unless this process has already printed it."""
    if line not in _told:
        _told.add(line)
        print(line, file=sys.stderr, flush=True)
