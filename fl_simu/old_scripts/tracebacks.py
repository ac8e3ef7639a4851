"""Tracebacks of the user's own lines, without the frames of fl_simu, torch and other installed packages."""

import os
import re
import sys
import sysconfig
import traceback
from types import TracebackType
from typing import Any, Optional

import fl_simu

ALL = "FL_SIMU_TRACEBACK"

_PATHS = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
FOREIGN = tuple(os.path.realpath(path) + os.sep for path in (*_PATHS, os.path.dirname(fl_simu.__file__)))
# Python writes the name of a cell in the place of a file's.
CELL = re.compile(r'^(\s*File ".*?), (cell \d+)", line', re.MULTILINE)


def show(kind: Any, error: BaseException, trace: Optional[TracebackType], everything: bool = False) -> None:
    """Print a traceback on stderr, as Python does.

    Args:
        kind, error, trace: as for sys.excepthook.
        everything: include the frames of packages, but never those of this package's own exec.
    """
    here = os.path.dirname(os.path.realpath(__file__))
    while trace is not None and os.path.dirname(os.path.realpath(trace.tb_frame.f_code.co_filename)) == here:
        trace = trace.tb_next
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(kind, error.with_traceback(trace), trace)
        return
    told = traceback.TracebackException(kind, error, trace)
    if not (everything or os.environ.get(ALL)) and _shorten(told):
        print("fl_simu: without the lines of installed packages; `exec --traceback` shows all", file=sys.stderr)
    print(CELL.sub(r'\1", \2, line', "".join(told.format())), end="", file=sys.stderr, flush=True)


def _shorten(told: traceback.TracebackException) -> bool:
    """Leave out frames of packages, and chained errors that have no others; returns whether there were any."""
    own = [frame for frame in told.stack if not _foreign(frame.filename)]
    changed = bool(own) and len(own) < len(told.stack)
    if changed:
        told.stack = traceback.StackSummary.from_list(own)
    for name in ("__cause__", "__context__"):
        before = getattr(told, name)
        if before is not None:
            if before.stack and all(_foreign(frame.filename) for frame in before.stack):
                setattr(told, name, None)
                changed = True
            else:
                changed |= _shorten(before)
    return changed


def _foreign(file: str) -> bool:
    return file.startswith("<") or os.path.realpath(file).startswith(FOREIGN)
