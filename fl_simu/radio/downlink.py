"""The downlink: how the UEs get the global model, for free or over a channel, by unicast or multicast."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Dict, Iterator, Optional, Sequence, Tuple, Type, Union

from fl_simu.kernel.parameters import Params, Structure, structure_of
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels import CHANNELS
from fl_simu.radio.channels.base import Channel, Piece
from fl_simu.radio.codecs.base import Codec
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.link import Link

AS_IT_IS = Float32()


class Downlink:
    """How the global model reaches the UEs of a round: for free, or over a channel.

    Over a channel, each selected UE gets its own copy (see `cast`) as float32 (see `downlink_codec`), under the
    same `size` and `delay` rules as the uplink. It begins to train when its copy has arrived completely. A UE
    whose copy never arrives never answers; a protocol without a deadline then waits for ever, and the run ends
    with a message.

    Both directions of a link draw the same random numbers for one `seed`. With the same arguments they have the
    same rate at the same moment (one position in the cell, one fading process); other arguments change only how
    the draws are used.

        channel = { name = "fading" }
        downlink = { name = "fading", power_dbm = 46.0, shares = 1 }
    """


@dataclass(frozen=True)
class Free(Downlink):
    """The model arrives at once and no bits are counted, as in the notes."""


class DownlinkCodec:
    """How the BS encodes the global model; `float32`, the default, sends all of it.

    With another codec the BS encodes each global model once, with all layers, and the BS and the UEs continue from
    the decoded model. The UEs train from it. With `payload = "update"` they send their difference from it, and the
    BS adds the aggregated update to it. So the BS keeps the decoded model instead of the one that it computed.
    What the codec has lost is gone; it is not sent later.

    Accuracy and the model that a run saves are those before encoding. Additional data of an algorithm, such as the
    control variates of `scaffold`, and those of `secure` are sent unchanged. If the downlink is `free`, the model
    is encoded too, at no cost.

    The model is encoded, not its change, so codecs made for small numbers, such as `top_k` and `fixed_point`,
    spoil it.

        downlink = { name = "constant", rate_mbps = 20.0 }
        downlink_codec = { name = "affine", base_bits = 8 }

    The codecs are those of `codec`.
    """


class Cast(ABC):
    """How copies of the global model are sent: one to each UE, or one to several UEs."""

    @abstractmethod
    def groups(self, ues: Sequence[int]) -> Sequence[Sequence[int]]:
        """The groups of UEs that share a copy. Every UE is in one group.

        Args:
            ues: the UEs that receive the model together, ascending.
        """


@dataclass(frozen=True)
class Unicast(Cast):
    """Every UE gets its own copy, at its own rate."""

    def groups(self, ues: Sequence[int]) -> Sequence[Sequence[int]]:
        return [(ue,) for ue in ues]


@dataclass(frozen=True)
class Multicast(Cast):
    r"""One copy is sent to all UEs of a cohort at once, at the rate of the slowest UE.

    .. math:: r(t) = \min_u r_u(t)

    at every moment, over the UEs that receive the model together. All get it at the same moment, and its bits are
    charged once. If one of them has no rate for ever, none of them gets it. Under `buffered` a cohort is the UEs
    that receive one model at once, often a single UE.
    """

    def groups(self, ues: Sequence[int]) -> Sequence[Sequence[int]]:
        return [tuple(ues)]


@dataclass(frozen=True)
class Slowest(Channel):
    """The minimum of the rates of several UEs, at every moment.

    Args:
        channel: the channel of each UE.
        ues: the UEs, one or more.
    """

    channel: Channel
    ues: Tuple[int, ...]

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        each = [self.channel.pieces(seed, one, round, start_s) for one in self.ues]
        now = [next(pieces) for pieces in each]
        while True:
            until_s = min(until for _, until in now)
            yield min(rate for rate, _ in now), until_s
            if until_s == math.inf:
                return
            now = [next(pieces) if one[1] <= until_s else one for pieces, one in zip(each, now)]


def downlink(
    part: Union[Free, Channel], uplink: Link, overhead_bits: int = 0, codec: Codec = AS_IT_IS
) -> Optional[Link]:
    """The link on which a selected UE gets a copy of the global model; None if the downlink is free.

    The copy is sent under the uplink's size rule and delay rule. Both directions of a link draw the same random
    numbers for the same UE and round or time. So with the same arguments they have the same rate: a reciprocal
    link with one position in the cell and one fading process. Other arguments (a power, a bandwidth) change only
    how the draws are used. Each copy has `overhead_bits` in addition.
    """
    if isinstance(part, Free):
        return None
    return Link(codec, part, uplink.size, "weights", uplink.seed, uplink.delay, overhead_bits)


def to_all(link: Link, ues: Sequence[int]) -> Link:
    """The link of one copy to several UEs."""
    return link if len(ues) == 1 else replace(link, channel=Slowest(link.channel, tuple(ues)))


def goes_as_it_is(codec: Codec) -> bool:
    """Whether UEs get the global model unchanged."""
    return type(codec) is Float32


def decoded(codec: Codec, model: Params, seed: int, version: int) -> Params:
    """The global model as the UEs decode it; the model itself if it is sent unchanged."""
    if goes_as_it_is(codec):
        return model
    return codec.decode(codec.encode(model, briefly(seed, "downlink codec", round=version)), structure_of(model))


def on_the_air(link: Link, model: Structure, beside: Structure) -> Tuple[Link, Structure]:
    """The link of a copy, and the structure that it encodes; an algorithm's additional data are sent unchanged."""
    if goes_as_it_is(link.codec):
        return link, model + beside
    return replace(link, overhead_bits=link.overhead_bits + sum(link.size.layer_bits(AS_IT_IS, beside))), model


DOWNLINKS: Dict[str, Type[Union[Free, Channel]]] = {"free": Free, **CHANNELS}
CASTS: Dict[str, Type[Cast]] = {"unicast": Unicast, "multicast": Multicast}
