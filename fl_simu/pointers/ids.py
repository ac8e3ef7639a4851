"""Ids of objects, and the label of a plain tensor among workers: id, tags and description."""

import os
import random
import weakref
from typing import Any, Dict, List, Optional, Set, Tuple

# Ids look random, never repeat, and need not be remembered: a walk over all numbers below MODULUS, with a step
# that is coprime to it. 0.2.4 draws numbers below 10^11 and keeps every one of them for good.
MODULUS = 10**11
STEP = 38_196_601_129


class IdProvider:
    """Hands out ids; `set_next_ids` sets some in advance, taken from the end of the list, as in 0.2.4."""

    def __init__(self, given_ids: Optional[List[int]] = None) -> None:
        self.given_ids = list(given_ids or ())
        self.recorded_ids: List[int] = []
        self.record_ids = False
        # 0.2.4 keeps every id that it ever generated here.
        self.generated: Set[int] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Continue at another place of the walk."""
        # A separate generator: the script's draws from `random` do not change.
        self._last = random.Random().randrange(MODULUS)

    def pop(self, *_: Any) -> int:
        if self.given_ids:
            new = self.given_ids.pop()
        else:
            new = self._last = (self._last + STEP) % MODULUS
        if self.record_ids:
            self.recorded_ids.append(new)
        return new

    def set_next_ids(self, given_ids: List[int], check_ids: bool = True) -> None:
        self.given_ids += given_ids

    def start_recording_ids(self) -> None:
        self.record_ids, self.recorded_ids = True, []

    def get_recorded_ids(self, continue_recording: bool = False) -> List[int]:
        recorded = self.recorded_ids
        if not continue_recording:
            self.record_ids, self.recorded_ids = False, []
        return recorded


ID_PROVIDER = IdProvider()
# A worker gets ids from several processes: two forks of one process must not generate the same ids.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ID_PROVIDER.begin_anew)


class Label:
    """The label of a plain tensor: id, owner (None: the local worker), tags, description, its latest pointer."""

    def __init__(self) -> None:
        self.id: Any = ID_PROVIDER.pop()
        self.owner: Any = None
        self.tags: Optional[Set[str]] = None
        self.description: Optional[str] = None
        self.pointer: Any = lambda: None


# Stored outside the tensors: attributes of a tensor are pickled and deep-copied with it.
_LABELS: Dict[int, Tuple[Any, Label]] = {}


def label_of(tensor: Any) -> Label:
    """The label of a plain tensor, created on first use; it is deleted with the tensor."""
    key = id(tensor)
    held = _LABELS.get(key)
    if held is not None and held[0]() is tensor:
        return held[1]
    label = Label()
    _LABELS[key] = (weakref.ref(tensor, lambda _: _LABELS.pop(key, None)), label)
    return label


def known_label(tensor: Any) -> Optional[Label]:
    """The label of a plain tensor, if it has one already."""
    held = _LABELS.get(id(tensor))
    return held[1] if held is not None and held[0]() is tensor else None
