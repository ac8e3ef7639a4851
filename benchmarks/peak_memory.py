"""Peak memory of this process, and of a Python program run in it: `peak_memory.py -m fl_simu run FILE ...`.

The program's exit status is kept. The last line printed is JSON. A child's `ru_maxrss` would also count the memory
of its parent at the fork, so Linux's own high-water mark of this process is read if there is one.
"""

import json
import resource
import runpy
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_mb() -> float:
    """Peak resident memory of this process so far, in 10^6 bytes."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    _, flag, module, *arguments = sys.argv
    if flag != "-m":
        raise SystemExit("usage: peak_memory.py -m MODULE [ARGUMENT]...")
    sys.argv = [module, *arguments]
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    print(json.dumps({"peak_mb": peak_mb()}), flush=True)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
