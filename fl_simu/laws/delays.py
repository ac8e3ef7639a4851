"""The laws of delay rules. Each takes a channel, a UE, a round, a start [s] and loads [Mbit]."""

from typing import Dict, Sequence, Tuple

from fl_simu.kernel.errors import BadField
from fl_simu.laws.base import SEED, Inputs, Law, expect, same
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.gauss_markov import GaussMarkov
from fl_simu.radio.channels.markov import Markov
from fl_simu.radio.channels.random_walk import NotesWalk
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.delays import DelayRule

CHANNELS = (
    Constant(2.0),
    Uniform(0.5, 5.0),
    GaussMarkov(tick_s=0.1),
    Markov(tick_s=0.1, bad_mbps=0.0),
    NotesWalk(),
)
# The rounding error of sums of floats, as a share of a load and in Mbit.
ROUNDING = 1e-6


def arrivals_ascend_from_the_start(
    rule: DelayRule, channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    """One arrival per load, none before the start or before the previous one."""
    arrivals = rule.arrivals_s(channel, SEED, ue, round, start_s, loads_mbit)
    same("the number of arrivals", len(arrivals), len(loads_mbit))
    in_order = [start_s, *arrivals]
    expect(
        in_order == sorted(in_order), f"the arrivals are {arrivals}; right are ascending ones from {start_s} s on"
    )
    again = rule.arrivals_s(channel, SEED, ue, round, start_s, loads_mbit)
    same("what it tells when it is asked again", again, arrivals)


def a_larger_load_does_not_arrive_earlier(
    rule: DelayRule, channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    """The first load alone, compared with the sum of all loads."""
    small, large = loads_mbit[0], sum(loads_mbit)
    arrivals = [rule.arrivals_s(channel, SEED, ue, round, start_s, [load])[0] for load in (small, large)]
    expect(
        arrivals[0] <= arrivals[1],
        f"{small} Mbit arrive at {arrivals[0]} s and {large} Mbit at {arrivals[1]} s; right is not before",
    )


def what_is_on_the_air_grows_up_to_the_load(
    rule: DelayRule, channel: Channel, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
) -> None:
    """From 0 at the start; before the last arrival never more than all loads."""
    arrival_s = min(rule.arrivals_s(channel, SEED, ue, round, start_s, loads_mbit)[-1], start_s + 20.0)
    moments = [start_s + share * (arrival_s - start_s) for share in (0.0, 0.3, 0.6, 0.999)]
    carried = [rule.carried_mbit(channel, SEED, ue, round, start_s, moment) for moment in moments]
    same("what is carried at the start", carried[0], 0)
    expect(carried == sorted(carried), f"what is carried is {carried} Mbit; right is that it grows")
    most = sum(loads_mbit)
    # Closer to the arrival, rounding may make the load count as arrived.
    if arrival_s > start_s + 1e-5:
        expect(carried[-1] <= most + ROUNDING * (1 + most), f"{carried[-1]} Mbit are carried of {most} Mbit")


def examples(rule: DelayRule) -> Inputs:
    """Uploads over several types of channels, if the rule accepts them."""
    found: Dict[str, Tuple[Channel, int, int, float, Tuple[float, ...]]] = {}
    for channel in CHANNELS:
        try:
            rule.check(channel)
        except BadField:
            continue
        for ue, start_s in ((0, 0.0), (3, 12.34)):
            found[f"UE {ue} of {channel} from {start_s} s on"] = (channel, ue, 0, start_s, (0.5, 0.0, 30.0))
    return found


LAWS = tuple(
    Law(law, examples)
    for law in (
        arrivals_ascend_from_the_start,
        a_larger_load_does_not_arrive_earlier,
        what_is_on_the_air_grows_up_to_the_load,
    )
)
