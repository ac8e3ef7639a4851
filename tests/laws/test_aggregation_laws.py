"""What every aggregation rule must do. A new rule is tested here as soon as it is registered."""

import math

import pytest
import torch

from fl_simu.kernel.messages import Aggregate, Taken, Update
from fl_simu.kernel.parameters import all_finite, structure_of
from fl_simu.loop.flight import InFlight
from fl_simu.station.aggregation import AGGREGATIONS
from fl_simu.uplink.bits import FixedBits
from fl_simu.uplink.channels.constant import Constant
from fl_simu.uplink.codecs.affine import Affine
from fl_simu.uplink.codecs.float16 import Float16
from fl_simu.uplink.codecs.float32 import Float32
from fl_simu.uplink.codecs.top_k import TopK
from fl_simu.uplink.link import PAYLOADS, Link
from fl_simu.uplink.sizes import RealBytes

CASES = [pytest.param(rule(), id=name) for name, rule in AGGREGATIONS.items()]


def params(seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": torch.randn(3, 2, generator=generator),
        "scalar": torch.randn((), generator=generator),
        "empty": torch.zeros(0, 4),
        "num_batches_tracked": torch.tensor(seed),
    }


def updates(count=4):
    return [Update(ue, 0, 10 + ue, params(ue)) for ue in range(count)]


@pytest.mark.parametrize("rule", CASES)
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_the_result_has_the_structure_of_the_model(rule, count):
    current = params(9)
    assert structure_of(rule.combine(current, iter(updates(count)), 4)) == structure_of(current)


@pytest.mark.parametrize("rule", CASES)
def test_models_that_all_agree_with_the_current_one_change_nothing(rule):
    current = params(9)
    result = rule.combine(current, iter([Update(ue, 0, 5, params(9)) for ue in range(7)]), 7)
    for name, tensor in current.items():
        assert torch.allclose(result[name].double(), tensor.double(), atol=1e-6)


@pytest.mark.parametrize("rule", CASES)
def test_what_goes_in_is_left_alone(rule):
    current, given = params(9), updates(7)
    rule.combine(current, iter(given), 7)
    for held, fresh in [(current, params(9))] + [(update.params, params(update.ue)) for update in given]:
        assert all(torch.equal(held[name], fresh[name]) for name in fresh)


@pytest.mark.parametrize("rule", CASES)
def test_every_update_is_asked_for_once(rule):
    """An upload is decoded as the rule asks for it, and both sides then remember of it what they need."""
    asked = []
    rule.combine(params(9), (asked.append(update.ue) or update for update in updates(7)), 7)
    assert asked == list(range(7))


LIKE = {"weight": torch.ones(3, 2), "count": torch.tensor(3)}
LARGEST = torch.finfo(torch.float32).max
SPOILT = {
    "NaN": dict(LIKE, weight=torch.tensor([[math.nan, 1.0]] * 3)),
    "Inf": dict(LIKE, weight=torch.tensor([[math.inf, 1.0]] * 3)),
    "-Inf": dict(LIKE, weight=torch.full((3, 2), -math.inf)),
    "turned": dict(LIKE, weight=torch.ones(2, 3)),
    "too short": dict(LIKE, weight=torch.ones(1)),
    "too many": dict(LIKE, more=torch.ones(1)),
    "too few": {"weight": LIKE["weight"]},
    "other numbers": dict(LIKE, weight=torch.ones(3, 2, dtype=torch.float64)),
    # Its difference from the global model, or the sum of both, is more than a float32 holds.
    "vast": dict(LIKE, weight=torch.tensor([[LARGEST, -LARGEST]] * 3)),
}
LINKS = [
    Link(codec, Constant(1.0), RealBytes(), payload, 1)
    for codec in (Float32(), Float16(), Affine(2, (2,)), TopK(0.5))
    for payload in PAYLOADS
]


@pytest.mark.parametrize("rule", CASES)
@pytest.mark.parametrize("spoilt", sorted(SPOILT))
@pytest.mark.parametrize("scale", [1.0, LARGEST])
def test_nothing_spoilt_reaches_the_model(rule, spoilt, scale):
    current = {"weight": torch.linspace(-1, 1, 6).view(3, 2) * scale, "count": torch.tensor(1)}
    good = {"weight": current["weight"] * 0.9, "count": torch.tensor(2)}
    for link in LINKS:
        flight, models = InFlight(link, FixedBits()), [good] * 6 + [SPOILT[spoilt]]
        for ue, model in enumerate(models):
            flight.begin(ue, 0, 0.0, 1.0, True, current)
            assert flight.receive(ue, model) or model is SPOILT[spoilt]
        taken = tuple(Taken(ue, 1) for ue in sorted(flight.layers))
        merged = rule.combine(current, flight.updates(Aggregate(taken), dict.fromkeys(range(7), 10)), 7)
        assert structure_of(merged) == structure_of(current) and all_finite(merged)
        if spoilt != "vast":
            assert flight.outcome(6, 0, 9.0).reason == (
                "not finite" if "N" in spoilt or "I" in spoilt else "wrong shape"
            )
