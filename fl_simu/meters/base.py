"""The contract of a meter: additional measurements of a run besides accuracy, time and bits."""

from abc import ABC, abstractmethod
from typing import Callable, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from fl_simu.results.columns import Column
from fl_simu.ue.compute import Processor


class UploadView(NamedTuple):
    """One settled upload, as a meter sees it.

    Args:
        ue: index of the UE.
        samples, epochs: number of samples and epochs that it trained in this round; epochs may be fractional.
        works: whether it trained at all.
        compute_s: training time [s].
        airtime_s: time on the air until its last layer arrived or the upload was given up, without the time in
            which it had no share of a medium [s].
        sent_bits: bits that it put on the air [bit].
        accepted: "full", "base" or "none".
        processor: the processor that it trains on, if the compute rule models one.
        transmit_w: mean transmit power, if the channel or the medium models one [W].
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
    """The new global model of a round with an evaluation, as a meter sees it.

    Args:
        accuracies: function that returns its accuracy on each UE's own training samples, shape (UEs,); computed
            when it is called. If an attack changes labels, the true labels count.
    """

    accuracies: Callable[[], np.ndarray]


class RunView(NamedTuple):
    """The state of a run after a round, as a meter sees it.

    Args:
        taken: int64, shape (UEs,): number of uploads of each UE of which the BS has accepted something so far.
        empty: function that returns the number of UEs without energy; computed when it is called.
    """

    taken: np.ndarray
    empty: Callable[[], int] = lambda: 0


class Meter(ABC):
    """Additional measurements of a run.

    A meter is a frozen dataclass. Each column is named after its quantity and unit, for example `energy_j`.
    """

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, Column]:
        """The columns of each round, by name."""

    @abstractmethod
    def upload(self, view: UploadView) -> Mapping[str, float]:
        """Numbers of one upload, by the names of columns. The record stores them with the upload."""

    def round(self, uploads: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Numbers of a round: by default the sums over its uploads.

        Args:
            uploads: the result of `upload` for each upload that was settled in the round, by UE.
        """
        return {name: sum(one.get(name, 0.0) for one in uploads) for name in self.columns}

    def so_far(self, view: RunView) -> Mapping[str, float]:
        """Numbers of all rounds up to this one; by default none."""
        return {}

    def model(self, view: ModelView) -> Mapping[str, float]:
        """Numbers of the new global model, in rounds with an evaluation; by default none."""
        return {}


class OfRounds(Meter):
    """A meter that does not look at single uploads."""

    def upload(self, view: UploadView) -> Mapping[str, float]:
        return {}

    def round(self, uploads: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        return {}
