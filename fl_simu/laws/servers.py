"""The laws of server optimisers. Each takes models: the first global model, then the result of each round."""

from typing import Iterator, NamedTuple, Sequence

import torch

from fl_simu.kernel.parameters import Params
from fl_simu.laws.aggregations import model
from fl_simu.laws.base import Inputs, Law, copied, finite, left_alone, same, same_params, same_structure
from fl_simu.station.server.base import ServerOptimizer


class Step(NamedTuple):
    """One round: the model before it, the state and the model after it."""

    current: Params
    after: Params
    model: Params


def steps(server: ServerOptimizer, models: Sequence[Params]) -> Iterator[Step]:
    """One round after the other."""
    current = copied(models[0])
    state = server.start(current)
    for version, combined in enumerate(models[1:]):
        after, following = server.step(state, current, combined, version)
        yield Step(current, after, following)
        state, current = after, following


def a_step_leaves_what_it_is_given_alone(server: ServerOptimizer, models: Sequence[Params]) -> None:
    current = copied(models[0])
    state = server.start(current)
    left_alone("the model that it starts with", [current], models[:1])
    for version, combined in enumerate(models[1:]):
        given = (state, current, combined)
        before = [copied(one) for one in given]
        state, current = server.step(*given, version)
        left_alone("the state, the current model, what was combined", given, before)


def the_next_model_is_finite_and_of_the_same_structure(server: ServerOptimizer, models: Sequence[Params]) -> None:
    for step in steps(server, models):
        same_structure("the next model", step.model, step.current)
        finite("the next model", step.model)


def the_state_keeps_its_structure_and_is_finite(server: ServerOptimizer, models: Sequence[Params]) -> None:
    """A checkpoint with other tensors than those of `start` is refused."""
    wanted = server.start(models[0])
    for step in steps(server, models):
        same("the names of the state", sorted(step.after), sorted(wanted))
        same_structure("the state", {name: step.after[name] for name in wanted}, wanted)
        finite("the state", step.after)


def the_same_models_give_the_same_step(server: ServerOptimizer, models: Sequence[Params]) -> None:
    """Its complete memory is in the state."""
    first = [(copied(step.after), copied(step.model)) for step in steps(server, models)]
    for step, (state, following) in zip(steps(server, models), first):
        same_params("the state, the second time,", step.after, state)
        same_params("the next model, the second time,", step.model, following)


def courses(server: ServerOptimizer) -> Inputs:
    """Rounds that move the model, rounds that do not, and edge cases of models."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in model(0).items()}
    tiny = {name: tensor / 1e30 if tensor.dtype.is_floating_point else tensor for name, tensor in model(1).items()}
    return {
        "four rounds": ([model(seed) for seed in range(5)],),
        "rounds that change nothing": ([model(1)] * 4,),
        "zeros and tiny numbers": ([zeros, tiny, zeros, zeros],),
    }


LAWS = tuple(
    Law(law, courses)
    for law in (
        a_step_leaves_what_it_is_given_alone,
        the_next_model_is_finite_and_of_the_same_structure,
        the_state_keeps_its_structure_and_is_finite,
        the_same_models_give_the_same_step,
    )
)
