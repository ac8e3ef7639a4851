"""The contract of an aggregation rule."""

from abc import ABC, abstractmethod
from typing import ClassVar, Iterable, Optional

from torch import Tensor

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params


class Aggregation(ABC):
    """How the BS combines the accepted models into one.

    Under every rule, an arriving model is refused if it has NaN or infinite numbers, or a structure that differs
    from the global model's. It is also refused if it, or its difference from the global model, exceeds the range
    of its number format.

    Class attributes:
        compares: whether it needs each single update. It is refused on a medium on which the BS hears no single
            update.
        normalises: whether it divides an update by its number of plain SGD steps. It is refused with other
            local steps, and if an update may start from an older model.
        adds: whether it adds up updates with the weights of a selection. It then needs a selection with weights.
    """

    compares: ClassVar[bool] = False
    normalises: ClassVar[bool] = False
    adds: ClassVar[bool] = False

    @abstractmethod
    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        """Compute the new global model.

        Args:
            current: the global model so far.
            updates: the accepted updates, in the order of the UEs. Each is decoded when the iteration reaches it,
                so a rule that needs one at a time keeps only one in memory. A rule must iterate over all of them.
            drawn: number of UEs that were handed the model, accepted or not.

        Returns:
            Params of the same structure as `current`.
        """

    def weight_of(self, update: Update) -> Optional[float]:
        """The weight of an update, at least 0, if the rule needs only the weighted mean of the updates. A medium
        that adds the uploads on the air gives this mean. None if the rule needs more, even if it is derived from
        a mean."""
        return None

    def fewest(self) -> int:
        """The smallest number of updates for which the rule keeps its guarantee."""
        return 1


def as_dtype_of(like: Tensor, result: Tensor) -> Tensor:
    """A result in the dtype of the model; integers are rounded to the nearest."""
    return (result if like.dtype.is_floating_point else result.round()).to(like.dtype)
