"""The airtime of a UE on a shared band: the time with a share, without the time that it waits."""

from dataclasses import dataclass, replace

import pytest

import fl_simu as fl
from fl_simu.kernel.installation import MODERN
from fl_simu.meters import Energy
from fl_simu.radio.allocation import ALLOCATORS, BaseFirst, Equal, MinMaxDelay, Tdma
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.media import Orthogonal, PlannedBand, ShannonBand, SharedBand
from fl_simu.radio.media.base import SharedMedium
from fl_simu.station.protocols import Deadline, WaitForAll
from tests.loop.test_coordinator import coordinator, seen
from tests.open.medium import OneAtATime

RATES = (0.5, 2.0, 1.0)


def joules(protocol, allocator=None, medium=None, rates=RATES, **more):
    """The energy of each UE for sending in one round, with 3 W."""
    running = coordinator(
        protocol, rates, medium=medium or SharedBand(), allocator=allocator or Equal(),
        meters=(Energy(kappa=0.0, power_w=3.0),), **more,
    )  # fmt: skip
    running.run()
    return [one.meters["transmit_energy_j"] for one in seen(running).records[0].ues]


@pytest.mark.parametrize("order", ["shortest", "joined"])
def test_one_after_the_other_each_pays_for_its_own_sending_alone(order):
    # A Mbit costs P L / r, whichever UE sent before.
    assert joules(WaitForAll(), Tdma(order)) == pytest.approx([3 / rate for rate in RATES], rel=1e-12)


def test_side_by_side_each_pays_until_it_has_ended():
    # Shares of a third until 1.5 s, of a half until 2.5 s, then the whole band for 1 s more: 3.5 s in total.
    assert joules(WaitForAll()) == pytest.approx([3 * 3.5, 3 * 1.5, 3 * 2.5])
    assert joules(WaitForAll(), MinMaxDelay()) == pytest.approx([3 * 3.5] * 3)


def test_who_is_cut_off_pays_for_the_time_in_which_it_sent():
    # From 1 s on: UE 1 sends for half a second, UE 2 for a second, UE 0 for the rest until 3 s.
    assert joules(Deadline(3.0), Tdma()) == pytest.approx([3 * 0.5, 3 * 0.5, 3 * 1.0])
    # UE 0 never sends, and UE 2 for half a second.
    assert joules(Deadline(2.0), Tdma()) == pytest.approx([0.0, 3 * 0.5, 3 * 0.5])


def test_who_waits_behind_the_bases_of_others_pays_for_its_two_turns():
    # Equal layers of equally fast UEs: first all base layers in parallel, then all enhancements.
    alone = joules(WaitForAll(), rates=(1.0,), codec=Affine(8, (8,)))
    both = joules(WaitForAll(), BaseFirst(), rates=(1.0, 1.0), codec=Affine(8, (8,)))
    assert both == pytest.approx([2 * alone[0]] * 2)


@dataclass(frozen=True)
class Silent(OneAtATime):
    """A user's medium that reports no airtime."""


def test_a_medium_that_tells_no_airtime_is_on_the_air_all_the_time():
    assert Silent.airtime_s is SharedMedium.airtime_s
    assert sorted(joules(WaitForAll(), medium=Silent(), rates=(1.0, 1.0))) == pytest.approx([3.0, 6.0])


def test_in_outage_with_a_share_the_radio_is_on():
    # UE 1 has rate 0 for ever, and half of the band until it is cut off.
    assert joules(Deadline(5.0), rates=(1.0, 0.0)) == pytest.approx([3 * 2.0, 3 * 4.0])


@pytest.mark.parametrize("medium", [Orthogonal(), SharedBand(), PlannedBand()], ids=str)
def test_energy_is_linear_in_the_bits_where_the_rate_is_constant(medium):
    # 3 W at 0.5 Mbit/s: 6 uJ per bit, whatever the size of the model.
    for weights in (1, 31_250, 1_000_000):
        assert joules(WaitForAll(), medium=medium, rates=(0.5,), weights=weights) == pytest.approx(
            [6e-6 * 32 * weights]
        )


@pytest.mark.parametrize("allocator", [part() for part in ALLOCATORS.values()], ids=str)
@pytest.mark.parametrize("medium", [SharedBand(), ShannonBand(), PlannedBand()], ids=str)
def test_one_ue_has_on_any_band_the_records_that_it_has_on_a_link_of_its_own(medium, allocator):
    def records(of):
        running = coordinator(
            Deadline(4.0), (0.7,), rounds=3, codec=Affine(8, (8,)), medium=of, weights=60_000,
            allocator=allocator if of is medium else Equal(), meters=(Energy(),),
        )  # fmt: skip
        running.run()
        return [replace(record, wall_time_s=0.0) for record in seen(running).records]

    assert records(medium) == records(Orthogonal())


EXPERIMENT = {
    "rounds": 4, "ues": 4, "model": "logistic_regression", "medium": "shared_band",
    "data": {"name": "digits", "train_samples": 80, "test_samples": 30}, "protocol": {"name": "buffered", "k": 2},
    "channel": {"name": "uniform", "low_mbps": 0.1}, "codec": {"name": "affine", "base_bits": 4},
    "compute": "uniform", "meters": ["energy"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("medium", "allocator"),
    [("shared_band", "min_max_delay"), ("planned_band", "tdma")],
    ids=["shared", "planned"],
)
def test_every_backend_has_the_same_records(medium, allocator, tmp_path, reused_actors):
    def records(backend):
        told = {**EXPERIMENT, "medium": medium, "allocator": allocator, "backend": backend}
        run = fl.run(fl.Experiment.parse(told), tmp_path / backend)
        return [(record.time_s, record.ues, record.meters["energy_j"]) for record in run.records]

    wanted = records("torch")
    for backend in ("syft", "processes", "ray", *(["vectorized"] if MODERN else [])):
        assert records(backend) == wanted, backend
