"""The laws of channels. Each takes a UE, a round and a start [s], and some also take loads [Mbit]."""

import math
from itertools import islice
from typing import Dict, List, Sequence, Tuple

from fl_simu.laws import delays
from fl_simu.laws.base import SEED, Inputs, Law, expect, same
from fl_simu.radio.channels.base import Channel, Piece, carried_over
from fl_simu.radio.delays import Integrated

# Number of pieces of a link that are checked.
PIECES = 50


def first_pieces(channel: Channel, ue: int, round: int, start_s: float, count: int = PIECES) -> List[Piece]:
    """The first pieces of a link."""
    return list(islice(channel.pieces(SEED, ue, round, start_s), count))


def time_goes_on_without_end(channel: Channel, ue: int, round: int, start_s: float) -> None:
    """Each piece ends later than the one before, and the last one ends at infinity."""
    now, found = start_s, first_pieces(channel, ue, round, start_s)
    for _, until_s in found:
        expect(until_s > now, f"a piece that begins at {now} s ends at {until_s} s; right is later")
        now = until_s
    expect(len(found) == PIECES or now == math.inf, f"the last piece ends at {now} s; right is infinity")


def rates_are_finite_and_not_negative(channel: Channel, ue: int, round: int, start_s: float) -> None:
    """With `falls_below_0`, they must only be finite."""
    least = -math.inf if channel.falls_below_0 else 0.0
    for rate_mbps, until_s in first_pieces(channel, ue, round, start_s):
        right = least <= rate_mbps < math.inf and rate_mbps > -math.inf
        expect(
            right, f"the rate until {until_s} s is {rate_mbps} Mbit/s; right is a finite one, {least:g} or more"
        )


def asked_again_a_link_tells_the_same(channel: Channel, ue: int, round: int, start_s: float) -> None:
    first = first_pieces(channel, ue, round, start_s)
    first_pieces(channel, ue + 1, round, start_s)
    _same_pieces(first_pieces(channel, ue, round, start_s), first, "the second time")


def links_that_are_asked_in_turn_do_not_disturb_one_another(
    channel: Channel, ue: int, round: int, start_s: float
) -> None:
    """The random generator of one link must not be advanced by another link."""
    links = [(ue, round), (ue + 1, round), (ue, round + 1)]
    alone = [first_pieces(channel, *link, start_s) for link in links]
    under_way = [channel.pieces(SEED, *link, start_s) for link in links]
    in_turn: List[List[Piece]] = [[] for _ in links]
    for _ in range(PIECES):
        for found, pieces in zip(in_turn, under_way):
            found.extend(islice(pieces, 1))
    for found, wanted in zip(in_turn, alone):
        _same_pieces(found, wanted, "in turn with others")


def the_rate_at_a_moment_does_not_depend_on_the_start(
    channel: Channel, ue: int, round: int, start_s: float, wait_s: float = 0.7
) -> None:
    """A later start gives the same rate at the same time."""
    later = start_s + wait_s
    rate_mbps, until_s = next(piece for piece in channel.pieces(SEED, ue, round, start_s) if piece[1] > later)
    # Edges are sums of floats, so an edge within a nanosecond of the moment may fall on either side.
    if until_s - later > 1e-9:
        seen = next(channel.pieces(SEED, ue, round, later))[0]
        same(f"the rate at {later} s, seen from then on instead of from {start_s} s on,", seen, rate_mbps)


def a_power_that_is_told_is_finite_and_told_again(channel: Channel, ue: int, round: int, start_s: float) -> None:
    """For a channel that models the mean transmit power of a UE over a time."""
    watt = channel.transmit_w(SEED, ue, start_s, start_s + 2.5)
    if watt is not None:
        expect(0 <= watt < math.inf, f"the power is {watt} W; right is a finite one, 0 or more")
        channel.transmit_w(SEED, ue + 1, start_s, start_s + 2.5)
        same("the power told again", channel.transmit_w(SEED, ue, start_s, start_s + 2.5), watt)


def arrivals_ascend_from_the_start(
    channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    delays.arrivals_ascend_from_the_start(Integrated(), channel, ue, round, start_s, loads_mbit)


def a_larger_load_does_not_arrive_earlier(
    channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    delays.a_larger_load_does_not_arrive_earlier(Integrated(), channel, ue, round, start_s, loads_mbit)


def what_is_on_the_air_grows_up_to_the_load(
    channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    delays.what_is_on_the_air_grows_up_to_the_load(Integrated(), channel, ue, round, start_s, loads_mbit)


def what_has_arrived_has_been_carried(
    channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    """When a load arrives, this load and those before it are carried, and more if a packet is not full.

    At the start nothing is carried, even if a packet leaves at that time.
    """
    sent = 0.0
    for load, arrival_s in zip(loads_mbit, channel.arrivals_s(SEED, ue, round, start_s, loads_mbit)):
        sent += load
        if start_s < arrival_s < math.inf:
            carried = channel.carried_mbit(SEED, ue, round, start_s, arrival_s)
            right = carried >= sent - delays.ROUNDING * (1 + sent)
            expect(
                right, f"by {arrival_s} s {carried} Mbit are carried; right are the {sent} Mbit that have arrived"
            )


def many_links_at_once_are_as_one_after_the_other(
    channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    """Results for several links at once are those of each link alone, bit for bit."""
    ues, loads = (ue + 2, ue, ue + 1), [loads_mbit[0], loads_mbit[-1], 1.5 * loads_mbit[0]]
    # The second link is asked alone first; the other links are new to a channel that remembers.
    for some in ((ue,), ues):
        rounds = (round, round + 1, round)[: len(some)]
        links = list(zip(some, rounds))
        rates = [next(channel.pieces(SEED, *link, start_s))[0] for link in links]
        same("the rates of several links", list(channel.rates_of(SEED, some, rounds, start_s)), rates)
        for end_s in (start_s, start_s + 0.013, start_s + 7.1):
            alone = [channel.carried_mbit(SEED, *link, start_s, end_s) for link in links]
            found = list(channel.carried_of(SEED, some, rounds, start_s, end_s))
            same(f"what several links carry until {end_s} s", found, alone)
        arrivals = [channel.arrivals_s(SEED, *link, start_s, [load])[0] for link, load in zip(links, loads)]
        first = channel.first_arrival(SEED, some, rounds, start_s, loads[: len(some)])
        same("the first arrival", tuple(first), (min(arrivals), arrivals.index(min(arrivals))))


def _same_pieces(found: List[Piece], wanted: List[Piece], when: str) -> None:
    for place, (one, right) in enumerate(zip(found, wanted)):
        same(f"piece {place} (Mbit/s, until s) {when}", one, right)
    same(f"the number of pieces {when}", len(found), len(wanted))


STARTS = ((0, 0, 0.0), (1, 0, 0.0), (3, 2, 3.7), (999, 50, 1234.5))


def links(channel: Channel) -> Inputs:
    """A few links at several times."""
    return {f"UE {ue} in round {round} from {start_s} s on": (ue, round, start_s) for ue, round, start_s in STARTS}


def uploads(channel: Channel) -> Inputs:
    """Loads that a link carries within its first pieces, or ten seconds; none if a rate may be negative."""
    found: Dict[str, Tuple[int, int, float, Tuple[float, ...]]] = {}
    for label, (ue, round, start_s) in links(channel).items():
        end_s = min(first_pieces(channel, ue, round, start_s)[-1][1], start_s + 10.0)
        mbit = carried_over(channel.pieces(SEED, ue, round, start_s), start_s, end_s)
        if mbit > 0 and not channel.falls_below_0:
            loads = (0.3 * mbit, 0.0, 0.5 * mbit)
            found[f"{label} and loads of {loads} Mbit"] = (ue, round, start_s, loads)
    return found


OF_LINKS = tuple(
    Law(law, links)
    for law in (
        time_goes_on_without_end,
        rates_are_finite_and_not_negative,
        asked_again_a_link_tells_the_same,
        links_that_are_asked_in_turn_do_not_disturb_one_another,
        the_rate_at_a_moment_does_not_depend_on_the_start,
        a_power_that_is_told_is_finite_and_told_again,
    )
)
OF_UPLOADS = tuple(
    Law(law, uploads)
    for law in (
        arrivals_ascend_from_the_start,
        a_larger_load_does_not_arrive_earlier,
        what_is_on_the_air_grows_up_to_the_load,
        what_has_arrived_has_been_carried,
        many_links_at_once_are_as_one_after_the_other,
    )
)
LAWS = OF_LINKS + OF_UPLOADS
