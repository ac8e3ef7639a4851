"""The contract of a meter: what is measured of a run besides accuracy, time and bits."""

from abc import ABC, abstractmethod
from typing import Callable, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from fl_simu.results.columns import Column
from fl_simu.ue.compute import Processor


class UploadView(NamedTuple):
    """One upload that is settled, as a meter sees it.

    Args:
        ue: index of the UE.
        samples, epochs: what it trained on in this round; a part of an epoch counts as such.
        works: whether it trained at all.
        compute_s: how long it trained [s].
        airtime_s: how long it was on the air until its last layer had arrived or it was given up, without the time
            in which it had no share of a medium [s].
        sent_bits: what it put on the air [bit].
        accepted: "full", "base" or "none".
        processor: what it trains on, where the compute rule tells of one.
        transmit_w: mean power that it sent, where the channel or the medium tells of one [W].
    """

    ue: int
    samples: int
    epochs: float
    works: bool
    compute_s: float
    airtime_s: float
    sent_bits: int
    accepted: str
    processor: Optional[Processor] = None
    transmit_w: Optional[float] = None


class ModelView(NamedTuple):
    """A new global model in a round in which it is evaluated, as a meter sees it.

    Args:
        accuracies: tells its accuracy on each UE's own training samples, shape (UEs,); computed when it is asked.
            Where an attack changes labels, the true ones count.
    """

    accuracies: Callable[[], np.ndarray]


class RunView(NamedTuple):
    """Where a run stands after a round, as a meter sees it.

    Args:
        taken: int64, shape (UEs,): of how many uploads of each UE the BS has taken something so far.
        empty: tells how many UEs have no energy left; computed when it is asked.
    """

    taken: np.ndarray
    empty: Callable[[], int] = lambda: 0


class Meter(ABC):
    """What a run measures in addition.

    A meter is a frozen dataclass. Each column is named after its quantity and unit, for example `energy_j`.
    """

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, Column]:
        """Name -> column, of each round."""

    @abstractmethod
    def upload(self, view: UploadView) -> Mapping[str, float]:
        """Numbers of one upload, by the names of columns; they stand beside the upload in the record."""

    def round(self, uploads: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Numbers of a round: by default what its uploads come to together.

        Args:
            uploads: what `upload` gave for each that was settled in the round, by UE.
        """
        return {name: sum(one.get(name, 0.0) for one in uploads) for name in self.columns}

    def so_far(self, view: RunView) -> Mapping[str, float]:
        """Numbers of all rounds up to this one; by default none."""
        return {}

    def model(self, view: ModelView) -> Mapping[str, float]:
        """Numbers of the new global model, in rounds in which it is evaluated; by default none."""
        return {}


class OfRounds(Meter):
    """A meter that does not look at single uploads."""

    def upload(self, view: UploadView) -> Mapping[str, float]:
        return {}

    def round(self, uploads: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        return {}
