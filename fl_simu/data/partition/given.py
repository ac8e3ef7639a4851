"""Partitions without random draws, in which the samples of each UE are given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional

import numpy as np

from fl_simu.data.formats import read_json
from fl_simu.data.partition.base import Partition, is_count, parts_of, require_ues
from fl_simu.kernel.errors import BadField, UserError, require, shown


@dataclass(frozen=True)
class SlidingSlices(Partition):
    """The notes' overlapping slices, a quirk: UE i takes samples i*step ... i*step + length - 1 as stored.

    Neighbouring UEs share length - step samples. A slice that runs over the end continues at the first sample.
    Samples that no slice reaches are never used, and nothing is drawn. So the UEs' data are neither disjoint nor
    random. For disjoint random parts use `iid`. Indices are in the order of the slice.

    Args:
        length: number of samples of each UE, 2 or more.
        step: number of samples from the start of one slice to the start of the next, from 1 to length - 1.

    >>> [p.tolist() for p in SlidingSlices(length=3, step=2).split(np.zeros(6), 3, np.random.default_rng(0))]
    [[0, 1, 2], [2, 3, 4], [4, 5, 0]]
    """

    length: int = 500
    step: int = 250

    def __post_init__(self) -> None:
        two = is_count(self.length) and self.length >= 2
        require(two, "length", self.length, "a whole number, at least 2")
        below = is_count(self.step) and self.step < self.length
        require(below, "step", self.step, f"a whole number from 1 to {self.length - 1}, below length")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        require_ues(ues, len(labels))
        require(self.length <= len(labels), "length", self.length, f"at most {len(labels)}, the training samples")
        slice_ = np.arange(self.length, dtype=np.int64)
        return [(ue * self.step + slice_) % len(labels) for ue in range(ues)]


@dataclass(frozen=True)
class ByUe(Partition):
    """Each UE has the samples that the data assign to it; nothing is drawn.

    Raises:
        UserError: the data do not name UEs, name another number of them, or leave one without a sample.

    >>> owners = np.array([1, 0, 1])
    >>> [part.tolist() for part in ByUe().deal(np.zeros(3), owners, 2, np.random.default_rng(0))]
    [[1], [0, 2]]
    """

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        return self.deal(labels, None, ues, rng)

    def deal(
        self, labels: np.ndarray, owners: Optional[np.ndarray], ues: int, rng: np.random.Generator
    ) -> List[np.ndarray]:
        if owners is None:
            raise BadField("partition.name", "by_ue", "the data do not say which UE has which sample")
        named, sizes = np.unique(owners, return_counts=True)
        gaps = np.flatnonzero(named != np.arange(len(named)))
        if len(gaps):
            raise BadField("partition.name", "by_ue", f"the data have no sample of UE {gaps[0]}")
        require(ues == len(named), "ues", ues, f"{len(named)}, as many as the data have parts by UE")
        return parts_of(owners, sizes)


@dataclass(frozen=True)
class FromFile(Partition):
    """Each UE has the training samples that a JSON file assigns to it; nothing is drawn.

    The file is `{"0": [5, 2], "1": [3, 4, 0], ...}`. It maps each UE, counted from 0 and in any order, to the
    indices of its training samples, counted from 0 in the order of the data. `json.dump` writes such a file from
    the dict of client to indices that NIID-Bench and FedLab use, once its arrays are lists. No sample may appear
    twice; samples that no UE has are left out.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing, has another number of UEs, a UE without a sample, or an index that is
            invalid or appears twice; the message, one line, names the file and the UE.
    """

    path: str

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        found = read_json(Path(self.path))
        if not isinstance(found, dict) or set(found) != set(map(str, range(len(found)))):
            raise UserError(f"{self.path}: is no table whose keys are the UEs 0, 1, 2, ...")
        require(ues == len(found), "ues", ues, f"{len(found)}, as many as {self.path} has")
        parts = [self._part(ue, found[str(ue)], len(labels)) for ue in range(ues)]
        rows, owners = np.concatenate(parts), np.repeat(np.arange(ues), [len(part) for part in parts])
        order = np.argsort(rows, kind="stable")
        twice = np.flatnonzero(np.diff(rows[order]) == 0)
        if len(twice):
            one, other = order[twice[0]], order[twice[0] + 1]
            raise UserError(f"{self.path}: UE {owners[other]}: sample {rows[one]} is UE {owners[one]}'s already")
        return parts

    def _part(self, ue: int, places: Any, samples: int) -> np.ndarray:
        where = f"{self.path}: UE {ue}"
        if not isinstance(places, list) or not set(map(type, places)) <= {int}:
            raise UserError(f"{where}: is no list of whole numbers")
        if not places:
            raise UserError(f"{where}: has no sample")
        for place in (min(places), max(places)):
            if not 0 <= place < samples:
                raise UserError(f"{where}: there is no sample {shown(place)}; they are 0 to {samples - 1}")
        return np.sort(np.array(places, np.int64))
