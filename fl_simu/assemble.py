"""Config to objects: the only room that knows every part's name."""

import dataclasses
import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Tuple, Type, get_type_hints

import pydantic
import torch
from torch import nn

from fl_simu import config as configuration
from fl_simu.attacks.model_poisoning import ATTACKS
from fl_simu.attacks.model_poisoning.base import NoAttack, draw_targets
from fl_simu.attacks.model_poisoning.malicious import Malicious
from fl_simu.backends import BACKENDS
from fl_simu.backends.base import Backend
from fl_simu.config import Experiment
from fl_simu.coordinator import Coordinator, Observer
from fl_simu.in_flight import InFlight
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import BadField, UserError, brief, name_in, require, shown
from fl_simu.kernel.installation import syft_installed
from fl_simu.kernel.machine import prepare
from fl_simu.kernel.parameters import structure_of
from fl_simu.kernel.randomness import stream
from fl_simu.setting import Setting
from fl_simu.station.aggregation import AGGREGATIONS
from fl_simu.station.draw import draw
from fl_simu.station.evaluation import evaluate
from fl_simu.station.protocols import PROTOCOLS
from fl_simu.ue.compute import COMPUTES
from fl_simu.ue.datasets import DATASETS, Dataset, ImageSet
from fl_simu.ue.faults import FAULTS, NoFaults
from fl_simu.ue.models import MODELS
from fl_simu.ue.models.base import Model
from fl_simu.ue.optimizers import OPTIMIZERS
from fl_simu.ue.partition import PARTITIONS
from fl_simu.ue.training import LocalTraining, Shard, initial_params
from fl_simu.uplink.bits import BITS
from fl_simu.uplink.channels import CHANNELS
from fl_simu.uplink.codecs import CODECS
from fl_simu.uplink.delays import DELAYS
from fl_simu.uplink.downlink import DOWNLINKS, downlink
from fl_simu.uplink.link import Link
from fl_simu.uplink.sizes import SIZE_RULES

Registry = Mapping[str, Type[Any]]

REGISTRIES: Dict[str, Registry] = {
    "backend": BACKENDS,
    "data": DATASETS,
    "partition": PARTITIONS,
    "model": MODELS,
    "optimizer": OPTIMIZERS,
    "compute": COMPUTES,
    "faults": FAULTS,
    "codec": CODECS,
    "bits": BITS,
    "size": SIZE_RULES,
    "channel": CHANNELS,
    "delay": DELAYS,
    "downlink": DOWNLINKS,
    "protocol": PROTOCOLS,
    "aggregation": AGGREGATIONS,
    "attack": ATTACKS,
}


@dataclass(frozen=True)
class Plan:
    """An experiment whose every part is built and checked, before any data is read.

    Args:
        experiment: complete: every argument of every part is written out.
        parts: the built part of each table.
        link: codec, channel, size rule and delay rule together.
        downlink: the link of the global model to the UEs; None where it is free.
        training: local training.
        backend: made, with no UE yet.
    """

    experiment: Experiment
    parts: Mapping[str, Any]
    link: Link
    downlink: Optional[Link]
    training: LocalTraining
    backend: Backend


def plan(experiment: Experiment) -> Plan:
    """Check an experiment and build its parts.

    Raises:
        UserError: an unknown name, an argument out of range, parts that do not fit each other, or a backend that
            cannot run this here.
    """
    experiment = experiment.model_copy(update={"backend": _chosen(experiment.backend)})
    parts = {table: build_part(table, getattr(experiment, table)) for table in configuration.PARTS}
    _require_fit(experiment, parts)
    data, model = parts["data"], parts["model"]
    link = Link(
        parts["codec"], parts["channel"], parts["size"], experiment.payload, experiment.seed, parts["delay"]
    )
    link.check(structure_of(build_module(experiment.model, model, data).state_dict()))
    training = LocalTraining(
        partial(model.build, data.shape, data.classes),
        model.loss,
        parts["optimizer"],
        **experiment.training.model_dump(),
        fast=parts["backend"].fast,
        shape=data.shape,
    )
    with _told_of("backend", parts["backend"]):
        backend = parts["backend"].build(training)
    complete = {table: complete_part(table, parts[table]) for table in configuration.PARTS}
    experiment = experiment.model_copy(update=complete)
    return Plan(experiment, parts, link, downlink(parts["downlink"], link), training, backend)


def _require_fit(experiment: Experiment, parts: Mapping[str, Any]) -> None:
    """Raise UserError unless the parts fit each other and the numbers of UEs."""
    require(
        (experiment.ues_per_round or 1) <= experiment.ues,
        "ues_per_round",
        experiment.ues_per_round,
        f"at most the {experiment.ues} ues",
    )
    rule = parts["aggregation"]
    require(
        rule.fewest() <= experiment.drawn,
        "aggregation.name",
        experiment.aggregation["name"],
        f"it needs {rule.fewest()} updates, and a round draws {experiment.drawn} UEs",
    )
    require(
        parts["attack"].malicious < experiment.ues,
        "attack.malicious",
        parts["attack"].malicious,
        f"fewer than the {experiment.ues} ues",
    )
    silent = not isinstance(parts["faults"], NoFaults)
    require(
        parts["protocol"].bears_silence() or not silent,
        "faults.name",
        experiment.faults["name"],
        f"protocol {experiment.protocol['name']} would wait for ever for a UE that fails; take deadline, "
        "base_then_enhancement with close_s, or event_triggered with deadline_s",
    )
    fits = experiment.payload == "update" or not experiment.error_feedback
    require(fits, "error_feedback", experiment.error_feedback, 'payload = "weights" has no update; say "update"')
    parts["bits"].check(parts["codec"])


def assemble(
    planned: Plan, dataset: Dataset, observers: Sequence[Observer] = (), realtime: Optional[float] = None
) -> Coordinator:
    """Deal the data to the UEs and put everything together.

    Raises:
        UserError: the data do not suffice for that many UEs.
    """
    experiment, parts = planned.experiment, planned.parts
    malicious = _malicious(planned, dataset)
    backend = malicious or planned.backend
    prepare(experiment.threads)
    train, ues = dataset.train, experiment.ues
    with _told_of("partition", parts["partition"]):
        shards = parts["partition"].split(train.labels.numpy(), ues, stream(experiment.seed, "partition"))
    samples = {ue: len(indices) for ue, indices in enumerate(shards)}
    with _told_of("training", planned.training):
        planned.training.check(samples)
        for ue, indices in enumerate(shards):
            backend.place(ue, Shard(train.images, train.labels, torch.from_numpy(indices)))
    module, loss, test = planned.training.make_module(), planned.training.loss, dataset.test

    setting = Setting(
        seed=experiment.seed,
        rounds=experiment.rounds,
        backend=backend,
        link=planned.link,
        protocol=parts["protocol"],
        aggregation=parts["aggregation"],
        evaluate=lambda params: evaluate(module, params, loss, test.images, test.labels),
        draw=lambda version: draw(experiment.seed, version, experiment.ues, experiment.drawn),
        compute_s=lambda ue, version: parts["compute"].time_s(experiment.seed, ue, version),
        works=lambda ue, version: parts["faults"].works(experiment.seed, ue, version),
        samples=samples,
        measures=malicious.measures if malicious else lambda params, settled: None,
    )
    model = initial_params(planned.training.make_module, experiment.seed)
    in_flight = InFlight(
        planned.link,
        parts["bits"],
        planned.downlink,
        threshold=parts["protocol"].movement_threshold(),
        repeats=parts["protocol"].repeats(),
        error_feedback=experiment.error_feedback,
    )
    return Coordinator(setting, Clock(realtime), model, in_flight, observers=observers)


def load_data(planned: Plan, data_dir: Optional[Path] = None) -> Dataset:
    """The experiment's data set; see `fl_simu.ue.datasets`."""
    with _told_of("data", planned.parts["data"]):
        return planned.parts["data"].load(data_dir)


def _malicious(planned: Plan, dataset: Dataset) -> Optional[Malicious]:
    """The backend with malicious UEs among the others; None where every UE is benign."""
    experiment, attack, test = planned.experiment, planned.parts["attack"], dataset.test
    if isinstance(attack, NoAttack):
        return None
    with _told_of("attack", attack):
        targets = draw_targets(experiment.seed, attack.targets, test.images, test.labels, dataset.classes)
    return Malicious(planned.backend, attack, experiment.ues, dataset.classes, targets)


def _chosen(backend: Mapping[str, Any]) -> Mapping[str, Any]:
    """The backend's table, with a name for "auto": syft where real syft is installed, and torch elsewhere."""
    if backend["name"] != "auto":
        return backend
    return dict(backend, name="syft" if syft_installed() else "torch")


def digest(experiment: Experiment) -> str:
    """A digest of everything in an experiment but the number of rounds, which a resumed run may raise, and the
    cluster that it runs on."""
    backend = {key: value for key, value in experiment.backend.items() if key != "address"}
    text = configuration.to_toml(experiment.model_copy(update={"rounds": 1, "backend": backend}))
    return hashlib.sha256(text.encode()).hexdigest()


def build_part(table: str, options: Mapping[str, Any], registry: Optional[Registry] = None) -> Any:
    """One part from its table, its arguments checked by type (pydantic) and by value (the part itself).

    Args:
        table: its name, for messages, and for the registry where that is not given.
        options: the part's name and arguments.
        registry: name -> class.

    Raises:
        UserError: an unknown name or argument, or a value that is not allowed.
    """
    registry, name = registry or REGISTRIES[table], options["name"]
    if name not in registry:
        raise UserError(f"{table}.name = {shown(name)} is not known: {configuration.nearest(name, registry)}")
    cls = registry[name]
    arguments = {key: _tuples(value) for key, value in options.items() if key != "name"}
    schema = _schema(cls)
    try:
        checked = schema.model_validate(arguments)
    except pydantic.ValidationError as error:
        raise UserError(configuration.explain(error, table + ".", schema.model_fields)) from None
    with _told_of(table, cls):
        return cls(**{key: getattr(checked, key) for key in schema.model_fields})


def build_module(table: Mapping[str, Any], model: Model, data: ImageSet) -> nn.Module:
    """The module of a model for a data set.

    Raises:
        UserError: it does not fit these images, or this machine.
    """
    fits = model.shape in (None, data.shape)
    require(
        fits, "model.name", table["name"], f"it takes images of {model.shape}, and {data.name} has {data.shape}"
    )
    with _told_of("model", model):
        try:
            return model.build(data.shape, data.classes)
        except (MemoryError, RuntimeError, TypeError) as error:
            reason = (str(error).splitlines() or ["out of memory"])[0]
            raise UserError(f"model = {shown(table)} cannot be built: {brief(reason, 120)}") from error


@contextmanager
def _told_of(table: str, part: Any) -> Iterator[None]:
    """Name the table too when what is inside complains of one of the part's fields."""
    try:
        yield
    except BadField as error:
        if error.field not in {field.name for field in dataclasses.fields(part)}:
            raise
        raise BadField(f"{table}.{error.field}", error.value, error.allowed) from None


def _schema(cls: Type[Any]) -> Type[pydantic.BaseModel]:
    """A strict pydantic model with the fields of a part's class."""
    hints = get_type_hints(cls)
    fields: Dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(cls)
    }
    strict = pydantic.ConfigDict(extra="forbid", strict=True)
    return pydantic.create_model(cls.__name__, __config__=strict, **fields)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def arguments(table: str, name: str) -> Tuple[str, ...]:
    """Names of a part's arguments; none of a part that is not known."""
    cls = REGISTRIES[table].get(name)
    return tuple(field.name for field in dataclasses.fields(cls)) if cls else ()


def complete_part(table: str, part: Any, registry: Optional[Registry] = None) -> Dict[str, Any]:
    """A part's table with every argument written out."""
    return {"name": name_in(registry or REGISTRIES[table], part), **dataclasses.asdict(part)}
