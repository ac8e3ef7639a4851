"""What every aggregation rule must do. A new rule is tested here as soon as it is registered."""

import pytest
import torch

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import structure_of
from fl_simu.station.aggregation import AGGREGATIONS

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
@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_result_has_the_structure_of_the_model(rule, count):
    current = params(9)
    assert structure_of(rule.combine(current, iter(updates(count)), 4)) == structure_of(current)


@pytest.mark.parametrize("rule", CASES)
def test_models_that_all_agree_with_the_current_one_change_nothing(rule):
    current = params(9)
    result = rule.combine(current, iter([Update(ue, 0, 5, params(9)) for ue in range(4)]), 4)
    for name, tensor in current.items():
        assert torch.allclose(result[name].double(), tensor.double(), atol=1e-6)


@pytest.mark.parametrize("rule", CASES)
def test_what_goes_in_is_left_alone(rule):
    current, given = params(9), updates()
    rule.combine(current, iter(given), 4)
    for held, fresh in [(current, params(9))] + [(update.params, params(update.ue)) for update in given]:
        assert all(torch.equal(held[name], fresh[name]) for name in fresh)


@pytest.mark.parametrize("rule", CASES)
def test_every_update_is_asked_for_once(rule):
    """An upload is decoded as the rule asks for it, and both sides then remember of it what they need."""
    asked = []
    rule.combine(params(9), (asked.append(update.ue) or update for update in updates()), 4)
    assert asked == [0, 1, 2, 3]
