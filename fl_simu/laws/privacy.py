"""The laws of privacy mechanisms. Each takes the models that UEs have trained, round by round."""

import math
from typing import Any, Iterator, Mapping, NamedTuple, Sequence, Tuple

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params, difference, floating_of, total
from fl_simu.laws.aggregations import model
from fl_simu.laws.base import (
    SEED,
    Inputs,
    Law,
    copied,
    expect,
    finite,
    left_alone,
    same,
    same_structure,
    stored_and_read,
)
from fl_simu.privacy.base import Intake, Mechanism, Release
from fl_simu.station.aggregation.means import PlainMean
from fl_simu.ue.training import Key
from fl_simu.ue.transforms.base import Chain, Context

# The number of UEs, in all rounds.
UES = 20
Rounds = Sequence[Sequence[Params]]


class Step(NamedTuple):
    """One round: the model and the state before it, the accepted and combined updates, and the result."""

    current: Params
    state: Any
    updates: Sequence[Update]
    release: Release
    combined: Params
    after: Any
    model: Params
    numbers: Mapping[str, float]


def steps(mechanism: Mechanism, rounds: Rounds) -> Iterator[Step]:
    """One round after the other, with the models that the UEs have trained."""
    current, state, chain = floating_of(model(9)), mechanism.start(), Chain(mechanism.transforms(UES))
    for version, models in enumerate(rounds):
        updates = [
            Update(ue, version, 10, total(_sent(chain, current, one, ue, version), current))
            for ue, one in enumerate(models)
        ]
        intake = Intake(mechanism, state, current, updates)
        combined = PlainMean().combine(current, intake, UES)
        release = Release(SEED, version, UES, UES, current, intake.norms, tuple(range(UES)))
        after, released, numbers = mechanism.release(state, release, copied(combined))
        yield Step(current, state, updates, release, combined, after, released, numbers)
        current, state = released, after


def _sent(chain: Chain, current: Params, trained: Params, ue: int, version: int) -> Params:
    context = Context(Key(SEED, ue, version), current, trained, 10)
    return chain.apply(difference(trained, current), context, ())[0]


def what_goes_in_is_left_alone(mechanism: Mechanism, rounds: Rounds) -> None:
    for step in steps(mechanism, rounds):
        given = [step.current, step.combined, *(update.params for update in step.updates)]
        before = [copied(one) for one in given]
        for update in step.updates:
            mechanism.bound(step.state, step.current, update)
        mechanism.release(step.state, step.release, step.combined)
        names = ", ".join(["the current model", "what was combined", *["an update"] * len(step.updates)])
        left_alone(names, given, before)


def the_model_is_finite_and_keeps_its_structure(mechanism: Mechanism, rounds: Rounds) -> None:
    for step in steps(mechanism, rounds):
        for update in step.updates:
            bounded, _ = mechanism.bound(step.state, step.current, update)
            same("the UE of a bounded update", bounded.ue, update.ue)
            same_structure("a bounded update", bounded.params, step.current)
            finite("a bounded update", bounded.params)
        same_structure("the model", step.model, step.current)
        finite("the model", step.model)


def its_numbers_are_those_of_its_columns(mechanism: Mechanism, rounds: Rounds) -> None:
    for step in steps(mechanism, rounds):
        same("the names of its numbers", sorted(step.numbers), sorted(mechanism.columns))
        for name, number in step.numbers.items():
            expect(math.isfinite(number), f"{name} is {number}; right is a finite number")


def epsilon_never_falls(mechanism: Mechanism, rounds: Rounds) -> None:
    """A released model stays released."""
    told = [step.numbers.get("epsilon", 0.0) for step in steps(mechanism, rounds)]
    same("epsilon, round by round,", told, sorted(told))


def the_same_rounds_give_the_same_again(mechanism: Mechanism, rounds: Rounds) -> None:
    """Its draws are keyed, and its state is passed in and returned, also through a checkpoint."""
    for step in steps(mechanism, rounds):
        read = stored_and_read(step.state, mechanism.state_classes)
        same("the state of a checkpoint", read, step.state)
        after, again, numbers = mechanism.release(read, step.release, step.combined)
        same("the second state", after, step.after)
        same("the second numbers", dict(numbers), dict(step.numbers))
        left_alone("the second model", [again], [step.model])


def cohorts(mechanism: Mechanism) -> Inputs:
    """Rounds of all UEs, of one, of none, and of all again; with distant models, and with an unchanged model."""

    def far(*seeds: int) -> Tuple[Params, ...]:
        return tuple(floating_of(model(seed)) for seed in seeds)

    return {
        "models far apart": ([far(*range(UES)), far(3), far(), far(*range(UES))],),
        "models that stay as they are": ([far(*[9] * UES)] * 2,),
    }


LAWS = tuple(
    Law(law, cohorts)
    for law in (
        what_goes_in_is_left_alone,
        the_model_is_finite_and_keeps_its_structure,
        its_numbers_are_those_of_its_columns,
        epsilon_never_falls,
        the_same_rounds_give_the_same_again,
    )
)
