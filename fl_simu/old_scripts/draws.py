"""Draw the random numbers of torch 1.4 on today's torch: the order of a shuffled DataLoader, initial weights.

Today's torch draws the same bits for a seed, but two things use them differently:

- RandomSampler permutes with its own generator, seeded by a draw; in 1.4 it used the default generator.
- `uniform_`, and so the initial weights of linear, convolutional and recurrent layers, multiplies and adds with
  one rounding; 1.4 rounds twice. A weight may differ in its last bit.
"""

from typing import Any, Callable, Iterator

import torch
from torch.utils.data import RandomSampler

from fl_simu.kernel.installation import MODERN
from fl_simu.old_scripts.notices import Tell

PLAIN = (torch.Tensor, torch.nn.Parameter)


def as_in_1_4(tell: Tell) -> None:
    """Let this process draw as torch 1.4 does."""
    if not MODERN:
        return

    unseeded = torch.initial_seed()

    def told() -> None:
        if torch.initial_seed() == unseeded:
            return
        tell(
            "random numbers are torch 1.4's for a seed: the order of a shuffled DataLoader, the last bit of "
            "uniform_ and so of first weights; `exec --todays-draws` leaves them to this torch"
        )

    _permute_by_default_generator(told)
    _round_twice(told)


def _permute_by_default_generator(told: Callable[[], None]) -> None:
    todays: Any = RandomSampler.__iter__

    # Not a generator function: 1.4 draws when the iterator is created.
    def __iter__(self: Any) -> Iterator[int]:
        several = not self.replacement and self.num_samples != len(self.data_source)
        if self.generator is not None or several:
            return todays(self)
        told()
        count = len(self.data_source)
        if self.replacement:
            return iter(torch.randint(count, (self.num_samples,)).tolist())
        return iter(torch.randperm(count).tolist())

    RandomSampler.__iter__ = __iter__  # type: ignore[method-assign]


def _round_twice(told: Callable[[], None]) -> None:
    todays: Any = torch.Tensor.uniform_

    def uniform_(self: Any, *args: Any, **kwargs: Any) -> Any:
        low, high = _bounds(*args, **kwargs)
        plain = type(self) in PLAIN and self.dtype in (torch.float32, torch.float64) and self.is_contiguous()
        if not plain or self.device.type != "cpu" or kwargs.get("generator") is not None or not low <= high:
            return todays(self, *args, **kwargs)
        told()
        ends = torch.tensor([low, high], dtype=self.dtype)
        return todays(self).mul_((ends[1] - ends[0]).item()).add_(ends[0].item())

    torch.Tensor.uniform_ = uniform_  # type: ignore[method-assign]


def _bounds(low: float = 0.0, high: float = 1.0, **others: Any) -> Any:
    """The bounds among the arguments of uniform_, whose names are `from` and `to`."""
    return others.get("from", low), others.get("to", high)
