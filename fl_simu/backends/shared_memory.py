"""Flat models in memory that a process shares with its forks.

The memory has no name and no file: it is freed with the last process that has it, however that ends. It counts as
memory of these processes; the size of /dev/shm, which containers limit, does not matter.
"""

import mmap
from typing import Dict, List, NamedTuple, Sequence, Tuple, Union

import numpy as np
import torch

from fl_simu.backends.flat import Flat
from fl_simu.kernel.parameters import Structure

ALIGNMENT = 64


class Placed(NamedTuple):
    """The position of a flat model's arrays: for each dtype the first byte, its numpy name, the length."""

    structure: Structure
    arrays: Dict[torch.dtype, Tuple[int, str, int]]


# The models to read: those that did not fit are included themselves.
Found = Sequence[Union[Placed, Flat]]


class Box:
    """A part of shared memory for flat models; one process at a time writes or reads it.

    Args:
        memory: the complete part, uint8.
    """

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory

    def write(self, flats: Sequence[Flat]) -> Found:
        """Write models into the box, one after the other; those that do not fit are returned themselves."""
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
        """The models as views, which are valid until the box is written again."""
        return [one if isinstance(one, Flat) else self._flat(one) for one in found]

    def _flat(self, placed: Placed) -> Flat:
        return Flat(placed.structure, {dtype: self._view(place) for dtype, place in placed.arrays.items()})

    def _view(self, place: Tuple[int, str, int]) -> np.ndarray:
        start, dtype, length = place
        size = np.dtype(dtype).itemsize * length
        return self._memory[start : start + size].view(dtype)


class Boxes:
    """Two boxes in each direction between two processes, so that one can be read while the other is written.

    Args:
        size: of each box, in bytes.
    """

    def __init__(self, size: int) -> None:
        # Pages that are never written take no memory.
        memory = np.frombuffer(mmap.mmap(-1, 4 * (-(-size // ALIGNMENT) * ALIGNMENT)), np.uint8)
        first, second, third, fourth = map(Box, np.split(memory, 4))
        self.inward, self.outward = (first, second), (third, fourth)
