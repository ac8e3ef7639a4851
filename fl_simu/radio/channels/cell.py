"""A cell whose UEs move, control their power and suffer interference from other cells."""

import functools
import math
from dataclasses import dataclass, field
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_share, require_time
from fl_simu.kernel.randomness import briefly, stream
from fl_simu.radio.channels.cells import faded, hexagons, in_hexagon, poisson
from fl_simu.radio.channels.fading import Fading, site
from fl_simu.radio.channels.mobility import (
    GaussMarkovWalk,
    Mobility,
    RandomWaypoint,
    RecordedPaths,
    in_disc,
    positions,
)
from fl_simu.radio.channels.shadowing import Along
from fl_simu.radio.channels.ticked import BLOCK, Ticked

MOBILITIES = ("none", "random_waypoint", "gauss_markov", "file")
OTHER_CELLS = ("none", "poisson", "hexagons")
POWER_CONTROLS = ("none", "open_loop")
# Number of ticks for which a moving UE is simulated; takes two or three seconds.
MOST_MOVING_TICKS = 2**28
# Number of other cells of a Poisson process that count, and number of interferers that fade.
MOST_CELLS, MOST_FADING = 1000, 32
MOST_RINGS = 10
# A float can hardly distinguish slower motion from standing still.
SLOWEST_MPS = 1e-6
# How often a UE may cross the radius of the cell within a tick.
MOST_CROSSINGS = 100
RANGES: Dict[str, Tuple[float, float]] = {
    "min_speed_mps": (0, 1000),
    "mean_speed_mps": (0, 1000),
    "decorrelation_m": (0.01, 1e6),
    "cells_per_km2": (1e-6, 1e6),
    "site_distance_m": (1, 1e5),
    "p0_dbm": (-300, 200),
    "alpha": (0, 1),
    "block_khz": (0.001, 1e9),
}


class Interference(NamedTuple):
    """Mean powers of interferers relative to the noise, strongest first, shape (n,), and their positions.

    Args:
        over_noise: ratios, not in dB.
        x_m, y_m: position of each in m; our BS is at the origin.
    """

    over_noise: np.ndarray
    x_m: np.ndarray
    y_m: np.ndarray


@dataclass(frozen=True)
class Cell(Fading):
    r"""The cell of `fading`, with optional mobility, power control and interference from other cells.

    .. math:: sinr = \frac{P_t\,|h|^2 / L_t}{N_0 B + \sum_i P_i\,|h_i|^2 / L_i}

    With `mobility`, `other_cells` and `power_control` at "none" it equals `fading`, bit for bit. At speed 0 UEs
    stay where `fading` places them. `min_snr_db` applies to the SINR.

    Mobility: a UE stays in its cell; there is one BS, and no handover. Path loss follows the position at the
    beginning of each tick; within `min_distance_m` it stays at its value for that distance. Shadowing is
    correlated as :math:`e^{-d / D}` over the travelled distance d, and starts from the UE's value under `fading`.
    The line-of-sight state ("uma", "umi") changes in the same way: a Gaussian process with the same correlation is
    compared with the line-of-sight probability at the UE's distance. |h|^2 is drawn for each tick, at any speed. A
    UE is simulated for at most 10,000,000 steps or legs, and 268,435,456 ticks.

    "random_waypoint": straight legs between points drawn uniformly over the disc of the cell, each at a speed
    drawn uniformly from v1 to v2, without a pause. It starts in the stationary regime. So the speed at any moment
    has the mean (v2 - v1) / ln(v2 / v1), and UEs are closer to the BS than those of `fading`.

    "gauss_markov": both components of the velocity evolve as :math:`v' = a v + \sigma\sqrt{1 - a^2}\,w` from step
    to step, with the mean speed :math:`\sigma\sqrt{\pi/2}`. A UE is reflected at the edge of the cell and starts
    at its distance under `fading`. UEs are spread uniformly over the cell at all times.

    "file": a CSV with the columns ue, time_s, x_m, y_m, and the BS at (0, 0). A UE moves straight from one row to
    the next, and stands still before its first and after its last row. Its positions may lie beyond `radius_m`. If
    the file does not name a UE, the run ends with a message.

    Interference: the geometry is that of the uplink, at the BS. One UE of each other cell sends in the band share
    of the UE under consideration. Its path loss, line-of-sight state and shadowing are its own, drawn again for
    each round and each of our UEs. It fades (Rayleigh) from tick to tick. A channel used as the downlink has the
    same interference.

    "poisson": the other BSs form a Poisson process over the plane, drawn again in each round; the nearest 1000
    count. An interferer may be anywhere in the disc of `radius_m` around its BS, and so may be closer to our BS.
    Without shadowing and power control, at exponent 4 and with little noise, a UE at distance r then has
    :math:`P(sir > t) = e^{-\pi^2 \lambda r^2 \sqrt{t} / 2}`. "hexagons": the other BSs lie in rings around ours;
    an interferer may be anywhere in its hexagon. The 32 strongest interferers fade; the others count with their
    mean.

    Power control: "open_loop" is the 3GPP rule. It applies to our UEs and to the interferers, which use the loss
    to their own BS:

    .. math:: P = \min(P_{max},\; P_0 + 10 \log_{10} M + \alpha L)

    in dBm, where M is the number of resource blocks in the share of a UE, and the loss L includes shadowing but
    not fading. The meter `energy` then takes the power of each upload from here, averaged over the time on the
    air; otherwise it uses its own.

    Args:
        power_dbm: transmit power of a UE in dBm, -200 to 200; with power control its maximum.
        mobility: "none", "random_waypoint", "gauss_markov" or "file".
        min_speed_mps: v1 of "random_waypoint" in m/s, 1e-6 to 1000; with 0 all UEs would eventually stop. It is 0
            if `max_speed_mps` is 0, for UEs that stand still.
        max_speed_mps: v2 in m/s, `min_speed_mps` to 1000; a UE may cross `radius_m` at most 100 times in a tick.
        mean_speed_mps: mean speed of "gauss_markov" in m/s, 0, or 1e-6 to 1000; a UE may cross `radius_m` at most
            once in a step, and 100 times in a tick.
        memory: a of "gauss_markov", 0 or more and below 1.
        step_s: time step of "gauss_markov" in s, above 0.
        path: CSV file of "file"
        decorrelation_m: decorrelation distance D in m, 0.01 to 1e6.
        other_cells: "none", "poisson" or "hexagons".
        cells_per_km2: :math:`\lambda`, density of the BSs of "poisson" per square kilometre, 1e-6 to 1e6.
        rings: number of rings of "hexagons", 1 to 10.
        site_distance_m: distance between neighbouring BSs of "hexagons" in m, 1 to 100,000; the corners of a
            hexagon are at 0.577 of it.
        power_control: "none" or "open_loop".
        p0_dbm: P0, target received power of a resource block in dBm, -300 to 200.
        alpha: share of the loss L that is compensated, 0 to 1.
        block_khz: bandwidth of a resource block in kHz, 0.001 to 1e9; M is the share of a UE divided by it.

    Reference: Gudmundson 1991 (shadowing); Navidi, Camp 2004 (random waypoint); Liang, Haas 1999 (Gauss-Markov);
    Baccelli, Blaszczyszyn, Mühlethaler 2006 (Poisson interference); 3GPP TS 36.213, section 5.1.1.1 (power
    control).
    """

    mobility: str = "none"
    min_speed_mps: float = 1.0
    max_speed_mps: float = 10.0
    mean_speed_mps: float = 3.0
    memory: float = 0.75
    step_s: float = 1.0
    path: str = ""
    decorrelation_m: float = 50.0
    other_cells: str = "none"
    cells_per_km2: float = 1.0
    rings: int = 2
    site_distance_m: float = 866.0
    power_control: str = "none"
    p0_dbm: float = -90.0
    alpha: float = 1.0
    block_khz: float = 180.0

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"mobility": MOBILITIES, "other_cells": OTHER_CELLS, "power_control": POWER_CONTROLS}
        for name, allowed in choices.items():
            require(getattr(self, name) in allowed, name, getattr(self, name), "one of " + ", ".join(allowed))
        for name, (low, high) in RANGES.items():
            require(low <= getattr(self, name) <= high, name, getattr(self, name), f"{low:g} to {high:g}")
        require_count("rings", self.rings, 1, MOST_RINGS)
        require_share("memory", self.memory)
        require_time("step_s", self.step_s)
        self._require_speeds()
        needed = self.mobility == "file"
        require(needed or not self.path, "path", self.path, "only with mobility file")
        require(bool(self.path) or not needed, "path", self.path, "a file of positions, with mobility file")
        if needed:
            positions(self.path)

    def _require_speeds(self) -> None:
        low, high = self.min_speed_mps, self.max_speed_mps
        require(low <= high <= 1000, "max_speed_mps", high, "min_speed_mps to 1000")
        require(low >= SLOWEST_MPS or high == 0, "min_speed_mps", low, "1e-6 or more, or 0 as max_speed_mps is")
        mean = self.mean_speed_mps
        require(mean >= SLOWEST_MPS or mean == 0, "mean_speed_mps", mean, "0, or 1e-6 or more")
        in_tick, in_step = MOST_CROSSINGS * self.radius_m / self.tick_s, self.radius_m / self.step_s
        if self.mobility == "random_waypoint":
            require(high <= in_tick, "max_speed_mps", high, f"at most {in_tick:g}, 100 times radius_m in a tick")
        if self.mobility == "gauss_markov":
            require(
                mean <= min(in_tick, in_step),
                "mean_speed_mps",
                mean,
                f"at most {min(in_tick, in_step):g}, radius_m in a step and 100 times radius_m in a tick",
            )
            steps = BLOCK * self.tick_s / self.step_s
            require(steps <= 1e6, "step_s", self.step_s, f"at least {BLOCK * self.tick_s / 1e6:g}, for such ticks")

    def moves(self) -> Optional[Mobility]:
        """The mobility model of its UEs; None if they stand still."""
        if self.mobility == "random_waypoint" and self.max_speed_mps:
            return RandomWaypoint(self.radius_m, self.min_speed_mps, self.max_speed_mps)
        if self.mobility == "gauss_markov" and self.mean_speed_mps:
            return GaussMarkovWalk(
                self.radius_m, self.min_distance_m, self.mean_speed_mps, self.memory, self.step_s
            )
        return RecordedPaths(self.path) if self.mobility == "file" else None

    def most_ticks(self) -> int:
        return super().most_ticks() if self.moves() is None else MOST_MOVING_TICKS

    def in_round(self, round: int) -> Ticked:
        return self if self.other_cells == "none" else InRound(self.tick_s, self, round)

    def snr(self, seed: int, ue: int, number: int, round: int = 0) -> np.ndarray:
        """SINR of a link in the ticks of a block, with the interference of a round."""
        loss_db = self.loss_db(seed, ue, number)
        mean_snr = 10 ** ((self.sent_dbm(loss_db) - loss_db - self.noise_dbm()) / 10)
        snr = mean_snr * self.power_gain(briefly(seed, "channel", ue, number), BLOCK)
        if self.other_cells != "none":
            over_noise = interference(self, seed, ue, round).over_noise
            draws = briefly(seed, f"interference of round {round}", ue, number)
            snr /= 1 + faded(over_noise, draws, BLOCK, MOST_FADING)
        return snr

    def loss_db(self, seed: int, ue: int, number: int) -> Any:
        """Loss of a UE's link without fading, in dB, at the ticks of a block, shape (256,); one number if the UE
        stands still.
        """
        mobility = self.moves()
        return site(self, seed, ue).loss_db if mobility is None else _losses_db(self, mobility, seed, ue, number)

    def sent_dbm(self, loss_db: Any) -> Any:
        """Transmit power of UEs with these losses, in dBm, shape as `loss_db`, or one number for all."""
        if self.power_control == "none":
            return self.power_dbm
        blocks_db = 10 * math.log10(self.share_mhz() * 1e3 / self.block_khz)
        return np.minimum(self.power_dbm, self.p0_dbm + blocks_db + self.alpha * loss_db)

    def transmit_w(self, seed: int, ue: int, start_s: float, end_s: float) -> Optional[float]:
        if self.power_control == "none" or not start_s < end_s < math.inf:
            return None
        joule, first, last = 0.0, math.floor(start_s / self.tick_s), math.ceil(end_s / self.tick_s)
        for number in range(first // BLOCK, (last - 1) // BLOCK + 1):
            edges = np.clip((number * BLOCK + np.arange(BLOCK + 1)) * self.tick_s, start_s, end_s)
            watt = 10 ** (self.sent_dbm(self.loss_db(seed, ue, number)) / 10 - 3)
            joule += float((watt * np.diff(edges)).sum())
        return joule / (end_s - start_s)


@dataclass(frozen=True)
class InRound(Ticked):
    """A cell as seen by the uploads of one round."""

    cell: Cell = field(default_factory=Cell)
    round: int = 0

    def most_ticks(self) -> int:
        return self.cell.most_ticks()

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        return self.blocks(seed, [ue], number)[0]

    def blocks(self, seed: int, ues: Sequence[int], number: int) -> np.ndarray:
        cell = self.cell
        return cell.rates_mbps(np.stack([cell.snr(seed, ue, number, self.round) for ue in ues]))


@functools.lru_cache(maxsize=1024)
def _losses_db(cell: Cell, mobility: Mobility, seed: int, ue: int, number: int) -> np.ndarray:
    """Losses of a moving UE, see `Cell.loss_db`."""
    path = mobility.along(seed, ue, (number * BLOCK + np.arange(BLOCK + 1)) * cell.tick_s)
    distance_m, model = np.maximum(path.distance_m[:-1], cell.min_distance_m), cell.model()
    sight = np.zeros(BLOCK, dtype=bool)
    if cell.path_loss != "log_distance":
        first = float(briefly(seed, "first sight", ue).standard_normal())
        along = Along(mobility, cell.tick_s, cell.decorrelation_m, "sight")
        level = along.block(seed, ue, number, first, path.travelled_m)
        chance = np.array([math.erfc(-one / math.sqrt(2)) / 2 for one in level.tolist()])
        sight = chance < model.line_of_sight_probability(distance_m)
    losses_db = model.loss_db(distance_m, cell.carrier_ghz, sight)
    if cell.shadowing_db:
        draws = briefly(seed, "site", ue)
        # As in `fading`, the distance and the line of sight are drawn first.
        draws.random(2)
        first = float(draws.standard_normal())
        along = Along(mobility, cell.tick_s, cell.decorrelation_m, "shadowing")
        losses_db = losses_db + cell.shadowing_db * along.block(seed, ue, number, first, path.travelled_m)
    losses_db.setflags(write=False)
    return losses_db


@functools.lru_cache(maxsize=4096)
def interference(cell: Cell, seed: int, ue: int, round: int) -> Interference:
    """The interferers of a UE in a round, one UE of each other cell, and their powers."""
    draws = briefly(seed, "interferers", ue, round)
    if cell.other_cells == "poisson":
        offset_m = in_disc(draws, MOST_CELLS, cell.radius_m)
        own_m = np.hypot(*offset_m)
        places = _stations(cell.cells_per_km2, seed, round) + offset_m
    else:
        stations = hexagons(cell.rings, cell.site_distance_m)
        offset_m = in_hexagon(draws, stations.shape[1], cell.site_distance_m)
        own_m = np.hypot(*offset_m)
        places = stations + offset_m
    sent_dbm = cell.sent_dbm(_drawn_loss_db(cell, draws, own_m))
    got_dbm = sent_dbm - _drawn_loss_db(cell, draws, np.hypot(*places))
    over_noise = 10 ** ((got_dbm - cell.noise_dbm()) / 10)
    order = np.argsort(-over_noise, kind="stable")
    return Interference(over_noise[order], *places[:, order])


def _drawn_loss_db(cell: Cell, draws: np.random.Generator, distance_m: np.ndarray) -> np.ndarray:
    """Losses over distances in dB, with line of sight and shadowing drawn for each."""
    distance_m, model = np.maximum(distance_m, cell.min_distance_m), cell.model()
    sight = draws.random(len(distance_m)) < model.line_of_sight_probability(distance_m)
    shadowing_db = cell.shadowing_db * draws.standard_normal(len(distance_m))
    return model.loss_db(distance_m, cell.carrier_ghz, sight) + shadowing_db


@functools.lru_cache(maxsize=256)
def _stations(per_km2: float, seed: int, round: int) -> np.ndarray:
    stations = poisson(stream(seed, "other cells", 0, round), per_km2, MOST_CELLS)
    stations.setflags(write=False)
    return stations
