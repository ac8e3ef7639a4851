"""Losses: closed forms against published numbers and scipy, draws against the closed forms, and the loop."""

import math
from dataclasses import replace

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.errors import BadField
from fl_simu.kernel.messages import Aggregate, LayerArrived, LayerLost, Ready, Taken, UploadStarted
from fl_simu.kernel.randomness import stream
from fl_simu.radio.losses import Carried, Fixed, NoLoss, Outage, Waterfall
from fl_simu.station.protocols import Buffered, Deadline, FirstK, WaitForAll

DRAWS = 20_000


def test_packets_of_1500_bytes_that_all_must_pass():
    loss = Fixed(error_rate=0.1)
    assert [loss.packets(bits) for bits in (0, 1, 12_000, 12_001, 36_000)] == [0, 1, 1, 2, 3]
    passed = [loss.carry(36_000, stream(1, "test", ue)) for ue in range(DRAWS)]
    assert {one.bits for one in passed} == {36_000}
    # (1 - e)^N = 0.729 with a standard deviation of 0.003.
    assert np.mean([one.arrives for one in passed]) == pytest.approx(0.729, abs=0.012)
    assert Fixed(error_rate=0.0).carry(36_000, stream(1, "test")) == Carried(36_000, True)


def test_packets_are_sent_again_up_to_the_most_tries():
    loss = Fixed(error_rate=0.3, tries=3)
    assert loss.mean_tries() == pytest.approx((1 - 0.3**3) / (1 - 0.3))
    # Ten packets, the last of half length: the draws determine the bits that were sent.
    sent = [loss.carry(114_000, stream(1, "test", ue)) for ue in range(DRAWS)]
    assert all(114_000 <= one.bits <= 3 * 114_000 and one.bits % 6_000 == 0 for one in sent)
    assert np.mean([one.bits for one in sent]) == pytest.approx(114_000 * 1.39, rel=0.005)
    assert np.mean([one.arrives for one in sent]) == pytest.approx((1 - 0.027) ** 10, abs=0.012)


@pytest.mark.parametrize(
    "ratio_db, faded, unfaded", [(-20.0, 0.0448, 0.00995), (-10.0, 0.2334, 0.0952), (0.0, 0.7203, 0.632)]
)
def test_the_waterfall_has_its_closed_form(ratio_db, faded, unfaded):
    special = pytest.importorskip("scipy.special")
    loss = Waterfall(threshold_db=5.0 + ratio_db, sinr_db=5.0)
    a = 10 ** (ratio_db / 10)
    assert loss.error_rate() == pytest.approx(1 - 2 * math.sqrt(a) * special.kv(1, 2 * math.sqrt(a)), rel=1e-9)
    assert loss.error_rate() == pytest.approx(faded, abs=6e-5)
    assert replace(loss, fading=False).error_rate() == pytest.approx(unfaded, abs=2e-4)
    for one, rate in ((loss, faded), (replace(loss, fading=False), unfaded)):
        lost = [not one.carry(8, stream(2, "test", ue)).arrives for ue in range(DRAWS)]
        assert np.mean(lost) == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / DRAWS) + 1e-4)


def test_the_rate_of_the_waterfall_at_its_ends():
    rates = [Waterfall(threshold_db=0.0, sinr_db=sinr_db).error_rate() for sinr_db in (-100.0, 100.0)]
    # For a small a, q is -a (ln a + 2 gamma - 1).
    a = 1e-10
    assert rates == pytest.approx([1.0, -a * (math.log(a) + 2 * 0.5772156649 - 1)], rel=1e-6)


def test_outage_at_a_fixed_rate():
    # 2 bit/s/Hz at 10 dB: x = 3 / 10.
    loss = Outage(spectral_efficiency=2.0, snr_db=10.0)
    assert loss.lost_after(1) == pytest.approx(1 - math.exp(-0.3))
    lost = [not loss.carry(8, stream(3, "test", ue)).arrives for ue in range(DRAWS)]
    assert np.mean(lost) == pytest.approx(1 - math.exp(-0.3), abs=0.013)


def test_chase_combining_is_the_regularised_gamma_function():
    # 1 bit/s/Hz at 3.0103 dB: x = 1/2.
    loss = Outage(1.0, 10 * math.log10(2), combining=True, tries=3)
    assert [loss.lost_after(tries) for tries in (1, 2, 3)] == pytest.approx([0.393, 0.0902, 0.0144], abs=5e-4)
    special = pytest.importorskip("scipy.special")
    for x_db in (-40.0, -3.0, 10.0, 25.0, 60.0):
        one = Outage(1.0, -x_db, combining=True)
        found = [one.lost_after(tries) for tries in (1, 3, 10, 100)]
        assert found == pytest.approx(list(special.gammainc([1, 3, 10, 100], 10 ** (x_db / 10))), rel=1e-9)
    sent = [loss.carry(100, stream(4, "test", ue)) for ue in range(DRAWS)]
    assert np.mean([not one.arrives for one in sent]) == pytest.approx(0.0144, abs=0.0035)
    # It is sent again after the first try with probability 0.393, after the second one with 0.0902.
    assert loss.mean_tries() == pytest.approx(1.4837, abs=5e-4)
    assert np.mean([one.bits for one in sent]) == pytest.approx(148.37, abs=2.0)
    assert replace(loss, combining=False).mean_tries() == pytest.approx((1 - 0.3935**3) / (1 - 0.3935), abs=1e-3)


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Fixed(error_rate=1.0), "error_rate"),
        (lambda: Fixed(packet_bytes=0), "packet_bytes"),
        (lambda: Waterfall(tries=0), "tries"),
        (lambda: Waterfall(sinr_db=math.inf), "sinr_db"),
        (lambda: Outage(spectral_efficiency=0.0), "spectral_efficiency"),
        (lambda: Outage(snr_db=math.nan), "snr_db"),
    ],
)
def test_what_is_out_of_range_is_named(make, field):
    with pytest.raises(BadField, match=field):
        make()


@pytest.mark.parametrize(
    "protocol, taken",
    [
        (WaitForAll(), (Taken(0, 1), Taken(1, 2))),
        (Deadline(9.0), (Taken(0, 1), Taken(1, 2))),
        (FirstK(2), (Taken(1, 2),)),
        (Buffered(2), (Taken(1, 2),)),
    ],
)
def test_a_protocol_waits_no_longer_for_what_is_lost(protocol, taken):
    """UE 0 loses its enhancement, UE 2 its base; UE 1 is complete last."""
    state, said = protocol.start(), []
    for event in (
        Ready(0.0, 0, (0, 1, 2)),
        *(UploadStarted(0.0, ue, 0) for ue in range(3)),
        LayerArrived(1.0, 0, 0, 0, 2),
        LayerArrived(1.0, 1, 0, 0, 2),
        LayerLost(1.0, 2, 0, 0),
        LayerLost(2.0, 0, 0, 1),
        LayerArrived(3.0, 1, 0, 1, 2),
    ):
        assert not said
        state, actions = protocol.on(state, event)
        said = [action for action in actions if isinstance(action, Aggregate)]
    assert said[0].taken == taken
    assert sorted(said[0].rejected) == [ue for ue in range(3) if ue not in [one.ue for one in taken]]


# An update of 650 parameters at 0.1 Mbit/s: 4 bits in the base, 4 more in the enhancement.
RUN = {
    "rounds": 6, "ues": 4, "backend": "torch", "model": "logistic_regression", "payload": "update",
    "data": {"name": "digits", "train_samples": 80, "test_samples": 30},
    "codec": {"name": "affine", "base_bits": 4, "enhancement_bits": [4]},
    "channel": {"name": "constant", "rate_mbps": 0.1}, "compute": {"name": "constant", "seconds": 0.0},
    "meters": [{"name": "energy", "kappa": 0.0, "power_w": 2.0}],
}  # fmt: skip
LOSSY = {"name": "outage", "snr_db": 0.0, "spectral_efficiency": 1.0, "tries": 2}


@pytest.mark.parametrize("medium", ["orthogonal", "shared_band"])
def test_a_run_pays_for_what_is_lost_and_sent_again(medium):
    clean = fl.run(fl.Experiment.parse({**RUN, "rounds": 1})).records[0].ues[0].bits
    link = fl.Experiment.parse(RUN).channel.rate_mbps
    run = fl.run(fl.Experiment.parse({**RUN, "loss": LOSSY, "medium": medium}))
    outcomes = [one for record in run.records for one in record.ues]
    assert {one.accepted for one in outcomes} == {"full", "base", "none"}
    for one in outcomes:
        assert (one.reason == "lost") == (one.accepted == "none") == (one.delays_s[0] == math.inf)
        assert (one.accepted == "full") == (max(one.delays_s) < math.inf)
    # Each layer is sent once or twice, in half of the cases or more a second time.
    assert all(clean <= one.bits <= 2 * clean for one in outcomes if one.accepted == "full")
    assert len({one.bits for one in outcomes}) > 2
    if medium == "orthogonal":
        full = [one for one in outcomes if one.accepted == "full"]
        assert [one.delays_s[-1] for one in full] == pytest.approx([one.bits / link / 1e6 for one in full])
        # Energy is P times the airtime, including that of lost layers.
        energy = [one.meters["energy_j"] for one in outcomes]
        assert energy == pytest.approx([2.0 * one.bits / link / 1e6 for one in outcomes])


def test_a_round_in_which_all_is_lost_keeps_the_model():
    lost = {"name": "outage", "snr_db": -100.0}
    run = fl.run(fl.Experiment.parse({**RUN, "rounds": 2, "loss": lost}))
    untrained = fl.run(fl.Experiment.parse({**RUN, "rounds": 1, "loss": lost}))
    assert run.summary.model_sha256 == untrained.summary.model_sha256
    assert {one.reason for record in run.records for one in record.ues} == {"lost"}
    # The BS learns of a lost base layer at the time of its arrival, and does not wait for more.
    assert run.records[0].time_s == pytest.approx(run.records[0].ues[0].bits / 1e5, rel=1e-6)
    assert run.records[0].ues[0].bits > 0


def test_a_loss_that_loses_nothing_changes_nothing():
    plain = fl.run(fl.Experiment.parse(RUN))
    sure = fl.run(fl.Experiment.parse({**RUN, "loss": {"name": "outage", "snr_db": 100.0}}))
    assert plain.summary.model_sha256 == sure.summary.model_sha256
    assert [record.ues for record in plain.records] == [record.ues for record in sure.records]
    assert isinstance(fl.Experiment().loss, NoLoss)
