"""SCAFFOLD, FedDyn, FedNova: the right fixed point where FedAvg has a wrong one, message sizes, and resumes."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import distance
from fl_simu.models.base import Model
from fl_simu.ue.training import initial_params

# Each UE has its own loss, a / 2 (w - b)^2 in each of four weights.
CURVATURES, OPTIMA, LR, STEPS = torch.tensor([0.5, 2.0, 1.0]), torch.tensor([4.0, -1.0, 0.0]), 0.1, 6


class Four(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1, bias=False)

    def forward(self, x):
        return x.view(-1, 4) * 0 + self.layer.weight


def quadratic(output, labels):
    a, b = CURVATURES.index_select(0, labels), OPTIMA.index_select(0, labels)
    return (a / 2 * (output - b.view(-1, 1)).pow(2).sum(dim=1)).mean()


@dataclass(frozen=True)
class OwnQuadratics(Model):
    """The label of a sample is the UE whose loss counts."""

    loss = staticmethod(quadratic)

    def build(self, shape, classes):
        return Four()


def quadratics(algorithm, rounds, observers=(), steps=STEPS, counts=(2, 2, 2), **changes):
    own = {ue: (torch.zeros(n, 4), torch.full((n,), ue, dtype=torch.int64)) for ue, n in enumerate(counts)}
    parts = {
        "backend": {"name": "torch", "exact": True},
        "data": (own, (torch.zeros(len(own), 4), torch.arange(len(own)))),
        "partition": "by_ue",
        "model": OwnQuadratics(),
        "optimizer": {"name": "sgd", "lr": LR},
        "algorithm": algorithm,
        "aggregation": "plain_mean",
        "training": fl.Training(epochs=steps, batch_size=2),
        **changes,
    }
    return fl.run(fl.Experiment(rounds=rounds, ues=len(own), **parts), observers=observers)


def test_unequal_ues_meet_at_the_true_optimum_and_fedavg_where_its_bias_takes_it():
    shares = 1 - (1 - LR * CURVATURES) ** STEPS
    biased, true = ((weights * OPTIMA).sum() / weights.sum() for weights in (shares, CURVATURES))
    assert abs(biased - true) > 0.1
    for algorithm, wanted in (("fedavg", biased), ("scaffold", true), ({"name": "feddyn", "alpha": 0.5}, true)):
        weight = quadratics(algorithm, 150).model["layer.weight"]
        assert weight.view(-1).tolist() == pytest.approx([float(wanted)] * 4, abs=1e-4)


@pytest.mark.parametrize("rule", ["mean", "fednova"])
def test_unequal_steps_move_the_fixed_point_of_the_mean_and_hardly_that_of_fednova(rule):
    """2 and 20 steps with rate lr cover c = 1 - (1 - lr a)^tau of the distance to b.

    The mean stays where sum p c (w - b) is 0, FedNova where sum p c / tau (w - b) is; the optimum is where
    sum p a (w - b) is.
    """
    lr, taus = 0.01, torch.tensor([2.0, 20.0])
    a, b, p = CURVATURES[:2], OPTIMA[:2], taus / taus.sum()
    shares = 1 - (1 - lr * a) ** taus
    weights = p * (shares if rule == "mean" else shares / taus)
    wanted, true = ((each * b).sum() / each.sum() for each in (weights, p * a))
    assert abs(wanted - true) > 0.1 if rule == "mean" else abs(wanted - true) < 0.025
    changes = {"optimizer": {"name": "sgd", "lr": lr}, "training": fl.Training(batch_size=1)}
    found = quadratics("fedavg", 60, counts=(2, 20), aggregation=rule, **changes).model["layer.weight"]
    assert found.view(-1).tolist() == pytest.approx([float(wanted)] * 4, abs=1e-4)


class Variates(fl.Observer):
    def __init__(self):
        self.gaps = []

    def aggregated(self, record, coordinator):
        state = coordinator.state
        own = [state.ues[ue].algorithm["control"]["layer.weight"] for ue in range(3)]
        gap = torch.stack(own).mean(dim=0) - state.station.shared["control"]["layer.weight"]
        self.gaps.append(float(gap.abs().max()))


def test_with_everybody_there_the_variates_have_the_mean_of_the_bs():
    seen = Variates()
    quadratics("scaffold", 8, [seen])
    assert max(seen.gaps) < 1e-5 and len(seen.gaps) == 8


BASE = {
    **{"rounds": 4, "ues": 4, "ues_per_round": 3, "seed": 2, "payload": "update"},
    "backend": {"name": "torch", "exact": True},
    "algorithm": "scaffold",
    "optimizer": {"name": "sgd", "lr": 0.1},
    "data": {"name": "digits", "train_samples": 120, "test_samples": 40},
    "model": {"name": "mlp", "hidden": [6]},
    "training": {"batch_size": 8},
    "channel": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 2.0},
    "downlink": {"name": "constant", "rate_mbps": 4.0},
    "compute": {"name": "uniform", "low_s": 0.1, "high_s": 0.4},
}


def run(folder=None, observers=(), **changes):
    return fl.run(fl.Experiment.parse({**BASE, **changes}), folder, observers)


def test_it_sends_twice_as_much_both_ways_and_with_one_step_begins_as_fedavg():
    plain, ours = (run(algorithm=name, rounds=1, training={"batch_size": 64}) for name in ("fedavg", "scaffold"))
    assert ours.summary.uplink_bits == 2 * plain.summary.uplink_bits
    assert ours.summary.downlink_bits == 2 * plain.summary.downlink_bits
    assert ours.summary.model_sha256 == plain.summary.model_sha256
    assert ours.summary.virtual_time_s > plain.summary.virtual_time_s
    again = [run(algorithm=name, rounds=3).summary.model_sha256 for name in ("fedavg", "scaffold")]
    assert again[0] != again[1]


UNLIKE = {
    "scaffold": {"algorithm": "scaffold"},
    "feddyn": {"algorithm": "feddyn"},
    "ditto": {"algorithm": {"name": "ditto", "strength": 0.5}, "meters": ["fairness"]},
    "local layers": {"local_layers": ["3.*"], "algorithm": "fedprox"},
    "unequal work": {"algorithm": "fedprox", "work": {"name": "uniform", "high": 3}},
}


@pytest.mark.parametrize("changes", UNLIKE.values(), ids=UNLIKE)
def test_every_backend_trains_alike(changes, request):
    wanted, others = run(**changes), ["syft"]
    if MODERN:
        request.getfixturevalue("reused_actors")
        others.append({"name": "ray", "actors": 1, "exact": True})
    for backend in others:
        assert run(backend=backend, **changes).summary.model_sha256 == wanted.summary.model_sha256, backend
    if MODERN:
        zero = {name: torch.zeros_like(one) for name, one in wanted.model.items()}
        gap = distance(run(backend="vectorized", **changes).model, wanted.model)
        assert gap <= 1e-5 * distance(wanted.model, zero)


class Stop(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 2:
            coordinator.stop()


@pytest.mark.parametrize("changes", UNLIKE.values(), ids=UNLIKE)
@pytest.mark.parametrize("backend", ["torch", "vectorized"])
def test_it_goes_on_from_a_checkpoint_with_uploads_under_way(backend, changes, tmp_path):
    if backend == "vectorized" and not MODERN:
        pytest.skip("torch.func needs the modern stack")
    changes = {
        **changes,
        "backend": backend,
        "protocol": {"name": "buffered", "k": 2},
        "codec": "affine",
        "rounds": 6,
    }
    whole = run(**changes)
    run(tmp_path / "run", [Stop()], **changes)
    assert fl.resume(tmp_path / "run").summary.model_sha256 == whole.summary.model_sha256


def test_feddyn_sends_the_model_alone_and_is_the_papers_recursion():
    plain, ours = (run(algorithm=name, rounds=1) for name in ("fedavg", "feddyn"))
    assert ours.summary.uplink_bits == plain.summary.uplink_bits
    # Every UE takes one full-batch step per round: w_u = w - lr (a_u (w - b_u) - g_u), by hand in float64.
    alpha, lr, h, g = 0.5, LR, 0.0, [0.0] * 3
    seen = Weights()
    quadratics({"name": "feddyn", "alpha": alpha}, 6, [seen], steps=1)
    w = float(initial_params(Four, 1)["layer.weight"][0, 0])
    for found in seen.weights:
        local = [w - lr * (a * (w - b) - own) for a, b, own in zip(CURVATURES.tolist(), OPTIMA.tolist(), g)]
        g = [own - alpha * (one - w) for own, one in zip(g, local)]
        h -= alpha / 3 * sum(one - w for one in local)
        w = sum(local) / 3 - h / alpha
        assert found == pytest.approx(w, abs=1e-5)


class Weights(fl.Observer):
    """The first weight after each round."""

    def __init__(self):
        self.weights = []

    def aggregated(self, record, coordinator):
        self.weights.append(float(coordinator.model["layer.weight"][0, 0]))


def test_other_optimisers_are_refused():
    for optimizer in ("adam", {"name": "sgd", "momentum": 0.5}):
        with pytest.raises(UserError, match=r"algorithm\.name = 'scaffold' is not allowed"):
            run(optimizer=optimizer)
        with pytest.raises(UserError, match=r"aggregation\.name = 'fednova' is not allowed: .* optimizer sgd"):
            run(optimizer=optimizer, algorithm="fedavg", aggregation="fednova")


@pytest.mark.parametrize(
    "changes",
    [{"algorithm": "fedprox"}, {"protocol": {"name": "buffered", "k": 2}}, {"protocol": "event_triggered"}],
)
def test_fednova_needs_plain_steps_from_the_present_model(changes):
    with pytest.raises(UserError, match=r"aggregation\.name = 'fednova' is not allowed"):
        run(**{"algorithm": "fedavg", "aggregation": "fednova", **changes})
