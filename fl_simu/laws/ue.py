"""The laws of a UE's parts: local work, compute times, faults, optimisers and schedules."""

import math
from typing import Any, Callable, List

import torch
from torch import Tensor

from fl_simu.laws.base import SEED, Inputs, Law, each_link, expect, same, stored_and_read
from fl_simu.ue.compute import Compute
from fl_simu.ue.faults import Faults, Spent
from fl_simu.ue.optimizers import Optimizer
from fl_simu.ue.schedules import Schedule
from fl_simu.ue.work import LocalWork, Work

# 100 samples, 2 epochs, batches of 10.
FULL = Work(100, 2, 20)


def _asked_again(ask: Callable[[int, int, int], Any], ue: int, round: int) -> None:
    """Calls for other UEs in between change nothing."""
    first = ask(SEED, ue, round)
    ask(SEED, ue + 1, round), ask(SEED + 1, ue, round), ask(SEED, ue, round + 1)
    same("what it tells when it is asked again", ask(SEED, ue, round), first)


def a_time_is_finite_and_not_negative(compute: Compute, ue: int, round: int) -> None:
    time_s = compute.time_s(SEED, ue, round, FULL)
    expect(0 <= time_s < math.inf, f"the time is {time_s} s; right is a finite one, 0 or more")


def asked_again_a_time_is_the_same(compute: Compute, ue: int, round: int) -> None:
    _asked_again(lambda seed, of, when: compute.time_s(seed, of, when, FULL), ue, round)


def a_processor_takes_the_time_that_is_told(compute: Compute, ue: int, round: int) -> None:
    """A rule that models a processor uses its time, so that time and energy are consistent."""
    processor = compute.processor(SEED, ue)
    if processor is None:
        return
    expect(processor.frequency_hz > 0, f"the frequency is {processor.frequency_hz} Hz; right is one above 0")
    time_s, takes_s = compute.time_s(SEED, ue, round, FULL), processor.time_s(FULL)
    expect(
        math.isclose(time_s, takes_s, rel_tol=1e-9),
        f"the time is {time_s} s, and its processor takes {takes_s} s; right is the same",
    )


def a_ue_makes_at_least_one_step(work: LocalWork, ue: int, round: int) -> None:
    """Even if it gets the model late or never, and if a step takes no time."""
    for step_s, waited_s in ((0.1, 0.0), (0.0, 0.0), (1e9, 0.5), (0.1, math.inf)):
        steps = work.steps(SEED, ue, round, FULL, step_s, waited_s)
        expect(
            isinstance(steps, int) and steps >= 1,
            f"with {step_s} s a step, {waited_s} s after the broadcast, it makes {steps!r} steps; "
            "right is a whole number, at least 1",
        )


def asked_again_a_ue_makes_as_many_steps(work: LocalWork, ue: int, round: int) -> None:
    _asked_again(lambda seed, of, when: work.steps(seed, of, when, FULL, 0.1, 0.0), ue, round)


def a_ue_works_or_does_not(faults: Faults, ue: int, round: int) -> None:
    works = faults.works(SEED, ue, round)
    expect(works in (True, False), f"`works` tells {works!r}; right is True or False")


def asked_again_a_ue_works_as_before(faults: Faults, ue: int, round: int) -> None:
    _asked_again(faults.works, ue, round)


def several_ues_work_as_each_of_them_does(faults: Faults, ue: int, round: int) -> None:
    ues = range(ue, ue + 120)
    told = [bool(works) for works in faults.working(SEED, ues, round)]
    same("who of several UEs works", told, [bool(faults.works(SEED, one, round)) for one in ues])


def what_it_keeps_of_a_ue_survives_a_checkpoint(faults: Faults, ue: int, round: int) -> None:
    """It is the same again for the same input."""
    kept, now_s = None, 0.0
    for number in range(5):
        powered = faults.powered(SEED, ue, kept, now_s)
        expect(powered in (True, False), f"`powered` tells {powered!r}; right is True or False")
        spent = Spent(float(powered) * (1.0 + number), now_s, now_s + 2.0)
        after = faults.spent(SEED, ue, kept, spent)
        same("what it keeps when it is told the same again", faults.spent(SEED, ue, kept, spent), after)
        same("what it keeps, from a checkpoint", stored_and_read(after, faults.state_classes), after)
        kept, now_s = after, now_s + 3.0


def _stepped(optimizer: Optimizer, steps: int) -> List[Tensor]:
    """Two parameters after some steps; the third has no gradient."""
    generator = torch.Generator().manual_seed(1)
    parameters = [torch.randn(shape, generator=generator, requires_grad=True) for shape in ((3, 2), (3,), (2,))]
    made = optimizer.build(parameters)
    expect(
        isinstance(made, torch.optim.Optimizer), f"it builds a {type(made).__name__}; right is a torch optimiser"
    )
    for _ in range(steps):
        for parameter in parameters[:2]:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        made.step()
    return [parameter.detach() for parameter in parameters]


def a_parameter_without_a_gradient_stays(optimizer: Optimizer, steps: int) -> None:
    before, after = _stepped(optimizer, 0)[2], _stepped(optimizer, steps)[2]
    expect(
        torch.equal(before, after), f"it goes from {before.tolist()} to {after.tolist()}; right is that it stays"
    )


def two_of_them_take_the_same_steps(optimizer: Optimizer, steps: int) -> None:
    """The built objects share nothing."""
    for one, other in zip(_stepped(optimizer, steps), _stepped(optimizer, steps)):
        expect(
            torch.equal(one, other), f"the second comes to {other.tolist()}; right is {one.tolist()}, as the first"
        )


def a_factor_is_finite_and_not_negative(schedule: Schedule, round: int) -> None:
    factor = schedule.factor(round)
    expect(0 <= factor < math.inf, f"the factor is {factor}; right is a finite one, 0 or more")


def a_round_has_one_factor(schedule: Schedule, round: int) -> None:
    """Regardless of earlier calls."""
    first = schedule.factor(round)
    schedule.factor(round + 1)
    same("the factor when it is asked again", schedule.factor(round), first)


def some_rounds(schedule: Schedule) -> Inputs:
    """The first rounds, and a late round."""
    return {f"round {round}": (round,) for round in (0, 1, 7, 100_000)}


def three_steps(optimizer: Optimizer) -> Inputs:
    """Some steps."""
    return {"3 steps": (3,)}


COMPUTE = (
    Law(a_time_is_finite_and_not_negative, each_link),
    Law(asked_again_a_time_is_the_same, each_link),
    Law(a_processor_takes_the_time_that_is_told, each_link),
)
WORK = (Law(a_ue_makes_at_least_one_step, each_link), Law(asked_again_a_ue_makes_as_many_steps, each_link))
FAULTS = (
    Law(a_ue_works_or_does_not, each_link),
    Law(asked_again_a_ue_works_as_before, each_link),
    Law(several_ues_work_as_each_of_them_does, each_link),
    Law(what_it_keeps_of_a_ue_survives_a_checkpoint, each_link),
)
SCHEDULE = (Law(a_factor_is_finite_and_not_negative, some_rounds), Law(a_round_has_one_factor, some_rounds))
OPTIMIZER = (
    Law(a_parameter_without_a_gradient_stays, three_steps),
    Law(two_of_them_take_the_same_steps, three_steps),
)
