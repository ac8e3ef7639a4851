"""The laws of shared media and of allocators. Each takes a link and the time at which each UE begins to send."""

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import torch

from fl_simu.kernel.parameters import structure_of
from fl_simu.laws.base import SEED, Inputs, Law, expect, same, stored_and_read
from fl_simu.radio.allocation.base import Allocator, Equal, Sending
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.base import Arrival, Medium, SharedMedium
from fl_simu.radio.sizes import RealBytes

STRUCTURE = structure_of({"w": torch.zeros(5000), "n": torch.tensor(3)})
# UE -> virtual time in s at which it begins to send.
Begins = Mapping[int, float]


class Step(NamedTuple):
    """One plan: the state before it, its time, the sending UEs, and its result."""

    before: Any
    now_s: float
    sending: Dict[int, Upload]
    state: Any
    arrival: Any


@dataclass
class Play:
    """The uploads of one cohort on a medium, until all have arrived. The cohort is handed the model at 0 s."""

    medium: SharedMedium
    link: Link
    begins: Begins

    def steps(self) -> List[Step]:
        """Every plan, in order."""
        medium, link, now_s, found = self.medium, self.link, 0.0, []
        uploads = {ue: medium.pending(link, ue, 0, at, STRUCTURE, 0, 0.0) for ue, at in self.begins.items()}
        state = medium.handed(medium.start(), link, Equal(), uploads, now_s)
        sending: Dict[int, Upload] = {}
        layers: Dict[int, int] = {}
        coming = sorted((at, ue) for ue, at in self.begins.items())
        while coming or sending:
            before = state
            state, arrival = medium.plan(state, link, Equal(), now_s)
            found.append(Step(before, now_s, dict(sending), state, arrival))
            if coming and (arrival is None or coming[0][0] < arrival.time_s):
                now_s, ue = coming.pop(0)
                if medium.silence(state, link, uploads[ue], now_s):
                    continue
                sending[ue] = uploads[ue]
                state = medium.join(state, link, sending[ue], now_s)
                continue
            if arrival is None:
                raise AssertionError(f"at {now_s} s UEs {sorted(sending)} send, and nothing is planned to arrive")
            now_s, ue = arrival.time_s, arrival.ue
            state = medium.arrived(state, link, arrival)
            layers[ue] = layers.get(ue, 0) + 1
            if layers[ue] == len(sending[ue].sizes_bits):
                del sending[ue]
        return found


def everything_arrives_and_time_never_goes_back(medium: Medium, link: Link, begins: Begins) -> None:
    """Every layer of every upload, once, after its UE has begun to send."""
    if not isinstance(medium, SharedMedium):
        return
    last_s = 0.0
    for step in Play(medium, link, begins).steps():
        if isinstance(step.arrival, Arrival):
            told = f"at {step.now_s} s the layer of UE {step.arrival.ue} is planned for {step.arrival.time_s} s"
            expect(step.arrival.ue in step.sending, f"{told}; right is a UE that sends, {sorted(step.sending)}")
            expect(last_s <= step.now_s <= step.arrival.time_s < math.inf, f"{told}; right is later, and finite")
        last_s = step.now_s


def a_plan_is_pure(medium: Medium, link: Link, begins: Begins) -> None:
    """The same state gives the same plan again, and is not changed."""
    if not isinstance(medium, SharedMedium):
        return
    for step in Play(medium, link, begins).steps():
        again = medium.plan(step.before, link, Equal(), step.now_s)
        same("the second plan", again, (step.state, step.arrival))


def a_medium_survives_a_checkpoint(medium: Medium, link: Link, begins: Begins) -> None:
    """To JSON and back, with the state classes of the medium."""
    if not isinstance(medium, SharedMedium):
        return
    for step in Play(medium, link, begins).steps():
        same("the state from a checkpoint", stored_and_read(step.state, medium.state_classes), step.state)
        same("the class of the state", type(step.state), type(medium.start()))


def what_was_sent_grows_from_nothing_to_the_load(medium: Medium, link: Link, begins: Begins) -> None:
    """It never exceeds the load."""
    if not isinstance(medium, SharedMedium):
        return
    sent: Dict[int, float] = {}
    for step in Play(medium, link, begins).steps():
        for ue, upload in step.sending.items():
            load = sum(map(link.size.load_mbit, upload.sizes_bits))
            now = medium.sent_mbit(step.state, link, upload, step.now_s)
            told = f"at {step.now_s} s UE {ue} has sent {now} Mbit of {load}"
            expect(-1e-9 <= now <= load * (1 + 1e-9), f"{told}; right is from 0 to that")
            expect(now >= sent.get(ue, 0.0) - 1e-9, f"{told}, and {sent.get(ue)} before; right is no less")
            sent[ue] = now


def a_ue_is_on_the_air_for_no_longer_than_it_sends(medium: Medium, link: Link, begins: Begins) -> None:
    """The time on the air never decreases; it is above 0 if something of the upload has arrived."""
    if not isinstance(medium, SharedMedium):
        return
    before: Dict[int, float] = {}
    for step in Play(medium, link, begins).steps():
        for ue, upload in step.sending.items():
            now = medium.airtime_s(step.state, link, upload, step.now_s)
            told = f"at {step.now_s} s UE {ue}, which began at {upload.start_s} s, was on the air for {now} s"
            most = step.now_s - upload.start_s
            expect(-1e-9 <= now <= most + 1e-9, f"{told}; right is from 0 to {most} s")
            expect(now >= before.get(ue, 0.0) - 1e-9, f"{told}, and {before.get(ue)} before; right is no less")
            sent = medium.sent_mbit(step.state, link, upload, step.now_s)
            expect(now > 0 or sent <= 1e-9, f"{told}, and has sent {sent} Mbit; right is more")
            before[ue] = now


def who_leaves_sends_no_longer(medium: Medium, link: Link, begins: Begins) -> None:
    """A UE that leaves is no longer planned; leaving twice changes nothing."""
    if not isinstance(medium, SharedMedium):
        return
    for step in Play(medium, link, begins).steps():
        state = step.state
        for ue in step.sending:
            state = medium.leave(state, link, ue, step.now_s)
        same("what arrives once all have left", medium.plan(state, link, Equal(), step.now_s)[1], None)
        for ue in step.sending:
            same(f"the state after UE {ue} left again", medium.leave(state, link, ue, step.now_s), state)


def links(medium: Medium) -> Inputs:
    """One UE; several UEs at once, one after the other, and overlapping, with equal and unequal rates."""
    even = Link(Affine(2, (3,)), Constant(0.5), RealBytes(), "update", SEED)
    drawn = Link(Affine(4), Uniform(0.1, 2.0), RealBytes(), "update", SEED)
    return {
        "one UE": (even, {3: 0.5}),
        "three UEs at once": (even, {2: 1.0, 0: 1.0, 1: 1.0}),
        "three UEs, each in the middle of the one before": (drawn, {0: 0.0, 1: 0.02, 2: 0.03}),
        "two UEs far apart": (drawn, {0: 0.0, 1: 50.0}),
    }


def shares_are_of_one_band(allocator: Allocator, loads: Mapping[int, float], rates: Mapping[int, float]) -> None:
    """One share per UE, at least 0, in total at most 1, and not all 0."""
    _of_one_band(allocator.shares(loads, rates), loads)


def shares_are_of_one_band_whatever_layers_are_left(
    allocator: Allocator, loads: Mapping[int, float], rates: Mapping[int, float]
) -> None:
    """In turn for loads of one layer, of two layers, and of two layers after the base."""
    senders: Dict[int, Sending] = {}
    for place, (ue, load) in enumerate(loads.items()):
        left, arrived = [((load,), 0), ((load, 2 * load), 0), ((load, load), 1)][place % 3]
        senders[ue] = Sending(left, arrived, rates[ue])
    _of_one_band(allocator.divide(senders), senders)


def _of_one_band(shares: Mapping[int, float], senders: Mapping[int, Any]) -> None:
    same("the UEs that have a share", sorted(shares), sorted(senders))
    right = all(share >= 0 for share in shares.values()) and 0 < sum(shares.values()) <= 1 + 1e-9
    expect(right, f"the shares are {shares}; right are numbers from 0 on, together above 0 and at most 1")


def asked_again_the_shares_are_the_same(
    allocator: Allocator, loads: Mapping[int, float], rates: Mapping[int, float]
) -> None:
    first = dict(allocator.shares(loads, rates))
    same("the second shares", allocator.shares(loads, rates), first)


def bands(allocator: Allocator) -> Inputs:
    """One UE, equal ones, unequal ones, one with nothing left, one in outage."""
    return {
        "one UE": ({4: 1.0}, {4: 2.0}),
        "three alike": (dict.fromkeys(range(3), 0.5), dict.fromkeys(range(3), 1.0)),
        "three unlike": ({0: 1e-6, 5: 10.0, 2: 1e4}, {0: 0.01, 5: 3.0, 2: 900.0}),
        "one with nothing left": ({0: 0.0, 1: 1.0}, {0: 1.0, 1: 1.0}),
        "one in outage": ({0: 1.0, 1: 1.0}, {0: 0.0, 1: 1.0}),
    }


MEDIUM: Tuple[Law, ...] = tuple(
    Law(law, links)
    for law in (
        everything_arrives_and_time_never_goes_back,
        a_plan_is_pure,
        a_medium_survives_a_checkpoint,
        what_was_sent_grows_from_nothing_to_the_load,
        a_ue_is_on_the_air_for_no_longer_than_it_sends,
        who_leaves_sends_no_longer,
    )
)
ALLOCATOR: Tuple[Law, ...] = tuple(
    Law(law, bands)
    for law in (
        shares_are_of_one_band,
        shares_are_of_one_band_whatever_layers_are_left,
        asked_again_the_shares_are_the_same,
    )
)
