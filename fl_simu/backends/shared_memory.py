"""Flat models in memory that a process shares with those forked from it.

The memory has no name and lies in no folder: it is gone with the last process that has it, however that ends. It
counts as memory of these processes; the size of /dev/shm, which containers limit, does not matter.
"""

import mmap
from typing import Dict, List, NamedTuple, Sequence, Tuple, Union

import numpy as np
import torch

from fl_simu.backends.flat import Flat
from fl_simu.kernel.parameters import Structure

ALIGNMENT = 64


class Placed(NamedTuple):
    """Where the arrays of a flat model are: of each dtype the first byte, its name in numpy, the length."""

    structure: Structure
    arrays: Dict[torch.dtype, Tuple[int, str, int]]


# What there is to read: what did not fit stands there itself.
Found = Sequence[Union[Placed, Flat]]


class Box:
    """A part of shared memory for flat models that are written and then read, by one at a time.

    Args:
        memory: all of it, uint8.
    """

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory

    def write(self, flats: Sequence[Flat]) -> Found:
        """Put models into the box, one after the other; those for which there is no room are left beside it."""
        found: List[Union[Placed, Flat]] = []
        free = 0
        for flat in flats:
            places, end = {}, free
            for dtype, array in flat.arrays.items():
                start = -(-end // ALIGNMENT) * ALIGNMENT
                places[dtype], end = (start, array.dtype.str, len(array)), start + array.nbytes
            if end > len(self._memory):
                found.append(flat)
                continue
            placed, free = Placed(flat.structure, places), end
            for dtype, array in flat.arrays.items():
                self._view(places[dtype])[:] = array
            found.append(placed)
        return found

    def read(self, found: Found) -> List[Flat]:
        """What was written, as views: they hold until the box is written to again."""
        return [one if isinstance(one, Flat) else self._flat(one) for one in found]

    def _flat(self, placed: Placed) -> Flat:
        return Flat(placed.structure, {dtype: self._view(place) for dtype, place in placed.arrays.items()})

    def _view(self, place: Tuple[int, str, int]) -> np.ndarray:
        start, dtype, length = place
        size = np.dtype(dtype).itemsize * length
        return self._memory[start : start + size].view(dtype)


class Boxes:
    """Two boxes each way between two processes, so that one is read while the other is written.

    Args:
        size: of each, in bytes.
    """

    def __init__(self, size: int) -> None:
        # Pages that nobody writes to take no memory.
        memory = np.frombuffer(mmap.mmap(-1, 4 * (-(-size // ALIGNMENT) * ALIGNMENT)), np.uint8)
        first, second, third, fourth = map(Box, np.split(memory, 4))
        self.inward, self.outward = (first, second), (third, fourth)
