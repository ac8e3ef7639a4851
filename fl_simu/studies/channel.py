"""The effect of a channel on the uploads of an experiment: rates, delays and pass rates over many draws."""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError, shown
from fl_simu.kernel.limits import LONGEST_S, MOST_UES
from fl_simu.kernel.parameters import Structure, params_of, structure_of
from fl_simu.loop.plan import Plan
from fl_simu.parts import KINDS
from fl_simu.radio.channels.base import NEGLIGIBLE
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.ticked import BLOCK, MAX_BLOCKS, Ticked, course
from fl_simu.radio.closed_forms import rate_passed, rate_survival, rayleigh_outage
from fl_simu.radio.delays import Integrated
from fl_simu.radio.losses import NoLoss
from fl_simu.results.intervals import student, wilson
from fl_simu.ue.algorithms.base import flat

DEFAULT_SECONDS = 60.0
MAX_UES = 1000
MOST_DRAWS = 10**7
MAX_PIECES = 100_000
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class Scope:
    """The size of a study.

    Args:
        draws: number of uploads over all UEs.
        ues: number of UEs, 0 to `ues` - 1.
        seconds: virtual time in s in which the uploads begin and over which rates are shown.
    """

    draws: int
    ues: int
    seconds: float

    def uploads_of(self, ue: int) -> int:
        """Number of uploads of this UE."""
        return self.draws // self.ues + (ue < self.draws % self.ues)

    def starts_s(self, ue: int) -> np.ndarray:
        """Virtual times at which this UE's uploads begin, evenly spaced from 0 on, shape (uploads_of(ue),)."""
        count = self.uploads_of(ue)
        return np.arange(count) * (self.seconds / count)


class Share(NamedTuple):
    """A measured share, its 95 % interval (NaN where there is none), and its closed form."""

    measured: float
    low: float
    high: float
    closed_form: Optional[float]


@dataclass(frozen=True)
class Study:
    """The uploads that were drawn.

    Args:
        planned: the experiment.
        scope: the numbers of uploads and UEs, and the virtual time.
        structure: structure of the message that a UE sends.
        layers_bits: size of each layer.
        sizes_bits, loads_mbit: sizes of the base layer and of the complete upload; one entry if there is no
            enhancement.
        delays_s: for each UE an array of shape (uploads, len(loads_mbit)); infinity if a layer never arrives.
    """

    planned: Plan
    scope: Scope
    structure: Structure
    layers_bits: Tuple[int, ...]
    sizes_bits: Tuple[int, ...]
    loads_mbit: Tuple[float, ...]
    delays_s: Tuple[np.ndarray, ...]

    @property
    def names(self) -> Tuple[str, ...]:
        """The part of an upload that each load belongs to."""
        return ("base layer", "complete upload")[-len(self.loads_mbit) :]

    def delays(self, part: int) -> np.ndarray:
        """Delays in s of one part over all UEs, shape (draws,)."""
        return np.concatenate([rows[:, part] for rows in self.delays_s])

    def rates_mbps(self) -> np.ndarray:
        """Mean rate in Mbit/s of each complete upload while it was sent, shape (draws,); 0 if it never ends."""
        with np.errstate(divide="ignore"):
            return self.loads_mbit[-1] / self.delays(-1)

    def pass_rate(self, part: int, threshold_s: float) -> Share:
        """The share of uploads whose given part arrives within a threshold in s."""
        passed = [rows[:, part] <= threshold_s for rows in self.delays_s]
        survival = rate_survival(self.planned.link.channel)
        if survival is None:
            return Share(*_over_ues(passed), None)
        total, count = int(sum(rows.sum() for rows in passed)), self.scope.draws
        rate = self.loads_mbit[part] / threshold_s if threshold_s > 0 else math.inf
        return Share(total / count, *wilson(total, count), survival(rate))

    def threshold_s(self, part: int, pass_rate: float) -> Tuple[float, Optional[float]]:
        """The smallest threshold in s at which one part of an upload has this pass rate: measured, closed form."""
        # Slightly less, so that rounding does not turn 0.8 x 10 draws into 9.
        place = math.ceil(pass_rate * self.scope.draws * (1 - 1e-12)) - 1
        measured = float(np.partition(self.delays(part), place)[place])
        survival = rate_survival(self.planned.link.channel)
        if survival is None:
            return measured, None
        rate = rate_passed(survival, pass_rate)
        return measured, self.loads_mbit[part] / rate if rate else math.inf

    def outage(self) -> Optional[Share]:
        """The share of fading blocks in which the rate of a link is 0; None for a channel without outage."""
        channel, seed = self.planned.link.channel, self.planned.experiment.seed
        if not isinstance(channel, Fading):
            return None
        blocks = math.ceil(self.scope.draws / self.scope.ues / BLOCK)
        dead = [
            np.concatenate([course(channel.in_round(number), seed, ue, number) == 0 for number in range(blocks)])
            for ue in range(self.scope.ues)
        ]
        if type(channel) is not Fading:  # Blocks of a UE are correlated.
            return Share(*_over_ues(dead), None)
        total, count = int(np.sum(dead)), int(np.size(dead))
        closed_form = rayleigh_outage(channel, seed, range(self.scope.ues))
        return Share(total / count, *wilson(total, count), closed_form)


def draw(planned: Plan, draws: int = 100_000, ues: Optional[int] = None, seconds: Optional[float] = None) -> Study:
    """Send uploads of an experiment's model over its channel.

    Args:
        planned: the experiment.
        draws: number of uploads, at least 1.
        ues: number of UEs; if None, those of the experiment, at most 1,000.
        seconds: as for `Scope`; by default 60, or the time of about 20 uploads if each draws its rate.

    Raises:
        UserError: a number out of range.
    """
    experiment, link = planned.experiment, planned.link
    _require(1 <= draws <= MOST_DRAWS, f"--draws {shown(draws)}", f"at least 1, at most {MOST_DRAWS:,}")
    _require(ues is None or 1 <= ues <= MOST_UES, f"--ues {shown(ues)}", f"at least 1, at most {MOST_UES:,}")
    short = seconds is None or 0 < seconds <= LONGEST_S
    _require(short, f"--seconds {seconds}", f"a finite number above 0, at most {LONGEST_S:g}")
    structure = sent_of(planned)
    layers = replace(link, loss=NoLoss()).pending(0, 0, 0.0, structure, 0, 0.0).sizes_bits
    sizes = (layers[0], sum(layers))[-len(layers) :]
    scope = Scope(draws, min(draws, ues or min(experiment.ues, MAX_UES)), seconds or DEFAULT_SECONDS)
    _require_few_pieces(link.channel, scope.seconds)
    delays = tuple(_delays_s(planned, scope, ue, layers)[:, [0, -1][-len(sizes) :]] for ue in range(scope.ues))
    study = Study(planned, scope, structure, layers, sizes, tuple(map(link.size.load_mbit, sizes)), delays)
    middle = float(np.median(study.delays(-1)))
    if seconds is None and rate_survival(link.channel) and 0 < middle < math.inf:
        study = replace(study, scope=Scope(draws, scope.ues, 20 * middle))
    return study


def sent_of(planned: Plan) -> Structure:
    """Structure of a UE's message: the model without its local layers, and other tensors of the algorithm."""
    params = params_of(planned.training.make_module())
    sent = {name: tensor for name, tensor in params.items() if name not in planned.local}
    return structure_of(sent) + structure_of(flat(planned.experiment.algorithm.message(sent)))


def _require(condition: bool, given: str, allowed: str) -> None:
    if not condition:
        raise UserError(f"{given} is not allowed: {allowed}")


def _require_few_pieces(channel: Any, seconds: float) -> None:
    if isinstance(channel, Ticked):
        most = MAX_PIECES * channel.tick_s
        _require(seconds <= most, f"--seconds {seconds:g}", f"at most {most:g}, {MAX_PIECES:,} ticks")


def _delays_s(planned: Plan, scope: Scope, ue: int, layers: Sequence[int]) -> np.ndarray:
    """Delays of each layer of one UE's uploads, shape (uploads, layers)."""
    channel, delay, seed = planned.link.channel, planned.link.delay, planned.experiment.seed
    loads = [planned.link.size.load_mbit(size) for size in layers]
    starts = scope.starts_s(ue)
    if isinstance(channel, Ticked) and channel.in_round(1) is channel and isinstance(delay, Integrated):
        return _ticked_delays_s(channel, seed, ue, starts, np.cumsum(loads))
    # If the rate is drawn per upload, the start does not matter, and 0 keeps the delay free of rounding errors.
    if rate_survival(channel):
        starts = np.zeros_like(starts)
    arrivals = [delay.arrivals_s(channel, seed, ue, k, float(start), loads) for k, start in enumerate(starts)]
    return np.array(arrivals) - starts[:, None]


def _ticked_delays_s(channel: Ticked, seed: int, ue: int, starts: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """`Ticked.arrivals_s` for all uploads of one UE at once: the carried load is summed only once."""
    first = np.floor(starts / channel.tick_s).astype(int) // BLOCK
    carried: List[np.ndarray] = [np.zeros(1)]
    wanted = math.inf
    for number in itertools.count():
        rates = course(channel, seed, ue, number)
        carried.append(carried[-1][-1] + np.cumsum(rates) * channel.tick_s)
        if number == first[-1]:
            last = np.concatenate(carried)
            edges = np.arange(len(last)) * channel.tick_s
            wanted = float(np.interp(starts[-1], edges, last)) + float(sent[-1])
        if number >= first[-1] and (carried[-1][-1] >= wanted or number + 1 >= first[-1] + MAX_BLOCKS):
            break
    total = np.concatenate(carried)
    edges = np.arange(len(total)) * channel.tick_s
    targets = np.interp(starts, edges, total)[:, None] + sent
    arrivals = _first_reached(edges, total, targets, NEGLIGIBLE * sent)
    given_up_s = (first[:, None] + MAX_BLOCKS) * BLOCK * channel.tick_s
    return np.where(arrivals <= given_up_s, np.maximum(arrivals - starts[:, None], 0.0), math.inf)


def _first_reached(
    edges: np.ndarray, total: np.ndarray, targets: np.ndarray, negligible: np.ndarray
) -> np.ndarray:
    """The first times at which a rising, piecewise linear total reaches the targets; infinity for never.

    At an edge, a target counts as reached if less than `negligible` is missing.
    """
    place = np.minimum(np.searchsorted(total, targets - negligible), len(total) - 1)
    before = np.maximum(place - 1, 0)
    step = total[place] - total[before]
    share = np.divide(targets - total[before], step, out=np.zeros_like(targets), where=step > 0)
    moments = edges[before] + np.minimum(share, 1.0) * (edges[place] - edges[before])
    return np.where(targets - negligible <= total[-1], moments, math.inf)


def _over_ues(passed: Sequence[np.ndarray]) -> Tuple[float, float, float]:
    """A share and its 95 % interval if uploads of one UE are correlated: only the UEs are independent."""
    measured = float(np.concatenate(passed).mean())
    count = len(passed)
    if measured in (0.0, 1.0):
        return (measured, *wilson(round(measured * count), count))
    if count < 4:
        return measured, math.nan, math.nan
    middle, _, high = student([float(rows.mean()) for rows in passed])
    half = high - middle
    return measured, max(0.0, measured - half), min(1.0, measured + half)


def rate_courses(study: Study, ues: int) -> List[Tuple[np.ndarray, np.ndarray]]:
    """Rates over time of the first UEs; each sends one complete upload after the other.

    Returns:
        For each UE the edges in s, shape (n + 1,), and the rates between them in Mbit/s, shape (n,).

    Raises:
        UserError: more than 100,000 rates of one UE in the time of the study.
    """
    return [_rate_course(study, ue) for ue in range(min(ues, study.scope.ues))]


def _rate_course(study: Study, ue: int) -> Tuple[np.ndarray, np.ndarray]:
    channel, delay = study.planned.link.channel, study.planned.link.delay
    seed, end_s = study.planned.experiment.seed, study.scope.seconds
    edges: List[float] = [0.0]
    rates: List[float] = []
    for upload in itertools.count():
        until_s = end_s
        if rate_survival(channel):
            (arrival_s,) = delay.arrivals_s(channel, seed, ue, upload, edges[-1], study.loads_mbit[-1:])
            until_s = min(end_s, arrival_s)
        for rate_mbps, piece_until_s in channel.pieces(seed, ue, upload, edges[-1]):
            _require(
                len(rates) < MAX_PIECES, f"--seconds {end_s:g}", f"the rate changes over {MAX_PIECES:,} times"
            )
            edges.append(min(piece_until_s, until_s))
            rates.append(rate_mbps)
            if edges[-1] >= until_s:
                break
        if edges[-1] >= end_s:
            break
    return np.array(edges), np.array(rates)


def numbers(study: Study, thresholds_s: Mapping[str, float], pass_rate: Optional[float]) -> Dict[str, Any]:
    """All results of a study as plain data: shares from 0 to 1, sizes in bits, times in s.

    Args:
        study: the uploads.
        thresholds_s: thresholds on the delay by name.
        pass_rate: the share for which to find thresholds, above 0 and below 1, or None.

    Returns:
        The content of `channel.json`; docs/channel.md explains each entry.
    """
    experiment, scope = study.planned.experiment, study.scope
    found: Dict[str, Any] = {
        "name": experiment.name,
        "seed": experiment.seed,
        "channel": KINDS["channel"].describe(experiment.channel),
        "draws": scope.draws,
        "ues": scope.ues,
        "seconds": scope.seconds,
        "loads": [
            {"part": name, "size_bits": size, "load_mbit": load}
            for name, size, load in zip(study.names, study.sizes_bits, study.loads_mbit)
        ],
        "pass_rates": _pass_rates(study, thresholds_s),
        "rates_mbps": spread(study.rates_mbps()),
        "delays_s": {name: spread(study.delays(part)) for part, name in enumerate(study.names)},
    }
    outage = study.outage()
    if outage is not None:
        found["outage"] = dict(outage._asdict())
    if pass_rate is not None:
        found["wanted"] = _wanted(study, pass_rate)
    return found


def _pass_rates(study: Study, thresholds_s: Mapping[str, float]) -> List[Dict[str, Any]]:
    return [
        {"threshold": label, "threshold_s": limit_s, "part": name, **study.pass_rate(part, limit_s)._asdict()}
        for label, limit_s in thresholds_s.items()
        for part, name in enumerate(study.names)
    ]


def _wanted(study: Study, pass_rate: float) -> List[Dict[str, Any]]:
    rows = []
    for part, name in enumerate(study.names):
        measured_s, closed_form_s = study.threshold_s(part, pass_rate)
        rows.append(
            {"pass_rate": pass_rate, "part": name, "threshold_s": measured_s, "closed_form_s": closed_form_s}
        )
    return rows


def spread(values: np.ndarray) -> Dict[str, float]:
    """Mean and percentiles. A mean over an infinite value is infinite; percentiles are values that occur."""
    ordered = np.sort(values)
    places = [max(0, math.ceil(percent / 100 * len(ordered)) - 1) for percent in PERCENTILES]
    levels = {f"p{percent}": float(ordered[place]) for percent, place in zip(PERCENTILES, places)}
    return {"mean": float(np.mean(values)), **levels}
