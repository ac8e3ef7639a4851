"""Allocators: how UEs that send at the same time share the band."""

from typing import Dict, Type

from fl_simu.radio.allocation.base import Allocator, Equal

ALLOCATORS: Dict[str, Type[Allocator]] = {"equal": Equal}
