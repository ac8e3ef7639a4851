"""What a checkpoint holds of a coordinator."""

from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np
from torch import Tensor

from fl_simu.coordinator import Coordinator
from fl_simu.identity import Identity
from fl_simu.in_flight import InFlight
from fl_simu.kernel.messages import Event, LayerArrived, Ready, Update, UploadRefused, UploadStarted, Woke
from fl_simu.kernel.parameters import Params, to_arrays
from fl_simu.kernel.plain import to_plain
from fl_simu.results.checkpoints import Arrays, Checkpoint
from fl_simu.uplink.bits import Memory
from fl_simu.uplink.link import Upload


class Snapshot(NamedTuple):
    """Where a run stands between two events, but for its tensors.

    Args:
        now_s, events: of the clock.
        state, selection: what protocol and selection remember.
        downloads, uploads, refusals, memories, losses: as in `InFlight`.
        accepted: likewise, without the models.
        wall_s: as in `Coordinator`.
        names: of the model's tensors. A safetensors file keeps no order, and their order is part of the model.
        training: UEs that train again what they train or have trained and nobody has fetched, by the version that
            they were handed.
        same: names of tensors that are stored under another name.
    """

    now_s: float
    events: List[Tuple[float, int, int, Event]]
    state: Any
    selection: Any
    downloads: Dict[int, Upload]
    uploads: Dict[int, Upload]
    refusals: Dict[int, str]
    accepted: Dict[int, Update]
    memories: Dict[int, Memory]
    losses: Tuple[float, ...]
    wall_s: float
    names: Tuple[str, ...]
    training: Dict[int, Tuple[int, ...]]
    same: Dict[str, str]


CLASSES = (Snapshot, Ready, UploadStarted, LayerArrived, UploadRefused, Woke, Upload, Update, Memory)


class Tensors:
    """Named tensors for a checkpoint. One that several things share is stored once."""

    def __init__(self) -> None:
        self.arrays: Arrays = {}
        self.same: Dict[str, str] = {}
        self._known: Dict[int, Tuple[str, Tensor]] = {}

    def add(self, prefix: str, params: Params) -> None:
        for name, tensor in params.items():
            # The tensor is kept, so that no other one gets its number meanwhile.
            first, _ = self._known.setdefault(id(tensor), (f"{prefix}/{name}", tensor))
            if first == f"{prefix}/{name}":
                self.arrays.update(to_arrays({first: tensor}))
            else:
                self.same[f"{prefix}/{name}"] = first


def snapshot(coordinator: Coordinator, identity: Identity, records_sha256: str = "") -> Checkpoint:
    """Everything that decides the rest of a run, taken between two events. Nothing is trained for it."""
    backend, flight = coordinator.setting.backend, coordinator.in_flight
    tensors, training = Tensors(), _to_train_again(coordinator)
    tensors.add("model", coordinator.model)
    tensors.add("server/0", coordinator.server)
    for version, params in flight.references.items():
        tensors.add(f"reference/{version}", params)
    for ue, layers in flight.layers.items():
        for layer, data in enumerate(layers):
            tensors.arrays[f"received/{ue}/{layer}"] = np.frombuffer(data, np.uint8)
    for ue in coordinator.setting.samples:
        tensors.add(f"optimizer/{ue}", backend.optimizer_state(ue))
    for ue in flight.not_fetched():
        tensors.add(f"trained/{ue}", backend.kept(ue) or {})
    for word, models in models_kept(flight).items():
        for ue, params in models.items():
            tensors.add(f"{word}/{ue}", params)
    for ue, update in flight.accepted.items():
        tensors.add(f"accepted/{ue}", update.params)
    standing = Snapshot(
        coordinator.clock.now_s,
        coordinator.clock.pending(),
        coordinator.state,
        coordinator.selection,
        flight.downloads,
        flight.uploads,
        flight.refusals,
        {ue: replace(update, params={}) for ue, update in flight.accepted.items()},
        flight.memories,
        flight.losses,
        coordinator.wall_s,
        tuple(coordinator.model),
        training,
        tensors.same,
    )
    return Checkpoint(coordinator.version, identity, records_sha256, to_plain(standing), tensors.arrays)


def _to_train_again(coordinator: Coordinator) -> Dict[int, Tuple[int, ...]]:
    backend, flight = coordinator.setting.backend, coordinator.in_flight
    found: Dict[int, Dict[int, None]] = {}
    for ue in flight.not_fetched():
        if backend.kept(ue) is None:
            found.setdefault(flight.uploads[ue].version, {}).update(dict.fromkeys(backend.together(ue)))
    return {version: tuple(ues) for version, ues in found.items()}


def models_kept(flight: InFlight) -> Dict[str, Dict[int, Params]]:
    """Models that outlive a round, by the word for them in a checkpoint and by UE."""
    return {"fetched": flight.trained, "sent": flight.sent, "error": flight.errors}
