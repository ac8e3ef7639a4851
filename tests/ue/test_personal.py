"""Local layers and personal models of the UEs: closed forms on quadratics, bits, and refusals."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.models.base import Model
from fl_simu.ue.training import initial_params
from tests.ue.test_drift import CURVATURES, LR, OPTIMA, STEPS, Four, quadratics, run


class TwoParts(nn.Module):
    """Two weights, each with its own copy of the same loss."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(1, 1, bias=False)
        self.head = nn.Linear(1, 1, bias=False)

    def forward(self, x):
        zeros = x.view(-1, 4)[:, :1] * 0
        return torch.cat([zeros + self.body.weight, zeros + self.head.weight], dim=1)


def two_quadratics(output, labels):
    a, b = CURVATURES.index_select(0, labels), OPTIMA.index_select(0, labels)
    return (a / 2 * (output - b.view(-1, 1)).pow(2).sum(dim=1)).mean()


@dataclass(frozen=True)
class InTwoParts(Model):
    loss = staticmethod(two_quadratics)

    def build(self, shape, classes):
        return TwoParts()


class Kept(fl.Observer):
    """The local state of each UE after the last round, and the training times."""

    def aggregated(self, record, coordinator):
        self.own = {ue: memory.own for ue, memory in coordinator.state.ues.items()}
        self.compute_s = [outcome.compute_s for outcome in record.ues]


def test_what_is_sent_is_averaged_and_what_stays_is_trained_alone():
    """tau steps with rate lr on a / 2 (w - b)^2 leave (1 - lr a)^tau of the distance to b."""
    seen, rounds = Kept(), 5
    found = quadratics("fedavg", rounds, [seen], model=InTwoParts(), local_layers=("head.*",)).model
    left = ((1 - LR * CURVATURES) ** STEPS).double()
    optima, initial = OPTIMA.double(), initial_params(TwoParts, 1)
    body = float(initial["body.weight"])
    for _ in range(rounds):
        body = float((optima + left * (body - optima)).mean())
    assert list(found) == ["body.weight"] and float(found["body.weight"]) == pytest.approx(body, abs=1e-5)
    heads = optima + left**rounds * (float(initial["head.weight"]) - optima)
    assert [float(seen.own[ue]["head.weight"]) for ue in range(3)] == pytest.approx(heads.tolist(), abs=1e-5)


def test_bits_fall_by_what_stays_both_ways():
    """An mlp of 784, 6 and 10: the last layer has 6 * 10 + 10 numbers of 32 bits, per UE and round."""
    plain, ours = run(algorithm="fedavg", rounds=3), run(algorithm="fedavg", rounds=3, local_layers=["3.*"])
    for name in ("uplink_bits", "downlink_bits"):
        assert getattr(plain.summary, name) - getattr(ours.summary, name) == 3 * 3 * 70 * 32
    assert ours.summary.virtual_time_s < plain.summary.virtual_time_s


def test_accuracy_is_the_mean_over_whole_models():
    seen = Kept()
    found = run(observers=[seen], algorithm="fedavg", local_layers=["3.*"], ues_per_round=4)
    test, module = found.experiment.data.load(None).test, found.experiment.model.build((1, 28, 28), 10)
    right = []
    for ue in range(4):
        module.load_state_dict({**found.model, **seen.own[ue]})
        right.append(float((module(test.images).argmax(dim=1) == test.labels).float().mean()))
    assert found.records[-1].accuracy == pytest.approx(sum(right) / 4, abs=1e-6)


def test_ditto_trains_the_global_model_as_fedavg_and_its_own_one_to_its_fixed_point():
    """a (v - b) + s (v - w) = 0, with w at rest."""
    strength, seen = 0.5, Kept()
    plain, ours = quadratics("fedavg", 200), quadratics({"name": "ditto", "strength": strength}, 200, [seen])
    assert ours.summary.model_sha256 == plain.summary.model_sha256
    assert ours.summary.uplink_bits == plain.summary.uplink_bits
    w = float(plain.model["layer.weight"][0, 0])
    wanted = (CURVATURES * OPTIMA + strength * w) / (CURVATURES + strength)
    for ue in range(3):
        assert seen.own[ue]["layer.weight"].view(-1).tolist() == pytest.approx([float(wanted[ue])] * 4, abs=1e-4)
    assert seen.compute_s == [2.0] * 3


def test_without_a_pull_a_model_of_its_own_is_trained_alone():
    seen, rounds = Kept(), 3
    quadratics({"name": "ditto", "strength": 0.0}, rounds, [seen])
    start = float(initial_params(Four, 1)["layer.weight"][0, 0])
    alone = OPTIMA + (1 - LR * CURVATURES) ** (STEPS * rounds) * (start - OPTIMA)
    found = [float(seen.own[ue]["layer.weight"][0, 0]) for ue in range(3)]
    assert found == pytest.approx(alone.tolist(), abs=1e-5)


def test_a_malicious_ue_spoils_the_global_model_and_no_model_of_its_own():
    """The own model of a benign UE without a pull is the same as without the attack."""
    changes = {"algorithm": {"name": "ditto", "strength": 0.0}, "ues_per_round": 4}
    plain, seen = Kept(), Kept()
    honest = run(observers=[plain], **changes)
    spoiled = run(observers=[seen], attack={"name": "sign_flip", "malicious": 1}, **changes)
    assert spoiled.summary.model_sha256 != honest.summary.model_sha256
    for ue in range(3):
        assert all(torch.equal(one, seen.own[ue][name]) for name, one in plain.own[ue].items())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"local_layers": ["4.*"]}, r"local_layers = '4\.\*' is not allowed: names of the model's tensors"),
        ({"local_layers": ["*"]}, r"local_layers = \['\*'\] is not allowed: at least one tensor that is sent"),
        ({"local_layers": ["3.*"], "algorithm": "scaffold"}, "with algorithm fedavg or fedprox only"),
        ({"local_layers": ["3.*"], "attack": {"name": "sign_flip"}}, "with no attack only"),
    ],
)
def test_what_does_not_fit_is_refused(changes, told):
    with pytest.raises(UserError, match=told):
        run(**{"algorithm": "fedavg", **changes})
