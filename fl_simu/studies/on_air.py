"""The parts of a channel study apart from rates and delays: training times, losses, energy, a shared medium.

All draws equal those of a run with the same seed: the k-th upload of a UE is the one that it sends for version k.
"""

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

import numpy as np

from fl_simu.kernel.errors import UserError, require, shown
from fl_simu.kernel.limits import MOST_UES
from fl_simu.kernel.parameters import params_of, structure_of
from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.meters.base import UploadView
from fl_simu.meters.energy import Energy
from fl_simu.radio.closed_forms import block_arrives, mean_s_a_mbit, mean_tries, rate_survival
from fl_simu.radio.downlink import on_the_air, to_all
from fl_simu.radio.link import Link
from fl_simu.radio.losses import NoLoss
from fl_simu.radio.media.base import SharedMedium
from fl_simu.results.intervals import wilson
from fl_simu.studies.channel import Share, Study, spread
from fl_simu.ue.algorithms.base import flat
from fl_simu.ue.compute import Compute, ConstantCompute, CyclesCompute, ParetoCompute, UniformCompute
from fl_simu.ue.work import Work

# Limits on a shared medium: UEs that send at once, rounds, and the planning effort (UEs^2 x layers x rounds).
MOST_AT_ONCE, MOST_ROUNDS, MOST_PLANNED = 100, 200, 200_000


@dataclass(frozen=True)
class Uploads:
    """The uploads of a study on the air.

    Args:
        bits: transmitted bits including retransmissions, int64, shape (uploads, layers).
        arrives: whether each layer arrives, shape (uploads, layers).
        airtimes_s: from the start of the upload until its last layer has arrived or is lost, shape (uploads,).
    """

    bits: np.ndarray
    arrives: np.ndarray
    airtimes_s: np.ndarray


class Round(NamedTuple):
    """UEs that start to send at the same time on a shared medium.

    Args:
        delays_s: delay of each layer with its retransmissions, shape (UEs, layers); infinity if it never arrives.
        arrives: whether the BS can decode the layer and all layers before it, shape (UEs, layers).
        airtimes_s: time of each UE on the air, shape (UEs,); infinity if it never ends.
        transmits_w: transmit power of each UE, shape (UEs,); None if the medium does not set it.
    """

    delays_s: np.ndarray
    arrives: np.ndarray
    airtimes_s: np.ndarray
    transmits_w: Sequence[Optional[float]]


def beside(study: Study, thresholds_s: Mapping[str, float], samples: Optional[int]) -> Dict[str, Any]:
    """The results of a study apart from rates and delays, as plain data; only for parts that the experiment has.

    Args:
        study: the uploads.
        thresholds_s: thresholds on the delay by name.
        samples: training samples of each UE, for training times and energies that depend on them; or None.

    Returns:
        `training_s`, `download`, `loss`, `medium` and `energy_j`, as docs/channel.md explains them.

    Raises:
        UserError: a number of samples out of range.
    """
    if samples is not None and not 1 <= samples <= MOST_UES:
        raise UserError(f"--samples {shown(samples)} is not allowed: at least 1, at most {MOST_UES:,}")
    experiment = study.planned.experiment
    if isinstance(experiment.medium, SharedMedium):
        allowed = "it has links of its own, and this tells of those of the channel"
        require(not experiment.medium.own_links, "medium.name", experiment.named("medium"), allowed)
    found: Dict[str, Any] = {}
    times_s = training_s(study, samples)
    if times_s is not None:
        found["training_s"] = {**spread(times_s), "closed_form": _mean_training_s(study, samples)}
    if study.planned.downlink is not None:
        found["download"] = _download(study, study.planned.downlink)
    sent = uploads(study)
    if not isinstance(experiment.loss, NoLoss):
        found["loss"] = {"name": experiment.named("loss"), "parts": _losses(study, sent)}
    shared = rounds(study) if isinstance(experiment.medium, SharedMedium) else []
    if shared:
        found["medium"] = _medium(study, shared, thresholds_s)
    meter = next((one for one in experiment.meters if isinstance(one, Energy)), None)
    if meter is not None:
        on_air_s = np.concatenate([one.airtimes_s for one in shared]) if shared else sent.airtimes_s
        powers = [power for one in shared for power in one.transmits_w] or [None] * len(on_air_s)
        found["energy_j"] = _energy(study, meter, on_air_s, powers, bool(shared), samples)
    return found


def uploads(study: Study) -> Uploads:
    """Losses, retransmissions and airtime of each upload when no other UE sends."""
    link, scope, sizes = study.planned.link, study.scope, study.layers_bits
    if isinstance(link.loss, NoLoss):
        bits = np.tile(np.array(sizes, dtype=np.int64), (scope.draws, 1))
        return Uploads(bits, np.ones(bits.shape, dtype=bool), study.delays(-1))
    carried, airtimes_s = [], []
    for ue in range(scope.ues):
        for k, start_s in enumerate(scope.starts_s(ue).tolist()):
            layers = [
                link.loss.carry(size, briefly(link.seed, f"loss of layer {layer}", ue, k))
                for layer, size in enumerate(sizes)
            ]
            carried.append(layers)
            load_mbit = sum(link.size.load_mbit(one.bits) for one in layers)
            start_s = 0.0 if rate_survival(link.channel) else start_s
            airtimes_s.append(link.arrival_s(ue, k, start_s, load_mbit) - start_s)
    bits = np.array([[one.bits for one in layers] for layers in carried])
    arrives = np.array([[one.arrives for one in layers] for layers in carried])
    return Uploads(bits, arrives, np.array(airtimes_s))


def _losses(study: Study, sent: Uploads) -> List[Dict[str, Any]]:
    """Share lost and mean tries of each layer and of complete uploads; one lost layer loses the upload."""
    loss, sizes = study.planned.link.loss, study.layers_bits
    names = ["base layer", *(f"enhancement {k}" for k in range(1, len(sizes)))] if len(sizes) > 1 else []
    chances = [block_arrives(loss, size) for size in sizes]
    parts: List[Tuple[str, slice, Optional[float]]] = [
        (name, slice(layer, layer + 1), chances[layer]) for layer, name in enumerate(names)
    ]
    known = [one for one in chances if one is not None]
    parts.append(("complete upload", slice(None), float(np.prod(known)) if len(known) == len(chances) else None))
    rows = []
    for name, place, chance in parts:
        lost, size = int((~sent.arrives[:, place].all(axis=1)).sum()), sum(sizes[place])
        share = Share(lost / len(sent.bits), *wilson(lost, len(sent.bits)), None if chance is None else 1 - chance)
        tries = float(sent.bits[:, place].sum(axis=1).mean()) / size if size else math.nan
        rows.append({"part": name, "lost": share._asdict(), "tries": tries, "closed_form_tries": mean_tries(loss)})
    return rows


def rounds(study: Study) -> List[Round]:
    """Rounds on the experiment's shared medium: the UEs start to send at once; a round ends with the last arrival.

    A round has as many UEs as a round of the experiment, at most 100, drawn uniformly.
    """
    most = MOST_PLANNED // (_together(study) ** 2 * len(study.layers_bits))
    return [_round(study, k, start_s, ues) for k, start_s, ues in _cohorts(study, most)]


def _together(study: Study) -> int:
    """Number of UEs in a round."""
    return min(study.planned.experiment.drawn, study.scope.ues, MOST_AT_ONCE)


def _cohorts(study: Study, most: int) -> List[Tuple[int, float, List[int]]]:
    """Version, start time and drawn UEs of each round, evenly spaced over the virtual time; at least one round."""
    scope, seed, together = study.scope, study.planned.experiment.seed, _together(study)
    count = max(1, min(scope.draws // together, MOST_ROUNDS, most))
    orders = [permutation(briefly(seed, "draw", round=k), scope.ues).tolist() for k in range(count)]
    return [(k, k * scope.seconds / count, order[:together]) for k, order in enumerate(orders)]


def _round(study: Study, version: int, start_s: float, ues: Sequence[int]) -> Round:
    experiment, link = study.planned.experiment, study.planned.link
    medium, allocator = experiment.medium, experiment.allocator
    assert isinstance(medium, SharedMedium)
    sending = {ue: link.pending(ue, version, start_s, study.structure, 0, 0.0) for ue in ues}
    state = medium.handed(medium.start(), link, allocator, sending, start_s)
    for upload in sending.values():
        state = medium.join(state, link, upload, start_s)
    powers = [medium.transmits_w(state, link, upload) for upload in sending.values()]
    airtimes_s = dict.fromkeys(sending, math.inf)
    delays: Dict[int, List[float]] = {ue: [] for ue in sending}
    now_s, layers = start_s, len(study.layers_bits)
    while True:
        state, arrival = medium.plan(state, link, allocator, now_s)
        if arrival is None or arrival.time_s == math.inf:
            break
        now_s = arrival.time_s
        delays[arrival.ue].append(now_s - start_s)
        if len(delays[arrival.ue]) == layers:
            airtimes_s[arrival.ue] = medium.airtime_s(state, link, sending[arrival.ue], now_s)
        state = medium.arrived(state, link, arrival)
    lost = np.array([upload.lost if upload.lost >= 0 else layers for upload in sending.values()])
    rows = [one + [math.inf] * (layers - len(one)) for one in delays.values()]
    arrives = np.arange(layers) < lost[:, None]
    return Round(np.array(rows), arrives, np.array(list(airtimes_s.values())), powers)


def _medium(study: Study, shared: Sequence[Round], thresholds_s: Mapping[str, float]) -> Dict[str, Any]:
    experiment, places = study.planned.experiment, (0, -1)[-len(study.names) :]
    parts, passed = [], []
    for name, place in zip(study.names, places):
        delays_s = np.array([one.delays_s[:, place] for one in shared])
        arrives = np.array([one.arrives[:, place] for one in shared])
        parts.append(
            {
                "part": name,
                "first_s": spread(delays_s.min(axis=1)),
                "all_s": spread(delays_s.reshape(-1)),
                "last_s": spread(delays_s.max(axis=1)),
            }
        )
        for label, limit_s in thresholds_s.items():
            measured = float((arrives & (delays_s <= limit_s)).mean())
            passed.append({"threshold": label, "threshold_s": limit_s, "part": name, "measured": measured})
    return {
        "name": experiment.named("medium"),
        "allocator": experiment.named("allocator"),
        "ues": len(shared[0].delays_s),
        "rounds": len(shared),
        "parts": parts,
        "pass_rates": passed,
    }


def _download(study: Study, downlink: Link) -> Dict[str, Any]:
    """Download times of the global model to the UEs that a round draws."""
    experiment, params = study.planned.experiment, params_of(study.planned.training.make_module())
    model = {name: tensor for name, tensor in params.items() if name not in study.planned.local}
    beside = structure_of(flat(experiment.algorithm.station(model).shared))
    link, structure = on_the_air(downlink, structure_of(model), beside)
    bits, delays_s = [], []
    for version, start_s, ues in _cohorts(study, MOST_ROUNDS):
        copies = [(group, to_all(link, group)) for group in experiment.cast.groups(sorted(ues))]
        sent = [(group, one.transmit(group[0], version, start_s, structure)) for group, one in copies]
        bits.append(sum(sum(download.sizes_bits) for _, download in sent))
        delays_s.append([download.delays_s[-1] for group, download in sent for _ in group])
    told = np.array(delays_s)
    return {
        "cast": experiment.named("cast"),
        "codec": experiment.named("downlink_codec"),
        "ues": told.shape[1],
        "rounds": len(told),
        "bits": float(np.mean(bits)),
        "all_s": spread(told.reshape(-1)),
        "last_s": spread(told.max(axis=1)),
    }


def training_s(study: Study, samples: Optional[int]) -> Optional[np.ndarray]:
    """Training time before each upload, shape (draws,); None if it depends on `samples` and they are not given."""
    compute, scope = study.planned.experiment.compute, study.scope
    if samples is None and type(compute) not in OF_ANY_WORK:
        return None
    work, seed = _work(study, samples or 0), study.planned.experiment.seed
    return np.array(
        [compute.time_s(seed, ue, k, work) for ue in range(scope.ues) for k in range(scope.uploads_of(ue))]
    )


def _work(study: Study, samples: int) -> Work:
    training = study.planned.training
    return Work(samples, training.epochs, training.epochs * training.steps(samples))


def _mean_training_s(study: Study, samples: Optional[int]) -> Optional[float]:
    compute, law = study.planned.experiment.compute, MEANS_S.get(type(study.planned.experiment.compute))
    return None if law is None else law(compute, _work(study, samples or 0))


def _cycles_mean_s(compute: CyclesCompute, work: Work) -> float:
    low, high = compute.low_hz, compute.high_hz
    inverse = 1 / low if low == high else math.log(high / low) / (high - low)
    return compute.cycles_per_sample * work.samples * work.epochs * inverse


# Mean training time over UEs and rounds, for the rules that have it in closed form.
MEANS_S: Mapping[Type[Compute], Callable[[Any, Work], float]] = {
    ConstantCompute: lambda one, work: one.seconds,
    UniformCompute: lambda one, work: (one.low_s + one.high_s) / 2,
    ParetoCompute: lambda one, work: one.shape / (one.shape - 1) * one.least_s if one.shape > 1 else math.inf,
    CyclesCompute: _cycles_mean_s,
}
# Rules whose time does not depend on the work.
OF_ANY_WORK = (ConstantCompute, UniformCompute, ParetoCompute)


def _energy(
    study: Study,
    meter: Energy,
    on_air_s: np.ndarray,
    powers: Sequence[Optional[float]],
    shared: bool,
    samples: Optional[int],
) -> Dict[str, Dict[str, Any]]:
    """Energy of sending an upload and, if samples are given, of the training before it."""

    def in_a_second_j(transmits_w: Optional[float]) -> float:
        return meter.upload(_view(study, 0, 0, 1.0, transmits_w))["transmit_energy_j"]

    watts = in_a_second_j(None)
    spent_j = on_air_s * np.array([watts if power is None else in_a_second_j(power) for power in powers])
    link, mean_s = study.planned.link, None if shared else mean_s_a_mbit(study.planned.link.channel)
    tries = mean_tries(link.loss)
    known = None if mean_s is None or tries is None else watts * mean_s * tries * study.loads_mbit[-1]
    found = {"sending": {**spread(spent_j), "closed_form": known}}
    if samples is not None:
        # A UE keeps its processor for the whole run, so one value per UE is enough.
        spent = np.array(
            [meter.upload(_view(study, ue, samples, 0.0))["compute_energy_j"] for ue in range(study.scope.ues)]
        )
        found["training"] = {**spread(spent), "closed_form": _mean_training_j(study, meter, samples)}
    return found


def _view(
    study: Study, ue: int, samples: int, airtime_s: float, transmits_w: Optional[float] = None
) -> UploadView:
    experiment = study.planned.experiment
    processor = experiment.compute.processor(experiment.seed, ue)
    epochs = study.planned.training.epochs
    return UploadView(ue, samples, epochs, True, 0.0, airtime_s, 0, "full", processor, transmits_w)


def _mean_training_j(study: Study, meter: Energy, samples: int) -> Optional[float]:
    r"""Mean of :math:`\kappa C D E_p f^2`; f uniform in a..b gives f^2 the mean (a^2 + a b + b^2) / 3."""
    compute, epochs = study.planned.experiment.compute, study.planned.training.epochs
    cycles, square = meter.cycles_per_sample, meter.frequency_hz**2
    if isinstance(compute, CyclesCompute):
        low, high = compute.low_hz, compute.high_hz
        cycles, square = compute.cycles_per_sample, (low * low + low * high + high * high) / 3
    elif compute.processor(study.planned.experiment.seed, 0) is not None:
        return None
    return meter.kappa * cycles * samples * epochs * square
