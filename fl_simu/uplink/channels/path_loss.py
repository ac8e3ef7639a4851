"""Path loss: how much of a UE's power reaches the BS at a distance. One class a model, one row below."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Type

import numpy as np

SPEED_OF_LIGHT = 299_792_458.0


@dataclass(frozen=True)
class PathLoss(ABC):
    """Mean loss over distance; shadowing and fading come on top."""

    @abstractmethod
    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        """Loss in dB, shape as `distance_m`.

        Args:
            distance_m: distances between UE and BS in the plane, in m, above 0.
            carrier_ghz: carrier frequency in GHz.
            line_of_sight: whether nothing stands between, bool.
        """

    def line_of_sight_probability(self, distance_m: np.ndarray) -> np.ndarray:
        """Chance that nothing stands between UE and BS; 0 where the model does not tell the cases apart."""
        return np.zeros_like(distance_m)


@dataclass(frozen=True)
class LogDistance(PathLoss):
    """Free space up to 1 m, then 10 `exponent` dB a decade.

    Reference: Rappaport, Wireless Communications, section 4.11.
    """

    exponent: float = 3.5

    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        free_space = 20 * math.log10(4 * math.pi * carrier_ghz * 1e9 / SPEED_OF_LIGHT)
        return free_space + 10 * self.exponent * np.log10(distance_m)


@dataclass(frozen=True)
class _Urban(PathLoss):
    """What the two urban models of 3GPP TR 38.901 share: heights, and the break point."""

    def _distance_3d(self, distance_m: np.ndarray) -> np.ndarray:
        return np.hypot(distance_m, self.bs_height_m - UE_HEIGHT_M)

    def _break_point_m(self, carrier_ghz: float) -> float:
        return 4 * (self.bs_height_m - 1) * (UE_HEIGHT_M - 1) * carrier_ghz * 1e9 / SPEED_OF_LIGHT

    bs_height_m = 25.0


UE_HEIGHT_M = 1.5


@dataclass(frozen=True)
class UrbanMacro(_Urban):
    """3GPP UMa: BS at 25 m, UE at 1.5 m.

    Reference: 3GPP TR 38.901, tables 7.4.1-1 and 7.4.2-1.
    """

    bs_height_m = 25.0

    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        d3, f, height = self._distance_3d(distance_m), math.log10(carrier_ghz), self.bs_height_m - UE_HEIGHT_M
        break_m = self._break_point_m(carrier_ghz)
        near = 28.0 + 22 * np.log10(d3) + 20 * f
        far = 28.0 + 40 * np.log10(d3) + 20 * f - 9 * math.log10(break_m**2 + height**2)
        clear = np.where(distance_m <= break_m, near, far)
        blocked = 13.54 + 39.08 * np.log10(d3) + 20 * f - 0.6 * (UE_HEIGHT_M - 1.5)
        return np.where(line_of_sight, clear, np.maximum(clear, blocked))

    def line_of_sight_probability(self, distance_m: np.ndarray) -> np.ndarray:
        far = np.maximum(distance_m, 18.0)
        return 18 / far + np.exp(-far / 63) * (1 - 18 / far)


@dataclass(frozen=True)
class UrbanMicro(_Urban):
    """3GPP UMi street canyon: BS at 10 m, UE at 1.5 m.

    Reference: 3GPP TR 38.901, tables 7.4.1-1 and 7.4.2-1.
    """

    bs_height_m = 10.0

    def loss_db(self, distance_m: np.ndarray, carrier_ghz: float, line_of_sight: np.ndarray) -> np.ndarray:
        d3, f, height = self._distance_3d(distance_m), math.log10(carrier_ghz), self.bs_height_m - UE_HEIGHT_M
        break_m = self._break_point_m(carrier_ghz)
        near = 32.4 + 21 * np.log10(d3) + 20 * f
        far = 32.4 + 40 * np.log10(d3) + 20 * f - 9.5 * math.log10(break_m**2 + height**2)
        clear = np.where(distance_m <= break_m, near, far)
        blocked = 22.4 + 35.3 * np.log10(d3) + 21.3 * f - 0.3 * (UE_HEIGHT_M - 1.5)
        return np.where(line_of_sight, clear, np.maximum(clear, blocked))

    def line_of_sight_probability(self, distance_m: np.ndarray) -> np.ndarray:
        far = np.maximum(distance_m, 18.0)
        return 18 / far + np.exp(-far / 36) * (1 - 18 / far)


PATH_LOSSES: Dict[str, Type[PathLoss]] = {"log_distance": LogDistance, "uma": UrbanMacro, "umi": UrbanMicro}
