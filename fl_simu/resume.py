"""What a checkpoint holds of a coordinator, and how a run goes on from it."""

from dataclasses import replace
from typing import Dict, Iterable, Tuple

import numpy as np

from fl_simu.coordinator import Coordinator, Observer
from fl_simu.in_flight import InFlight
from fl_simu.kernel.messages import LayerArrived, Ready, Update, UploadRefused, UploadStarted, Woke
from fl_simu.kernel.parameters import Params, from_arrays, to_arrays
from fl_simu.kernel.plain import from_plain, to_plain
from fl_simu.results.checkpoints import Checkpoint, Checkpoints
from fl_simu.results.records import RoundLog, RoundRecord
from fl_simu.uplink.bits import Memory
from fl_simu.uplink.link import Upload

CLASSES = (Ready, UploadStarted, LayerArrived, UploadRefused, Woke, Upload, Update, Memory)


class Keeper(Observer):
    """After every round writes its record, then a checkpoint.

    Args:
        log: where the records go.
        checkpoints: where the checkpoints go.
        identity: of what decides the numbers: the experiment and the stack. A resumed run must have the same.
    """

    def __init__(self, log: RoundLog, checkpoints: Checkpoints, identity: str) -> None:
        self.log = log
        self.checkpoints = checkpoints
        self.identity = identity

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.log.append(record)
        self.checkpoints.write(snapshot(coordinator, self.identity))


def snapshot(coordinator: Coordinator, identity: str) -> Checkpoint:
    """Everything that decides the rest of a run, taken between two events."""
    backend, flight = coordinator.setting.backend, coordinator.in_flight
    plain = {
        "now_s": coordinator.clock.now_s,
        "events": coordinator.clock.pending(),
        "state": coordinator.state,
        "downloads": flight.downloads,
        "uploads": flight.uploads,
        "refusals": flight.refusals,
        "accepted": {ue: replace(update, params={}) for ue, update in flight.accepted.items()},
        "memories": flight.memories,
        "losses": flight.losses,
        "wall_s": coordinator.wall_s,
        # A safetensors file keeps no order, and the order of a model's tensors is part of the model.
        "names": tuple(coordinator.model),
    }
    arrays = _named("model", coordinator.model)
    for version, params in flight.references.items():
        arrays.update(_named(f"reference/{version}", params))
    for ue, layers in flight.layers.items():
        for layer, data in enumerate(layers):
            arrays[f"received/{ue}/{layer}"] = np.frombuffer(data, np.uint8)
    for ue in coordinator.setting.samples:
        arrays.update(_named(f"optimizer/{ue}", backend.optimizer_state(ue)))
    for ue in flight.not_fetched():
        arrays.update(_named(f"trained/{ue}", backend.peek(ue)))
    for word, models in _kept(flight).items():
        for ue, params in models.items():
            arrays.update(_named(f"{word}/{ue}", params))
    for ue, update in flight.accepted.items():
        arrays.update(_named(f"accepted/{ue}", update.params))
    return Checkpoint(coordinator.version, identity, to_plain(plain), arrays)


def restore(coordinator: Coordinator, checkpoint: Checkpoint) -> None:
    """Put a fresh coordinator where the checkpoint was taken.

    Raises:
        ValueError: the checkpoint holds something that this version of the program does not know.
    """
    protocol, backend, flight = coordinator.setting.protocol, coordinator.setting.backend, coordinator.in_flight
    plain = from_plain(checkpoint.plain, CLASSES + protocol.state_classes)
    coordinator.clock.restore(plain["now_s"], plain["events"])
    coordinator.version = checkpoint.round
    coordinator.state = plain["state"]
    flight.downloads, flight.refusals = plain["downloads"], plain["refusals"]
    flight.uploads, flight.memories, flight.losses = plain["uploads"], plain["memories"], plain["losses"]
    coordinator.wall_s = plain["wall_s"]
    groups, names = _grouped(checkpoint.arrays), plain["names"]
    coordinator.model = _params(groups["model"], names)
    for upload in flight.uploads.values():
        flight.references[upload.version] = _params(groups[f"reference/{upload.version}"], names)
    for ue in flight.uploads:
        layers = groups.get(f"received/{ue}", {})
        if layers:
            flight.layers[ue] = tuple(layers[str(layer)].tobytes() for layer in range(len(layers)))
    for word, models in _kept(flight).items():
        for ue in coordinator.setting.samples:
            kept = groups.get(f"{word}/{ue}", {})
            if kept:
                # An error has no tensors but those of floating point.
                models[ue] = _params(kept, [name for name in names if name in kept])
    for ue, update in plain["accepted"].items():
        flight.accepted[ue] = replace(update, params=_params(groups[f"accepted/{ue}"], names))
    for ue in flight.not_fetched():
        backend.put_back(ue, _params(groups[f"trained/{ue}"], names))
    for ue in coordinator.setting.samples:
        state = groups.get(f"optimizer/{ue}")
        if state:
            backend.restore(ue, _params(state, sorted(state)))


def _kept(flight: InFlight) -> Dict[str, Dict[int, Params]]:
    """Models that outlive a round, by the word for them in a checkpoint and by UE."""
    return {"fetched": flight.trained, "sent": flight.sent, "error": flight.errors}


def _named(prefix: str, params: Params) -> Dict[str, np.ndarray]:
    return {prefix + "/" + name: array for name, array in to_arrays(params).items()}


def _grouped(arrays: Dict[str, np.ndarray]) -> Dict[str, Dict[str, np.ndarray]]:
    """The arrays by what they belong to: "model", or a word and a number, then the tensor's own name."""
    groups: Dict[str, Dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        group, own = _split(name)
        groups.setdefault(group, {})[own] = array
    return groups


def _split(name: str) -> Tuple[str, str]:
    parts = name.split("/", 1) if name.startswith("model/") else name.split("/", 2)
    return "/".join(parts[:-1]), parts[-1]


def _params(arrays: Dict[str, np.ndarray], names: Iterable[str]) -> Params:
    return from_arrays({name: arrays[name] for name in names})
