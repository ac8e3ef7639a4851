"""For every law, a part that breaks it but none of the laws that are checked earlier."""

import dataclasses
import itertools
import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fl_simu.attacks.poisoning.base import NoAttack
from fl_simu.data.datasets import Dataset, DataSource, Samples
from fl_simu.data.partition import Iid
from fl_simu.kernel.errors import BadField
from fl_simu.kernel.messages import Aggregate, Taken, WakeAt
from fl_simu.kernel.randomness import briefly
from fl_simu.meters import Energy
from fl_simu.models import Mlp
from fl_simu.privacy import NoPrivacy
from fl_simu.privacy.secure import NoSecureAggregation, PairwiseMasks
from fl_simu.radio.allocation import Equal
from fl_simu.radio.bits import FixedBits
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.delays import RateAtStart
from fl_simu.radio.downlink import Unicast
from fl_simu.radio.losses import Carried, NoLoss
from fl_simu.radio.media import SharedBand
from fl_simu.radio.media.base import Arrival
from fl_simu.radio.sizes import RealBytes
from fl_simu.results.columns import Column
from fl_simu.station.aggregation.means import Mean
from fl_simu.station.protocols import WaitForAll
from fl_simu.station.selection import RandomDraw
from fl_simu.station.server import Replace
from fl_simu.topology import Edges
from fl_simu.topology.base import Backhaul
from fl_simu.ue.algorithms import FedProx, Scaffold
from fl_simu.ue.compute import Compute, ConstantCompute, CyclesCompute
from fl_simu.ue.faults import NoFaults
from fl_simu.ue.optimizers import Sgd, uncompiled
from fl_simu.ue.schedules import Exponential
from fl_simu.ue.transforms import Clip
from fl_simu.ue.work import FullWork, Work

# A different number at each call, which no part may use.
CALLS = itertools.count(1)


def part(parent, **methods):
    """A part like its parent except for some methods; no config can name its class."""
    return dataclass(frozen=True)(type("Broken", (parent,), {"__qualname__": "<Broken>", **methods}))()


def each(params, change):
    return {name: change(tensor) for name, tensor in params.items()}


class Loose(Compute):
    def time_s(self, seed, ue, round, work):
        return 1.0


@dataclass(frozen=True, eq=False)
class Unequal(Loose):
    pass


@dataclass(frozen=True)
class Mistyped(ConstantCompute):
    number: int = 1.5


def codec(**methods):
    return part(Float32, **methods)


def releasing(change):
    return part(NoPrivacy, release=lambda self, state, round, combined: change(state, combined))


def decoding(change):
    return codec(decode=lambda self, layers, structure: each(Float32.decode(self, layers, structure), change))


def turned(self, seed, ue, round, start_s):
    draws = briefly(seed, "channel", ue, round)
    while True:
        start_s += 1
        yield draws.random(), start_s


def channel(*pieces, **methods):
    """A channel with these rates and the time after the start at which each ends."""

    def rates(self, seed, ue, round, start_s):
        return ((rate, start_s + length_s) for rate, length_s in pieces)

    return part(Channel, **{"pieces": rates, **methods})


def before_the_start(self, *upload):
    return (upload[-2] - 1,) * len(upload[-1])


def sooner_with_more(self, *upload):
    return (upload[-2] + 1 / (1 + sum(upload[-1])),) * len(upload[-1])


def times(factor, parent):
    return lambda self, *upload: factor * parent.carried_mbit(self, *upload)


def model(change):
    """A model whose module differs from an MLP."""
    return part(Mlp, build=lambda self, shape, classes: change(Mlp.build(self, shape, classes)))


class Shifted(nn.Module):
    """Adds a number that is not in the state_dict, and optionally one that is drawn each time."""

    def __init__(self, module, drawn):
        super().__init__()
        self.module, self.shift, self.drawn = module, torch.rand(1), drawn

    def forward(self, images):
        return self.module(images) + self.shift + (torch.rand(1) if self.drawn else 0)


def with_an_unused_parameter(module):
    module.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    return module


def moved(module):
    for parameter in module.parameters():
        parameter.data.add_(next(CALLS))
    return module


class Small(DataSource):
    name, shape, classes = "small", (1, 2, 2), 3

    def load(self, data_dir=None):
        samples = Samples(torch.zeros(4, *self.shape), torch.tensor([0, 1, 2, 0]))
        return Dataset(self.name, samples, samples, self.classes, "this file")


def growing(self, data_dir=None):
    found = Small.load(self)
    return dataclasses.replace(found, test=Samples(found.test.images + next(CALLS), found.test.labels))


class MovesAll(uncompiled(torch.optim.SGD)):
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.data.add_(1)


def optimizer(make):
    return part(Sgd, build=lambda self, parameters, fast=False: make(parameters))


def refuses(self, labels, ues, rng):
    raise BadField("ues", ues, "another number")


def poisoning(change):
    return part(NoAttack, poison=lambda self, known: each(known.params, change))


BROKEN = {
    "compute": {
        "a part is a frozen dataclass": Loose(),
        "equal fields make equal parts": Unequal(),
        "made again from its table it is equal": Mistyped(),
        "a time is finite and not negative": part(ConstantCompute, time_s=lambda self, *link: math.inf),
        "asked again a time is the same": part(ConstantCompute, time_s=lambda self, *link: next(CALLS)),
        "a processor takes the time that is told": part(CyclesCompute, time_s=lambda self, *link: 1.0),
    },
    "faults": {
        "a ue works or does not": part(NoFaults, works=lambda self, *link: "yes"),
        "asked again a ue works as before": part(NoFaults, works=lambda self, *link: next(CALLS) // 4 % 2 == 0),
        "several ues work as each of them does": part(
            NoFaults, working=lambda self, seed, ues, round: np.zeros(len(ues), dtype=bool)
        ),
        "what it keeps of a ue survives a checkpoint": part(NoFaults, spent=lambda self, *known: Work(1, 1, 1)),
    },
    "secure": {
        "a sum is the sum or stays sealed": part(PairwiseMasks, seal=lambda self, codes, *about: codes),
        "what is sent has as many bits": part(
            NoSecureAggregation, seal=lambda self, codes, *about: codes.astype(np.int64)
        ),
        "traffic is no less than nothing": part(NoSecureAggregation, uplink_bits=lambda self, ues: -1),
    },
    "work": {
        "a ue makes at least one step": part(FullWork, steps=lambda self, *about: 0),
        "asked again a ue makes as many steps": part(FullWork, steps=lambda self, *about: next(CALLS) + 1),
    },
    "schedule": {
        "a factor is finite and not negative": part(Exponential, factor=lambda self, round: -1.0),
        "a round has one factor": part(Exponential, factor=lambda self, round: float(next(CALLS))),
    },
    "codec": {
        "encoding leaves the params alone": codec(
            encode=lambda self, params, draws: Float32.encode(self, each(params, torch.Tensor.zero_), draws)
        ),
        "lengths follow from the structure alone": codec(
            encode=lambda self, params, draws: tuple(map(zlib.compress, Float32.encode(self, params, draws)))
        ),
        "bits are those of each layer or of none": codec(layer_bits=lambda self, dtype=None: (1, 1)),
        "any prefix decodes to finite params of the same structure": decoding(lambda one: one.float()),
        "integers and booleans come back exactly": decoding(
            lambda one: one if one.dtype.is_floating_point else torch.zeros_like(one)
        ),
        "the same draws give the same layers": decoding(
            lambda one: one * (next(CALLS) % 7 / 7) if one.dtype.is_floating_point else one
        ),
    },
    "channel": {
        "time goes on without end": channel((1.0, 1.0), (2.0, 5.0)),
        "rates are finite and not negative": channel((-1.0, math.inf)),
        "asked again a link tells the same": channel(
            pieces=lambda self, seed, ue, round, start_s: iter([(next(CALLS), math.inf)])
        ),
        "links that are asked in turn do not disturb one another": channel(pieces=turned),
        "the rate at a moment does not depend on the start": channel((1.0, 0.5), (2.0, math.inf)),
        "a power that is told is finite and told again": channel(
            (1.0, math.inf), transmit_w=lambda self, *link: float(next(CALLS))
        ),
        "arrivals ascend from the start": channel((1.0, math.inf), arrivals_s=before_the_start),
        "a larger load does not arrive earlier": channel((1.0, math.inf), arrivals_s=sooner_with_more),
        "what is on the air grows up to the load": channel((1.0, math.inf), carried_mbit=times(2, Channel)),
        "what has arrived has been carried": channel((1.0, math.inf), carried_mbit=times(0.5, Channel)),
        "many links at once are as one after the other": channel(
            (1.0, math.inf), carried_of=lambda self, *links: 2 * Channel.carried_of(self, *links)
        ),
    },
    "delay": {
        "arrivals ascend from the start": part(RateAtStart, arrivals_s=before_the_start),
        "a larger load does not arrive earlier": part(RateAtStart, arrivals_s=sooner_with_more),
        "what is on the air grows up to the load": part(RateAtStart, carried_mbit=times(2, RateAtStart)),
    },
    "loss": {
        "a layer is sent whole and arrives or does not": part(
            NoLoss, carry=lambda self, size_bits, draws: Carried(size_bits // 2, True)
        ),
        "the same draws give the same fate": part(
            NoLoss, carry=lambda self, size_bits, draws: Carried(size_bits + next(CALLS), True)
        ),
    },
    "cast": {
        "every ue is in one group": part(Unicast, groups=lambda self, ues: [tuple(ues), tuple(ues)]),
        "asked again the groups are the same": part(
            Unicast, groups=lambda self, ues: [tuple(ues)] if next(CALLS) % 4 < 2 else [(ue,) for ue in ues]
        ),
    },
    "bits": {"a choice is a number of bits or 0": part(FixedBits, choose=lambda self, outlook: 17)},
    "size": {
        "each layer is charged bits": part(RealBytes, layer_bits=lambda self, codec, structure: ()),
        "more bits are no smaller load": part(RealBytes, load_mbit=lambda self, bits: 1 / (1 + bits)),
    },
    "protocol": {
        "the same state and event give the same answer": part(
            WaitForAll, on=lambda self, state, event: (state, (WakeAt(next(CALLS), 0),))
        ),
        "a checkpoint holds the state": part(WaitForAll, state_classes=()),
        "every round ends": part(WaitForAll, decided=lambda self, standing, now_s: False),
        "each ue is settled once": part(WaitForAll, close=lambda self, state: Aggregate((), state.ues, state.ues)),
        "after an aggregation the state is one that may be": part(WaitForAll, settled=lambda self, *run: False),
        "only what has arrived is taken": part(
            WaitForAll, close=lambda self, state: Aggregate(tuple(Taken(ue, 2) for ue in state.ues))
        ),
        "older uploads stand in for those who do not send": part(
            WaitForAll, close=lambda self, state: Aggregate((), (), state.ues)
        ),
    },
    "selection": {
        "it takes idle ues once each and no more than are free": part(
            RandomDraw, choose=lambda self, state, view, free: (state, tuple(view.samples)[:free])
        ),
        "the same state and view give the same choice": part(
            RandomDraw, choose=lambda self, state, view, free: (next(CALLS), ())
        ),
        "who is chosen counts something": part(RandomDraw, weight=lambda self, state, ue: 0.0),
        "a checkpoint holds the state": part(
            RandomDraw, start=set, choose=lambda self, state, view, free: (state, ())
        ),
    },
    "aggregation": {
        "what goes in is left alone": part(
            Mean, combine=lambda self, current, updates, drawn: each(current, torch.Tensor.zero_)
        ),
        "the result is finite and of the structure of the model": part(
            Mean, combine=lambda self, current, updates, drawn: each(current, torch.Tensor.double)
        ),
        "the same updates give the same model": part(
            Mean, combine=lambda self, current, updates, drawn: each(current, lambda one: one + next(CALLS))
        ),
        "every update is asked for once": part(Mean, combine=lambda self, current, updates, drawn: current),
        "models that agree with the current one change nothing": part(
            Mean, combine=lambda self, current, updates, drawn: each(current, lambda one: one * len(list(updates)))
        ),
        "the mean by the weights that it tells is all it needs": part(
            Mean, weight_of=lambda self, update: float(update.ue)
        ),
    },
    "server": {
        "a step leaves what it is given alone": part(
            Replace, step=lambda self, state, current, *round: (state, each(current, torch.Tensor.zero_))
        ),
        "the next model is finite and of the same structure": part(
            Replace, step=lambda self, state, *round: (state, {})
        ),
        "the state keeps its structure and is finite": part(
            Replace, step=lambda self, state, current, *round: (current, current)
        ),
        "the same models give the same step": part(
            Replace,
            step=lambda self, state, current, *round: (state, each(current, lambda one: one + next(CALLS))),
        ),
    },
    "algorithm": {
        "a correction leaves what it is given alone": part(
            FedProx, correction=lambda self, params, *more: each(params, lambda one: one.add_(1))
        ),
        "a correction has names and shapes of parameters": part(
            FedProx, correction=lambda self, params, *more: {"other": torch.zeros(1)}
        ),
        "the same parameters give the same correction": part(
            FedProx, correction=lambda self, params, *more: each(params, lambda one: one + next(CALLS))
        ),
        "who does not correct adds nothing": part(FedProx, corrects=False),
        "a stack of two ues is corrected as each of them": part(
            FedProx, correction=lambda self, params, *more: each(params, lambda one: one - one.sum())
        ),
        "a round ends with what was said it would": part(
            Scaffold, finish=lambda self, work, memory, shared: (shared, {"other": shared["control"]})
        ),
        "who says that nobody remembers is asked nothing": part(Scaffold, remembers=False),
        "what the bs has keeps its structure": part(Scaffold, gather=lambda self, station, round: (station, {})),
    },
    "medium": {
        "everything arrives and time never goes back": part(
            SharedBand, plan=lambda self, state, *where: (state, Arrival(-1.0, 0))
        ),
        "a plan is pure": part(
            SharedBand,
            plan=lambda self, *where: (lambda band, first: (band._replace(at_s=next(CALLS)), first))(
                *SharedBand.plan(self, *where)
            ),
        ),
        "a medium survives a checkpoint": part(SharedBand, state_classes=()),
        "what was sent grows from nothing to the load": part(
            SharedBand, sent_mbit=lambda self, state, link, upload, now_s: 1 / (1 + now_s)
        ),
        "a ue is on the air for no longer than it sends": part(
            SharedBand, airtime_s=lambda self, state, link, upload, now_s: now_s
        ),
        "who leaves sends no longer": part(SharedBand, leave=lambda self, state, *who: state),
    },
    "allocator": {
        "shares are of one band": part(Equal, shares=lambda self, loads, rates: dict.fromkeys(loads, 0.6)),
        "shares are of one band whatever layers are left": part(
            Equal, divide=lambda self, senders: {ue: float(not one.arrived) for ue, one in senders.items()}
        ),
        "asked again the shares are the same": part(
            Equal, shares=lambda self, loads, rates: dict.fromkeys(loads, 1 / (len(loads) + next(CALLS)))
        ),
    },
    "transforms": {
        "an update keeps its structure": part(Clip, apply=lambda self, update, *known: ({}, None)),
        "what it is given is left alone": part(
            Clip, apply=lambda self, update, *known: (each(update, lambda one: one.add_(1)), None)
        ),
        "the same update gives the same again": part(
            Clip, apply=lambda self, update, *known: (each(update, lambda one: one + next(CALLS)), None)
        ),
        "a memory survives a checkpoint": part(
            Clip,
            apply=lambda self, update, context, memory: (update, memory),
            settled=lambda self, memory, sent, decoded: Work(1, 1, 1),
        ),
        "before its first upload a ue is not silent": part(Clip, silent=lambda self, *known: True),
    },
    "meters": {
        "columns say their unit and how they add up": part(
            Energy, columns={"energy_j": Column("J", "energy", "mean")}
        ),
        "its numbers are those of its columns": part(Energy, columns={"joule": Column("J", "energy")}),
        "asked again its numbers are the same": part(
            Energy, upload=lambda self, view: {"energy_j": float(next(CALLS))}
        ),
    },
    "privacy": {
        "what goes in is left alone": releasing(lambda state, model: (state, each(model, torch.Tensor.zero_), {})),
        "the model is finite and keeps its structure": releasing(
            lambda state, model: (state, each(model, torch.Tensor.double), {})
        ),
        "its numbers are those of its columns": releasing(lambda state, model: (state, model, {"spent": 1.0})),
        "epsilon never falls": part(
            NoPrivacy,
            columns={"epsilon": Column("", "privacy loss")},
            release=lambda self, state, round, model: (state, model, {"epsilon": 1.0 / (1 + round.version)}),
        ),
        "the same rounds give the same again": releasing(
            lambda state, model: (state, each(model, lambda one: one + next(CALLS)), {})
        ),
    },
    "partition": {
        "sixty thousand samples suffice for two ues": part(Iid, split=refuses),
        "every ue gets indices of samples": part(Iid, split=lambda self, labels, ues, rng: [np.arange(3.0)] * ues),
        "the same draws deal the same": part(
            Iid, split=lambda self, labels, ues, rng: [np.array([next(CALLS) % len(labels)])] * ues
        ),
        "the labels are left alone": part(
            Iid, split=lambda self, labels, ues, rng: labels.fill(1) or Iid.split(self, labels, ues, rng)
        ),
        "ues hold as many samples of the same shape": part(
            Iid, as_held=lambda self, samples, parts, seed: samples.images.add_(1.0) is None or samples
        ),
        "with the same seed ues hold the same": part(
            Iid,
            as_held=lambda self, samples, parts, seed: dataclasses.replace(
                samples, images=samples.images + next(CALLS)
            ),
        ),
    },
    "topology": {
        "it deals some number of ues": part(Edges, check=lambda self, ues: refuses(self, None, ues, None)),
        "every ue is of one edge": part(
            Edges, groups=lambda self, labels, seed: ((0,), tuple(range(len(labels))))
        ),
        "edges get as many ues as it says": part(Edges, sizes=lambda self, ues: (ues,)),
        "with the same seed it deals the same": part(
            Edges, groups=lambda self, labels, seed: Edges(deal="random").groups(labels, next(CALLS))
        ),
        "edges make rounds": part(Edges, rounds_each=0),
        "more bits take no less time to the cloud": part(
            Edges, backhaul=lambda self, edge, load_mbit: Backhaul(1 / load_mbit)
        ),
        "a weight is finite and not negative": part(Edges, weight=lambda self, samples, accepted: accepted - 1),
    },
    "model": {
        "it scores each class": model(lambda module: nn.Identity()),
        "its loss has a gradient in every parameter": model(with_an_unused_parameter),
        "in evaluation it tells the same again": model(lambda module: Shifted(module, True)),
        "initial weights follow from torchs seed": model(moved),
        "a state dict carries the whole module": model(lambda module: Shifted(module, False)),
    },
    "data": {
        "images and labels are as it says": part(Small, classes=2),
        "loaded again the data are the same": part(Small, load=growing),
    },
    "optimizer": {
        "a parameter without a gradient stays": optimizer(lambda parameters: MovesAll(parameters, lr=0.1)),
        "two of them take the same steps": optimizer(lambda parameters: Sgd(lr=next(CALLS)).build(parameters)),
    },
    "attack": {
        "what it knows is left alone": poisoning(torch.Tensor.zero_),
        "it sends finite params of the structure of the model": poisoning(torch.Tensor.double),
        "knowing the same it sends the same": poisoning(lambda one: one + next(CALLS)),
        "its own data are samples with labels": part(
            NoAttack, own_data=lambda self, shard, *others: shard._replace(labels=shard.labels + 10)
        ),
    },
}
