"""Randomness keyed by what it is for, never by the order in which it is drawn.

Every draw of an experiment comes from a generator of its own, found by (seed, stage, ue, round). Another
backend, another order of the UEs, another number of processes or a resumed run finds the same generator and so
draws the same numbers.
"""

import hashlib
import struct
import threading
from typing import Any

import numpy as np

_KEY = struct.Struct("<2Q")


def _digest(seed: int, stage: str, ue: int, round: int) -> bytes:
    label = f"{seed}/{stage}/{ue}/{round}"
    return hashlib.blake2b(label.encode(), digest_size=16).digest()


def stream(seed: int, stage: str, ue: int = 0, round: int = 0) -> np.random.Generator:
    """The random generator for one purpose.

    Args:
        seed: the experiment's seed.
        stage: what the draws are for, as "channel" or "batches".
        ue: index of the UE, 0 where the draw is for no single UE.
        round: version of the global model that the draw belongs to, 0 where it belongs to none.

    Returns:
        A counter-based generator (Philox, Salmon et al. 2011), independent of every other key's.

    >>> stream(1, "channel", ue=3).random() == stream(1, "channel", ue=3).random()
    True
    >>> stream(1, "channel", ue=3).random() == stream(1, "channel", ue=4).random()
    False
    """
    key = np.frombuffer(_digest(seed, stage, ue, round), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key))


class _Turned(threading.local):
    """One generator for each thread, turned from key to key."""

    def __init__(self) -> None:
        self.bits = np.random.Philox(key=0)
        self.generator = np.random.Generator(self.bits)


_TURNED = _Turned()


def briefly(seed: int, stage: str, ue: int = 0, round: int = 0) -> np.random.Generator:
    """The generator of `stream` for draws made at once: the next call takes it away.

    It draws the same numbers. It is one object, set to the beginning of another key each time, which takes a tenth
    of the time that making one does: for a link that draws one number an upload, most of all it does.

    >>> briefly(1, "channel", ue=3).random() == stream(1, "channel", ue=3).random()
    True
    """
    beginning: Any = {
        "bit_generator": "Philox",
        "state": {"counter": (0, 0, 0, 0), "key": _KEY.unpack(_digest(seed, stage, ue, round))},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    _TURNED.bits.state = beginning
    return _TURNED.generator


def torch_seed(seed: int, stage: str, ue: int = 0, round: int = 0) -> int:
    """A seed for `torch.manual_seed`, for draws that torch itself makes (initial weights, dropout)."""
    return int.from_bytes(_digest(seed, stage, ue, round)[:4], "little")


def permutation(generator: np.random.Generator, n: int) -> np.ndarray:
    """A permutation of 0..n-1, shape (n,), that every version of numpy draws alike."""
    return np.argsort(generator.random(n), kind="stable")
