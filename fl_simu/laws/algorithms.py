"""The laws of local algorithms. Each takes what a UE has and knows in one step, or at the end of a round."""

from typing import Any, Dict, List, NamedTuple

import torch
from torch import Tensor

from fl_simu.kernel.parameters import Params
from fl_simu.laws.base import Inputs, Law, copied, expect, finite, left_alone, same, same_params, same_structure
from fl_simu.ue.algorithms.base import GLOBAL, Finished, Groups, LocalAlgorithm, Message, Round, flat


class Known(NamedTuple):
    """The current parameters, those of the global model, the memory of the UE, and what the BS sent."""

    params: Params
    start: Params
    memory: Groups
    shared: Groups

    def copied(self) -> List[Params]:
        """The same numbers in new tensors."""
        return [copied(one) for one in (self.params, self.start, flat(self.memory), flat(self.shared))]


NAMES = "the parameters, the start, what it remembers, what the BS sent"


def corrected(algorithm: LocalAlgorithm, known: Known) -> Dict[str, Any]:
    """The correction."""
    return dict(algorithm.correction(known.params, known.start, known.memory, known.shared))


def finished(algorithm: LocalAlgorithm, known: Known) -> List[Groups]:
    """What a UE sends in addition to the model after ten steps, and its memory then."""
    work = Finished(known.start, known.params, 10, 0.1)
    return list(algorithm.finish(work, known.memory, known.shared))


def a_correction_leaves_what_it_is_given_alone(algorithm: LocalAlgorithm, known: Known) -> None:
    before = known.copied()
    corrected(algorithm, known)
    left_alone(NAMES, known.copied(), before)


def a_correction_has_names_and_shapes_of_parameters(algorithm: LocalAlgorithm, known: Known) -> None:
    """Of all or of some parameters; the correction is added to their gradients."""
    found, params = corrected(algorithm, known), known.params
    same("the names that are no parameters", sorted(set(found) - set(params)), [])
    for name, tensor in found.items():
        what = f"shape and dtype of the correction of {name}"
        same(what, (tuple(tensor.shape), tensor.dtype), (tuple(params[name].shape), params[name].dtype))
    finite("the correction", found)


def the_same_parameters_give_the_same_correction(algorithm: LocalAlgorithm, known: Known) -> None:
    first = copied(corrected(algorithm, known))
    same_params("the second correction", corrected(algorithm, known), first)


def who_does_not_correct_adds_nothing(algorithm: LocalAlgorithm, known: Known) -> None:
    """If `corrects` is false, `correction` is not called."""
    if not algorithm.corrects:
        for name, tensor in corrected(algorithm, known).items():
            expect(not bool(tensor.abs().sum()), f"the correction of {name} is {tensor.tolist()}; right are zeros")


def a_stack_of_two_ues_is_corrected_as_each_of_them(algorithm: LocalAlgorithm, known: Known) -> None:
    """Row by row, because it works element by element; a relative rounding error of 1e-6 is allowed."""
    other = known._replace(params={name: 1 - 3 * tensor for name, tensor in known.params.items()})
    alone = [corrected(algorithm, one) for one in (known, other)]
    groups = ({name: _two(one, one) for name, one in each.items()} for each in (known.memory, known.shared))
    rows = Known(_two(known.params, other.params), _two(known.start, known.start), *groups)
    stacked = corrected(algorithm, rows)
    for row, wanted in enumerate(alone):
        same("the names of the correction of a stack", sorted(stacked), sorted(wanted))
        for name, tensor in wanted.items():
            found = stacked[name][row]
            near = found.shape == tensor.shape and torch.allclose(found, tensor, rtol=1e-6, atol=0.0)
            told = f"row {row} of the correction of {name} in a stack is {found.tolist()}"
            expect(near, f"{told}; right is {tensor.tolist()}, as of that UE alone")


def a_round_ends_with_what_was_said_it_would(algorithm: LocalAlgorithm, known: Known) -> None:
    """The message has the names, shapes and dtypes of `message`, and a memory keeps those of `start`."""
    before = known.copied()
    message, memory = finished(algorithm, known)
    same_structure("what a UE sends beside its model", flat(message), flat(algorithm.message(known.start)))
    same_structure("what a UE remembers", flat(memory), flat(algorithm.start(known.start)))
    finite("what a UE sends beside its model", flat(message))
    left_alone(NAMES, known.copied(), before)


def who_says_that_nobody_remembers_is_asked_nothing(algorithm: LocalAlgorithm, known: Known) -> None:
    """If `remembers` is false, there are no groups."""
    if not algorithm.remembers:
        station = algorithm.station(known.start)
        for groups in (algorithm.start(known.start), algorithm.message(known.start), *station):
            same("the groups", sorted(groups), [])


def what_the_bs_has_keeps_its_structure(algorithm: LocalAlgorithm, known: Known) -> None:
    """So do the tensors that it keeps, and the model, for any accepted uploads; its arguments are not changed."""
    message, _ = finished(algorithm, known)
    station = algorithm.station(known.start)._replace(shared=known.shared)
    models = [*map(flat, station), known.start, known.params]
    before = [copied(one) for one in models]
    for messages in ([], [Message(2, 50, message)], [Message(0, 1, message), Message(3, 90, message)]):
        after, params = algorithm.gather(station, Round(known.start, known.params, messages, len(messages), 4))
        for found, wanted in zip([*map(flat, after), params], [*before[:2], known.start]):
            same_structure("what the BS has next", found, wanted)
            finite("what the BS has next", found)
    left_alone("what it sent, what it kept, the model before, the model combined", models, before)


def _two(one: Params, other: Params) -> Params:
    return {name: torch.stack([tensor, other[name]]) for name, tensor in one.items()}


def examples(algorithm: LocalAlgorithm) -> Inputs:
    """Parameters away from the global model, equal to it, and zeros; memory and sent tensors are not 0."""
    generator = torch.Generator().manual_seed(1)
    shapes: Dict[str, tuple] = {"conv": (4, 2, 3, 3), "weight": (3, 5), "bias": (3,), "scale": (), "empty": (0, 2)}

    def drawn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    start, params = ({name: drawn(torch.zeros(shape)) for name, shape in shapes.items()} for _ in range(2))
    zeros = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    memory, shared = (
        {group: {name: drawn(one) for name, one in tensors.items()} for group, tensors in groups.items()}
        for groups in (algorithm.start(start), algorithm.station(start).shared)
    )
    if algorithm.personal:
        shared[GLOBAL] = {name: drawn(one) for name, one in start.items()}
    return {
        "parameters away from the start": (Known(params, start, memory, shared),),
        "parameters at the start": (Known(copied(start), start, memory, shared),),
        "zeros": (Known(zeros, copied(zeros), memory, shared),),
    }


LAWS = tuple(
    Law(law, examples)
    for law in (
        a_correction_leaves_what_it_is_given_alone,
        a_correction_has_names_and_shapes_of_parameters,
        the_same_parameters_give_the_same_correction,
        who_does_not_correct_adds_nothing,
        a_stack_of_two_ues_is_corrected_as_each_of_them,
        a_round_ends_with_what_was_said_it_would,
        who_says_that_nobody_remembers_is_asked_nothing,
        what_the_bs_has_keeps_its_structure,
    )
)
