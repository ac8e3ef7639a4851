"""The laws of local algorithms. Each takes the parameters now, and those of the global model, by name."""

from typing import Dict

import torch
from torch import Tensor

from fl_simu.kernel.parameters import Params
from fl_simu.laws.base import Inputs, Law, copied, expect, finite, left_alone, same, same_params
from fl_simu.ue.algorithms.base import LocalAlgorithm


def a_correction_leaves_what_it_is_given_alone(algorithm: LocalAlgorithm, params: Params, start: Params) -> None:
    before = [copied(params), copied(start)]
    algorithm.correction(params, start)
    left_alone("the parameters, the start", (params, start), before)


def a_correction_has_names_and_shapes_of_parameters(
    algorithm: LocalAlgorithm, params: Params, start: Params
) -> None:
    """Of all or of some of them; it is added to their gradients."""
    found = algorithm.correction(params, start)
    same("the names that are no parameters", sorted(set(found) - set(params)), [])
    for name, tensor in found.items():
        what = f"shape and dtype of the correction of {name}"
        same(what, (tuple(tensor.shape), tensor.dtype), (tuple(params[name].shape), params[name].dtype))
    finite("the correction", dict(found))


def the_same_parameters_give_the_same_correction(algorithm: LocalAlgorithm, params: Params, start: Params) -> None:
    first = copied(dict(algorithm.correction(params, start)))
    same_params("the second correction", dict(algorithm.correction(params, start)), first)


def who_does_not_correct_adds_nothing(algorithm: LocalAlgorithm, params: Params, start: Params) -> None:
    """Where `corrects` is false, `correction` is not asked."""
    if not algorithm.corrects:
        for name, tensor in algorithm.correction(params, start).items():
            expect(not bool(tensor.abs().sum()), f"the correction of {name} is {tensor.tolist()}; right are zeros")


def a_stack_of_two_ues_is_corrected_as_each_of_them(
    algorithm: LocalAlgorithm, params: Params, start: Params
) -> None:
    """Row by row, as it works element by element; a share of 1e-6 is borne, as sums may be rounded otherwise."""
    other = {name: 1 - 3 * tensor for name, tensor in params.items()}
    alone = [algorithm.correction(one, start) for one in (params, other)]
    rows, starts = (
        {name: _two(one[name], more[name]) for name in one} for one, more in ((params, other), (start,) * 2)
    )
    stacked = algorithm.correction(rows, starts)
    for row, wanted in enumerate(alone):
        same("the names of the correction of a stack", sorted(stacked), sorted(wanted))
        for name, tensor in wanted.items():
            found = stacked[name][row]
            near = found.shape == tensor.shape and torch.allclose(found, tensor, rtol=1e-6, atol=0.0)
            told = f"row {row} of the correction of {name} in a stack is {found.tolist()}"
            expect(near, f"{told}; right is {tensor.tolist()}, as of that UE alone")


def _two(one: Tensor, other: Tensor) -> Tensor:
    return torch.stack([one, other])


def examples(algorithm: LocalAlgorithm) -> Inputs:
    """Parameters away from the global model, at it, and zeros."""
    generator = torch.Generator().manual_seed(1)
    shapes: Dict[str, tuple] = {"conv": (4, 2, 3, 3), "weight": (3, 5), "bias": (3,), "scale": (), "empty": (0, 2)}
    start, params = (
        {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()} for _ in range(2)
    )
    zeros = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    return {
        "parameters away from the start": (params, start),
        "parameters at the start": (copied(start), start),
        "zeros": (zeros, copied(zeros)),
    }


LAWS = tuple(
    Law(law, examples)
    for law in (
        a_correction_leaves_what_it_is_given_alone,
        a_correction_has_names_and_shapes_of_parameters,
        the_same_parameters_give_the_same_correction,
        who_does_not_correct_adds_nothing,
        a_stack_of_two_ues_is_corrected_as_each_of_them,
    )
)
