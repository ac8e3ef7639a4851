"""Allocators: how UEs that send at the same time share the band."""

from typing import Dict, Type

from fl_simu.radio.allocation.base import Allocator, Equal
from fl_simu.radio.allocation.by_load import MinMaxDelay, Proportional
from fl_simu.radio.allocation.energy import MinEnergy
from fl_simu.radio.allocation.in_turn import BaseFirst, Tdma

ALLOCATORS: Dict[str, Type[Allocator]] = {
    "equal": Equal,
    "proportional": Proportional,
    "min_max_delay": MinMaxDelay,
    "min_energy": MinEnergy,
    "tdma": Tdma,
    "base_first": BaseFirst,
}
