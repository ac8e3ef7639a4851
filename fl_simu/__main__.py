"""python -m fl_simu"""

import sys
from typing import TextIO

from fl_simu.kernel.ending import OutputLost, end_at_once, flush, open_closed_streams, output_watched


def main() -> int:
    """Run a command. If a package is missing, `doctor` still runs, and any other command says so in one line."""
    from fl_simu.cli import doctor

    open_closed_streams()
    try:
        from fl_simu.cli.app import main as run
    except Exception as error:
        # A package of the wrong version may fail in any way; `doctor` exists to report that.
        if sys.argv[1:] == ["doctor"]:
            return _print(doctor.diagnosis(), sys.stdout, 0)
        told = doctor.advice_without(error)
        if not told:
            raise
        return _print(told, sys.stderr, 2)
    try:
        return run()
    except ImportError as error:
        told = doctor.advice_without(error)
        if not told:
            raise
        return _print(told, sys.stderr, 2)


def _print(text: str, stream: TextIO, status: int) -> int:
    try:
        with output_watched(stream):
            print(text, file=stream)
        flush(stream)
    except OutputLost:
        return 2
    return status


if __name__ == "__main__":
    end_at_once(main())
