"""The downlink: how a UE gets the global model, for nothing or over a channel."""

from dataclasses import dataclass
from typing import Dict, Optional, Type, Union

from fl_simu.radio.channels import CHANNELS
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.link import Link


class Downlink:
    """How the global model reaches the UEs of a round: for nothing, or over a channel.

    Over a channel each drawn UE gets a copy of its own as float32, under the same `size` and `delay` rules as the
    uplink, and begins to train when its copy has arrived whole. Both directions of a link draw the same random
    numbers for one `seed`: with the same arguments they have the same rate at the same moment (one place in the
    cell, one fading), and other arguments change only what the draws mean. A UE whose copy never arrives never
    answers; a protocol without a deadline then waits for ever, and the run ends with a line that says so.

        channel = { name = "fading" }
        downlink = { name = "fading", power_dbm = 46.0, shares = 1 }
    """


@dataclass(frozen=True)
class Free(Downlink):
    """The model is there at once and no bits are counted, as in the notes."""


def downlink(part: Union[Free, Channel], uplink: Link, overhead_bits: int = 0) -> Optional[Link]:
    """The link on which each drawn UE gets a copy of its own of the global model; None where that is free.

    The copy travels as float32, under the uplink's size rule and delay rule. Both directions of a link draw the
    same random numbers, for the same UE and round or moment, so that with the same arguments they have the same
    rate: a reciprocal link, one place in the cell, one fading. Other arguments (a power, a bandwidth) change what
    the numbers mean, not which they are. So many bits come besides, to each UE.
    """
    if isinstance(part, Free):
        return None
    return Link(Float32(), part, uplink.size, "weights", uplink.seed, uplink.delay, overhead_bits)


DOWNLINKS: Dict[str, Type[Union[Free, Channel]]] = {"free": Free, **CHANNELS}
