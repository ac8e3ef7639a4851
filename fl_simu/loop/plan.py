"""An experiment with all parts built and checked."""

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Optional, Tuple

import torch
from torch import nn

from fl_simu.backends.base import Backend, StepWork
from fl_simu.data.datasets import Dataset, DataSource
from fl_simu.experiment import Checkpointing, Experiment
from fl_simu.kernel.checked import told_of
from fl_simu.kernel.devices import open_device
from fl_simu.kernel.errors import UserError, brief, require, shown
from fl_simu.kernel.parameters import structure_of
from fl_simu.loop.analog import require_analog
from fl_simu.loop.fit import chain, require_fit
from fl_simu.loop.protection import require_protected
from fl_simu.models.base import Model
from fl_simu.models.cost import multiply_adds
from fl_simu.parts import KINDS
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.downlink import downlink
from fl_simu.radio.link import Link
from fl_simu.radio.media.base import SharedMedium
from fl_simu.ue.local_layers import local_names
from fl_simu.ue.training import LocalTraining
from fl_simu.ue.transforms.base import Chain


@dataclass(frozen=True)
class Plan:
    """An experiment with all parts built and checked, before any data are read.

    Args:
        experiment: with a backend that this installation has.
        link: codec, channel, size rule and delay rule together.
        downlink: the link of the global model to the UEs; None if it is free.
        chain: the transforms of every UE.
        training: local training.
        local: names of the tensors that stay at the UEs.
        backend: the backend, without any UE yet.
        device: where the global model is evaluated.
    """

    experiment: Experiment
    link: Link
    downlink: Optional[Link]
    chain: Chain
    training: LocalTraining
    local: Tuple[str, ...]
    backend: Backend
    device: torch.device


def plan(experiment: Experiment) -> Plan:
    """Check that the parts of an experiment fit together, and that this installation can run it.

    Raises:
        UserError: the parts do not fit together, or the backend cannot run here.
    """
    experiment = experiment.with_(backend=experiment.backend.chosen(lambda: _work(experiment)))
    require_fit(experiment)
    data, model = experiment.data, experiment.model
    link = Link(
        experiment.codec,
        experiment.channel,
        experiment.size,
        experiment.payload,
        experiment.seed,
        experiment.delay,
        loss=experiment.loss,
    )
    secure, drawn = experiment.secure, experiment.drawn
    link = secure.link(link, drawn)
    params = build_module(model, data).state_dict()
    local = local_names(experiment.local_layers, list(params))
    sent = structure_of({name: tensor for name, tensor in params.items() if name not in local})
    link.check(sent)
    if type(experiment.downlink_codec) is not Float32:
        replace(link, codec=experiment.downlink_codec).check(sent, "downlink_codec")
    require_protected(experiment, sent)
    require_analog(experiment, sent)
    if isinstance(experiment.medium, SharedMedium):
        experiment.medium.check(link)
    training = LocalTraining(
        partial(model.build, data.shape, data.classes),
        model.loss,
        experiment.optimizer,
        **asdict(experiment.training),
        fast=experiment.backend.fast,
        shape=data.shape,
        symbols=data.symbols,
        algorithm=experiment.algorithm,
        schedule=experiment.schedule,
    )
    experiment.algorithm.check(experiment.optimizer)
    device = open_device(experiment.evaluation.device, "evaluation.device")
    with told_of("backend.", experiment.backend):
        backend = experiment.backend.build(training)
    down = downlink(experiment.downlink, link, secure.downlink_bits(drawn), experiment.downlink_codec)
    return Plan(experiment, link, down, chain(experiment), training, local, backend, device)


def _work(experiment: Experiment) -> StepWork:
    """The amount of work in a training step, for the choice of a backend."""
    module, shape = build_module(experiment.model, experiment.data), experiment.data.shape
    try:
        forward = multiply_adds(module, shape) * experiment.training.batch_size
    except Exception:
        # An error in the model is reported when it is trained.
        forward = 0
    return StepWork(3 * forward, experiment.drawn, experiment.threads)


def load_data(planned: Plan, data_dir: Optional[Path] = None) -> Dataset:
    """The experiment's data set; see `fl_simu.data.datasets`."""
    with told_of("data.", planned.experiment.data):
        return planned.experiment.data.load(data_dir)


def digest(experiment: Experiment) -> str:
    """A digest of everything in an experiment that decides its result, except its number of rounds, which a
    resumed run may raise."""
    other = experiment.without_targets().with_(
        rounds=1, backend=experiment.backend.anywhere(), checkpoint=Checkpointing()
    )
    text = other.to_toml()
    return hashlib.sha256(text.encode()).hexdigest()


def build_module(model: Model, data: DataSource) -> nn.Module:
    """The module of a model for a data set.

    Raises:
        UserError: the model does not fit these images or this machine.
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
