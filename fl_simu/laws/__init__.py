"""The laws of each kind of parts, as functions for tests of your own parts. Our parts pass the same laws.

    import fl_simu

    def test_my_codec():
        fl_simu.laws.check(MyCodec(base_bits=3))

A new kind gets a module here, whose laws each take a part and one input, and a row in PLACES.
"""

import importlib
from typing import Any, Dict, Optional, Tuple

from fl_simu.laws import every_part
from fl_simu.laws.base import Law, kind_of
from fl_simu.parts import KINDS

__all__ = ["PLACES", "Law", "check", "laws_of"]

# The module in this package with the laws of a kind, by its table; the laws of every part also apply.
PLACES: Dict[str, str] = {
    "data": "datasets:LAWS",
    "partition": "partitions:LAWS",
    "model": "models:LAWS",
    "optimizer": "ue:OPTIMIZER",
    "schedule": "ue:SCHEDULE",
    "secure": "secure:LAWS",
    "work": "ue:WORK",
    "algorithm": "algorithms:LAWS",
    "compute": "ue:COMPUTE",
    "faults": "ue:FAULTS",
    "transforms": "transforms:LAWS",
    "codec": "codecs:LAWS",
    "bits": "uplink:BITS",
    "size": "uplink:SIZE",
    "channel": "channels:LAWS",
    "delay": "delays:LAWS",
    "loss": "uplink:LOSS",
    "cast": "uplink:CAST",
    "medium": "media:MEDIUM",
    "allocator": "media:ALLOCATOR",
    "selection": "selections:LAWS",
    "protocol": "protocols:LAWS",
    "aggregation": "aggregations:LAWS",
    "server": "servers:LAWS",
    "topology": "topologies:LAWS",
    "privacy": "privacy:LAWS",
    "meters": "meters:LAWS",
    "attack": "attacks:LAWS",
}


def laws_of(kind: str) -> Tuple[Law, ...]:
    """The laws of a kind, by its table; the laws of every part come first."""
    own: Tuple[Law, ...] = ()
    if kind in PLACES:
        module, _, name = PLACES[kind].partition(":")
        own = getattr(importlib.import_module("fl_simu.laws." + module), name)
    return every_part.LAWS + own


def check(part: Any, kind: Optional[str] = None) -> None:
    """Check a part against every law of its kind, with fixed inputs and keyed draws.

    Backends, downlinks and methods of gradient leakage have only the laws of every part.

    Args:
        part: an object, as Python code gives it to an experiment.
        kind: the table of the config for the part. It is needed only for an object from which a part is made,
            such as a function that makes a module ("model") or data ("data").

    Raises:
        AssertionError: a law is broken. The message is one sentence that names the part, the law, the input, the
            result and the correct result.
        BadField: the object is not a part.
        DataUnavailable: the part is a data set that is not on this machine.

    >>> from fl_simu.radio.codecs.affine import Affine
    >>> check(Affine(base_bits=3))
    """
    if kind is not None and not KINDS[kind].holds(part):
        part = KINDS[kind].take(part)
    for law in laws_of(kind or kind_of(part).table):
        law.check(part)
