"""What the processes that tests start have imported: imported once, by the server that forks them.

A start of Python with torch takes two seconds, one with syft five, and most tests that need a process of their own
need no new interpreter.
"""

import importlib
import multiprocessing

from fl_simu.kernel.installation import syft_installed

CONTEXT = multiprocessing.get_context("forkserver")

# What commands and scripts import only when they need it.
LATER = [
    "children",
    "fl_simu.cli.reproduce",
    "fl_simu.cli.run",
    "fl_simu.studies.leakage",
    "fl_simu.loop.progress",
    "fl_simu.loop.runs",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "syft" if syft_installed() else "fl_simu.pointers",
]
modules = {name: importlib.import_module(name) for name in LATER}

# In all that is forked from here a run draws no figures, and processes start no new interpreters.
modules["fl_simu.loop.runs"].draw_figures = lambda *anything: []
multiprocessing.get_context = lambda method=None: CONTEXT
