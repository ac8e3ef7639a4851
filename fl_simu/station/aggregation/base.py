"""The contract of an aggregation rule."""

from abc import ABC, abstractmethod
from typing import ClassVar, Iterable, Optional

from torch import Tensor

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params


class Aggregation(ABC):
    """How the accepted models are combined into one.

    Under every rule, an arriving model is refused if it has NaN or infinite numbers, or a structure that differs
    from the global model's. It is also refused if it, or its difference from the global model, exceeds the range
    of its number format.

    Class attributes:
        compares: whether it needs each update by itself; on a medium on which the BS hears no single one it is
            refused.
        normalises: whether it divides an update by the number of plain SGD steps behind it; with others, and where
            an update may stem from an older model, it is refused.
        adds: whether it adds updates up by weights that a selection tells, and needs one that does.
    """

    compares: ClassVar[bool] = False
    normalises: ClassVar[bool] = False
    adds: ClassVar[bool] = False

    @abstractmethod
    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        """The new global model.

        Args:
            current: the global model so far.
            updates: what the BS took, in the order of the UEs; each is decoded as the iteration reaches it, so
                that a rule which needs one at a time holds one at a time. A rule goes through all of them.
            drawn: number of UEs that were handed the model, taken or not.

        Returns:
            Params of the same structure as `current`.
        """

    def weight_of(self, update: Update) -> Optional[float]:
        """The weight of an update, at least 0, where all that the rule needs of the updates is their mean by these
        weights: a medium that adds the uploads on the air makes it. None for a rule that needs more, also for one
        that is derived from a mean."""
        return None

    def fewest(self) -> int:
        """Number of updates below which the rule keeps its word no more."""
        return 1


def as_dtype_of(like: Tensor, result: Tensor) -> Tensor:
    """A result in the dtype that the model has; integers are rounded to the nearest."""
    return (result if like.dtype.is_floating_point else result.round()).to(like.dtype)
