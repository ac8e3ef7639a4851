"""python -m fl_simu"""

import sys

from fl_simu.cli import main

if __name__ == "__main__":
    sys.exit(main())
