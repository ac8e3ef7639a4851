"""The laws of aggregation rules. Each takes a number of updates."""

from typing import List

import torch

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.laws.base import Inputs, Law, copied, expect, finite, left_alone, same, same_params, same_structure
from fl_simu.station.aggregation.base import Aggregation


def model(seed: int) -> Params:
    """Params with a scalar, a tensor without elements and a counter."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": torch.randn(3, 2, generator=generator),
        "scalar": torch.randn((), generator=generator),
        "empty": torch.zeros(0, 4),
        "num_batches_tracked": torch.tensor(seed),
    }


def given(count: int) -> List[Update]:
    """Updates of a number of UEs, with different numbers of samples and different weights."""
    return [Update(ue, 0, 10 + ue, model(ue), 1.0 - ue % 2 / 4, 1 + ue % 3) for ue in range(count)]


def combined(rule: Aggregation, count: int) -> Params:
    """The result of a rule for a number of updates."""
    return rule.combine(model(9), iter(given(count)), count + 1)


def what_goes_in_is_left_alone(rule: Aggregation, count: int) -> None:
    current, updates = model(9), given(count)
    rule.combine(current, iter(updates), count + 1)
    left_alone("the current model", [current], [model(9)])
    for update in updates:
        left_alone(f"the update of UE {update.ue}", [update.params], [model(update.ue)])


def the_result_is_finite_and_of_the_structure_of_the_model(rule: Aggregation, count: int) -> None:
    result = combined(rule, count)
    same_structure("the result", result, model(9))
    finite("the result", result)


def the_same_updates_give_the_same_model(rule: Aggregation, count: int) -> None:
    same_params("the second result", copied(combined(rule, count)), combined(rule, count))


def every_update_is_asked_for_once(rule: Aggregation, count: int) -> None:
    """An upload is decoded when the rule asks for it, and both sides then remember what they need of it."""
    asked: List[int] = []
    updates = given(count)
    rule.combine(model(9), (asked.append(update.ue) or update for update in updates), count + 1)  # type: ignore
    same("the order of the UEs that it asks for", asked, list(range(count)))


def models_that_agree_with_the_current_one_change_nothing(rule: Aggregation, count: int) -> None:
    """If all selected UEs are accepted; rounding of 1e-6 is allowed."""
    current = model(9)
    result = rule.combine(current, iter([Update(ue, 0, 5, model(9)) for ue in range(count)]), count)
    for name, tensor in current.items():
        near = torch.allclose(result[name].double(), tensor.double(), atol=1e-6)
        expect(near, f"{name} of the result is {result[name].tolist()}; right is {tensor.tolist()}")


def the_mean_by_the_weights_that_it_tells_is_all_it_needs(rule: Aggregation, count: int) -> None:
    """A medium that adds updates on the air gives it only that mean; a rule that needs more returns no weights."""
    updates, whole = given(count), combined(rule, count)
    weights = [weight for weight in map(rule.weight_of, updates) if weight is not None]
    if len(weights) < count:
        return
    mean = {
        name: torch.stack([weight * update.params[name].double() for weight, update in zip(weights, updates)])
        .sum(0)
        .div(sum(weights))
        .to(like.dtype)
        for name, like in model(9).items()
    }
    samples, steps = sum(one.samples for one in updates), sum(one.steps for one in updates)
    result = rule.combine(model(9), iter([Update(0, 0, samples, mean, 1.0, steps)]), count + 1)
    for name in ("weight", "scalar"):
        near = torch.allclose(result[name], whole[name], atol=1e-6)
        expect(near, f"{name} of the result is {whole[name].tolist()}, and of the mean {result[name].tolist()}")


def counts(*numbers: int) -> Inputs:
    """Numbers of updates."""
    return {f"{number} updates": (number,) for number in numbers}


LAWS = (
    *(
        Law(law, lambda rule: counts(0, 1, 4, 7))
        for law in (
            what_goes_in_is_left_alone,
            the_result_is_finite_and_of_the_structure_of_the_model,
            the_same_updates_give_the_same_model,
            every_update_is_asked_for_once,
        )
    ),
    Law(models_that_agree_with_the_current_one_change_nothing, lambda rule: counts(1, 7)),
    Law(the_mean_by_the_weights_that_it_tells_is_all_it_needs, lambda rule: counts(1, 7)),
)
