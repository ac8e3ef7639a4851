"""Assembles a coordinator from a planned experiment and its data."""

from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch

from fl_simu.attacks.poisoning.base import NoAttack, draw_targets
from fl_simu.attacks.poisoning.malicious import Malicious
from fl_simu.data.datasets import Dataset, Samples
from fl_simu.experiment import Experiment
from fl_simu.kernel.checked import told_of
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.examiner import Examiner
from fl_simu.loop.hierarchy import Cloud
from fl_simu.loop.plan import Plan
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import RunState
from fl_simu.ue.training import Shard, initial_params
from fl_simu.ue.work import Work


def assemble(
    planned: Plan, dataset: Dataset, observers: Sequence[Observer] = (), realtime: Optional[float] = None
) -> Coordinator:
    """Distribute the data to the UEs and assemble the coordinator.

    Raises:
        UserError: there are too few data for this number of UEs.
    """
    experiment = planned.experiment
    malicious = _malicious(planned, dataset)
    torch.set_num_threads(experiment.threads)
    train, shards = _dealt(experiment, dataset.train)
    samples = {ue: len(indices) for ue, indices in enumerate(shards)}
    _place(planned, train, shards, malicious)
    examiner = Examiner(planned, train, shards, _tested(experiment, dataset))
    epochs = planned.training.epochs
    setting = Setting(
        seed=experiment.seed,
        rounds=experiment.rounds,
        drawn=experiment.drawn,
        full={ue: Work(count, epochs, epochs * planned.training.steps(count)) for ue, count in samples.items()},
        link=planned.link,
        downlink=planned.downlink,
        chain=planned.chain,
        measures=malicious.measures if malicious else None,
        evaluate_every=experiment.evaluation.every,
        stop=experiment.stop,
        **examiner.answers(),
        **{table: getattr(experiment, table) for table in HELD},
    )
    initial = initial_params(planned.training.make_module, experiment.seed)
    local = {name: initial.pop(name) for name in planned.local}
    state = RunState(initial)
    cohorts = Cohorts(planned.backend, experiment.seed, state, setting.algorithm, setting.full, local, malicious)
    topology, clock = experiment.topology, Clock(realtime)
    if not topology.active:
        return Coordinator(setting, state, clock, cohorts, observers)
    classes = train.labels.numpy()
    groups = topology.groups([classes[indices] for indices in shards], experiment.seed)
    return Cloud(setting, state, clock, cohorts, topology, groups, observers)


# Parts of an experiment that the coordinator uses unchanged.
HELD = (
    "algorithm", "work", "compute", "faults", "bits", "downlink_codec", "cast", "medium", "allocator",
    "selection", "protocol", "aggregation", "server", "secure", "privacy", "meters",
)  # fmt: skip


def _dealt(experiment: Experiment, train: Samples) -> Tuple[Samples, List[np.ndarray]]:
    """The training samples as the UEs hold them, and the indices of each UE's samples."""
    partition, owners = experiment.partition, None if train.ues is None else train.ues.numpy()
    with told_of("partition.", partition):
        parts = partition.deal(train.labels.numpy(), owners, experiment.ues, stream(experiment.seed, "partition"))
        return partition.as_held(train, parts, experiment.seed), parts


def _place(planned: Plan, train: Samples, shards: Sequence[np.ndarray], malicious: Optional[Malicious]) -> None:
    """Give each UE its data, and also give them to its own model if it has one."""
    with told_of("training.", planned.training):
        planned.training.check({ue: len(indices) for ue, indices in enumerate(shards)})
        for ue, indices in enumerate(shards):
            shard = Shard(train.images, train.labels, torch.from_numpy(indices))
            planned.backend.place(ue, malicious.own_data(ue, shard) if malicious else shard)
            if planned.experiment.algorithm.personal:
                planned.backend.place(len(shards) + ue, shard)


def _tested(experiment: Experiment, dataset: Dataset) -> Samples:
    """The test samples on which the global model is evaluated.

    Raises:
        UserError: the test set has fewer samples than requested.
    """
    test, count = dataset.test, experiment.evaluation.samples
    if count is None:
        return test
    require(count <= len(test), "evaluation.samples", count, f"at most the {len(test)} test samples")
    rows = torch.from_numpy(permutation(stream(experiment.seed, "evaluation"), len(test))[:count])
    return Samples(test.images.index_select(0, rows), test.labels.index_select(0, rows))


def _malicious(planned: Plan, dataset: Dataset) -> Optional[Malicious]:
    """The malicious UEs; None if all UEs are benign."""
    experiment, attack, test = planned.experiment, planned.experiment.attack, dataset.test
    if isinstance(attack, NoAttack):
        return None
    with told_of("attack.", attack):
        targets = draw_targets(experiment.seed, attack.targets, test.images, test.labels, dataset.classes)
    return Malicious(attack, planned.training, experiment.ues, dataset.classes, targets)
