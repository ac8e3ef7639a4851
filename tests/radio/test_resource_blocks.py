"""Resource blocks: the assignment against all possible ones, rates and losses against scipy, complete runs."""

import math
from itertools import permutations

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.errors import BadField, UserError
from fl_simu.loop.plan import plan
from fl_simu.meters import Energy
from fl_simu.radio.allocation import Equal
from fl_simu.radio.allocation.blocks import expected_loss, hungarian
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.fading import Fading, site
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.link import Link, Training
from fl_simu.radio.media import LeastErrorBlocks, RandomBlocks, ResourceBlocks
from fl_simu.radio.rayleigh import shannon_mean, waterfall_error
from fl_simu.radio.sizes import RealBytes
from fl_simu.station.protocols import WaitForAll
from tests.loop.test_coordinator import coordinator, seen
from tests.radio.test_media import MEGABIT, link_of

SEED = 1
LINK = link_of(Constant(1.0))
# Limits that a Mbit, which takes a second or two, never reaches.
PATIENT = {"delay_s": 10.0, "energy_j": 1.0}


def cohort(ues, link=LINK, version=0, samples=None, passes=0.0):
    sent = {ue: link.pending(ue, version, 1.0, MEGABIT, 0, 1.0) for ue in range(ues)}
    count = samples or [1] * ues
    return {ue: one._replace(training=Training(count[ue], passes)) for ue, one in sent.items()}


def least_of_all(weights, errors, allowed):
    """The least loss of all ways to assign the blocks, with enough empty ones."""
    ues, blocks = errors.shape
    costs = np.repeat(weights[:, None], blocks + ues, axis=1).astype(float)
    costs[:, :blocks][allowed] = (weights[:, None] * errors)[allowed]
    # One empty block per UE is enough, and the empty blocks are interchangeable.
    orders = set(permutations([*range(blocks)] + [blocks] * ues, ues))
    return min(costs[range(ues), order].sum() for order in orders)


@pytest.mark.parametrize("ues, blocks", [(1, 1), (2, 4), (4, 2), (5, 3), (3, 5), (7, 2), (2, 7), (4, 4)])
def test_no_other_assignment_loses_less(ues, blocks):
    draws = np.random.default_rng(10 * ues + blocks)
    for barred in (0.0, 0.3, 0.8, 1.0):
        weights, errors = draws.integers(1, 100, ues).astype(float), draws.random((ues, blocks))
        allowed = draws.random((ues, blocks)) >= barred
        found = hungarian(weights, errors, allowed)
        given = [(ue, block) for ue, block in enumerate(found) if block is not None]
        assert len({block for _, block in given}) == len(given) and all(allowed[one] for one in given)
        assert expected_loss(weights, errors, found) == pytest.approx(least_of_all(weights, errors, allowed))


def test_seven_ues_on_seven_blocks_against_all_5040_orders():
    draws = np.random.default_rng(7)
    orders = np.array(list(permutations(range(7))))
    for barred in (0.0, 0.4):
        weights, errors = draws.integers(2, 13, 7).astype(float), draws.random((7, 7)) ** 8
        allowed = draws.random((7, 7)) >= barred
        # A barred block counts as no block.
        costs = np.where(allowed, weights[:, None] * errors, weights[:, None])
        best = costs[np.arange(7), orders].sum(axis=1).min()
        assert expected_loss(weights, errors, hungarian(weights, errors, allowed)) == pytest.approx(best)


def test_who_has_more_samples_has_the_better_block_and_the_worst_off_none():
    errors = np.array([[0.1, 0.5], [0.1, 0.5], [0.1, 0.5]])
    allowed = np.full((3, 2), True)
    assert hungarian(np.array([5.0, 20.0, 10.0]), errors, allowed) == (None, 0, 1)
    # Unless a limit bars it.
    allowed[1] = [False, True]
    assert hungarian(np.array([5.0, 20.0, 10.0]), errors, allowed) == (None, 1, 0)


def test_means_over_fading_are_the_closed_forms_of_scipy():
    special = pytest.importorskip("scipy.special")
    for sinr in (1e-2, 1.0, 10.0, 1e5):
        # e^(1/g) E1(1/g) / ln 2, and 1 - 2 sqrt(a) K1(2 sqrt(a)).
        wanted = math.exp(1 / sinr) * special.exp1(1 / sinr) / math.log(2)
        assert shannon_mean(sinr) == pytest.approx(wanted, rel=1e-13)
        root = 2 * math.sqrt(1 / sinr)
        assert waterfall_error(1 / sinr) == pytest.approx(1 - root * special.kv(1, root), rel=1e-9)


def test_what_a_ue_has_on_a_block_by_hand():
    special = pytest.importorskip("scipy.special")
    medium = ResourceBlocks(blocks=2, interference_w=(0.0, 3e-8), threshold_db=3.0)
    options = medium.options(LINK, cohort(3, samples=[5, 7, 9], passes=12.0), 0.0)
    for ue in range(3):
        distance_m = site(Fading(radius_m=500.0), SEED, ue).distance_m
        assert medium.distance_m(SEED, ue) == distance_m
        # -174 dBm/Hz is 3.981e-21 W/Hz: 5.972e-16 W in 150 kHz.
        for block, noise_w in enumerate((10**-20.4 * 150e3, 10**-20.4 * 150e3 + 3e-8)):
            x = noise_w * distance_m**2 / 0.01
            # With x = 2e-9 the exponential integral is the small remainder of a logarithm.
            rate = 0.15 * math.exp(x) * special.exp1(x) / math.log(2)
            assert options.rates_mbps[ue, block] == pytest.approx(rate, rel=1e-10)
            root = 2 * math.sqrt(10**0.3 * x)
            wanted = 1 - root * special.kv(1, root)
            assert options.errors[ue, block] == pytest.approx(wanted, rel=1e-6)
            assert options.delays_s[ue, block] == pytest.approx(1 / rate)
            # 1e-27 J s^2 per cycle^3, 2560 cycles per sample, 12 passes, (1e9 Hz)^2: 30.72 uJ.
            assert options.energies_j[ue, block] == pytest.approx(3.072e-5 + 0.01 / rate)


def test_a_processor_of_the_compute_rule_and_a_download_count():
    medium = ResourceBlocks(blocks=1, interference_w=(1e-8,))
    upload = LINK.pending(0, 0, 3.5, MEGABIT, 0, 1.0)._replace(training=Training(3, 6.0, 1e4, 2e9))
    # Handed at 1 s, trained for 1 s, sends from 3.5 s on: the download took 1.5 s.
    options = medium.options(LINK, {0: upload}, 1.0)
    rate = options.rates_mbps[0, 0]
    assert options.delays_s[0, 0] == pytest.approx(1.5 + 1 / rate)
    assert options.energies_j[0, 0] == pytest.approx(1e-27 * 1e4 * 6 * 4e18 + 0.01 / rate)


@pytest.mark.parametrize("limit", ["delay_s", "energy_j"])
def test_a_limit_bars_who_is_just_above_it(limit):
    def sends(**limits):
        medium = ResourceBlocks(blocks=4, interference_w=(1e-8,) * 4, **{**PATIENT, **limits})
        return set(medium.handed(medium.start(), LINK, Equal(), cohort(3), 0.0).held)

    options = ResourceBlocks(blocks=4, interference_w=(1e-8,) * 4).options(LINK, cohort(3), 0.0)
    told = {"delay_s": options.delays_s, "energy_j": options.energies_j}[limit][:, 0]
    worst = int(np.argmax(told))
    assert sends() == {0, 1, 2}
    assert sends(**{limit: float(told.max()) * (1 - 1e-9)}) == {0, 1, 2} - {worst}
    assert sends(**{limit: float(told.max())}) == {0, 1, 2}


def test_the_interference_is_exponential_and_of_each_block_and_round():
    medium = ResourceBlocks(blocks=500, mean_interference_w=2e-9)
    drawn = np.array([medium.interferences_w(SEED, version) for version in range(20)])
    assert len(np.unique(drawn)) == 10_000
    # Mean and standard deviation are equal; the mean of 10,000 draws has a standard error of 1 %.
    assert (drawn.mean(), drawn.std()) == pytest.approx((2e-9, 2e-9), rel=0.06)
    few = ResourceBlocks(blocks=3, mean_interference_w=2e-9)
    assert few.interferences_w(SEED, 4).tolist() == drawn[4, :3].tolist()


def test_layers_are_lost_as_often_as_their_block_says():
    medium = ResourceBlocks(blocks=1, interference_w=(2e-8,), **PATIENT)
    link = Link(Affine(4, (4,)), Constant(1.0), RealBytes(), "update", SEED)
    lost, chance = [], float(medium.options(link, cohort(1, link), 0.0).errors[0, 0])
    for version in range(2000):
        uploads = cohort(1, link, version)
        state = medium.handed(medium.start(), link, Equal(), uploads, 0.0)
        lost.append(medium.lost(state, link, uploads[0]))
    assert 0.1 < chance < 0.6
    for layer, wanted in ((0, chance), (1, (1 - chance) * chance)):
        assert lost.count(layer) / 2000 == pytest.approx(wanted, abs=4 * math.sqrt(wanted / 2000))


def test_fifteen_ues_on_twelve_blocks_lose_less_than_by_chance():
    # The published cell: 12 blocks, 15 UEs of 2 to 12 samples.
    samples = [12, 10, 8, 4, 2] * 3
    for version in range(10):
        uploads, told = cohort(15, version=version, samples=samples), []
        for medium in (ResourceBlocks(**PATIENT), RandomBlocks(**PATIENT)):
            options = medium.options(LINK, uploads, 0.0)
            blocks = medium.assigned(SEED, version, np.array(samples, dtype=float), options)
            told.append(expected_loss(np.array(samples), options.errors, blocks))
            assert sum(block is not None for block in blocks) == 12
        # At least the samples of the three smallest UEs are not sent.
        assert 6 < told[0] < told[1]


def test_least_error_blocks_give_the_block_to_the_better_link_and_the_hungarian_ones_to_more_samples():
    # One block: the UE that is lost less often, or the one with ten times the samples.
    near, far = sorted(range(2), key=lambda ue: ResourceBlocks().distance_m(SEED, ue))
    samples = [10 if ue == far else 1 for ue in range(2)]
    uploads, held = cohort(2, samples=samples), {}
    for kind in (ResourceBlocks, LeastErrorBlocks):
        medium = kind(blocks=1, interference_w=(1e-9,), **PATIENT)
        held[kind] = set(medium.handed(medium.start(), LINK, Equal(), uploads, 0.0).held)
    assert held == {ResourceBlocks: {far}, LeastErrorBlocks: {near}}


def test_in_a_run_who_has_no_block_trains_and_the_others_send_on_theirs():
    # All have equally many samples, and the farthest UE has no block.
    medium = ResourceBlocks(blocks=2, interference_w=(0.0, 1e-9), threshold_db=-100.0, **PATIENT)
    running = coordinator(
        WaitForAll(), (1.0,) * 3, rounds=2, medium=medium, meters=(Energy(kappa=1e-20, power_w=99.0),)
    )
    running.run()
    far = max(range(3), key=lambda ue: medium.distance_m(SEED, ue))
    options = medium.options(LINK, cohort(3), 0.0)
    records = seen(running).records
    for record in records:
        assert [one.reason for one in record.ues] == ["no block" if ue == far else "" for ue in range(3)]
        for one in record.ues:
            # The training of 20,000 cycles at 1 GHz.
            assert one.meters["compute_energy_j"] == pytest.approx(1e-20 * 2e4 * 1e18)
            if one.ue == far:
                assert (one.bits, one.meters["transmit_energy_j"], one.delays_s) == (0, 0.0, (math.inf,))
                continue
            assert one.bits == 1_000_000
            assert one.delays_s[0] in [pytest.approx(1 / rate) for rate in options.rates_mbps[one.ue]]
            assert one.meters["transmit_energy_j"] == pytest.approx(0.01 * one.delays_s[0])
        assert record.time_s == pytest.approx(_end(records, record))
    assert running.state.medium == medium.start()


def _end(records, record):
    lasted = [1.0 + max(one.delays_s[0] for one in told.ues if not one.reason) for told in records]
    return sum(lasted[: records.index(record) + 1])


def test_in_a_run_what_a_block_loses_is_lost():
    medium = ResourceBlocks(blocks=2, interference_w=(1e-7, 1e-7), delay_s=1e3, energy_j=10.0)
    running = coordinator(WaitForAll(), (1.0,) * 2, rounds=40, medium=medium)
    running.run()
    outcomes = [one for record in seen(running).records for one in record.ues]
    reasons = {one.reason for one in outcomes}
    assert reasons == {"", "lost"}
    assert all(one.bits == 1_000_000 for one in outcomes)
    chance = medium.options(LINK, cohort(2), 0.0).errors.mean()
    share = np.mean([one.reason == "lost" for one in outcomes])
    assert share == pytest.approx(chance, abs=4 * math.sqrt(chance / len(outcomes)))


BASE = {
    "rounds": 1,
    "ues": 4,
    "backend": "torch",
    "data": {"name": "digits", "train_samples": 40, "test_samples": 20},
    "model": {"name": "mlp", "hidden": [4]},
    "medium": {"name": "resource_blocks", "blocks": 2, "delay_s": 100.0, "energy_j": 10.0},
}


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"loss": "waterfall"}, "it needs loss none"),
        ({"allocator": "tdma"}, "it needs allocator equal"),
        ({"protocol": "buffered"}, "it needs a protocol in rounds"),
    ],
)
def test_what_the_medium_says_itself_nothing_else_may_say(changes, told):
    with pytest.raises(BadField, match=told):
        plan(fl.Experiment(**{**BASE, **changes}))


def test_selections_that_ask_for_the_channels_rates_are_refused():
    with pytest.raises(UserError, match="the medium has its own"):
        fl.run(fl.Experiment(**BASE, selection={"name": "fedcs", "share": 1.0}))


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"interference_w": (1e-9,)}, "none, or 12 numbers"),
        ({"blocks": 0}, "blocks = 0"),
        ({"radius_m": 5.0}, "above min_distance_m"),
        ({"power_w": math.nan}, "power_w = nan"),
    ],
)
def test_arguments_are_checked(changes, told):
    with pytest.raises(BadField, match=told):
        ResourceBlocks(**changes)


def test_an_experiment_trains_on_who_has_a_block():
    result = fl.run(fl.Experiment(**BASE))
    (record,) = result.records
    assert [one.reason for one in record.ues].count("no block") == 2
