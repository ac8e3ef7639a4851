"""The laws of client selection. Each takes the views of a run, with the number of free places."""

import copy
import math
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.kernel.randomness import permutation, stream
from fl_simu.laws.base import SEED, Inputs, Law, expect, same, stored_and_read
from fl_simu.station.selection.base import Selection, Settled, View

# Views, each with the number of UEs that may be chosen.
Course = Sequence[Tuple[View, int]]


class Choice(NamedTuple):
    """One choice: the state before it, the view, and the result."""

    before: Any
    view: View
    free: int
    state: Any
    ues: Tuple[int, ...]


@dataclass(frozen=True)
class Told:
    """Rates, times or losses of UEs, some of them equal, and sometimes 0."""

    version: int
    what: int

    def __call__(self, ue: int) -> float:
        return float((ue * 7 + self.version * 3 + self.what) % 5)


def choices(selection: Selection, course: Course) -> Iterator[Choice]:
    """One choice after the other, with the outcome of each."""
    state = selection.start()
    for view, free in course:
        before, (state, ues) = state, selection.choose(state, view, free)
        yield Choice(before, view, free, state, ues)
        state = selection.settled(state, settled(view, ues))


def settled(view: View, ues: Sequence[int]) -> Settled:
    """The outcome of a choice: the first half of the UEs is accepted, and the other half is not."""
    lasted_s = {ue: 1.0 + view.upload_s(ue) for ue in sorted(ues)}
    accepted = tuple(sorted(ues[: (len(ues) + 1) // 2]))
    norm = Told(view.version, 4)
    return Settled(
        view.version + 1, view.now_s + 1.5, accepted, lasted_s, lambda ue: np.array([view.loss(ue), 1.0]), norm
    )


def it_takes_idle_ues_once_each_and_no_more_than_are_free(selection: Selection, course: Course) -> None:
    for choice in choices(selection, course):
        told = f"of the idle UEs {list(choice.view.idle)} with {choice.free} places free it takes {choice.ues}"
        expect(
            isinstance(choice.ues, tuple) and all(type(ue) is int for ue in choice.ues), f"{told}; no tuple of int"
        )
        expect(len(set(choice.ues)) == len(choice.ues), f"{told}; right is each once")
        expect(set(choice.ues) <= set(choice.view.idle), f"{told}; right are idle ones only")
        expect(len(choice.ues) <= choice.free, f"{told}; right are {choice.free} at most")


def the_same_state_and_view_give_the_same_choice(selection: Selection, course: Course) -> None:
    """State and view are not changed."""
    state = copy.deepcopy(selection.start())
    for (view, _), choice in zip(copy.deepcopy(list(course)), choices(selection, course)):
        same("the state that it was given, afterwards,", choice.before, state)
        same("the view that it was given, afterwards,", choice.view, view)
        again = selection.choose(choice.before, choice.view, choice.free)
        same("the second choice from the same view", again, (choice.state, choice.ues))
        state = copy.deepcopy(choice.state)
        learnt = selection.settled(choice.state, settled(choice.view, choice.ues))
        same("the state that it was given, after it was told what was settled,", choice.state, state)
        again = selection.settled(choice.state, settled(choice.view, choice.ues))
        same("what it remembers when it is told the same again", again, learnt)
        state = copy.deepcopy(learnt)


def who_is_chosen_counts_something(selection: Selection, course: Course) -> None:
    for choice in choices(selection, course):
        for ue in choice.ues:
            weight = selection.weight(choice.state, ue)
            expect(0 < weight < math.inf, f"the weight of UE {ue} is {weight}; right is a finite number above 0")


def a_checkpoint_holds_the_state(selection: Selection, course: Course) -> None:
    """To JSON and back, with the state classes of the selection; the class stays the same."""
    for choice in choices(selection, course):
        same("the class of the state", type(choice.state), type(selection.start()))
        read = stored_and_read(choice.state, selection.state_classes)
        same("the state from a checkpoint", read, choice.state)


def courses(selection: Selection) -> Inputs:
    """Twelve choices each: in rounds, with all UEs selected, with some busy, one UE, more UEs than are idle."""
    found: Dict[str, List[Tuple[View, int]]] = {}
    for ues, free, busy in ((10, 3, 0), (4, 4, 0), (8, 3, 2), (1, 1, 0), (5, 9, 1), (6, 0, 0), (3, 2, 3)):
        samples = {ue: 10 + 7 * ue % 5 for ue in range(ues)}
        course = []
        for version in range(12):
            idle = sorted(permutation(stream(SEED, "laws", round=version), ues)[busy:].tolist())
            rate, upload, compute, loss = (Told(version, what) for what in range(4))
            view = View(SEED, version, 1.5 * version, samples, idle, rate, upload, compute, loss)
            course.append((view, free))
        found[f"{ues} UEs, {busy} of them at work, and {free} places free"] = course
    return {label: (course,) for label, course in found.items()}


LAWS = tuple(
    Law(law, courses)
    for law in (
        it_takes_idle_ues_once_each_and_no_more_than_are_free,
        the_same_state_and_view_give_the_same_choice,
        who_is_chosen_counts_something,
        a_checkpoint_holds_the_state,
    )
)
