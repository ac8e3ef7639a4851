"""Ids of objects, and what a plain tensor is known by among workers: its id, tags and description."""

import os
import random
import weakref
from typing import Any, Dict, List, Optional, Set, Tuple

# Ids look random, never repeat, and none has to be remembered: a walk over all numbers below MODULUS, in steps
# that have no factor in common with it. 0.2.4 draws numbers below 10^11 and keeps every one for good.
MODULUS = 10**11
STEP = 38_196_601_129


class IdProvider:
    """Hands out ids; `set_next_ids` gives some in advance, taken from the end of the list as 0.2.4 does."""

    def __init__(self, given_ids: Optional[List[int]] = None) -> None:
        self.given_ids = list(given_ids or ())
        self.recorded_ids: List[int] = []
        self.record_ids = False
        # 0.2.4 keeps every id that it ever gave here.
        self.generated: Set[int] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Go on at another place of the walk."""
        # A generator of its own: the script's draws from `random` stay its own.
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
# A worker gets ids from its own process and from others: two of one fork must not give the same ones.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ID_PROVIDER.begin_anew)


class Label:
    """What a plain tensor is known by: id, owner (None: the local worker), tags, description, its last pointer."""

    def __init__(self) -> None:
        self.id: Any = ID_PROVIDER.pop()
        self.owner: Any = None
        self.tags: Optional[Set[str]] = None
        self.description: Optional[str] = None
        self.pointer: Any = lambda: None


# Beside the tensors, not on them: what is stored on a tensor is pickled and deep-copied with it.
_LABELS: Dict[int, Tuple[Any, Label]] = {}


def label_of(tensor: Any) -> Label:
    """The label of a plain tensor, made when it is first asked for; it goes when the tensor does."""
    key = id(tensor)
    held = _LABELS.get(key)
    if held is not None and held[0]() is tensor:
        return held[1]
    label = Label()
    _LABELS[key] = (weakref.ref(tensor, lambda _: _LABELS.pop(key, None)), label)
    return label


def known_label(tensor: Any) -> Optional[Label]:
    """The label of a plain tensor, if anybody asked for it before."""
    held = _LABELS.get(id(tensor))
    return held[1] if held is not None and held[0]() is tensor else None
