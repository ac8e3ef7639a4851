"""Checkpoints of the loop: takes them, and restores a run from one.

A checkpoint is used only after its complete content is checked.
"""

import math
from typing import AbstractSet, Any, Tuple, cast

import torch

from fl_simu.attacks.poisoning.malicious import AttackMemory
from fl_simu.backends.optimizer_state import memory_after_a_step
from fl_simu.kernel.messages import (
    Due,
    LayerArrived,
    LayerLost,
    Ready,
    UploadRefused,
    UploadSkipped,
    UploadStarted,
    Woke,
)
from fl_simu.kernel.parameters import Params, require_alike, structure_of
from fl_simu.kernel.trees import Flat, flatten, unflatten
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import CLASSES, Flight, Moment, RunState
from fl_simu.radio.link import Upload
from fl_simu.radio.media.base import SharedMedium
from fl_simu.results.checkpoints import Checkpoint, Checkpoints, Identity
from fl_simu.results.records import RoundLog, RoundRecord
from fl_simu.ue.algorithms.base import flat

EVENTS = (Ready, UploadStarted, LayerArrived, LayerLost, UploadRefused, UploadSkipped, Woke, Due)


class Keeper(Observer):
    """Writes a record after every round, and a checkpoint after some rounds.

    Args:
        log: receives the records.
        checkpoints: receives the checkpoints.
        identity: what determines the results. A resumed run must have the same.
        every: number of rounds from one checkpoint to the next; there is always one after the last round.
    """

    def __init__(self, log: RoundLog, checkpoints: Checkpoints, identity: Identity, every: int = 1) -> None:
        self.log = log
        self.checkpoints = checkpoints
        self.identity = identity
        self.every = every

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.log.append(record)
        if record.round % self.every == 0 or coordinator.over:
            self.checkpoints.write(snapshot(coordinator, self.identity, self.log.digest()))


def snapshot(coordinator: Coordinator, identity: Identity, records_sha256: str = "") -> Checkpoint:
    """Everything that decides the rest of a run, taken between two events. No training is needed for it."""
    flat = flatten(coordinator.moment(), _classes(coordinator.setting))
    return Checkpoint(coordinator.version, identity, records_sha256, flat.plain, flat.arrays)


def read(coordinator: Coordinator, checkpoint: Checkpoint, heard: AbstractSet[int] = frozenset()) -> Moment:
    """Read and check a checkpoint for a new coordinator, which is not changed.

    Args:
        coordinator: of the same experiment.
        checkpoint: its checksums are correct.
        heard: UEs of which something was accepted before.

    Raises:
        ValueError: that coordinator cannot have reached the state in the checkpoint; says why in a few words.
    """
    moment = unflatten(Flat(checkpoint.plain, checkpoint.arrays), _classes(coordinator.setting))
    _require(isinstance(moment, Moment), "where the run stands")
    _require(moment.run.version == checkpoint.round, "the round")
    _require(len(moment.edges) == len(coordinator.edges), "the edges")
    if moment.edges:
        _check_cloud(moment, coordinator)
    else:
        _check_bs(moment, coordinator, heard)
    for of_edge, edge in zip(moment.edges, coordinator.edges):
        _require(moment.now_s <= of_edge.now_s and not of_edge.edges, "the time of an edge")
        _check_bs(of_edge, edge, heard & set(edge.setting.samples))
        each = edge.setting.rounds // coordinator.setting.rounds
        _require(of_edge.run.version == each * moment.run.version, "the round of an edge")
    return moment


def _check_bs(moment: Moment, coordinator: Coordinator, heard: AbstractSet[int]) -> None:
    _check_clock(moment, coordinator)
    _check_parts(moment.run, coordinator)
    _check_flights(moment, coordinator)
    _check_memories(moment.run, coordinator, heard)


def _check_cloud(moment: Moment, coordinator: Coordinator) -> None:
    """The cloud's own state: a model, and no UE."""
    run, each = moment.run, coordinator.edges[0].setting.rounds // coordinator.setting.rounds
    _require(0 <= moment.now_s < math.inf and 0 <= run.wall_s < math.inf and not moment.events, "the time")
    _check_model(run, coordinator)
    _check_taken(run, coordinator, run.version * each)
    _require(not (run.flights or run.ues or run.cohorts), "what the cloud remembers of UEs")


def _classes(setting: Setting) -> Tuple[type, ...]:
    """The classes in a state: those of the loop and those of the parts."""
    found = [*CLASSES, *EVENTS, AttackMemory, *setting.protocol.state_classes, *setting.selection.state_classes]
    found += [*setting.privacy.state_classes, *setting.faults.state_classes]
    if isinstance(setting.medium, SharedMedium):
        found += setting.medium.state_classes
    for transform in setting.chain.transforms:
        found += transform.memory_classes
    return tuple(found)


def put_into(moment: Moment, coordinator: Coordinator) -> None:
    """Put a new coordinator into the state of a checkpoint."""
    coordinator.clock.restore(moment.now_s, moment.events)
    vars(coordinator.state).update(vars(moment.run))
    coordinator.cohorts.train_again()
    for of_edge, edge in zip(moment.edges, coordinator.edges):
        put_into(of_edge, edge)


def restore(coordinator: Coordinator, checkpoint: Checkpoint) -> None:
    """Put a new coordinator into the state of a checkpoint.

    Raises:
        ValueError: see `read`.
    """
    put_into(read(coordinator, checkpoint), coordinator)


def _require(right: bool, what: str) -> None:
    if not right:
        raise ValueError(f"{what} cannot be")


def _check_clock(moment: Moment, coordinator: Coordinator) -> None:
    run, samples = moment.run, coordinator.setting.samples
    _require(0 <= moment.now_s < math.inf and 0 <= run.wall_s < math.inf, "the time")
    _require(len({entry[2] for entry in moment.events}) == len(moment.events), "the order of events")
    ready = []
    for time_s, priority, sequence, event in moment.events:
        _require(moment.now_s <= time_s < math.inf and time_s == event.time_s, "the time of an event")
        _require(priority in (0, 1) and sequence >= 0, "the order of events")
        if isinstance(event, Ready):
            ready.append(event)
            continue
        known = event.ue in samples or (isinstance(event, Woke) and event.ue == -1)
        _require(known and (isinstance(event, Due) or event.version <= run.version), "the UE of an event")
        if isinstance(event, LayerArrived) and event.ue in run.flights:
            _check_arrival(event, run.flights[event.ue].upload, moment.now_s)
    # If two aggregations happen at the same time, both of their models are ready.
    right = [Ready(moment.now_s, event.version) for event in ready]
    _require(ready == right and bool(ready) and ready[-1].version == run.version, "the next round")


def _check_arrival(event: LayerArrived, upload: Upload, now_s: float) -> None:
    if upload.version == event.version:
        arrivals = dict(enumerate(upload.arrivals_s))
        # Arrivals while an edge waited for the cloud are processed later.
        right = event.layers == len(arrivals) and max(arrivals.get(event.layer, math.inf), now_s) == event.time_s
        _require(right, f"an arrival of UE {event.ue}")


def _check_parts(run: RunState, coordinator: Coordinator) -> None:
    setting, model = coordinator.setting, coordinator.model
    _check_model(run, coordinator)
    for groups, wanted in zip(run.station, setting.algorithm.station(model)):
        require_alike(flat(groups), flat(wanted), "what the BS has beside the model")
    _require(type(run.selection) is type(setting.selection.start()), "what the selection remembers")
    _require(type(run.privacy) is type(setting.privacy.start()), "what the privacy mechanism remembers")
    shared = coordinator.flights.shared
    _require(type(run.medium) is type(shared.start() if shared else ()), "what the medium remembers")
    _require(type(run.protocol) is type(setting.protocol.start()), "the protocol's state")
    under_way = {ue: flight.upload.version for ue, flight in run.flights.items()}
    settled = setting.protocol.settled(run.protocol, run.version, setting.places, under_way)
    _require(settled, "the protocol's state")
    _require(set(run.sealing) <= set(setting.samples), "the UEs of a sum")
    _require(run.begun >= 0, "the broadcasts")


def _check_model(run: RunState, coordinator: Coordinator) -> None:
    """The global model, the server's state, and the losses of earlier models."""
    model = coordinator.model
    _require(list(run.model) == list(model), "the names of the model's tensors")
    require_alike(run.model, model, "the model")
    started = coordinator.setting.server.start(model)
    _require(type(run.server) is type(started), "what the server remembers")
    if isinstance(started, dict):
        require_alike(run.server, started, "the server's memory")
    _require(len(run.losses) <= 2, "the losses")


def _check_taken(run: RunState, coordinator: Coordinator, most: int) -> None:
    counted = run.taken.dtype == torch.int64 and tuple(run.taken.shape) == (coordinator.setting.places,)
    _require(counted and bool(((run.taken >= 0) & (run.taken <= most)).all()), "how often UEs took part")


def _check_flights(moment: Moment, coordinator: Coordinator) -> None:
    run, setting, model = moment.run, coordinator.setting, coordinator.model
    for ue, flight in run.flights.items():
        _check_upload(ue, flight.upload, coordinator, run.version)
        _require((flight.download is not None) == (setting.downlink is not None), "the downloads")
        if flight.download:
            _check_upload(ue, flight.download, coordinator, run.version)
        _require(0 <= flight.cohort < run.begun, f"the broadcast of UE {ue}")
        handed = 0 <= flight.handed_s <= moment.now_s and 0 < flight.weight < math.inf
        _require(handed, f"the broadcast of UE {ue}")
        work, full = flight.work, setting.full[ue]
        right = work.samples == full.samples and work.steps >= 0 and math.isfinite(work.epochs)
        _require(right and (work.steps > 0) == (full.steps > 0), f"the work of UE {ue}")
        _require_model(flight.start, model, f"the model that UE {ue} was handed")
        require_alike(
            flat(flight.shared or {}), flat(setting.algorithm.station(model).shared), f"what UE {ue} was sent"
        )
        for params, what in ((flight.content, "update"), (flight.sent, "model")):
            if params:
                require_alike(params, model, f"the {what} of UE {ue}")
        _check_layers(ue, flight, coordinator)
    for copy in run.copies:
        together = len(copy.ues) > 1 and set(copy.ues) <= set(setting.samples) and copy.download.ue in copy.ues
        right = together and setting.downlink is not None and 0 <= copy.cohort < run.begun
        _require(right and 0 <= copy.charged <= sum(copy.download.sizes_bits), "a copy for several UEs")
        _check_upload(copy.download.ue, copy.download, coordinator, run.version)
    _require(-1 <= run.sent_down <= run.version, "the model that was sent")
    for number, memories in run.cohorts.items():
        _require(0 <= number < run.begun and set(memories) <= set(setting.samples), "the training")


def _check_upload(ue: int, upload: Upload, coordinator: Coordinator, version: int) -> None:
    known = upload.ue == ue and ue in coordinator.setting.samples and 0 <= upload.version < version
    times = [upload.start_s, *upload.arrivals_s]
    in_order = times[0] >= 0 and all(earlier <= later for earlier, later in zip(times, times[1:]))
    sized = len(upload.sizes_bits) == len(upload.arrivals_s) > 0 and all(bits >= 0 for bits in upload.sizes_bits)
    _require(known and in_order and sized, f"the upload of UE {ue}")
    _require(0 <= upload.compute_s <= math.inf and 0 <= upload.bits <= 64, f"the upload of UE {ue}")
    _require(-1 <= upload.lost < len(upload.sizes_bits) and upload.numbers >= 0, f"the upload of UE {ue}")


def _check_layers(ue: int, flight: Flight, coordinator: Coordinator) -> None:
    codec = coordinator.setting.link.codec_at(flight.upload.bits)
    beside = flat(coordinator.setting.algorithm.message(coordinator.model))
    content = {**coordinator.model, **beside}
    lengths = codec.layer_bytes(structure_of(content))
    _require(len(flight.upload.arrivals_s) == len(lengths), f"the layers of UE {ue}")
    if any(isinstance(layer, dict) for layer in flight.layers):
        _require(coordinator.setting.link.exact and len(flight.layers) == 1, f"what has arrived of UE {ue}")
        require_alike(cast(Params, flight.layers[0]), content, f"what has arrived of UE {ue}")
    else:
        _require(tuple(map(len, flight.layers)) in ((), lengths), f"what has arrived of UE {ue}")
    chained = coordinator.setting.chain.transforms
    right = len(flight.memories) == len(chained) and bool(flight.content)
    _require(not flight.layers or not chained or right, f"what has arrived of UE {ue}")


def _check_memories(run: RunState, coordinator: Coordinator, heard: AbstractSet[int]) -> None:
    setting, model, training = coordinator.setting, coordinator.model, coordinator.cohorts.backend.training
    remembered: Params = memory_after_a_step(training) if training and training.keep_optimizer_state else {}
    chained, own = setting.chain.transforms, flat(setting.algorithm.start(model))
    kept = coordinator.cohorts.own_at_first(model)
    _check_taken(run, coordinator, run.version)
    for ue, memory in run.ues.items():
        rates = (memory.uploads.last_mbps, memory.uploads.mean_mbps, memory.uploads.spread, memory.uploads.uploads)
        _require(ue in setting.samples and all(0 <= rate < math.inf for rate in rates), f"the memory of UE {ue}")
        _require(setting.faults.drains or memory.energy is None, f"the energy of UE {ue}")
        if memory.training:
            require_alike(memory.training, remembered, f"the optimiser of UE {ue}")
        if memory.own:
            require_alike(memory.own, kept, f"what UE {ue} keeps for itself")
        if memory.algorithm:
            require_alike(flat(memory.algorithm), own, f"the algorithm's memory of UE {ue}")
        _require(len(memory.transforms) in (0, len(chained)), f"the transforms of UE {ue}")
        update = memory.accepted
        if update:
            right = update.ue == ue and update.samples == setting.samples[ue]
            right = right and 0 <= update.version < run.version and 0 <= update.weight < math.inf
            _require(right, f"what was accepted of UE {ue}")
            _require_model(update.params, model, f"what was accepted of UE {ue}")
        if memory.attack:
            _require_model(memory.attack.params, model, f"the attack's memory of UE {ue}")
    for memories in run.cohorts.values():
        for ue, before in memories.items():
            if before.training:
                require_alike(before.training, remembered, f"the optimiser of UE {ue}")
            require_alike(flat(before.algorithm), own, f"the algorithm's memory of UE {ue}")
            require_alike(before.own, kept, f"what UE {ue} keeps for itself")
    for ue in sorted(heard):
        had: Any = run.ues.get(ue)
        _require(
            not remembered or not setting.samples[ue] or bool(had and had.training),
            f"UE {ue} without an optimiser",
        )
        _require(not own or bool(had and had.algorithm), f"UE {ue} without the algorithm's memory")
        _require(not kept or bool(had and had.own), f"UE {ue} without what it keeps for itself")
        _require(not chained or bool(had and had.transforms), f"UE {ue} without its transforms' memory")
        _require(
            not setting.protocol.repeats() or bool(had and had.accepted), f"UE {ue} without what was accepted"
        )


def _require_model(params: Params, model: Params, what: str) -> None:
    require_alike(params, model, what)
    _require(list(params) == list(model), f"the order of {what}")
