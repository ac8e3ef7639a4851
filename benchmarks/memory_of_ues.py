"""Child process: a run with many UEs on the torch backend; prints the memory it took as JSON.

Nothing but the number of UEs differs between two such runs: the same images are there, and each UE has a few.
"""

import argparse
import gc
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from peak_memory import now_mb, peak_mb

from fl_simu import config, runs
from fl_simu.assemble import plan
from fl_simu.coordinator import Coordinator, Observer
from fl_simu.results.records import RoundRecord
from fl_simu.ue.datasets import Dataset, Labelled

SHAPE, CLASSES = (1, 28, 28), 10


class Watch(Observer):
    """Notes, at the end of each round, what the BS holds and what the process has taken so far."""

    def __init__(self) -> None:
        self.rounds = []
        self.inbox_mb = 0.0
        self.held = 0.0

    def fetched(self, ue: int) -> None:
        pass

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        gc.collect()
        self.rounds.append({"now_mb": now_mb(), "peak_mb": peak_mb()})
