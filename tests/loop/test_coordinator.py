"""The loop itself, with a backend that trains by adding a number."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from loops import Local, loop

from fl_simu.backends.base import Backend
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.messages import Aggregate, Broadcast, LayerArrived, Ready, Taken
from fl_simu.kernel.parameters import sha256, structure_of
from fl_simu.loop.coordinator import Observer
from fl_simu.loop.resuming import restore, snapshot
from fl_simu.meters import Energy
from fl_simu.radio.allocation import BaseFirst, Equal, MinEnergy, MinMaxDelay, Tdma
from fl_simu.radio.bits import ChannelAdaptive, FixedBits, LossAdaptive, SpreadAdaptive
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.random_walk import RandomWalk
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.downlink import Free, downlink
from fl_simu.radio.link import Link
from fl_simu.radio.media import (
    Orthogonal,
    PlannedBand,
    PlannedShannonBand,
    ResourceBlocks,
    ShannonBand,
    SharedBand,
    TdmaEnergy,
)
from fl_simu.radio.sizes import RealBytes
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols import BaseThenEnhancement, Buffered, Deadline, EventTriggered, WaitForAll
from fl_simu.station.protocols.base import Protocol
from fl_simu.ue.faults import Faults
from fl_simu.ue.training import Trained
from fl_simu.ue.transforms import Clip, ErrorFeedback
from fl_simu.ue.transforms.base import Transform

FIXED = FixedBits()
ORTHOGONAL, EQUAL = Orthogonal(), Equal()


class Adding(Backend):
    """UE i adds i + 1 to every weight, or turns it into NaN if it is among `broken`."""

    def __init__(self, broken=()):
        super().__init__(Local())
        self.broken, self.held, self.log = broken, {}, []

    def place(self, ue, shard):
        pass

    def train(self, tasks):
        self.log.append(("train", tuple(task.key.ue for task in tasks)))
        for task in tasks:
            self.held[task.key.ue] = {name: self.moved(tensor, task.key) for name, tensor in task.start.items()}

    def moved(self, tensor, key):
        return tensor + self.step(key.ue)

    def step(self, ue):
        return math.nan if ue in self.broken else ue + 1

    def get(self, ue):
        self.log.append(("get", ue))
        return Trained(self.held.pop(ue), {})

    def peek(self, ue):
        return self.held[ue]

    def give_up(self, ue):
        del self.held[ue]

    def close(self):
        pass


class Uneven(Adding):
    """Like Adding, but each weight moves by its own share, so that a codec has a loss."""

    def moved(self, tensor, key):
        return tensor + self.step(key.ue) * torch.linspace(0, 1, len(tensor)) ** 2


@dataclass(frozen=True)
class Fails(Faults):
    """These (UE, version) pairs fail."""

    when: frozenset

    def works(self, seed, ue, round):
        return (ue, round) not in self.when


@dataclass(frozen=True)
class RateOfUe(Channel):
    """UE i has the i-th rate."""

    rates_mbps: tuple

    def pieces(self, seed, ue, round, start_s):
        yield self.rates_mbps[ue], math.inf


class Keep(Observer):
    def __init__(self):
        self.records, self.fetched_ues, self.snapshots = [], [], []

    def fetched(self, ue):
        self.fetched_ues.append(ue)

    def aggregated(self, record, coordinator):
        self.records.append(record)
        self.snapshots.append(snapshot(coordinator, "me"))


def coordinator(
    protocol,
    rates_mbps,
    rounds=1,
    backend=None,
    codec=None,
    broken_off=(),
    rule=FIXED,
    downlink_mbps=None,
    error_feedback=False,
    weights=31_250,
    medium=ORTHOGONAL,
    transforms=(),
    meters=(),
    payload="weights",
    allocator=EQUAL,
):
    payload = "update" if error_feedback else payload
    # 31,250 float32 weights are 1 Mbit: at r Mbit/s they take 1/r seconds.
    model = {"w": torch.zeros(weights)}
    link = Link(codec or Float32(), RateOfUe(rates_mbps), RealBytes(), payload, 1)
    return loop(
        backend or Adding(),
        model,
        link,
        protocol,
        len(rates_mbps),
        [Keep()],
        (*transforms, *([ErrorFeedback()] if error_feedback else [])),
        rounds=rounds,
        evaluate=lambda params: Evaluation(0.5, float(params["w"].mean())),
        faults=Fails(frozenset(broken_off)),
        bits=rule,
        downlink=downlink(RateOfUe(downlink_mbps) if downlink_mbps else Free(), link),
        medium=medium,
        meters=meters,
        allocator=allocator,
    )


def seen(running):
    return running.observers[0]


def test_models_are_fetched_when_the_clock_reaches_their_arrival():
    running = coordinator(WaitForAll(), (0.5, 2.0, 1.0))
    running.run()
    record = seen(running).records[0]
    assert seen(running).fetched_ues == [1, 2, 0]
    assert running.cohorts.backend.log == [("train", (0, 1, 2)), ("get", 1), ("get", 2), ("get", 0)]
    assert record.time_s == 3.0
    assert [outcome.delays_s for outcome in record.ues] == [(2.0,), (0.5,), (1.0,)]
    assert record.uplink_bits == 3_000_000
    assert record.loss == 2.0


def test_measures_of_an_attack_are_asked_for_the_uploads_that_were_settled():
    running = coordinator(EveryArrival(), (1.0, 2.0, 4.0), rounds=6)
    measures = replace(running.setting, measures=lambda params, sent: {"settled": list(sent)})
    running.setting = running.flights.setting = measures
    running.run()
    records = seen(running).records
    assert [record.attack["settled"] for record in records] == [
        [one.ue for one in record.ues] for record in records
    ]
    assert {len(record.ues) for record in records} == {1}


def test_a_late_model_is_never_fetched_and_its_upload_is_cut_off():
    running = coordinator(Deadline(2.0), (0.5, 2.0, 1.0), rounds=2)
    running.run()
    first, second = seen(running).records
    assert [outcome.accepted for outcome in first.ues] == ["none", "full", "full"]
    assert first.ues[0].reason == "late"
    assert first.ues[0].bits == 500_000
    assert ("get", 0) not in running.cohorts.backend.log
    assert (first.loss, second.loss) == (2.5, 5.0)
    assert second.time_s == 4.0


def test_a_base_layer_alone_is_taken_as_it_is():
    # Layers are 12/16 and 4/16 of half a Mbit: arrivals at 0.375/r and 0.5/r.
    codec = Affine(12, (4,))
    running = coordinator(BaseThenEnhancement(1.0, 0.45), (1.0, 2.0, 0.1), codec=codec)
    running.run()
    record = seen(running).records[0]
    assert [outcome.accepted for outcome in record.ues] == ["base", "full", "none"]
    assert record.time_s == 2.0
    assert running.model["w"][0] == 1.5


def test_what_is_not_finite_is_refused_and_recorded():
    running = coordinator(WaitForAll(), (1.0, 2.0), backend=Adding(broken={0}))
    running.run()
    record = seen(running).records[0]
    assert [(outcome.accepted, outcome.reason) for outcome in record.ues] == [("none", "not finite"), ("full", "")]
    assert bool((running.model["w"] == 2.0).all())


def test_a_ue_that_drops_out_neither_trains_nor_sends():
    running = coordinator(Deadline(5.0), (1.0, 2.0, 1.0), rounds=2, broken_off={(1, 0), (0, 1)})
    running.run()
    first, second = seen(running).records
    assert [(outcome.accepted, outcome.reason, outcome.bits) for outcome in first.ues] == [
        ("full", "", 1_000_000),
        ("none", "dropped out", 0),
        ("full", "", 1_000_000),
    ]
    assert running.cohorts.backend.log[0] == ("train", (0, 2))
    assert (first.time_s, first.loss) == (5.0, 2.0)
    assert [outcome.accepted for outcome in second.ues] == ["none", "full", "full"]


def test_waiting_for_what_never_arrives_is_told():
    running = coordinator(WaitForAll(), (1.0, 0.0))
    with pytest.raises(UserError, match="round 1 never ends"):
        running.run()


def test_a_download_takes_its_time_before_training_and_its_bits_are_counted():
    # A Mbit each way: downloads of 1, 0.5, 4 s, then 1 s of training, then uploads of 2, 0.5, 1 s.
    running = coordinator(WaitForAll(), (0.5, 2.0, 1.0), rounds=2, downlink_mbps=(1.0, 2.0, 0.25))
    running.run()
    first, second = seen(running).records
    assert [outcome.download_s for outcome in first.ues] == [1.0, 0.5, 4.0]
    assert [outcome.delays_s for outcome in first.ues] == [(2.0,), (0.5,), (1.0,)]
    assert seen(running).fetched_ues[:3] == [1, 0, 2]
    assert (first.time_s, second.time_s) == (6.0, 12.0)
    assert (first.downlink_bits, first.uplink_bits) == (3_000_000, 3_000_000)


def test_the_deadline_counts_the_download_from_the_broadcast():
    # UE 0 has the model after 1 s, has trained after 2 s and sent after 4 s; the others are still downloading.
    running = coordinator(Deadline(4.0), (0.5, 2.0, 1.0), downlink_mbps=(1.0, 0.2, 0.0))
    running.run()
    record = seen(running).records[0]
    assert record.time_s == 4.0
    assert [(outcome.accepted, outcome.reason) for outcome in record.ues] == [
        ("full", ""),
        ("none", "late"),
        ("none", "not reached"),
    ]
    assert [outcome.bits for outcome in record.ues] == [1_000_000, 0, 0]
    # In 4 s: a complete copy, 0.8 Mbit of one, and nothing.
    assert record.downlink_bits == 1_800_000
    assert running.cohorts.backend.log == [("train", (0, 1)), ("get", 0)]


def test_a_copy_is_sent_to_a_ue_that_drops_out():
    running = coordinator(Deadline(5.0), (1.0, 2.0), broken_off={(1, 0)}, downlink_mbps=(1.0, 1.0))
    running.run()
    record = seen(running).records[0]
    assert (record.downlink_bits, record.ues[1].reason, record.ues[1].download_s) == (
        2_000_000,
        "dropped out",
        1.0,
    )


def test_waiting_for_a_download_that_never_arrives_is_told():
    running = coordinator(WaitForAll(), (1.0, 1.0), downlink_mbps=(1.0, 0.0))
    with pytest.raises(UserError, match="the download before it, never arrives; a protocol with a deadline"):
        running.run()


def test_a_threshold_of_0_is_to_wait_for_all():
    # Every UE adds to every weight in every round, so that every model moves.
    runs = [coordinator(protocol, (0.5, 2.0, 1.0), rounds=3) for protocol in (WaitForAll(), EventTriggered(0.0))]
    for running in runs:
        running.run()
    records = [[replace(record, wall_time_s=0.0) for record in seen(running).records] for running in runs]
    assert records[0] == records[1]
    assert sha256(runs[0].model) == sha256(runs[1].model)


@pytest.mark.parametrize("absent", ["last", "out"])
def test_who_does_not_move_enough_sends_nothing_after_its_first_round(absent):
    running = coordinator(EventTriggered(1e9, absent), (0.5, 2.0, 1.0), rounds=3)
    running.run()
    records = seen(running).records
    assert [record.uplink_bits for record in records] == [3_000_000, 0, 0]
    # The UEs add 1, 2, 3, and later their mean is reused; without reuse, the global model does not change.
    assert [record.loss for record in records] == [2.0, 2.0, 2.0]
    assert [record.time_s for record in records] == [3.0, 4.0, 5.0]
    outcomes = [(one.accepted, one.reason, one.bits, one.delays_s) for record in records[1:] for one in record.ues]
    assert outcomes == [("none", "not moved", 0, (math.inf,))] * 6


def test_only_who_moved_far_enough_sends_and_the_others_count_as_they_were():
    # If all 31,250 weights move by d, the distance is sqrt(31,250) d. UE 0 fails in round 1: the mean of the
    # others' 2 and 3 is 2.5. In round 2 UE 0 sends 3.5 for the first time; the others are at 4.5 and 5.5, which is
    # too near, and count as 2 and 3.
    distance = math.sqrt(31_250)
    protocol = EventTriggered(3.0 * distance, deadline_s=9.0)
    running = coordinator(protocol, (1.0, 1.0, 1.0), rounds=2, broken_off={(0, 0)})
    running.run()
    first, second = seen(running).records
    assert (first.loss, second.loss) == pytest.approx((2.5, 8.5 / 3), abs=1e-4)
    assert [outcome.accepted for outcome in second.ues] == ["full", "none", "none"]
    # A movement of 2 is more than 1.5, so all UEs act as without a threshold.
    eager = coordinator(EventTriggered(1.5 * distance), (1.0, 1.0, 1.0), rounds=3)
    eager.run()
    assert [record.loss for record in seen(eager).records] == [2.0, 4.0, 6.0]


def test_what_was_not_accepted_counts_as_never_sent():
    # UE 0 misses every deadline: it has no earlier update to reuse, and sends in every round.
    running = coordinator(EventTriggered(1e9, deadline_s=2.0), (0.5, 2.0), rounds=2)
    running.run()
    outcomes = [[(one.accepted, one.reason, one.bits) for one in record.ues] for record in seen(running).records]
    late = ("none", "late", 500_000)
    assert outcomes == [[late, ("full", "", 1_000_000)], [late, ("none", "not moved", 0)]]
    assert [record.loss for record in seen(running).records] == [2.0, 2.0]


@pytest.mark.parametrize("threshold", [0.0, 300.0, 1e9])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_an_event_triggered_run_goes_on_from_its_checkpoint(threshold, after):
    def make():
        # UEs 0 to 2 drop out in turn, so that they do not move equally.
        broken_off = {(version % 3, version) for version in range(1, 6)}
        protocol = EventTriggered(threshold, deadline_s=9.0)
        return coordinator(protocol, (0.3, 0.7, 1.1), rounds=6, codec=Affine(2), broken_off=broken_off)

    whole, resumed = make(), make()
    whole.run()
    restore(resumed, seen(whole).snapshots[after - 1])
    resumed.run()
    kept = [replace(record, wall_time_s=0.0) for record in seen(whole).records[after:]]
    assert [replace(record, wall_time_s=0.0) for record in seen(resumed).records] == kept
    assert sha256(resumed.model) == sha256(whole.model)


STEPS = torch.linspace(-1, 1, 48).reshape(3, 16) ** 3 + torch.tensor([[0.3], [-0.1], [0.2]])


class Stepping(Adding):
    """A UE adds the row of STEPS for its round."""

    def moved(self, tensor, key):
        return tensor + STEPS[key.round]


def through_affine(values, bits):
    """The affine quantiser written out in numpy."""
    q = (2**bits - 1) / (float(values.max()) - float(values.min()))
    return (np.rint(q * values.astype(np.float64)) / q).astype(np.float32)


@pytest.mark.parametrize("bits", [2, 3])
def test_error_feedback_is_the_recursion_of_the_papers(bits):
    running = coordinator(
        WaitForAll(), (1.0,), rounds=3, backend=Stepping(), codec=Affine(bits), error_feedback=True, weights=16
    )
    running.run()
    model, error = np.zeros(16, np.float32), np.zeros(16, np.float32)
    for step in STEPS.numpy():
        sent = (model + step) - model + error
        told = through_affine(sent, bits)
        model, error = model + told, sent - told
    assert np.abs(error).max() > 0.05
    assert running.model["w"].numpy() == pytest.approx(model, abs=1e-6)
    (owed,) = running.state.ues[0].transforms
    assert owed["w"].numpy() == pytest.approx(error, abs=1e-6)
    # The decoded updates and the remaining residuals add up to everything that was trained.
    assert (running.model["w"] + owed["w"]).numpy() == pytest.approx(STEPS.sum(dim=0).numpy(), abs=1e-6)


def test_an_error_is_that_of_the_layers_taken_and_stays_where_none_was():
    codec, draws = Affine(1, (3,)), np.random.default_rng(0)
    running = coordinator(WaitForAll(), (1.0,), codec=codec, error_feedback=True, weights=16)
    flights, state = running.flights, running.state
    reference = {"w": torch.zeros(16), "n": torch.tensor(5)}
    trained = [{"w": step, "n": torch.tensor(5 + number)} for number, step in enumerate(STEPS)]

    def upload(version, taken):
        flights.begin(0, version, 0.0, reference)
        assert flights.receive(0, trained[version])
        sent, update = state.flights[0].layers, flights.take(Taken(0, taken)) if taken else None
        flights.settle([0], 9.0)
        return sent, update

    def told(values, layers):
        structure = structure_of({"w": values})
        return codec.decode(codec.encode({"w": values}, draws)[:layers], structure)["w"]

    def owed():
        return state.ues[0].transforms[0]

    upload(0, taken=0)
    assert state.ues == {} and state.flights == {}
    _, update = upload(1, taken=1)
    error = STEPS[1] - told(STEPS[1], 1)
    assert list(owed()) == ["w"] and torch.equal(owed()["w"], error)
    assert update.params["n"] == 6
    upload(2, taken=0)
    assert torch.equal(owed()["w"], error)
    sent, _ = upload(2, taken=2)
    assert sent == codec.encode({"w": STEPS[2] + error, "n": torch.tensor(2)}, draws)
    assert torch.equal(owed()["w"], STEPS[2] + error - told(STEPS[2] + error, 2))


@pytest.mark.parametrize("make", [Fading, Uniform, RandomWalk], ids=lambda cls: cls.__name__)
def test_both_directions_of_a_link_have_the_same_rate_with_the_same_arguments(make):
    up = Link(Float32(), make(), RealBytes(), "update", 3)
    down = downlink(make(), up)
    structure = structure_of({"w": torch.zeros(1_000_000)})
    for ue in range(5):
        assert down.transmit(ue, 2, 1.5, structure) == up.transmit(ue, 2, 1.5, structure)


@dataclass(frozen=True)
class EveryArrival(Protocol):
    """Aggregate whenever a model is complete, and hand the new one to its UE: uploads stay in flight."""

    state_classes = ()

    def start(self):
        return ()

    def decided(self, state, ue, now_s):
        raise NotImplementedError

    def on(self, state, event):
        if isinstance(event, Ready):
            return (), (Broadcast(tuple(ue for ue in event.ues if ue not in state)),)
        if isinstance(event, LayerArrived) and event.layer + 1 == event.layers:
            others = tuple(ue for ue in range(3) if ue != event.ue)
            return others, (Aggregate((Taken(event.ue, event.layers),)),)
        return state, ()


@pytest.mark.parametrize("after", [1, 2, 3, 5])
@pytest.mark.parametrize("broken_off", [(), {(1, 0)}])
@pytest.mark.parametrize(
    "more", [{}, {"downlink_mbps": (0.7, 0.3, 5.0)}, {"error_feedback": True}, {"broken": {1}}], ids=str
)
def test_a_run_with_uploads_in_flight_goes_on_from_its_checkpoint(after, broken_off, more):
    def make():
        options = dict(more)
        backend, codec = Uneven(options.pop("broken", ())), Affine(2, (2,))
        return coordinator(
            EveryArrival(),
            (0.3, 0.7, 1.1),
            rounds=8,
            backend=backend,
            codec=codec,
            broken_off=broken_off,
            **options,
        )

    whole = make()
    whole.run()
    assert len({flight.upload.version for flight in whole.state.flights.values()}) > 1
    resumed = make()
    restore(resumed, seen(whole).snapshots[after - 1])
    resumed.run()
    kept = [replace(record, wall_time_s=0.0) for record in seen(whole).records[after:]]
    assert [replace(record, wall_time_s=0.0) for record in seen(resumed).records] == kept
    assert sha256(resumed.model) == sha256(whole.model)


@pytest.mark.parametrize("after", range(1, 8))
def test_a_run_goes_on_from_between_two_aggregations_at_one_moment(after):
    def make():
        return coordinator(Buffered(2), (1.0,) * 5, rounds=8, backend=Uneven(), codec=Affine(2, (2,)))

    whole, resumed = make(), make()
    whole.run()
    records = seen(whole).records
    assert records[0].time_s == records[1].time_s
    restore(resumed, seen(whole).snapshots[after - 1])
    resumed.run()
    assert [record.ues for record in seen(resumed).records] == [record.ues for record in records[after:]]
    assert sha256(resumed.model) == sha256(whole.model)


def test_each_ue_sends_the_most_bits_that_its_last_rate_can_carry():
    # A bit for each of 31,250 parameters: in 0.3 s, 1, 0.25 and 0.02 Mbit/s carry 9, 2 and 0 of them.
    rule = ChannelAdaptive(deadline_s=0.3, knows="last", least_bits=1, most_bits=8)
    running = coordinator(WaitForAll(), (1.0, 0.25, 0.02), rounds=2, codec=Affine(4), rule=rule)
    running.run()
    sent = [[round(outcome.bits / 31_250) for outcome in record.ues] for record in seen(running).records]
    assert sent == [[1, 1, 1], [8, 2, 1]]
    assert all(outcome.accepted == "full" for record in seen(running).records for outcome in record.ues)


@pytest.mark.parametrize("rule", [ChannelAdaptive(0.3), LossAdaptive(), SpreadAdaptive(0.1)])
def test_adaptive_bits_go_on_from_a_checkpoint(rule):
    def make():
        return coordinator(EveryArrival(), (0.3, 0.7, 1.1), rounds=8, codec=Affine(4), rule=rule)

    whole, resumed = make(), make()
    whole.run()
    restore(resumed, seen(whole).snapshots[3])
    resumed.run()
    assert [record.ues for record in seen(resumed).records] == [record.ues for record in seen(whole).records[4:]]
    assert sha256(resumed.model) == sha256(whole.model)


def test_uploads_that_share_a_band_are_as_by_hand():
    # A Mbit each over 1 Mbit/s: all three begin after 1 s of training and have a third of the band, until 4 s.
    running = coordinator(WaitForAll(), (1.0, 1.0, 1.0), rounds=2, medium=SharedBand())
    running.run()
    first, second = seen(running).records
    assert (first.time_s, second.time_s) == (pytest.approx(4.0), pytest.approx(8.0))
    assert seen(running).fetched_ues[:3] != [] and first.loss == 2.0
    assert [outcome.delays_s for outcome in first.ues] == [(pytest.approx(3.0),)] * 3
    assert [outcome.bits for outcome in first.ues] == [1_000_000] * 3
    # UE 1 is twice as fast: with a third of the band its Mbit takes 1 / (2/3) = 1.5 s. The remaining half of each
    # other upload then takes 1 s with half of the band.
    faster = coordinator(WaitForAll(), (1.0, 2.0, 1.0), medium=SharedBand())
    faster.run()
    delays = [outcome.delays_s[0] for outcome in seen(faster).records[0].ues]
    assert delays == pytest.approx([2.5, 1.5, 2.5])


def test_who_is_late_on_a_shared_band_is_cut_off_and_hinders_nobody_after():
    # By the deadline, 1 s after they began, each has sent half of its Mbit; in the next round they start again.
    running = coordinator(Deadline(2.0), (1.0, 1.0), rounds=3, medium=SharedBand())
    running.run()
    for record in seen(running).records:
        assert [(one.accepted, one.reason, one.bits) for one in record.ues] == [("none", "late", 500_000)] * 2
    assert running.state.medium.senders == {} and running.state.flights == {}


@pytest.mark.parametrize("after", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("medium", "allocator"),
    [
        (SharedBand(), EQUAL),
        (SharedBand(), BaseFirst()),
        (SharedBand(), Tdma("joined")),
        (ShannonBand(bandwidth_mhz=1.0), MinMaxDelay()),
        (PlannedBand(), MinEnergy(5.0)),
        (PlannedShannonBand(bandwidth_mhz=1.0), Tdma()),
        (TdmaEnergy(time_s=1.5, bandwidth_mhz=1.0), EQUAL),
        (ResourceBlocks(blocks=2, interference_w=(0.0, 1e-8), delay_s=9.0, energy_j=1.0), EQUAL),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "protocol", [EveryArrival(), Buffered(2), Deadline(2.2)], ids=lambda one: type(one).__name__
)
def test_a_run_on_a_shared_band_goes_on_from_its_checkpoint(protocol, medium, allocator, after):
    def make():
        return coordinator(
            protocol, (0.6, 1.4, 1.1), rounds=7, backend=Uneven(), codec=Affine(2, (2,)), medium=medium,
            allocator=allocator, transforms=(Clip(20.0),), meters=(Energy(),), error_feedback=True,
        )  # fmt: skip

    whole, resumed = make(), make()
    whole.run()
    restore(resumed, seen(whole).snapshots[after - 1])
    resumed.run()
    kept = [replace(record, wall_time_s=0.0) for record in seen(whole).records[after:]]
    assert [replace(record, wall_time_s=0.0) for record in seen(resumed).records] == kept
    assert sha256(resumed.model) == sha256(whole.model)


def test_transforms_come_in_their_order_and_what_is_lost_of_an_upload_leaves_no_trace():
    # UE 0 moves each of 16 weights by 3: a norm of 12, which clipped to 4 is 1 per weight.
    running = coordinator(WaitForAll(), (1.0,), backend=Adding(), weights=16, transforms=(Double(), Clip(4.0)))
    running.run()
    assert running.model["w"].tolist() == pytest.approx([1.0] * 16)
    other = coordinator(WaitForAll(), (1.0,), backend=Adding(), weights=16, transforms=(Clip(2.0), Double()))
    other.run()
    assert other.model["w"].tolist() == pytest.approx([1.0] * 16)
    assert running.state.ues[0].transforms == (1, None)
    late = coordinator(Deadline(1.5), (1.0,), rounds=2, transforms=(Double(),))
    late.run()
    assert late.state.ues == {}


@dataclass(frozen=True)
class Double(Transform):
    """Doubles the update; counts how often it was accepted."""

    def apply(self, update, context, memory):
        return {name: 2 * tensor for name, tensor in update.items()}, memory or 0

    def settled(self, memory, sent, decoded):
        return memory + 1


def test_energy_is_the_cost_table_of_hierarchical_learning():
    """Liu, Zhang, Song, Letaief 2020: 1 MHz, 0.5 W, gain 1e-8, noise 1e-10 W."""
    rate_mbps = math.log2(1 + 0.5 * 1e-8 / 1e-10)
    assert rate_mbps == pytest.approx(5.6724, abs=1e-4)
    energy = Energy(kappa=1e-28, cycles_per_sample=2.4e7, frequency_hz=1e9, power_w=0.5)
    for weights, airtime_s, joule in ((21_840, 0.12321, 0.06160), (5_852_170, 33.014, 16.507)):
        running = coordinator(WaitForAll(), (rate_mbps,), weights=weights, meters=(energy,))
        running.run()
        (record,) = seen(running).records
        (outcome,) = record.ues
        assert outcome.delays_s[0] == pytest.approx(airtime_s, rel=1e-4)
        assert outcome.meters["transmit_energy_j"] == pytest.approx(joule, rel=1e-4)
        assert outcome.meters["compute_energy_j"] == pytest.approx(0.0024)
        assert record.meters["energy_j"] == pytest.approx(joule + 0.0024, rel=1e-4)


def test_energy_of_what_is_cut_off_or_never_begins():
    # 0.5 W for 1 s on the air until the deadline; the UE that drops out spends nothing.
    energy = Energy(kappa=0.0, power_w=0.5, efficiency=0.5, circuit_w=0.25)
    running = coordinator(Deadline(2.0), (0.1, 4.0, 1.0), broken_off={(2, 0)}, meters=(energy,))
    running.run()
    (record,) = seen(running).records
    assert [one.meters["energy_j"] for one in record.ues] == pytest.approx([1.25, 1.25 / 4, 0.0])
    assert record.meters["energy_j"] == pytest.approx(1.5625)
    assert [one.meters["wasted_energy_j"] for one in record.ues] == pytest.approx([1.25, 0.0, 0.0])
    assert record.meters["wasted_energy_j"] == pytest.approx(1.25)
