"""Path loss: the mean attenuation of a UE's signal over distance. One class per model, one row below."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Dict, Tuple, Type

import numpy as np

SPEED_OF_LIGHT = 299_792_458.0
UE_HEIGHT_M = 1.5


@dataclass(frozen=True)
class PathLoss(ABC):
    """Mean loss over distance; shadowing and fading are added to it."""

    @abstractmethod
    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        """Loss in dB, shape as `distance_m`.

        Args:
            distance_m: horizontal distances between UE and BS, in m, above 0.
            carrier_ghz: carrier frequency in GHz.
            line_of_sight: whether there is a line of sight, bool.
        """

    def line_of_sight_probability(self, distance_m: np.ndarray) -> np.ndarray:
        """Probability of a line of sight between UE and BS; 0 if the model does not distinguish the cases."""
        return np.zeros_like(distance_m)


@dataclass(frozen=True)
class LogDistance(PathLoss):
    """Free-space loss up to 1 m, then 10 `exponent` dB per decade.

    Reference: Rappaport, Wireless Communications, section 4.11.
    """

    exponent: float = 3.5

    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        free_space = 20 * math.log10(4 * math.pi * carrier_ghz * 1e9 / SPEED_OF_LIGHT)
        return free_space + 10 * self.exponent * np.log10(distance_m)


@dataclass(frozen=True)
class _Urban(PathLoss):
    """The common form of the two urban models of 3GPP TR 38.901, which differ in the numbers of their tables."""

    bs_height_m: ClassVar[float]
    # Line of sight: constant and slope up to the break point, and slope of the break point distance beyond it.
    clear: ClassVar[Tuple[float, float, float]]
    # No line of sight: constant, slope over distance, slope over frequency.
    blocked: ClassVar[Tuple[float, float, float]]
    # Distance in m that sets the decay of the line-of-sight probability.
    decay_m: ClassVar[float]

    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        height, f = self.bs_height_m - UE_HEIGHT_M, math.log10(carrier_ghz)
        d3 = np.log10(np.hypot(distance_m, height))
        break_m = 4 * (self.bs_height_m - 1) * (UE_HEIGHT_M - 1) * carrier_ghz * 1e9 / SPEED_OF_LIGHT
        constant, slope, back = self.clear
        near = constant + slope * d3 + 20 * f
        far = constant + 40 * d3 + 20 * f - back * math.log10(break_m**2 + height**2)
        clear = np.where(distance_m <= break_m, near, far)
        constant, slope, over_frequency = self.blocked
        return np.where(line_of_sight, clear, np.maximum(clear, constant + slope * d3 + over_frequency * f))

    def line_of_sight_probability(self, distance_m: np.ndarray) -> np.ndarray:
        far = np.maximum(distance_m, 18.0)
        return 18 / far + np.exp(-far / self.decay_m) * (1 - 18 / far)


@dataclass(frozen=True)
class UrbanMacro(_Urban):
    """3GPP UMa: BS at 25 m, UE at 1.5 m.

    Reference: 3GPP TR 38.901, tables 7.4.1-1 and 7.4.2-1.
    """

    bs_height_m = 25.0
    clear = (28.0, 22.0, 9.0)
    blocked = (13.54, 39.08, 20.0)
    decay_m = 63.0


@dataclass(frozen=True)
class UrbanMicro(_Urban):
    """3GPP UMi street canyon: BS at 10 m, UE at 1.5 m.

    Reference: 3GPP TR 38.901, tables 7.4.1-1 and 7.4.2-1.
    """

    bs_height_m = 10.0
    clear = (32.4, 21.0, 9.5)
    blocked = (22.4, 35.3, 21.3)
    decay_m = 36.0


PATH_LOSSES: Dict[str, Type[PathLoss]] = {"log_distance": LogDistance, "uma": UrbanMacro, "umi": UrbanMicro}
