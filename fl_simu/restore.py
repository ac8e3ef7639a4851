"""How a run goes on from a checkpoint: nothing is done with it before all that it holds is checked."""

import math
from dataclasses import dataclass
from typing import AbstractSet, Any, Dict, Iterable, Mapping

import numpy as np

from fl_simu.backends.base import Backend
from fl_simu.coordinator import Coordinator, Observer
from fl_simu.identity import Identity
from fl_simu.in_flight import InFlight, not_fetched
from fl_simu.kernel.messages import LayerArrived, Ready, Woke
from fl_simu.kernel.parameters import Params, from_arrays, require_alike, structure_of
from fl_simu.kernel.plain import from_plain
from fl_simu.results.checkpoints import Arrays, Checkpoint, Checkpoints
from fl_simu.results.records import RoundLog, RoundRecord
from fl_simu.setting import Setting
from fl_simu.snapshots import CLASSES, Snapshot, models_kept, snapshot
from fl_simu.ue.training import Key
from fl_simu.uplink.link import Upload

# What tensors belong to, beside the model, in a checkpoint's names: a word and a number.
WORDS = ("reference", "received", "optimizer", "trained", "fetched", "sent", "error", "accepted", "server")
Groups = Mapping[str, Mapping[int, Params]]


class Keeper(Observer):
    """After every round writes its record, and after some a checkpoint.

    Args:
        log: where the records go.
        checkpoints: where the checkpoints go.
        identity: of what decides the numbers. A resumed run must have the same.
        every: a checkpoint is written after so many rounds, and after the last one.
    """

    def __init__(self, log: RoundLog, checkpoints: Checkpoints, identity: Identity, every: int = 1) -> None:
        self.log = log
        self.checkpoints = checkpoints
        self.identity = identity
        self.every = every

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.log.append(record)
        if record.round % self.every == 0 or record.round == coordinator.setting.rounds:
            self.checkpoints.write(snapshot(coordinator, self.identity, self.log.digest()))


@dataclass(frozen=True)
class Restored:
    """A checkpoint as it was read, and checked against the coordinator that is to go on from it."""

    round: int
    standing: Snapshot
    model: Params
    groups: Groups

    def put_into(self, coordinator: Coordinator) -> None:
        """Put a fresh coordinator where the checkpoint was taken."""
        one, groups, flight, backend = (
            self.standing,
            self.groups,
            coordinator.in_flight,
            coordinator.setting.backend,
        )
        coordinator.clock.restore(one.now_s, one.events)
        coordinator.version, coordinator.state, coordinator.model = self.round, one.state, self.model
        coordinator.wall_s, coordinator.server = one.wall_s, groups["server"].get(0, {})
        coordinator.selection = one.selection
        flight.downloads, flight.uploads, flight.refusals = one.downloads, one.uploads, one.refusals
        flight.memories, flight.losses = one.memories, one.losses
        flight.references = dict(groups["reference"])
        for ue, layers in groups["received"].items():
            flight.layers[ue] = tuple(layers[str(at)].numpy().tobytes() for at in range(len(layers)))
        for word, models in models_kept(flight).items():
            models.update(groups[word])
        for ue, update in one.accepted.items():
            flight.accepted[ue] = type(update)(**{**vars(update), "params": groups["accepted"][ue]})
        for ue, state in groups["optimizer"].items():
            backend.restore(ue, {name: state[name] for name in sorted(state)})
        for version in sorted(one.training):
            keys = [Key(coordinator.setting.seed, ue, version) for ue in one.training[version]]
            backend.train_again(keys, flight.references[version])
        for ue, params in groups["trained"].items():
            backend.put_back(ue, params)


def read(coordinator: Coordinator, checkpoint: Checkpoint, heard: AbstractSet[int] = frozenset()) -> Restored:
    """What a checkpoint says of a fresh coordinator, which is left as it is.

    Args:
        coordinator: of the same experiment.
        checkpoint: whose checksums are right.
        heard: UEs of which something was accepted before.

    Raises:
        ValueError: the checkpoint holds what that coordinator cannot have come to; in a few words.
    """
    setting = coordinator.setting
    standing = from_plain(
        checkpoint.plain, CLASSES + setting.protocol.state_classes + setting.selection.state_classes
    )
    _require(isinstance(standing, Snapshot), "where the run stands")
    _require(standing.names == tuple(coordinator.model), "the names of the model's tensors")
    groups = _groups(checkpoint.arrays, standing.same, setting.samples)
    model = _ordered(groups.pop("model").get(0, {}), standing.names)
    for word in ("reference", "trained", "fetched", "sent", "accepted", "error"):
        groups[word] = {number: _ordered(params, standing.names) for number, params in groups[word].items()}
    found = Restored(checkpoint.round, standing, model, groups)
    _check_clock(found, setting)
    _check_uploads(found, coordinator)
    _check_models(found, coordinator, heard)
    _check_memories(found, setting.backend, setting.samples, heard)
    return found


def restore(coordinator: Coordinator, checkpoint: Checkpoint) -> None:
    """Put a fresh coordinator where a checkpoint was taken.

    Raises:
        ValueError: see `read`.
    """
    read(coordinator, checkpoint).put_into(coordinator)


def _require(right: bool, what: str) -> None:
    if not right:
        raise ValueError(f"{what} cannot be")


def _groups(arrays: Arrays, same: Mapping[str, str], ues: Mapping[int, int]) -> Dict[str, Dict[int, Params]]:
    """The tensors by what they belong to: "model" (number 0), or a word and a UE or a version."""
    tensors = from_arrays(arrays)
    found: Dict[str, Dict[int, Params]] = {word: {} for word in ("model", *WORDS)}
    for name in [*arrays, *same]:
        stored = same.get(name, name)
        word, _, rest = name.partition("/")
        number, _, own = ("0", "", rest) if word == "model" else rest.partition("/")
        known = word in found and number.isdigit() and 0 < len(number) < 10 and own != "" and stored in tensors
        _require(known and (word in ("model", "reference", "server") or int(number) in ues), f"{name[:60]}")
        found[word].setdefault(int(number), {})[own] = tensors[stored]
    return found


def _ordered(params: Params, names: Iterable[str]) -> Params:
    """In the order of the model's tensors; what is not of the model comes last, and is found by the checks."""
    known = {name: params[name] for name in names if name in params}
    return {**known, **params}


def _check_clock(found: Restored, setting: Setting) -> None:
    one, round = found.standing, found.round
    _require(0 <= one.now_s < math.inf and 0 <= one.wall_s < math.inf, "the time")
    _require(len({sequence for _, _, sequence, _ in one.events}) == len(one.events), "the order of events")
    for time_s, priority, sequence, event in one.events:
        _require(one.now_s <= time_s < math.inf and time_s == event.time_s, "the time of an event")
        _require(priority in (0, 1) and sequence >= 0 and event.version <= round, "the order of events")
        known = (
            isinstance(event, Ready) or event.ue in setting.samples or (isinstance(event, Woke) and event.ue == -1)
        )
        _require(known, "the UE of an event")
    ready = [event for _, _, _, event in one.events if isinstance(event, Ready)]
    # Where two aggregations fall on one moment, both of their models are ready.
    right = [Ready(one.now_s, event.version) for event in ready]
    _require(ready == right and bool(ready) and ready[-1].version == round, "the next round")
    _require(type(one.selection) is type(setting.selection.start()), "what the selection remembers")
    state, under_way = one.state, {ue: upload.version for ue, upload in one.uploads.items()}
    _require(type(state) is type(setting.protocol.start()), "the protocol's state")
    _require(setting.protocol.settled(state, round, len(setting.samples), under_way), "the protocol's state")


def _check_uploads(found: Restored, coordinator: Coordinator) -> None:
    one, flight = found.standing, coordinator.in_flight
    for ue, sent in [*one.uploads.items(), *one.downloads.items()]:
        _check_upload(ue, sent, found, coordinator)
    _require(set(one.downloads) == (set(one.uploads) if flight.downlink else set()), "the downloads")
    _require(set(one.refusals) <= set(one.uploads) and all(one.refusals.values()), "the refusals")
    _require(set(found.groups["received"]) <= set(one.uploads), "what has arrived")
    for _, _, _, event in one.events:
        if not isinstance(event, LayerArrived):
            continue
        under_way = one.uploads.get(event.ue)
        if under_way and under_way.version == event.version:
            arrivals = dict(enumerate(under_way.arrivals_s))
            right = event.layers == len(arrivals) and arrivals.get(event.layer) == event.time_s
            _require(right, f"an arrival of UE {event.ue}")
    for ue, upload in one.uploads.items():
        lengths = flight.link.codec_at(upload.bits).layer_bytes(structure_of(found.model))
        _require(len(upload.arrivals_s) == len(lengths), f"the layers of UE {ue}")
        layers = found.groups["received"].get(ue)
        if layers is not None:
            wanted = {str(at): (length,) for at, length in enumerate(lengths)}
            here = {name: tuple(layer.shape) for name, layer in layers.items()}
            bytes_only = all(layer.numpy().dtype == np.uint8 for layer in layers.values())
            _require(here == wanted and bytes_only, f"what has arrived of UE {ue}")


def _check_upload(ue: int, upload: Upload, found: Restored, coordinator: Coordinator) -> None:
    known = upload.ue == ue and ue in coordinator.setting.samples and 0 <= upload.version < found.round
    times = [upload.start_s, *upload.arrivals_s]
    in_order = times[0] >= 0 and all(earlier <= later for earlier, later in zip(times, times[1:]))
    sized = len(upload.sizes_bits) == len(upload.arrivals_s) > 0 and all(bits >= 0 for bits in upload.sizes_bits)
    _require(known and in_order and sized, f"the upload of UE {ue}")
    _require(0 <= upload.compute_s <= math.inf and 0 <= upload.bits <= 64, f"the upload of UE {ue}")


def _check_models(found: Restored, coordinator: Coordinator, heard: AbstractSet[int]) -> None:
    one, groups, flight, model = found.standing, found.groups, coordinator.in_flight, coordinator.model
    require_alike(found.model, model, "the model")
    require_alike(groups["server"].get(0, {}), coordinator.setting.server.start(model), "the server's memory")
    floating = {name: tensor for name, tensor in model.items() if tensor.dtype.is_floating_point}
    for word in ("reference", "trained", "fetched", "sent", "accepted", "error"):
        for number, params in groups[word].items():
            require_alike(params, floating if word == "error" else model, f"{word} model {number}")
    _require(
        set(groups["reference"]) == {upload.version for upload in one.uploads.values()}, "the models handed out"
    )
    due = not_fetched(one.uploads, groups["received"], one.refusals)
    _require(set(groups["trained"]) <= set(due), "the models trained")
    for ue in set(due) - set(groups["trained"]):
        _require(ue in one.training.get(one.uploads[ue].version, ()), f"the training of UE {ue}")
    for version, ues in one.training.items():
        right = version in groups["reference"] and set(ues) <= set(coordinator.setting.samples)
        _require(right and len(set(ues)) == len(ues), "the training")
    for word, wanted in _wanted(flight, set(groups["received"]), heard).items():
        _require(
            (wanted is None and not groups[word]) or (wanted is not None and wanted <= set(groups[word])), word
        )
    _require(set(one.accepted) == set(groups["accepted"]), "what was accepted")
    for ue, update in one.accepted.items():
        right = update.ue == ue and update.samples == coordinator.setting.samples[ue]
        _require(right and 0 <= update.version < found.round and 0 <= update.weight < math.inf, f"accepted {ue}")


def _wanted(flight: InFlight, received: AbstractSet[int], heard: AbstractSet[int]) -> Dict[str, Any]:
    """Of which UEs models of a kind must be there at least; None where there must be none."""
    moving, feedback = flight.threshold is not None, flight.error_feedback
    return {
        "fetched": received if moving or feedback else None,
        "sent": heard if moving else None,
        "error": heard if feedback else None,
        "accepted": heard if flight.repeats else None,
    }


def _check_memories(
    found: Restored, backend: Backend, samples: Mapping[int, int], heard: AbstractSet[int]
) -> None:
    one, states = found.standing, found.groups["optimizer"]
    for ue, memory in one.memories.items():
        rates = (memory.last_mbps, memory.mean_mbps, memory.spread, memory.uploads)
        _require(ue in samples and all(0 <= rate < math.inf for rate in rates), f"the memory of UE {ue}")
    _require(len(one.losses) <= 2, "the losses")
    for ue, state in states.items():
        backend.check_memory(ue, dict(state))
    if backend.remembers():
        for ue in sorted(heard):
            _require(ue in states or not samples[ue], f"the optimiser of UE {ue}, which has trained,")
