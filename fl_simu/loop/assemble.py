"""An experiment to a coordinator: its parts checked against each other, then put together with the data."""

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Optional, Sequence

import torch
from torch import nn

from fl_simu.attacks.poisoning.base import NoAttack, draw_targets
from fl_simu.attacks.poisoning.malicious import Malicious
from fl_simu.backends.base import Backend
from fl_simu.data.datasets import Dataset, DataSource
from fl_simu.experiment import Checkpointing, Experiment
from fl_simu.kernel.checked import told_of
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import UserError, brief, require, shown
from fl_simu.kernel.parameters import structure_of
from fl_simu.kernel.randomness import stream
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import RunState
from fl_simu.models.base import Model
from fl_simu.parts import KINDS
from fl_simu.radio.allocation.base import Equal
from fl_simu.radio.downlink import downlink
from fl_simu.radio.link import Link
from fl_simu.radio.media.base import SharedMedium
from fl_simu.station.evaluation import evaluate
from fl_simu.ue.compute import Work
from fl_simu.ue.faults import NoFaults
from fl_simu.ue.training import LocalTraining, Shard, initial_params
from fl_simu.ue.transforms.base import Chain
from fl_simu.ue.transforms.error_feedback import ErrorFeedback
from fl_simu.ue.transforms.movement import Movement


@dataclass(frozen=True)
class Plan:
    """An experiment whose every part is built and checked, before any data is read.

    Args:
        experiment: on a backend that this installation has.
        link: codec, channel, size rule and delay rule together.
        downlink: the link of the global model to the UEs; None where it is free.
        training: local training.
        backend: made, with no UE yet.
    """

    experiment: Experiment
    link: Link
    downlink: Optional[Link]
    training: LocalTraining
    backend: Backend


def plan(experiment: Experiment) -> Plan:
    """Check that the parts of an experiment fit each other, and that this installation can run it.

    Raises:
        UserError: parts that do not fit each other, or a backend that cannot run this here.
    """
    experiment = experiment.with_(backend=experiment.backend.chosen())
    _require_fit(experiment)
    data, model = experiment.data, experiment.model
    link = Link(
        experiment.codec,
        experiment.channel,
        experiment.size,
        experiment.payload,
        experiment.seed,
        experiment.delay,
    )
    link.check(structure_of(build_module(model, data).state_dict()))
    if isinstance(experiment.medium, SharedMedium):
        experiment.medium.check(link)
    training = LocalTraining(
        partial(model.build, data.shape, data.classes),
        model.loss,
        experiment.optimizer,
        **asdict(experiment.training),
        fast=experiment.backend.fast,
        shape=data.shape,
        algorithm=experiment.algorithm,
    )
    with told_of("backend.", experiment.backend):
        backend = experiment.backend.build(training)
    return Plan(experiment, link, downlink(experiment.downlink, link), training, backend)


def _require_fit(experiment: Experiment) -> None:
    """Raise UserError unless the parts fit each other and the numbers of UEs."""
    require(
        (experiment.ues_per_round or 1) <= experiment.ues,
        "ues_per_round",
        experiment.ues_per_round,
        f"at most the {experiment.ues} ues",
    )
    fewest = experiment.aggregation.fewest()
    require(
        fewest <= experiment.drawn,
        "aggregation.name",
        _name(experiment, "aggregation"),
        f"it needs {fewest} updates, and a round draws {experiment.drawn} UEs",
    )
    require(
        experiment.attack.malicious < experiment.ues,
        "attack.malicious",
        experiment.attack.malicious,
        f"fewer than the {experiment.ues} ues",
    )
    silent = not isinstance(experiment.faults, NoFaults)
    require(
        experiment.protocol.bears_silence() or not silent,
        "faults.name",
        _name(experiment, "faults"),
        f"protocol {_name(experiment, 'protocol')} would wait for ever for a UE that fails; take deadline, "
        "base_then_enhancement with close_s, or event_triggered with deadline_s",
    )
    feedback = [isinstance(one, ErrorFeedback) for one in chain(experiment).transforms].count(True)
    allowed = 'payload = "weights" has no update; say "update"'
    require(experiment.payload == "update" or not feedback, "error_feedback", True, allowed)
    require(feedback < 2, "error_feedback", True, "the chain of transforms has it already")
    names = [name for meter in experiment.meters for name in meter.columns]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, "meters", twice[:1], "two of them have the same column")
    experiment.bits.check(experiment.codec)
    _require_media_fit(experiment)


def _require_media_fit(experiment: Experiment) -> None:
    """Raise UserError unless medium, allocator, bits and aggregation fit each other."""
    shares = isinstance(experiment.medium, SharedMedium)
    medium = _name(experiment, "medium")
    require(
        shares or experiment.allocator == Equal(),
        "allocator.name",
        _name(experiment, "allocator"),
        f"medium {medium} shares nothing; take shared_band",
    )
    require(
        experiment.medium.separable or not experiment.aggregation.compares,
        "aggregation.name",
        _name(experiment, "aggregation"),
        f"it compares single updates, and on medium {medium} the BS hears none",
    )
    require(
        not (shares and experiment.bits.foresees),
        "bits.knows",
        "oracle",
        f"on medium {medium} nobody can know the delay of an upload before it is sent",
    )


def _name(experiment: Experiment, table: str) -> str:
    return KINDS[table].name_of(getattr(experiment, table), nameless=True)


def assemble(
    planned: Plan, dataset: Dataset, observers: Sequence[Observer] = (), realtime: Optional[float] = None
) -> Coordinator:
    """Deal the data to the UEs and put everything together.

    Raises:
        UserError: the data do not suffice for that many UEs.
    """
    experiment = planned.experiment
    malicious = _malicious(planned, dataset)
    torch.set_num_threads(experiment.threads)
    train, ues = dataset.train, experiment.ues
    with told_of("partition.", experiment.partition):
        owners = None if train.ues is None else train.ues.numpy()
        draws = stream(experiment.seed, "partition")
        shards = experiment.partition.deal(train.labels.numpy(), owners, ues, draws)
    samples = {ue: len(indices) for ue, indices in enumerate(shards)}
    with told_of("training.", planned.training):
        planned.training.check(samples)
        for ue, indices in enumerate(shards):
            shard = Shard(train.images, train.labels, torch.from_numpy(indices))
            planned.backend.place(ue, malicious.own_data(ue, shard) if malicious else shard)
    module, loss, test = planned.training.make_module(), planned.training.loss, dataset.test
    epochs = planned.training.epochs
    setting = Setting(
        seed=experiment.seed,
        rounds=experiment.rounds,
        drawn=experiment.drawn,
        work={ue: Work(count, epochs, epochs * planned.training.steps(count)) for ue, count in samples.items()},
        evaluate=lambda params: evaluate(module, params, loss, test.images, test.labels),
        link=planned.link,
        downlink=planned.downlink,
        chain=chain(experiment),
        measures=malicious.measures if malicious else None,
        **{table: getattr(experiment, table) for table in HELD},
    )
    state = RunState(initial_params(planned.training.make_module, experiment.seed))
    cohorts = Cohorts(planned.backend, experiment.seed, state, malicious)
    return Coordinator(setting, state, Clock(realtime), cohorts, observers)


# Parts of an experiment that the coordinator holds as they are.
HELD = (
    "protocol", "aggregation", "server", "selection", "compute", "faults", "bits", "medium", "allocator", "meters",
)  # fmt: skip


def chain(experiment: Experiment) -> Chain:
    """The transforms of every UE: the protocol's trigger, those of the experiment, error feedback."""
    threshold = experiment.protocol.movement_threshold()
    trigger = () if threshold is None else (Movement(threshold),)
    feedback = (ErrorFeedback(),) if experiment.error_feedback else ()
    return Chain((*trigger, *experiment.transforms, *feedback))


def load_data(planned: Plan, data_dir: Optional[Path] = None) -> Dataset:
    """The experiment's data set; see `fl_simu.data.datasets`."""
    with told_of("data.", planned.experiment.data):
        return planned.experiment.data.load(data_dir)


def _malicious(planned: Plan, dataset: Dataset) -> Optional[Malicious]:
    """The malicious UEs; None where every UE is benign."""
    experiment, attack, test = planned.experiment, planned.experiment.attack, dataset.test
    if isinstance(attack, NoAttack):
        return None
    with told_of("attack.", attack):
        targets = draw_targets(experiment.seed, attack.targets, test.images, test.labels, dataset.classes)
    return Malicious(attack, planned.training, experiment.ues, dataset.classes, targets)


def digest(experiment: Experiment) -> str:
    """A digest of everything that decides the result of an experiment but its number of rounds, which a resumed
    run may raise."""
    other = experiment.with_(rounds=1, backend=experiment.backend.anywhere(), checkpoint=Checkpointing())
    text = other.to_toml()
    return hashlib.sha256(text.encode()).hexdigest()


def build_module(model: Model, data: DataSource) -> nn.Module:
    """The module of a model for a data set.

    Raises:
        UserError: it does not fit these images, or this machine.
    """
    table = KINDS["model"].describe(model, nameless=True)
    fits = model.shape in (None, data.shape)
    require(
        fits, "model.name", table["name"], f"it takes images of {model.shape}, and {data.name} has {data.shape}"
    )
    with told_of("model.", model):
        try:
            return model.build(data.shape, data.classes)
        except (MemoryError, RuntimeError, TypeError) as error:
            reason = (str(error).splitlines() or ["out of memory"])[0]
            raise UserError(f"model = {shown(table)} cannot be built: {brief(reason, 120)}") from error
