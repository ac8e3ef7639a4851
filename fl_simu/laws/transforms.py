"""The laws of transforms. Each takes updates of several rounds, and what the BS accepted of each."""

from typing import Any, List, NamedTuple, Sequence

import torch

from fl_simu.kernel.parameters import Params, difference
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
from fl_simu.ue.training import Key
from fl_simu.ue.transforms.base import Context, Transform


class Step(NamedTuple):
    """One upload: the context and the memory before, the transformed update, and the memories after."""

    update: Params
    context: Context
    memory: Any
    sent: Params
    applied: Any
    decoded: Params
    settled: Any


def steps(transform: Transform, contexts: Sequence[Context]) -> List[Step]:
    """Uploads of one UE. The BS gets three quarters of every number, like after a lossy codec."""
    memory, found = None, []
    for context in contexts:
        update = difference(context.trained, context.start)
        sent, applied = transform.apply(update, context, memory)
        decoded = {name: one * 0.75 if one.dtype.is_floating_point else one for name, one in sent.items()}
        settled = transform.settled(applied, sent, decoded)
        found.append(Step(update, context, memory, sent, applied, decoded, settled))
        memory = settled
    return found


def an_update_keeps_its_structure(transform: Transform, contexts: Sequence[Context]) -> None:
    for step in steps(transform, contexts):
        same_structure("the update", step.sent, step.update)
        finite("the update", step.sent)


def what_it_is_given_is_left_alone(transform: Transform, contexts: Sequence[Context]) -> None:
    for step in steps(transform, contexts):
        given = (step.update, step.context.start, step.context.trained, step.sent, step.decoded)
        before = [copied(one) for one in given]
        transform.apply(step.update, step.context, step.memory)
        transform.silent(step.context, step.memory)
        transform.settled(step.applied, step.sent, step.decoded)
        left_alone("the update, the start, the trained model, what was sent, what was decoded", given, before)


def the_same_update_gives_the_same_again(transform: Transform, contexts: Sequence[Context]) -> None:
    """Its draws are keyed, and its memory is passed in and returned."""
    for first, second in zip(steps(transform, contexts), steps(transform, contexts)):
        for name, tensor in first.sent.items():
            expect(torch.equal(tensor, second.sent[name]), f"{name} of the second update is another one")


def a_memory_survives_a_checkpoint(transform: Transform, contexts: Sequence[Context]) -> None:
    """To JSON and arrays and back, with the memory classes of the transform."""
    for step in steps(transform, contexts):
        read = stored_and_read(step.settled, transform.memory_classes)
        sent, _ = transform.apply(step.update, step.context, read)
        wanted, _ = transform.apply(step.update, step.context, step.settled)
        for name, tensor in wanted.items():
            expect(torch.equal(tensor, sent[name]), f"with the memory of a checkpoint {name} is another one")


def before_its_first_upload_a_ue_is_not_silent(transform: Transform, contexts: Sequence[Context]) -> None:
    same("whether it is silent", bool(transform.silent(contexts[0], None)), False)


def uploads(transform: Transform) -> Inputs:
    """Three rounds of one UE: a usual model, a model that does not move, a single tensor."""
    draws = torch.Generator().manual_seed(SEED)

    def context(round: int, start: Params, moved: float) -> Context:
        trained = {
            name: one + moved * torch.randn(one.shape, generator=draws) if one.dtype.is_floating_point else one + 2
            for name, one in start.items()
        }
        return Context(Key(SEED, 3, round), start, trained, 50)

    usual = {"w": torch.randn(4, 3, generator=draws), "b": torch.zeros(3), "n": torch.tensor(7)}
    alone = {"s": torch.tensor(0.5)}
    return {
        "a usual model": ([context(round, usual, 0.5) for round in range(3)],),
        "a model that does not move": ([context(round, usual, 0.0) for round in range(3)],),
        "one number": ([context(round, alone, 2.0) for round in range(3)],),
    }


LAWS = tuple(
    Law(law, uploads)
    for law in (
        an_update_keeps_its_structure,
        what_it_is_given_is_left_alone,
        the_same_update_gives_the_same_again,
        a_memory_survives_a_checkpoint,
        before_its_first_upload_a_ue_is_not_silent,
    )
)
