"""Randomness keyed by what it is for, never by the order in which it is drawn.

Every draw of an experiment comes from a generator of its own, found by (seed, stage, ue, round). Another
backend, another order of the UEs, another number of processes or a resumed run finds the same generator and so
draws the same numbers.
"""

import hashlib
import struct
import threading
from typing import Any, Sequence

import numpy as np

_KEY = struct.Struct("<2Q")
# Of so many UEs together first numbers are found faster than of one after the other.
_MANY = 100
# The multipliers of Philox4x64's words 0 and 2, and what its key grows by, shape (2, 1).
_TIMES = np.array([[0xD2E7470EE14C6C93], [0xCA5A826395121157]], np.uint64)
_GROWS = np.array([[0x9E3779B97F4A7C15], [0xBB67AE8584CAA73B]], np.uint64)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_TIMES_LOW, _TIMES_HIGH = _TIMES & _LOW, _TIMES >> _HALF


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


def uniforms(seed: int, stage: str, ues: Sequence[int], round: int = 0) -> np.ndarray:
    """The first number of each UE's generator, as `briefly(seed, stage, ue, round).random()`.

    It draws the same numbers, and those of a thousand UEs in a third of the time.

    Returns:
        Numbers from 0 to 1, float64 of shape (UEs,).

    >>> uniforms(1, "channel", [3, 4]).tolist() == [stream(1, "channel", ue).random() for ue in (3, 4)]
    True
    """
    if len(ues) < _MANY:
        return np.array([briefly(seed, stage, ue, round).random() for ue in ues])
    begun, digests = hashlib.blake2b(f"{seed}/{stage}/".encode(), digest_size=16), []
    for ue in ues:
        label = begun.copy()
        label.update(b"%d/%d" % (ue, round))
        digests.append(label.digest())
    keys = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).T
    # A generator gives a number the 53 upper bits of a word.
    return (_first_words(np.ascontiguousarray(keys, np.uint64)) >> np.uint64(11)) * 2.0**-53


def _first_words(key: np.ndarray) -> np.ndarray:
    """The first word of Philox4x64-10 (Salmon et al. 2011) for each key, uint64: shape (2, n) to (n,)."""
    # Words 0 and 2 of the counter, and words 1 and 3, after the first round: it begins at 1, 0, 0, 0.
    even, odd = key, np.array([[0], _TIMES[0]], np.uint64)
    for _ in range(9):
        key = key + _GROWS
        # The upper half of the product of 64 bits by 64, from halves of 32.
        low, high = even & _LOW, even >> _HALF
        middle = low * _TIMES_HIGH + (low * _TIMES_LOW >> _HALF)
        other = high * _TIMES_LOW + (middle & _LOW)
        upper = high * _TIMES_HIGH + (middle >> _HALF) + (other >> _HALF)
        even, odd = upper[::-1] ^ odd ^ key, (even * _TIMES)[::-1]
    first: np.ndarray = even[0]
    return first


def torch_seed(seed: int, stage: str, ue: int = 0, round: int = 0) -> int:
    """A seed for `torch.manual_seed`, for draws that torch itself makes (initial weights, dropout)."""
    return int.from_bytes(_digest(seed, stage, ue, round)[:4], "little")


def permutation(generator: np.random.Generator, n: int) -> np.ndarray:
    """A permutation of 0..n-1, shape (n,), that every version of numpy draws alike."""
    return np.argsort(generator.random(n), kind="stable")
