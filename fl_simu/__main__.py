"""python -m fl_simu"""

import sys


def main() -> int:
    """Run a command. `doctor` runs without any package; any other says in one line where one is missing."""
    from fl_simu.commands import doctor

    if sys.argv[1:] == ["doctor"]:
        print(doctor.diagnosis())
        return 0
    try:
        from fl_simu.cli import main as run

        return run()
    except ImportError as error:
        told = doctor.advice_without(error)
        if not told:
            raise
        print(told, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
