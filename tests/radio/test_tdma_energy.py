"""TDMA with the least energy: by hand, against scipy, and its energy in complete runs."""

import math
import re

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.errors import BadField
from fl_simu.loop.plan import plan
from fl_simu.meters import Energy
from fl_simu.radio.allocation import Equal, Tdma
from fl_simu.radio.allocation.slots import cheapest_slots, slot_energy
from fl_simu.radio.media import EqualSlots, SharedBand, TdmaEnergy
from fl_simu.station.protocols import Deadline, WaitForAll
from tests.loop.test_coordinator import coordinator, seen
from tests.radio.test_media import Rates, link_of
from tests.radio.test_planned_band import uploads_of

# No power limit.
FREE = 600.0


def energy_of(alone_s, weights, slots_s):
    return sum(map(slot_energy, alone_s, weights, slots_s))


def test_equal_ues_have_equal_slots_and_the_energy_of_the_formula():
    slots = cheapest_slots(np.full(4, 0.5), np.full(4, 2e-3), np.full(4, FREE), 8.0)
    assert slots == pytest.approx([2.0] * 4, rel=1e-12)
    # 2 s times 2 mW times (e^(0.25) - 1), four times.
    assert energy_of([0.5] * 4, [2e-3] * 4, slots) == pytest.approx(4 * 2 * 2e-3 * 0.2840254166877414)


def test_slots_by_hand_where_the_density_is_known():
    # (x - 1) e^x + 1 is 1 at x = 1 and e^2 + 1 at x = 2: with the weights swapped, the slots are S_0 and S_1 / 2.
    weights = np.array([math.exp(2) + 1, 1.0])
    slots = cheapest_slots(np.array([3.0, 4.0]), weights, np.full(2, FREE), 5.0)
    assert slots == pytest.approx([3.0, 2.0], rel=1e-12)
    # UE 0 may send at 0.75 nat/s/Hz at most: it takes 4 s, and UE 1 has the last second.
    slots = cheapest_slots(np.array([3.0, 4.0]), weights, np.array([0.75, FREE]), 5.0)
    assert slots == pytest.approx([4.0, 1.0], rel=1e-12)


def test_where_the_time_is_too_short_all_send_at_full_power():
    alone, most = np.array([3.0, 4.0]), np.array([1.5, 2.0])
    for time_s in (4.0, 1.0):
        assert cheapest_slots(alone, np.ones(2), most, time_s).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("slack", [1.01, 1.5, 20.0])
def test_the_least_energy_is_what_scipy_finds(number, slack):
    optimize = pytest.importorskip("scipy.optimize")
    draws = np.random.default_rng(number)
    alone, weights = draws.uniform(0.2, 3.0, number), 10 ** draws.uniform(-1, 1, number)
    most = draws.uniform(0.5, 4.0, number)
    shortest = alone / most
    time_s = float(slack * shortest.sum())
    slots = cheapest_slots(alone, weights, most, time_s)
    assert slots.sum() == pytest.approx(time_s, rel=1e-12) and (slots >= shortest * (1 - 1e-12)).all()
    # KKT: slightly more time saves equally much for all UEs above their shortest slot, and less for the others.
    x = alone / slots
    saved = weights * ((x - 1) * np.exp(x) + 1)
    free = slots > shortest * (1 + 1e-9)
    assert np.ptp(saved[free]) <= 1e-9 * saved[free].max() and (saved[~free] <= saved[free].min()).all()
    found = optimize.minimize(
        lambda slots: energy_of(alone, weights, slots),
        shortest * slack,
        method="SLSQP",
        bounds=[(least, time_s) for least in shortest],
        constraints={"type": "ineq", "fun": lambda slots: time_s - slots.sum()},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    least = energy_of(alone, weights, slots)
    assert least == pytest.approx(found.fun, rel=1e-6) and least <= found.fun * (1 + 1e-9)


def test_more_time_costs_less_down_to_what_no_time_can_save():
    alone, weights, most = np.array([0.5, 2.0]), np.array([3.0, 1.0]), np.full(2, FREE)
    told = [energy_of(alone, weights, cheapest_slots(alone, weights, most, time)) for time in (1, 3, 10, 1e3, 1e7)]
    assert told == sorted(told, reverse=True)
    # tau (e^(S / tau) - 1) goes to S.
    assert told[-1] == pytest.approx(0.5 * 3.0 + 2.0, rel=1e-6)


def joules(medium, rates, protocol=None, **more):
    running = coordinator(
        protocol or WaitForAll(), rates, medium=medium, meters=(Energy(kappa=0.0, power_w=2.0),), **more
    )
    running.run()
    (record,) = seen(running).records
    return record, [one.meters["transmit_energy_j"] for one in record.ues]


def test_a_run_takes_the_whole_time_and_is_charged_the_least_energy():
    # 1 Mbit in 1 MHz at SNRs of 3, 1 and 7: S / B is ln 2 s.
    rates, medium = (2.0, 1.0, 3.0), TdmaEnergy(time_s=4.0, bandwidth_mhz=1.0, power_w=2.0)
    alone, snrs = np.full(3, math.log(2)), np.array([3.0, 1.0, 7.0])
    slots = cheapest_slots(alone, 2.0 / snrs, np.log1p(snrs), 4.0)
    record, spent = joules(medium, rates)
    assert record.time_s == pytest.approx(1.0 + 4.0)
    assert spent == pytest.approx([slot_energy(math.log(2), 2.0 / snr, slot) for snr, slot in zip(snrs, slots)])
    # One after the other, in the order of the draw, since all end their training at once.
    ends = np.array([one.delays_s[0] for one in record.ues])
    order = np.argsort(ends)
    assert np.diff(ends[order], prepend=0.0) == pytest.approx(slots[order])
    # At full power it takes 1/2 + 1 + 1/3 s and 2 W in each.
    full, most = joules(SharedBand(), rates, allocator=Tdma())
    assert sum(most) == pytest.approx(2.0 * 11 / 6) and sum(spent) < 0.8 * sum(most)
    # The same happens here, where the time is too short.
    short, same = joules(TdmaEnergy(time_s=1.0, bandwidth_mhz=1.0, power_w=2.0), rates)
    assert short.time_s == pytest.approx(full.time_s) and same == pytest.approx(most)


def test_equal_slots_have_the_powers_that_fill_them_and_cost_more():
    # 1 Mbit in 1 MHz and 2 s: 0.5 bit/s/Hz, so an SNR of 2^0.5 - 1 for all, where full power has 3, 1 and 7.
    rates, snrs = (2.0, 1.0, 3.0), np.array([3.0, 1.0, 7.0])
    record, spent = joules(EqualSlots(time_s=6.0, bandwidth_mhz=1.0, power_w=2.0), rates)
    assert spent == pytest.approx(2.0 * 2.0 * (math.sqrt(2) - 1) / snrs)
    assert record.time_s == pytest.approx(1.0 + 6.0)
    _, least = joules(TdmaEnergy(time_s=6.0, bandwidth_mhz=1.0, power_w=2.0), rates)
    assert sum(least) < 0.99 * sum(spent)
    # In slots of 0.8 s the second would need an SNR of 2^1.25 - 1 > 1: it sends for 1 s at full power.
    record, spent = joules(EqualSlots(time_s=2.4, bandwidth_mhz=1.0, power_w=2.0), rates)
    filled = 2.0 * 0.8 * (2**1.25 - 1) / snrs
    assert spent == pytest.approx([filled[0], 2.0, filled[2]])
    assert record.time_s == pytest.approx(1.0 + 2.6)


def test_who_is_cut_off_pays_for_its_part_of_the_power():
    medium = TdmaEnergy(time_s=2.0, bandwidth_mhz=1.0, power_w=2.0)
    # Alone in 2 s: 0.5 bit/s/Hz, so an SNR of 2^0.5 - 1 where full power has 1.
    record, spent = joules(medium, (1.0,), Deadline(2.5))
    assert spent == pytest.approx([1.5 * 2.0 * (math.sqrt(2) - 1)])
    assert record.ues[0].bits == 750_000 and record.ues[0].reason == "late"


def test_who_comes_first_sends_first_and_who_is_in_outage_at_full_power():
    link = link_of(Rates((1.0, 1.0, 0.0)))
    medium = TdmaEnergy(time_s=4.0, bandwidth_mhz=1.0)
    parts = medium.parts(link, uploads_of(link, {0: 1.0, 1: 0.5, 2: 0.0}), 0.0)
    assert parts == pytest.approx({0: math.sqrt(2) - 1, 1: math.sqrt(2) - 1, 2: 1.0})
    state = medium.handed(medium.start(), link, Equal(), uploads_of(link, {0: 1.0, 1: 0.5}), 0.0)
    now, ended, uploads = 0.0, {}, uploads_of(link, {0: 1.0, 1: 0.5})
    for ue, at in ((1, 0.5), (0, 1.0)):
        state = medium.join(medium.plan(state, link, Equal(), now)[0], link, uploads[ue], at)
        now = at
    for _ in range(2):
        state, arrival = medium.plan(state, link, Equal(), now)
        now = ended[arrival.ue] = arrival.time_s
        state = medium.arrived(state, link, arrival)
    # 2 s each.
    assert ended == pytest.approx({1: 2.5, 0: 4.5})
    assert state.parts == {} and state.band.ues == ()


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"allocator": "tdma"}, "it needs allocator equal"),
        (
            {"channel": {"name": "cell", "shares": 1, "power_control": "open_loop"}},
            "the channel controls the power",
        ),
        ({"medium": {"name": "tdma_energy", "time_s": 0.0}}, re.escape("medium.time_s = 0.0")),
    ],
)
def test_what_does_not_fit_is_refused(changes, told):
    base = {"data": "digits", "model": "mlp", "backend": "torch", "medium": "tdma_energy"}
    with pytest.raises(BadField, match=told):
        plan(fl.Experiment(**{**base, **changes}))
