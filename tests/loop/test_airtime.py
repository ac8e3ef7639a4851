"""How long a UE is on the air where a band is shared: while it has a share, and not while it waits."""

from dataclasses import dataclass

import pytest

from fl_simu.meters import Energy
from fl_simu.radio.allocation import BaseFirst, Equal, MinMaxDelay, Tdma
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.media import SharedBand
from fl_simu.radio.media.base import SharedMedium
from fl_simu.station.protocols import Deadline, WaitForAll
from tests.loop.test_coordinator import coordinator, seen
from tests.open.medium import OneAtATime

RATES = (0.5, 2.0, 1.0)


def joules(protocol, allocator=None, medium=None, rates=RATES, **more):
    """What each UE spends on sending in one round, with 3 W."""
    running = coordinator(
        protocol, rates, medium=medium or SharedBand(), allocator=allocator or Equal(),
        meters=(Energy(kappa=0.0, power_w=3.0),), **more,
    )  # fmt: skip
    running.run()
    return [one.meters["transmit_energy_j"] for one in seen(running).records[0].ues]


@pytest.mark.parametrize("order", ["shortest", "joined"])
def test_one_after_the_other_each_pays_for_its_own_sending_alone(order):
    # A Mbit with P L / r, whoever went before.
    assert joules(WaitForAll(), Tdma(order)) == pytest.approx([3 / rate for rate in RATES], rel=1e-12)


def test_side_by_side_each_pays_until_it_has_ended():
    # Shares of a third until 1.5 s, of a half until 2.5 s, then all of the band for 1 s more: 3.5 s together.
    assert joules(WaitForAll()) == pytest.approx([3 * 3.5, 3 * 1.5, 3 * 2.5])
    assert joules(WaitForAll(), MinMaxDelay()) == pytest.approx([3 * 3.5] * 3)


def test_who_is_cut_off_pays_for_the_time_in_which_it_sent():
    # From 1 s on: UE 1 sends for half a second, UE 2 for a second, UE 0 for the rest until 3 s.
    assert joules(Deadline(3.0), Tdma()) == pytest.approx([3 * 0.5, 3 * 0.5, 3 * 1.0])
    # UE 0 never comes to send, and UE 2 for half a second.
    assert joules(Deadline(2.0), Tdma()) == pytest.approx([0.0, 3 * 0.5, 3 * 0.5])


def test_who_waits_behind_the_bases_of_others_pays_for_its_two_turns():
    # Equal layers of UEs that are equally fast: base by base, then enhancement by enhancement, all side by side.
    alone = joules(WaitForAll(), rates=(1.0,), codec=Affine(8, (8,)))
    both = joules(WaitForAll(), BaseFirst(), rates=(1.0, 1.0), codec=Affine(8, (8,)))
    assert both == pytest.approx([2 * alone[0]] * 2)


@dataclass(frozen=True)
class Silent(OneAtATime):
    """A medium of somebody else's that tells no airtime."""


def test_a_medium_that_tells_no_airtime_is_on_the_air_all_the_time():
    assert Silent.airtime_s is SharedMedium.airtime_s
    assert sorted(joules(WaitForAll(), medium=Silent(), rates=(1.0, 1.0))) == pytest.approx([3.0, 6.0])


def test_in_outage_with_a_share_the_radio_is_on():
    # UE 1 carries nothing for ever, and has half of the band until it is cut off.
    assert joules(Deadline(5.0), rates=(1.0, 0.0)) == pytest.approx([3 * 2.0, 3 * 4.0])
