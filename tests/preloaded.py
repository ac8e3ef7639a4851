"""Modules that are imported once, in the server that forks the processes of tests.

Starting Python takes two seconds with torch and five with syft, and most tests that need a separate process do not
need a new interpreter.
"""

import importlib
import multiprocessing

from fl_simu.kernel.installation import syft_installed

CONTEXT = multiprocessing.get_context("forkserver")

# Modules that commands and scripts import only on demand.
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

# In processes forked from here, runs draw no figures, and no new interpreters start.
modules["fl_simu.loop.runs"].draw_figures = lambda *anything: []
multiprocessing.get_context = lambda method=None: CONTEXT
