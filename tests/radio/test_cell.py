"""A cell whose UEs move, control their power and receive interference from other cells, against closed forms."""

import itertools
import math

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.randomness import stream
from fl_simu.loop.identity import identity
from fl_simu.loop.plan import load_data, plan
from fl_simu.radio.channels import cell as cells_of_cell
from fl_simu.radio.channels import mobility, shadowing
from fl_simu.radio.channels.cell import Cell, interference
from fl_simu.radio.channels.cells import faded, hexagons, in_hexagon, poisson
from fl_simu.radio.channels.fading import Fading, site
from fl_simu.radio.channels.mobility import GaussMarkovWalk, RandomWaypoint, positions
from fl_simu.radio.channels.path_loss import LogDistance, UrbanMacro
from fl_simu.radio.channels.ticked import BLOCK, course
from fl_simu.studies.channel import draw

HEADER = "ue,time_s,x_m,y_m\n"


def within(shares, wanted, deviations=4.0):
    """Whether the mean of independent numbers agrees with theory, for all but one seed in 16,000."""
    shares = np.asarray(shares, dtype=float)
    return abs(shares.mean() - wanted) < deviations * shares.std(ddof=1) / math.sqrt(len(shares))


@pytest.fixture
def forgotten():
    """A function that clears the caches of channels."""

    def forget():
        for one in (
            course,
            cells_of_cell._losses_db,
            mobility._states,
            mobility._piece,
            shadowing._at_blocks,
            shadowing._noise,
        ):
            one.cache_clear()

    forget()
    return forget


@pytest.mark.parametrize(
    "still",
    [
        {},
        {"mobility": "random_waypoint", "min_speed_mps": 0.0, "max_speed_mps": 0.0},
        {"mobility": "gauss_markov", "mean_speed_mps": 0.0},
    ],
)
@pytest.mark.parametrize("others", [{}, {"path_loss": "uma", "rician_k_db": 6.0, "tick_s": 0.003}])
def test_switched_off_or_at_speed_0_it_is_fading_bit_for_bit(still, others):
    for seed, ue, number in itertools.product((1, 2), (0, 7), (0, 3)):
        wanted = course(Fading(**others), seed, ue, number)
        assert (course(Cell(**others, **still), seed, ue, number) == wanted).all()


def test_nearest_stations_of_a_poisson_process_cover_as_the_closed_form_says():
    """P(SIR > t) = 1 / (1 + sqrt(t) arctan sqrt(t)), path loss exponent 4, Rayleigh, the nearest BS serves.

    Andrews, Baccelli, Ganti 2011, "A Tractable Approach to Coverage and Rate in Cellular Networks", theorem 2.
    """
    draws, sir = stream(1, "coverage"), []
    for _ in range(4000):
        powers = np.hypot(*poisson(draws, 3.0, 1000)) ** -4
        sir.append(-math.log1p(-draws.random()) * powers[0] / faded(powers[1:], draws, 1, 32)[0])
    for threshold_db in (-10, -3, 0, 3, 10):
        t = 10 ** (threshold_db / 10)
        assert within(np.array(sir) > t, 1 / (1 + math.sqrt(t) * math.atan(math.sqrt(t))))


def test_poisson_places_have_their_density_and_lie_in_no_preferred_direction():
    counts, east = [], []
    for number in range(400):
        places = poisson(stream(number, "places"), 5.0, 200)
        distances = np.hypot(*places)
        assert (np.diff(distances) >= 0).all()
        counts.append((distances < 1500).sum())
        east.append((places[0] > 0).mean())
    # 5 per km^2 over a disc of radius 1.5 km: mean and variance of a Poisson distribution are equal.
    wanted = 5 * math.pi * 1.5**2
    assert within(counts, wanted) and within(east, 0.5)
    assert np.var(counts) == pytest.approx(wanted, rel=4 * math.sqrt(2 / 400))


def test_the_sir_of_a_ue_among_poisson_interferers_is_the_closed_form():
    """P(SIR > t) = exp(-pi^2 lambda r^2 sqrt(t) / 2): UEs displaced from a Poisson process are one of the same
    density (Baccelli, Blaszczyszyn, Mühlethaler 2006)."""
    # Negligible noise and no shadowing: the rate determines the SIR.
    quiet = {"exponent": 4.0, "shadowing_db": 0.0, "noise_dbm_hz": -300.0, "gap_db": 0.0, "min_snr_db": -math.inf}
    cell = Cell(other_cells="poisson", cells_per_km2=2.0, min_distance_m=1.0, radius_m=300.0, **quiet)
    ue, rounds = 4, 700
    distance_m = site(cell, 1, ue).distance_m
    assert 100 < distance_m < 300
    rates = [course(cell.in_round(round), 1, ue, 0) for round in range(rounds)]
    sir = 2 ** (np.array(rates) / cell.share_mhz()) - 1
    for threshold_db in (-10, 0, 10):
        t = 10 ** (threshold_db / 10)
        wanted = math.exp(-(math.pi**2) / 2 * 2e-6 * distance_m**2 * math.sqrt(t))
        # Only different rounds are independent.
        assert within((sir > t).mean(axis=1), wanted)


def test_what_does_not_fade_counts_with_its_mean():
    powers = np.array([4.0, 2.0, 1.0, 0.5])
    sums = faded(powers, stream(1, "faded"), 100_000, 2)
    assert sums.min() > 1.5 and within(sums, 7.5)
    assert sums.var() == pytest.approx(4.0**2 + 2.0**2, rel=0.05)


def test_hexagons_lie_in_rings_and_ues_in_hexagons():
    centres = hexagons(2, 600.0)
    assert centres.shape == (2, 18)
    # By hand: 6 at a distance d, 6 at sqrt(3) d and 6 at 2 d.
    wanted = [600.0] * 6 + [600 * math.sqrt(3)] * 6 + [1200.0] * 6
    assert sorted(np.hypot(*centres)) == pytest.approx(wanted)
    assert [hexagons(rings, 1.0).shape[1] for rings in (1, 3, 10)] == [6, 36, 330]
    places = in_hexagon(stream(1, "hexagon"), 20_000, 600.0)
    to_others = np.hypot(*(places[:, :, None] - centres[:, None, :])).min(axis=1)
    assert (np.hypot(*places) <= to_others + 1e-9).all()
    # A hexagon's polar second moment over its area is 5 / 12 of its side squared.
    assert within((places**2).sum(axis=0), 5 / 12 * 600.0**2 / 3)
    assert within(places[0], 0.0) and within(places[1], 0.0)


def test_interferers_are_drawn_anew_in_each_round_one_of_each_cell():
    cell = Cell(other_cells="hexagons", rings=1, site_distance_m=1000.0)
    one, other = (interference(cell, 1, 3, round) for round in (0, 1))
    assert len(one.over_noise) == 6 and (one.x_m != other.x_m).all()
    for found in (one, other):
        places = np.stack([found.x_m, found.y_m])
        nearest = np.hypot(*(places[:, :, None] - hexagons(1, 1000.0)[:, None, :])).argmin(axis=1)
        assert sorted(nearest) == list(range(6))
        assert (np.diff(found.over_noise) <= 0).all()
    # Interference adds to the noise, and stronger neighbours add more.
    calm = np.concatenate([course(Cell(shares=1), 1, ue, 0) for ue in range(50)])
    rates = [
        np.concatenate(
            [course(Cell(shares=1, other_cells="hexagons", **more).in_round(0), 1, ue, 0) for ue in range(50)]
        )
        for more in ({"site_distance_m": 3000.0}, {"site_distance_m": 900.0})
    ]
    assert (rates[0] <= calm).all() and rates[1].mean() < rates[0].mean() < calm.mean()


@pytest.mark.parametrize(
    "alpha, loss_db, wanted_dbm",
    [
        # 1.8 MHz are 10 blocks of 180 kHz: -90 + 10 + alpha L, and 23 dBm at most.
        (1.0, 90.0, 10.0),
        (1.0, 103.0, 23.0),
        (1.0, 110.0, 23.0),
        (0.8, 90.0, -8.0),
        (0.0, 150.0, -80.0),
    ],
)
def test_open_loop_power_by_hand(alpha, loss_db, wanted_dbm):
    cell = Cell(power_control="open_loop", bandwidth_mhz=3.6, shares=2, alpha=alpha)
    assert cell.sent_dbm(np.array([loss_db]))[0] == pytest.approx(wanted_dbm)
    assert Cell(alpha=alpha).sent_dbm(loss_db) == 23.0


def test_ues_with_full_compensation_are_heard_alike_and_those_with_less_send_at_a_limit():
    """At alpha 1 and below its limit, each UE arrives with P0 per block: mean SNR -90 dBm over 180 kHz."""
    cell = Cell(power_control="open_loop", shadowing_db=0.0, gap_db=0.0, min_snr_db=-math.inf)
    noise_dbm = -169 + 10 * math.log10(180e3)
    for ue in range(8):
        limited = site(cell, 1, ue).loss_db > 23 + 90 - 10 * math.log10(1250 / 180)
        snr = 2 ** (course(cell, 1, ue, 0) / cell.share_mhz()) - 1
        gain = 2 ** (course(Fading(shadowing_db=0.0, gap_db=0.0, min_snr_db=-math.inf), 1, ue, 0) / 1.25) - 1
        gain /= 10 ** (site(cell, 1, ue).mean_snr_db / 10)
        if limited:
            assert snr == pytest.approx(gain * 10 ** (site(cell, 1, ue).mean_snr_db / 10))
        else:
            assert snr == pytest.approx(gain * 10 ** ((-90 - noise_dbm) / 10))


def test_the_power_of_an_upload_is_its_mean_over_the_time_on_the_air(tmp_path):
    """From 10 m to 100 m in 9 s, each tick of 1 s at the power of its start."""
    path = tmp_path / "away.csv"
    path.write_text(HEADER + "0,0,10,0\n0,9,100,0\n")
    cell = Cell(
        power_control="open_loop", mobility="file", path=str(path), tick_s=1.0, shadowing_db=0.0, shares=20
    )
    loss_db = LogDistance(3.5).loss_db(np.array([30.0, 40.0, 50.0]), 2.0, np.zeros(3, bool))
    # 1 MHz is 5.556 blocks.
    watt = 10 ** (np.minimum(23.0, -90 + 10 * math.log10(1 / 0.18) + loss_db) / 10 - 3)
    assert watt[0] < watt[1] < watt[2] < 10 ** (2.3 - 3)
    assert cell.transmit_w(1, 0, 2.5, 4.5) == pytest.approx((0.5 * watt[0] + watt[1] + 0.5 * watt[2]) / 2)
    # Blocks connect: 256 s is the end of the first one.
    still = Cell(power_control="open_loop", tick_s=1.0)
    (mean,) = {still.transmit_w(1, 0, start_s, start_s + 9.0) for start_s in (0.0, 200.0)}
    assert still.transmit_w(1, 0, 250.0, 300.0) == pytest.approx(mean)
    assert Cell().transmit_w(1, 0, 0.0, 1.0) is None and still.transmit_w(1, 0, 1.0, 1.0) is None


EXPERIMENT = {
    "rounds": 2, "ues": 3, "backend": "torch", "model": "logistic_regression",
    "data": {"name": "digits", "train_samples": 90, "test_samples": 30},
    "meters": [{"name": "energy", "kappa": 0.0, "power_w": 2.0}],
}  # fmt: skip
LOUD = {"name": "cell", "min_snr_db": -60.0, "radius_m": 100.0}


def test_the_meter_takes_the_power_that_the_channel_controls():
    controlled = {**LOUD, "power_control": "open_loop"}
    run = fl.run(fl.Experiment.parse({**EXPERIMENT, "channel": controlled}))
    cell = run.experiment.channel
    for outcome in run.records[0].ues:
        watt = 10 ** (min(23, -90 + 10 * math.log10(1250 / 180) + site(cell, 1, outcome.ue).loss_db) / 10 - 3)
        assert outcome.meters["transmit_energy_j"] == pytest.approx(watt * outcome.delays_s[-1])
    run = fl.run(fl.Experiment.parse({**EXPERIMENT, "channel": LOUD}))
    for outcome in run.records[0].ues:
        assert outcome.meters["transmit_energy_j"] == pytest.approx(2.0 * outcome.delays_s[-1])


def apart(one, other):
    """Whether two samples have different distributions: Kolmogorov-Smirnov test at the level 1 in 10,000."""
    both = np.sort(np.concatenate([one, other]))
    gap = np.abs(
        np.searchsorted(np.sort(one), both, "right") / len(one)
        - np.searchsorted(np.sort(other), both, "right") / len(other)
    ).max()
    return gap > math.sqrt(-math.log(1e-4 / 2) / 2 * (1 / len(one) + 1 / len(other)))


def test_random_waypoint_is_stationary_from_time_0_on():
    """The mean speed at any time is (v2 - v1) / ln(v2 / v1), not (v1 + v2) / 2."""
    walk, dt = RandomWaypoint(500.0, 1.0, 20.0), 1e-3
    moments = np.array([0.0, dt, 4000.0, 4000.0 + dt])
    paths = [walk.along(1, ue, moments) for ue in range(1500)]
    speeds = np.array([np.diff(path.travelled_m)[::2] / dt for path in paths])
    places = np.array([path.distance_m[::2] for path in paths])
    assert places.max() <= 500
    for at in (0, 1):
        assert within(speeds[:, at], 19 / math.log(20))
        # P(v <= 5) for the density 1 / (v ln(v2 / v1)).
        assert within(speeds[:, at] <= 5, math.log(5) / math.log(20))
        # Closer to the BS than a uniform distribution: exact from the density of Hyytiä, Lassila, Virtamo 2006.
        assert within(places[:, at] <= 250, WITHIN_HALF)
    assert not apart(places[:, 0], places[:, 1])
    assert apart(places[:, 0], 500 * np.sqrt(np.random.RandomState(1).random_sample(1500)))


def waypoint_density(radius):
    """Density of random waypoint in the unit disc, not normalised (Hyytiä, Lassila, Virtamo 2006): the integral
    over all directions of a1 a2 (a1 + a2), with the distances a1 and a2 to the edge ahead and behind."""
    angle = (np.arange(2000) + 0.5) * math.pi / 2000
    root = np.sqrt(1 - (radius * np.sin(angle)) ** 2)
    ahead, behind = root - radius * np.cos(angle), root + radius * np.cos(angle)
    return (ahead * behind * (ahead + behind)).mean()


RADII = (np.arange(1000) + 0.5) / 1000
MASS = np.array([waypoint_density(radius) for radius in RADII]) * RADII
WITHIN_HALF = MASS[:500].sum() / MASS.sum()


def test_waypoints_join_at_the_speeds_that_were_drawn():
    walk = RandomWaypoint(100.0, 2.0, 5.0)
    times = np.arange(0.0, 30_000.0, 5.0)
    path = walk.along(3, 1, times)
    jumps = np.hypot(np.diff(path.x_m), np.diff(path.y_m)) / 5
    travelled = np.diff(path.travelled_m) / 5
    # Straight between two times on one leg, and shorter than the distance travelled if a leg ended between them.
    assert (jumps <= travelled + 1e-9).all() and travelled.min() >= 2 and travelled.max() <= 5
    assert np.median(travelled - jumps) < 1e-9


def test_gauss_markov_has_its_speed_and_memory_and_is_spread_evenly_at_all_times():
    walk = GaussMarkovWalk(500.0, 1.0, 12.0, 0.75, 1.0)
    paths = [walk.along(1, ue, np.arange(750.0, 761.0)) for ue in range(1200)]
    speeds = np.array([np.diff(path.travelled_m) for path in paths])
    assert within(speeds[:, 0], 12.0)
    ends = np.array([path.distance_m[-1] for path in paths])
    assert ends.max() <= 500 and within(ends < 250, 0.25)
    for part in (0.1, 0.9):
        assert within(ends < 500 * math.sqrt(part), part)
    # Away from the edge, velocities k steps apart have the correlation 0.75^k.
    inside = [path for path in paths if path.distance_m.max() < 400]
    deviation = 12 / math.sqrt(math.pi / 2)
    for lag in (1, 2, 5):
        products = [(np.diff(path.x_m)[0] * np.diff(path.x_m)[lag]) / deviation**2 for path in inside]
        assert np.mean(products) == pytest.approx(0.75**lag, abs=4 * 1.5 / math.sqrt(len(inside)))


def test_a_walk_turns_back_at_the_edge_with_its_speed():
    """By hand: straight ahead at 30 m per step, in a disc of radius 100 m, starting 55 m from the centre."""
    walk = GaussMarkovWalk(100.0, 1.0, 1.0, 0.0, 1.0)
    moves = np.zeros((2, 256))
    moves[0, :9] = 30.0
    x_m, y_m, steps, turned = walk._reflected(np.array([55.0, 0.0]), moves)
    # The walk meets the edge after 15 of the 30 m of the second move, and after 5 m of the ninth.
    assert x_m[:12] == pytest.approx([55, 85, 100, 85, 55, 25, -5, -35, -65, -95, -100, -75])
    assert steps[:12] == pytest.approx([0, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 8 + 1 / 6, 9])
    assert np.abs(y_m).max() == 0 and (turned == np.eye(2)).all()


def test_shadowing_forgets_over_distance_and_begins_as_fading_has_it(tmp_path):
    """The correlation is e^(-d / 50 m), also across blocks; at rest the shadowing is constant."""
    path = tmp_path / "straight.csv"
    # 10 m per tick for four blocks, then at rest.
    path.write_text(HEADER + "0,0,50000,0\n0,1024,39760,0\n")
    cell = Cell(tick_s=1.0, shadowing_db=1.0, mobility="file", path=str(path), radius_m=1e5)
    mean_db = LogDistance(3.5).loss_db(50_000 - 10.0 * np.arange(1024), 2.0, np.zeros(1024, bool))
    seeds = range(80)
    found = np.array([np.concatenate([cell.loss_db(seed, 0, n) for n in range(4)]) - mean_db for seed in seeds])
    for seed in (0, 5):
        draws = stream(seed, "site", 0)
        draws.random(2)
        assert found[seed, 0] == pytest.approx(draws.standard_normal(), abs=1e-9)
        assert len(set(cell.loss_db(seed, 0, 4))) == 1
        assert cell.loss_db(seed, 0, 9)[0] == cell.loss_db(seed, 0, 4)[0]
    # A mean over 10 km, 100 correlation lengths in each direction, of 80 seeds.
    assert within(found.mean(axis=1), 0.0) and within((found**2).mean(axis=1), 1.0)
    for ticks in (1, 5, 10, 20):
        products = found[:, :-ticks] * found[:, ticks:]
        assert within(products.mean(axis=1), math.exp(-ticks * 10 / 50))
        for edge in (256, 512, 768):
            assert within(products[:, edge - 1], math.exp(-ticks * 10 / 50))


def test_drifted_by_hand_and_over_long_ways():
    steps, noise = np.array([0.5, 0.0, 3.0, 1e9]), np.array([1.0, -1.0, 0.3, 0.7])
    wanted, state = [], 2.0
    for step, one in zip(steps, noise):
        state = math.exp(-step) * state + math.sqrt(1 - math.exp(-2 * step)) * one
        wanted.append(state)
    assert shadowing.drifted(2.0, steps, noise) == pytest.approx(wanted)
    many, noise = np.full(256, 30.0), stream(1, "noise").standard_normal(256)
    assert shadowing.drifted(0.5, many, noise) == pytest.approx(noise)


def test_sight_is_kept_at_rest_and_as_frequent_as_the_model_says(tmp_path):
    path = tmp_path / "rest.csv"
    path.write_text(HEADER + "0,0,63,0\n1,0,40,40\n1,100,-40,40\n")
    cell = Cell(tick_s=1.0, shadowing_db=0.0, mobility="file", path=str(path), path_loss="uma")
    resting = np.array([cell.loss_db(seed, 0, 0)[[0, 255]] for seed in range(600)])
    assert (resting[:, 0] == resting[:, 1]).all()
    # 3GPP UMa at 63 m: 18 / 63 + e^-1 (1 - 18 / 63) = 0.5485.
    assert within(resting[:, 0] < 85, 18 / 63 + math.exp(-1) * 45 / 63)
    # While another UE moves along 80 m, the line of sight comes and goes.
    clear_db = UrbanMacro().loss_db(np.hypot(40.0, 40.0 - 0.8 * np.arange(100)), 2.0, np.ones(100, bool))
    sight = np.array([np.isclose(cell.loss_db(seed, 1, 0)[1:100], clear_db[1:]) for seed in range(300)])
    changes = (sight[:, 0] != sight[:, -1]).mean()
    assert 0.2 < changes < 0.6 and 0.4 < sight.mean() < 0.8
    assert (sight[:, :-1] != sight[:, 1:]).mean() < 0.1


@pytest.mark.parametrize("kind", ["random_waypoint", "gauss_markov"])
def test_a_moving_link_is_the_same_whatever_was_asked_before(kind, forgotten):
    cell = Cell(mobility=kind, tick_s=1.0, max_speed_mps=50.0, mean_speed_mps=30.0, path_loss="umi")
    wanted = {number: course(cell, 1, 2, number) for number in range(8)}
    for order in ((7, 2, 5, 0), (3, 1, 7), (0, 7)):
        forgotten()
        for number in order:
            assert (course(cell, 1, 2, number) == wanted[number]).all()


@pytest.mark.parametrize("walk", [RandomWaypoint(50.0, 1.0, 20.0), GaussMarkovWalk(50.0, 1.0, 9.0, 0.75, 1.0)])
def test_a_ue_is_followed_once(walk, forgotten, monkeypatch):
    followed, onward = [], type(walk).onward
    monkeypatch.setattr(type(walk), "onward", lambda *args: followed.append(args[3]) or onward(*args))
    for start_s in (100_000.0, 100_001.0, 99_000.0, 100_002.0):
        walk.along(8, 5, start_s + np.arange(10.0))
    pieces = 1 + max(followed)
    assert pieces > 40 and len(followed) <= pieces + 10
    monkeypatch.setattr(mobility, "MOST_STEPS", 256 * 500)
    with pytest.raises(UserError, match=r"come to 1e\+08 s, and a UE is followed for 128,000"):
        walk.along(8, 5, np.array([1e8]))
    for cell in (
        Cell(mobility="random_waypoint", tick_s=0.001),
        Cell(mobility="gauss_markov", other_cells="poisson"),
    ):
        with pytest.raises(UserError, match=r"tick_s = .* knows 268,435,456 ticks"):
            cell.arrivals_s(1, 0, 0, 1e8, [1.0])


def test_positions_of_a_file(tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("time_s,ue,y_m,x_m\n0,1,0,10\n2,1,0,30\n5,0,-4,3\n\n4,1,40,30\n")
    found = positions(str(path))[1].at(np.array([0.0, 1.0, 2.0, 3.0, 9.0]))
    assert found.x_m.tolist() == [10, 20, 30, 30, 30] and found.y_m.tolist() == [0, 0, 0, 20, 40]
    assert found.travelled_m.tolist() == [0, 10, 20, 40, 60]
    cell = Cell(mobility="file", path=str(path), tick_s=1.0, shadowing_db=0.0)
    # UE 0 stands still 5 m away, where the path loss is that of 10 m.
    wanted = LogDistance(3.5).loss_db(np.array([10.0]), 2.0, np.zeros(1, bool))[0]
    assert cell.loss_db(1, 0, 0) == pytest.approx(np.full(BLOCK, wanted))
    with pytest.raises(UserError, match="no positions of UE 2"):
        next(cell.pieces(1, 2, 0, 0.0))


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "first line"),
        ("ue,time_s,x_m\n0,0,1\n", "first line is to be ue,time_s,x_m,y_m"),
        (HEADER, "no line of a UE"),
        (HEADER + "0,0,1\n", "line 2"),
        (HEADER + "0,0,1,1\none,1,1,1\n", "line 3"),
        (HEADER + "0,1,1,1\n0,1,2,2\n", "line 3 has time_s 1; wanted are later than 1"),
        (HEADER + "0,-1,1,1\n", "0 or more"),
        (HEADER + "0,0,nan,1\n", "line 2 has a place"),
        (HEADER + "0,0,1e6,1\n", "line 2 has a place"),
    ],
)
def test_what_is_no_file_of_positions_is_told_in_one_line(tmp_path, text, told):
    path = tmp_path / "positions.csv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        Cell(mobility="file", path=str(path))
    assert str(path) in str(caught.value) and told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"mobility": "flying"}, "mobility"),
        ({"mobility": "file"}, "path"),
        ({"path": "x.csv"}, "path"),
        ({"min_speed_mps": 0.0}, "min_speed_mps"),
        ({"min_speed_mps": 3.0, "max_speed_mps": 2.0}, "max_speed_mps"),
        ({"mobility": "random_waypoint", "tick_s": 1e6}, "max_speed_mps"),
        ({"mobility": "gauss_markov", "mean_speed_mps": 600.0}, "mean_speed_mps"),
        ({"memory": 1.0}, "memory"),
        ({"rings": 0}, "rings"),
        ({"alpha": 1.1}, "alpha"),
        ({"decorrelation_m": 0.0}, "decorrelation_m"),
    ],
)
def test_arguments_that_are_refused(arguments, field):
    with pytest.raises(UserError, match=f"^{field} = "):
        Cell(**arguments)


def test_a_file_of_positions_belongs_to_the_identity_of_a_run(tmp_path):
    path, found = tmp_path / "positions.csv", []
    for place in (10, 11):
        path.write_text(HEADER + "".join(f"{ue},0,{place},{ue}\n" for ue in range(3)))
        channel = {**LOUD, "mobility": "file", "path": str(path)}
        planned = plan(fl.Experiment.parse({**EXPERIMENT, "channel": channel}))
        found.append(identity(planned, load_data(planned))["the files of channel.path"])
    assert found[0] != found[1]


def test_the_channel_command_sends_over_the_cells_of_each_upload():
    channel = {**LOUD, "other_cells": "hexagons", "site_distance_m": 400.0, "mobility": "random_waypoint"}
    planned = plan(fl.Experiment.parse({**EXPERIMENT, "channel": channel}))
    study = draw(planned, 60, seconds=5.0)
    link = planned.link
    (load,) = study.loads_mbit
    for ue in range(3):
        for number, start_s in enumerate(study.scope.starts_s(ue)):
            arrival = link.channel.arrivals_s(1, ue, number, start_s, [load])[0]
            assert study.delays_s[ue][number, 0] == pytest.approx(arrival - start_s)
    outage = study.outage()
    assert 0 <= outage.measured <= 1 and outage.closed_form is None
