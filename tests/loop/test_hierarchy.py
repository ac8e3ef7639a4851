"""UEs, edges, a cloud: the flat special case; time, energy and fixed points by hand; resumes, refusals."""

import json
import math
import signal
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from children import run_and_die
from torch import nn

import fl_simu as fl
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.messages import LayerArrived, Ready, Woke
from fl_simu.kernel.parameters import distance, sha256
from fl_simu.loop.assemble import assemble
from fl_simu.loop.hierarchy import AmongItsOwn, postpone
from fl_simu.loop.plan import load_data, plan
from fl_simu.loop.resuming import read, restore, snapshot
from fl_simu.models.base import Model
from fl_simu.station.selection import SELECTIONS
from fl_simu.station.selection.base import Settled, View
from fl_simu.topology import Edges
from fl_simu.ue.compute import Compute

BASE = {
    **{"rounds": 4, "ues": 6, "ues_per_round": 3, "seed": 5, "payload": "update", "model": "logistic_regression"},
    "backend": {"name": "torch", "exact": True},
    "data": {"name": "digits", "train_samples": 130, "test_samples": 30},
    "optimizer": {"name": "sgd", "lr": 0.3},
    "compute": {"name": "uniform", "low_s": 0.1, "high_s": 0.4},
    "channel": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 2.0},
    "codec": {"name": "affine", "base_bits": 4, "enhancement_bits": [4]},
}
ONE = {"name": "edges", "edges": 1}
TWO = {"name": "edges", "edges": 2, "edge_rounds": 2, "deal": "mixed", "delay_s": [0.3, 0.0], "both_ways": True}

MOMENTUM = {"keep_optimizer_state": True}
# Variants of the BS other than the plain one.
UNLIKE = {
    "plain": {},
    "late uploads, layers, drops, a downlink": {
        "protocol": {"name": "base_then_enhancement", "receive_s": 0.05, "wait_s": 0.05, "close_s": 0.45},
        "faults": {"name": "dropout", "rate": 0.2},
        "downlink": {"name": "constant", "rate_mbps": 5.0},
        "error_feedback": True,
        "training": MOMENTUM,
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "meters": ["energy", "fairness", "participation"],
    },
    "buffered": {"protocol": {"name": "buffered", "k": 2}, "selection": "age", "loss": "fixed"},
    "a shared band": {"medium": "shared_band", "selection": "round_robin", "aggregation": "median"},
    "stand-ins": {"protocol": {"name": "event_triggered", "threshold": 0.4, "absent": "last"}},
    "own layers": {"local_layers": ["*.bias"], "model": {"name": "mlp", "hidden": [5]}, "meters": ["fairness"]},
    "own models": {"algorithm": "ditto", "meters": ["fairness"], "selection": "power_of_choice"},
}


def run(folder=None, observers=(), **changes):
    return fl.run(fl.Experiment.parse({**BASE, **changes}), folder, observers)


def told(record, own=True):
    """The content of a record without wall-clock times and fields that only edges have."""
    value = json.loads(record.to_line())
    meters = {**value.pop("meters", {}), **({} if own else {"backhaul_bits": None})}
    return {**value, "wall_time_s": None, "meters": meters}


@pytest.mark.parametrize("changes", UNLIKE.values(), ids=UNLIKE)
def test_one_edge_and_a_free_backhaul_are_the_flat_run_bit_for_bit(changes):
    flat, edge = run(**changes), run(topology=ONE, **changes)
    assert edge.summary.model_sha256 == flat.summary.model_sha256
    assert [told(record, own=False) for record in edge.records] == [
        told(record, own=False) for record in flat.records
    ]
    assert np.array_equal(edge.evaluated.confusion, flat.evaluated.confusion)


@pytest.mark.parametrize("changes", UNLIKE.values(), ids=UNLIKE)
def test_edge_rounds_of_one_edge_are_rounds_of_the_flat_run_bit_for_bit(changes):
    flat, edge = run(**changes), run(**{**changes, "rounds": 2, "topology": {**ONE, "edge_rounds": 2}})
    assert edge.summary.model_sha256 == flat.summary.model_sha256
    for at, record in enumerate(edge.records):
        parts = flat.records[2 * at : 2 * at + 2]
        assert (record.time_s, record.accuracy, record.loss) == (
            parts[1].time_s,
            parts[1].accuracy,
            parts[1].loss,
        )
        assert record.ues == tuple(sorted(parts[0].ues + parts[1].ues, key=lambda outcome: outcome.ue))
        assert record.uplink_bits == sum(part.uplink_bits for part in parts)
        assert record.downlink_bits == sum(part.downlink_bits for part in parts)
        for name in ("energy_j", "wasted_energy_j"):
            if name in record.meters:
                assert record.meters[name] == pytest.approx(sum(part.meters[name] for part in parts), rel=1e-12)
        for name in ("participation_min", "participation_jain", "ue_accuracy_min"):
            assert record.meters.get(name) == parts[1].meters.get(name)


def test_edges_of_one_round_average_as_one_bs_does():
    """The mean of two edge means, weighted by samples, is the mean of all; the record has every UE."""
    changes = {"ues_per_round": 1, "ues": 4, "partition": {"name": "quantity_skew", "min_samples": 5}}
    changes.update({"rounds": 1, "ues_per_round": None, "codec": "float32", "payload": "weights"})
    changes = {name: value for name, value in changes.items() if value is not None}
    base = {name: value for name, value in BASE.items() if name != "ues_per_round"}
    flat, edges = (
        fl.run(fl.Experiment.parse({**base, **changes, "topology": topology}))
        for topology in ("flat", {"name": "edges", "edges": 2, "of_ue": [1, 0, 0, 1]})
    )
    assert distance(flat.model, edges.model) < 1e-6
    assert edges.records[0].ues == flat.records[0].ues
    # Each edge is done when its own UEs are, and the cloud when the last edge is.
    assert edges.records[0].time_s == flat.records[0].time_s


def test_time_and_energy_of_a_round_are_those_of_the_paper():
    """1 MHz, 0.5 W, gain 1e-8, noise 1e-10 W; 21,840 parameters of 32 bits; 2.4e7 cycles per local step at
    1 GHz; the path to the cloud takes ten times as long as that to the edge. kappa_1 = 6 local steps, kappa_2 = 10
    edge rounds; their product is 60."""
    rate_mbps = math.log2(1 + 0.5 * 1e-8 / 1e-10)
    upload_s, step_s = 21_840 * 32 / (rate_mbps * 1e6), 2.4e7 / 1e9
    assert (rate_mbps, upload_s, 0.5 * upload_s) == pytest.approx((5.6724, 0.12321, 0.06160), rel=1e-4)
    found = run(
        **{"rounds": 2, "ues": 4, "ues_per_round": 2, "codec": "float32", "seed": 1},
        model={"name": "mlp", "hidden": [4, 1246]},
        data={"name": "digits", "train_samples": 40, "test_samples": 10},
        training={"epochs": 6, "batch_size": 10},
        compute={"name": "cycles", "cycles_per_sample": 2.4e6, "low_hz": 1e9, "high_hz": 1e9},
        channel={"name": "constant", "rate_mbps": rate_mbps},
        meters=[{"name": "energy", "kappa": 1e-28, "power_w": 0.5}],
        topology={"name": "edges", "edges": 2, "edge_rounds": 10, "delay_s": 10 * upload_s},
    )
    round_s = 10 * (6 * step_s + upload_s) + 10 * upload_s
    assert round_s == pytest.approx(3.9042, abs=1e-4)
    assert [record.time_s for record in found.records] == pytest.approx([round_s, 2 * round_s], rel=1e-9)
    # For each of two UEs at two edges in ten edge rounds.
    energy_j = 2 * 2 * 10 * (6 * 0.0024 + 0.5 * upload_s)
    assert [record.meters["energy_j"] for record in found.records] == pytest.approx([energy_j] * 2, rel=1e-9)
    assert found.records[0].meters["backhaul_bits"] == 2 * 21_840 * 32
    assert found.summary.facts["meters"]["backhaul_bits"]["value"] == 4 * 21_840 * 32
    assert len(found.records[0].ues) == found.experiment.uploads == 40


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_cloud_waits_for_the_last_edge_and_its_backhaul(both_ways):
    """Two edges with one equal UE each; the backhaul to the cloud takes 0.5 s from one, 6.28 s from the other."""
    found = run(
        **{"rounds": 2, "ues": 2, "ues_per_round": 1, "codec": "float32"},
        compute={"name": "cycles", "low_hz": 1e9, "high_hz": 1e9},
        channel={"name": "constant", "rate_mbps": 0.1},
        topology={
            **{"name": "edges", "edge_rounds": 3, "both_ways": both_ways},
            **{"delay_s": [0.5, 0.0], "rate_mbps": [math.inf, 0.04]},
        },
    )
    bits = 7850 * 32
    each_s = 2e4 * 65 / 1e9 + bits / 0.1e6
    ways_s = 0.5, bits / 0.04e6
    ends, there = [], [0.0, 0.0]
    for _ in range(2):
        ends.append(max(then_s + 3 * each_s + way_s for then_s, way_s in zip(there, ways_s)))
        there = [ends[-1] + way_s * both_ways for way_s in ways_s]
    assert [record.time_s for record in found.records] == pytest.approx(ends, rel=1e-12)
    copies = 2 * (1 + both_ways)
    assert [record.meters["backhaul_bits"] for record in found.records] == [copies * bits] * 2


# Each UE has its own loss, a / 2 (w - b)^2.
CURVATURES, OPTIMA, LR, STEPS = torch.tensor([0.5, 2.0, 1.0]), torch.tensor([4.0, -1.0, 0.0]), 0.1, 6


class One(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)

    def forward(self, x):
        return x.view(-1, 1) * 0 + self.layer.weight


def quadratic(output, labels):
    a, b = CURVATURES.index_select(0, labels), OPTIMA.index_select(0, labels)
    return (a / 2 * (output.view(-1) - b).pow(2)).mean()


@dataclass(frozen=True)
class Quadratics(Model):
    """The label of a sample says which loss counts."""

    loss = staticmethod(quadratic)

    def build(self, shape, classes):
        return One()


class Weights(fl.Observer):
    def __init__(self):
        self.weights = []

    def aggregated(self, record, coordinator):
        self.weights.append(float(coordinator.model["layer.weight"][0, 0]))


def quadratics(rounds, losses, counts=None, **changes):
    """The weight after each round, for UEs with these losses and numbers of samples."""
    counts = counts or [2] * len(losses)
    own = {
        ue: (torch.zeros(n, 1), torch.full((n,), label, dtype=torch.int64))
        for ue, (n, label) in enumerate(zip(counts, losses))
    }
    parts = {
        "backend": {"name": "torch", "exact": True},
        "data": (own, (torch.zeros(3, 1), torch.arange(3))),
        "partition": "by_ue",
        "model": Quadratics(),
        "optimizer": {"name": "sgd", "lr": LR},
        "training": fl.Training(epochs=STEPS, batch_size=max(counts)),
        **changes,
    }
    seen = Weights()
    fl.run(fl.Experiment(rounds=rounds, ues=len(own), **parts), observers=[seen])
    return seen.weights


@pytest.mark.parametrize("edge_rounds", [1, 2, 5])
def test_on_quadratics_edges_meet_where_their_means_of_contractions_do(edge_rounds):
    """A UE maps w to b + (1 - lr a)^steps (w - b). An edge's mean of such maps, k times, is the affine map
    w -> g^k w + (1 - g^k) o, and the cloud's mean of two has its fixed point at the mean of o weighted by 1 - g^k.
    If both edges have equal UEs, that is o for every k."""
    shrink = (1 - LR * CURVATURES) ** STEPS

    def edge(ues):
        g = shrink[list(ues)].mean()
        return g, ((1 - shrink) * OPTIMA)[list(ues)].mean() / (1 - g)

    def wanted(groups):
        pairs = [(len(ues) * (1 - g**edge_rounds), o) for ues in groups for g, o in [edge(ues)]]
        return float(sum(part * o for part, o in pairs) / sum(part for part, o in pairs))

    found = quadratics(60, (0, 1, 2), topology=Edges(2, edge_rounds, of_ue=(0, 1, 1)))[-1]
    assert found == pytest.approx(wanted([(0,), (1, 2)]), abs=1e-4)


@pytest.mark.parametrize("edge_rounds", [1, 3])
def test_with_alike_edges_the_number_of_edge_rounds_changes_nothing_of_the_course(edge_rounds):
    """Two edges, each with one UE of loss 0 and one of loss 1: after r edge rounds the model is the same."""
    topology = Edges(2, edge_rounds, of_ue=(0, 0, 1, 1))
    found = quadratics(6 // edge_rounds, (0, 1, 0, 1), topology=topology)
    flat = quadratics(6, (0, 1, 0, 1))
    assert found == pytest.approx(flat[edge_rounds - 1 :: edge_rounds], abs=1e-6)


def test_edges_count_by_all_samples_or_by_those_of_accepted_uploads():
    """UE 1 trains twice as long as UE 0 and is never in time: its edge keeps the cloud's model unchanged."""
    changes = {
        "compute": {"name": "cycles", "cycles_per_sample": 1e9, "low_hz": 1e9, "high_hz": 1e9},
        "protocol": {"name": "deadline", "deadline_s": 2 * STEPS + 0.5},
    }
    by_samples, by_accepted = (
        quadratics(1, (0, 1), counts=(2, 4), topology=Edges(2, weights=weights), **changes)[0]
        for weights in ("samples", "accepted")
    )
    start = quadratics(1, (0, 1), counts=(2, 4), protocol={"name": "deadline", "deadline_s": 0.1})[0]
    own = float(OPTIMA[0] + (1 - LR * CURVATURES[0]) ** STEPS * (start - OPTIMA[0]))
    assert by_accepted == pytest.approx(own, abs=1e-5)
    assert by_samples == pytest.approx((2 * own + 4 * start) / 6, abs=1e-5)


@dataclass(frozen=True)
class Slower(Compute):
    """1 s for UE 0, and 0.2 s more for each next UE."""

    def time_s(self, seed, ue, round, work):
        return 1.0 + 0.2 * ue


def test_at_an_asynchronous_edge_ues_go_on_while_it_waits_for_the_cloud():
    """UEs 0 and 1 train 1 s and 1.2 s, the backhaul takes 0.5 s, and every upload is aggregated at once.

    UE 0 is accepted at 1 s, and the cloud has a model at 1.5 s. UE 0 starts again; UE 1, which was done at 1.2 s,
    is accepted at once, and the cloud has the next model at 2 s. UE 1 starts again; UE 0 is accepted at 2.5 s, and
    the cloud has a model at 3 s. UE 0 starts again; UE 1 is done at 3.2 s."""
    changes = {
        **{"rounds": 4, "ues": 2, "ues_per_round": 2, "channel": {"name": "constant", "rate_mbps": 1e6}},
        **{"protocol": {"name": "buffered", "k": 1}, "topology": {**ONE, "delay_s": 0.5}},
    }
    experiment = fl.Experiment.parse({**BASE, **changes}).with_(compute=Slower())
    found = fl.run(experiment)
    assert [[outcome.ue for outcome in record.ues] for record in found.records] == [[0], [1], [0], [1]]
    assert [record.time_s for record in found.records] == pytest.approx([1.5, 2.0, 3.0, 3.7], abs=1e-3)
    # The upload of 1.2 s waits in the checkpoint until 1.5 s.
    checkpoint = snapshot(until(experiment, 1), {})
    resumed = until(experiment, 0)
    restore(resumed, checkpoint)
    assert resumed.edges[0].clock.next_s() == found.records[0].time_s
    resumed.run()
    assert sha256(resumed.model) == found.summary.model_sha256


def until(experiment, rounds):
    """A coordinator after this many rounds."""

    class Stop(fl.Observer):
        def aggregated(self, record, coordinator):
            if record.round == rounds:
                coordinator.stop()

    planned = plan(experiment)
    coordinator = assemble(planned, load_data(planned), [Stop()])
    if rounds:
        coordinator.run()
    return coordinator


def damaged_edge(**values):
    return lambda cloud: vars(cloud.edges[1].state).update(values)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda cloud: cloud.edges.pop(), "the edges"),
        (lambda cloud: cloud.clock.restore(1e3, []), "the time of an edge"),
        (lambda cloud: vars(cloud.state).update(taken=cloud.state.taken + 9), "how often UEs took part"),
        (damaged_edge(model={}), "the names of the model's tensors"),
        (damaged_edge(begun=-1), "the broadcasts"),
        (lambda cloud: cloud.edges[1].clock.restore(1e3, []), "the next round"),
        (lambda cloud: cloud.edges.reverse(), "the UEs of|the protocol's state|the memory"),
    ],
)
def test_a_checkpoint_with_a_damaged_edge_is_refused(damage, said):
    experiment = fl.Experiment.parse({**BASE, "topology": {**TWO, "deal": "blocks"}, "training": MOMENTUM})
    experiment = experiment.with_(optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9})
    cloud = until(experiment, 1)
    damage(cloud)
    with pytest.raises(ValueError, match=said):
        read(until(experiment, 0), snapshot(cloud, {}))


@pytest.mark.parametrize(
    "changes", [*UNLIKE.values(), {"server": "fedavgm", "stop": {"uplink_bits": 1e5}}], ids=[*UNLIKE, "server"]
)
def test_killed_in_the_middle_it_goes_on_to_the_same_model_and_records(changes, tmp_path, forked):
    experiment = fl.Experiment.parse({**BASE, "topology": TWO, **changes})
    whole = fl.run(experiment)
    (tmp_path / "mine.toml").write_text(experiment.to_toml())
    child = forked.Process(target=run_and_die, args=(str(tmp_path / "mine.toml"), str(tmp_path / "run"), 2))
    child.start()
    child.join(60)
    resumed = fl.resume(tmp_path / "run")
    assert child.exitcode == (-signal.SIGKILL if len(whole.records) > 2 else 0)
    assert resumed.summary.model_sha256 == whole.summary.model_sha256
    assert [told(record) for record in resumed.records] == [told(record) for record in whole.records]


BACKENDS = ["syft", "ray", *(["vectorized"] if MODERN else [])]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("changes", ["plain", "buffered"])
def test_every_backend_gives_the_same_model(backend, changes, request):
    if backend == "ray":
        pytest.importorskip("ray")
        request.getfixturevalue("reused_actors")
    spec = {"name": "ray", "actors": 1, "exact": True} if backend == "ray" else backend
    changes = {**UNLIKE[changes], "topology": TWO, "rounds": 2, "ues_per_round": 2, "codec": "float32"}
    wanted, found = run(**changes), run(**{**changes, "backend": spec})
    zero = {name: torch.zeros_like(one) for name, one in wanted.model.items()}
    assert distance(found.model, wanted.model) <= (backend == "vectorized") * 1e-5 * distance(wanted.model, zero)
    assert [one.time_s for one in found.records] == [one.time_s for one in wanted.records]


def test_what_arrives_while_an_edge_waits_is_dealt_with_after_it_hands_out_the_new_model():
    clock = Clock()
    for event in (LayerArrived(3.0, 1, 0, 0, 1), LayerArrived(2.0, 0, 0, 0, 1), LayerArrived(9.0, 2, 0, 0, 1)):
        clock.push(event.time_s, event)
    clock.push(2.5, Woke(2.5, -1, 0), 1)
    clock.push(1.0, Ready(1.0, 1))
    postpone(clock, 4.0)
    events = [clock.pop() for _ in range(5)]
    assert events == [
        Ready(4.0, 1),
        LayerArrived(4.0, 0, 0, 0, 1),
        LayerArrived(4.0, 1, 0, 0, 1),
        Woke(4.0, -1, 0),
        LayerArrived(9.0, 2, 0, 0, 1),
    ]


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_at_an_edge_is_that_of_a_bs_with_these_ues_alone(name):
    selection, ues = SELECTIONS[name](), (1, 4, 5, 9)
    among = AmongItsOwn(selection, ues, 7)
    state, own = among.start(), selection.start()
    for version in range(6):
        tell = [lambda ue, part=what + version: 1.0 + (3 * ue + part) % 7 for what in range(4)]
        samples = {ue: 10 + ue for ue in ues}
        view = View(3, version, 1.0 * version, samples, [1, 5, 9], *tell)
        places = [lambda at, one=one: one(ues[at]) for one in tell]
        plain = View(7, version, 1.0 * version, dict(enumerate(samples.values())), [0, 2, 3], *places)
        (state, chosen), (own, wanted) = among.choose(state, view, 2), selection.choose(own, plain, 2)
        assert chosen == tuple(ues[at] for at in wanted) and len(chosen) <= 2
        assert [among.weight(state, ue) for ue in chosen] == [selection.weight(own, at) for at in wanted]
        lasted = {ue: 1.0 + ue for ue in sorted(chosen)}
        answers = [lambda ue: np.array([1.0 + ue, 2.0]), lambda ue: 0.5 + ue]
        told = [lambda at, one=one: one(ues[at]) for one in answers]
        taken = tuple(sorted(chosen))[:1]
        heard = Settled(version + 1, 0.0, taken, lasted, *answers)
        places = {ues.index(ue): lasted_s for ue, lasted_s in lasted.items()}
        alone = Settled(version + 1, 0.0, tuple(ues.index(ue) for ue in taken), places, *told)
        state, own = among.settled(state, heard), selection.settled(own, alone)
        assert state == own


def test_a_meter_tells_how_many_ues_of_all_edges_are_empty():
    battery = {"name": "battery", "battery_j": 1e-6}
    records = run(
        topology={"name": "edges", "edges": 2},
        ues=6,
        rounds=2,
        faults=battery,
        meters=["energy", "battery"],
        protocol={"name": "deadline", "deadline_s": 9.0},
    ).records
    assert [record.meters["empty_ues"] for record in records] == [6, 6]


def test_edges_draw_apart_from_one_another():
    ues = run(topology={"name": "edges", "edges": 2, "edge_rounds": 12}, ues=12, rounds=1, ues_per_round=1).records
    drawn = [outcome.ue for outcome in ues[0].ues]
    first, second = sorted(ue for ue in drawn if ue < 6), sorted(ue - 6 for ue in drawn if ue >= 6)
    assert len(first) == len(second) == 12 and first != second


def test_ues_are_dealt_in_blocks_alike_or_mixed():
    labels = [np.array([label, label, 9]) for label in (1, 0, 1, 0, 2, 2)]
    dealt = {deal: Edges(3, deal=deal).groups(labels, 1) for deal in ("blocks", "alike", "mixed", "random")}
    assert dealt["blocks"] == ((0, 1), (2, 3), (4, 5))
    assert dealt["alike"] == ((1, 3), (0, 2), (4, 5))
    # Sorted by class, the UEs are 1, 3, 0, 2, 4, 5.
    assert dealt["mixed"] == ((1, 2), (3, 4), (0, 5))
    seen = {Edges(3, deal="random").groups(labels, seed) for seed in range(20)}
    assert len(seen) > 10 and all(sorted(sum(groups, ())) == list(range(6)) for groups in seen)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"topology": {**ONE, "edges": 7}}, r"topology\.edges = 7"),
        ({"topology": {**ONE, "edges": 3}}, r"ues_per_round = 3 .* at most the 2 UEs"),
        ({"topology": {**ONE, "edges": 2, "of_ue": [0, 1]}}, r"topology\.of_ue"),
        ({"topology": {**ONE, "edges": 2, "of_ue": [0, 0, 0, 0, 0, 2]}}, r"topology\.of_ue"),
        ({"topology": {**ONE, "edges": 2, "delay_s": [0.1, 0.2, 0.3]}}, r"topology\.delay_s"),
        ({"topology": {**ONE, "delay_s": ["x"]}}, r"topology\.delay_s = "),
        ({"topology": {**ONE, "rate_mbps": 0.0}}, r"topology\.rate_mbps"),
        ({"topology": TWO, "aggregation": {"name": "krum", "byzantine": 1}}, r"aggregation\.name"),
        ({"topology": TWO, "algorithm": "scaffold"}, r"topology\.name .* algorithm"),
        ({"topology": TWO, "attack": "sign_flip"}, r"topology\.name .* attack"),
        ({"topology": TWO, "aggregation": "plain_mean", "privacy": "gaussian"}, r"topology\.name .* privacy none"),
        (
            {"topology": TWO, "secure": "pairwise_masks", "codec": "fixed_point", "aggregation": "plain_mean"},
            r"topology\.name .* secure none",
        ),
        (
            {"topology": TWO, "protocol": {"name": "buffered", "k": 2}, "medium": "shared_band"},
            r"topology\.name .* orthogonal",
        ),
    ],
)
def test_what_is_wrong_with_several_bss_is_told_in_one_line(changes, said):
    with pytest.raises(UserError, match=said) as refusal:
        plan(fl.Experiment.parse({**BASE, **changes}))
    assert "\n" not in str(refusal.value)
