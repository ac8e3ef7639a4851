"""A law, its inputs, and the message of a broken law."""

import json
from typing import Any, Callable, Mapping, NamedTuple, Sequence, Tuple

import torch

from fl_simu.data.downloads import DataUnavailable
from fl_simu.kernel.errors import BadField, brief, one_line, shown
from fl_simu.kernel.parameters import Params, structure_of
from fl_simu.kernel.trees import Flat, flatten, unflatten
from fl_simu.parts import KINDS, Kind

# The seed of every draw in a law.
SEED = 1
# The inputs of a law in addition to the part, each by a label that describes it.
Inputs = Mapping[str, Tuple[Any, ...]]


class Law(NamedTuple):
    """One law of a kind of parts.

    Fields:
        holds: function that takes a part and one input, and raises AssertionError if the part breaks the law. Its
            name states the law.
        inputs: function that returns the inputs of the law for a part; they are new at each call.
    """

    holds: Callable[..., None]
    inputs: Callable[[Any], Inputs]

    @property
    def name(self) -> str:
        """The statement of the law."""
        return self.holds.__name__.replace("_", " ")

    def check(self, part: Any) -> None:
        """Check the law for a part with each input.

        Raises:
            AssertionError: the part breaks the law, or raises an error. The message is one sentence that names the
                part, the law, the input, the result and the correct result.
            DataUnavailable: the part is a data set that is not on this machine.
        """
        for label, given in self._told(part, "", self.inputs).items():
            self._told(part, label, self.holds, *given)

    def _told(self, part: Any, label: str, call: Callable[..., Any], *given: Any) -> Any:
        """The result of a call for a part; an error from it names the part, the law and the input."""
        broken = f'{brief(repr(part), 120)} breaks the law "{self.name}"{f" with {label}" if label else ""}: '
        try:
            return call(part, *given)
        except DataUnavailable:
            raise
        except AssertionError as error:
            raise AssertionError(broken + str(error)) from None
        except Exception as error:
            raise AssertionError(f"{broken}it raised {type(error).__name__}: {one_line(str(error))}") from error


def once(part: Any) -> Inputs:
    """The inputs of a law that takes only the part."""
    return {"": ()}


def each_link(part: Any) -> Inputs:
    """A few UEs and rounds, for laws about draws that are keyed by both."""
    return {f"UE {ue} in round {round}": (ue, round) for ue, round in ((0, 0), (1, 0), (0, 1), (999, 50))}


def kind_of(part: Any) -> Kind:
    """The kind of a part.

    Raises:
        BadField: it is of no kind.
    """
    for kind in KINDS.values():
        if kind.holds(part):
            return kind
    raise BadField("part", part, "a part; for a function that makes a model or data name the kind too")


def stored_and_read(state: Any, classes: Tuple[type, ...]) -> Any:
    """A state after it was stored in a checkpoint and read again."""
    flat = flatten(state, classes)
    return unflatten(Flat(json.loads(json.dumps(flat.plain)), flat.arrays), classes)


def expect(right: bool, found: str) -> None:
    """Raise AssertionError with the result unless it is right."""
    if not right:
        raise AssertionError(found)


def same(what: str, found: Any, wanted: Any) -> None:
    """Raise AssertionError unless a value is the correct one."""
    if found != wanted:
        raise AssertionError(f"{what} is {shown(found)}; right is {shown(wanted)}")


def same_params(what: str, found: Params, wanted: Params) -> None:
    """Raise AssertionError unless params have the correct names, order, shapes, dtypes and numbers."""
    same_structure(what, found, wanted)
    for name, tensor in wanted.items():
        if not torch.equal(found[name], tensor):
            raise AssertionError(
                f"{name} of {what} is {shown(found[name].tolist())}; right is {shown(tensor.tolist())}"
            )


def same_structure(what: str, found: Params, wanted: Params) -> None:
    """Raise AssertionError unless params have the correct names, order, shapes and dtypes."""
    same(f"the names of {what}", list(found), list(wanted))
    for one, right in zip(structure_of(found), structure_of(wanted)):
        same(f"shape and dtype of {one.name} of {what}", one[1:], right[1:])


def finite(what: str, params: Params) -> None:
    """Raise AssertionError unless all numbers are finite."""
    for name, tensor in params.items():
        expect(bool(torch.isfinite(tensor).all()), f"{name} of {what} holds NaN or infinite numbers")


def copied(params: Params) -> Params:
    """The same numbers in new tensors."""
    return {name: tensor.clone() for name, tensor in params.items()}


def left_alone(names: str, given: Sequence[Params], before: Sequence[Params]) -> None:
    """Raise AssertionError unless params are unchanged.

    Args:
        names: the name of each, as "current, combined".
        given: the params now.
        before: the params before.
    """
    for name, now, was in zip(names.split(", "), given, before):
        same_params(f"{name} afterwards", now, was)
