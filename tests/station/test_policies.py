"""Selections that know rates, times and losses: closed forms, brute force, and their inputs in a run."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.randomness import stream
from fl_simu.station.selection import (
    Age,
    BestChannel,
    FedCs,
    PowerOfChoice,
    ProportionalFair,
    RoundRobin,
)
from fl_simu.station.selection.base import Settled, View
from fl_simu.station.selection.draws import Importance, inclusion, systematic


def view(version, ues, samples=None, **told):
    return View(1, version, float(version), samples or dict.fromkeys(range(ues), 1), list(range(ues)), **told)


def rayleigh(version, ues):
    """Gains of Rayleigh fading, independent between UEs and rounds: exponential with mean 1."""
    return stream(5, "test", round=version).exponential(size=ues)


@pytest.mark.parametrize(("ues", "gain"), [(4, 2.083), (16, 3.381)])
def test_the_best_of_n_rayleigh_channels_has_the_gain_of_the_harmonic_number(ues, gain):
    """Its variance is the sum of 1 / k^2, below 1.65; five deviations of a mean of 4000."""
    assert gain == pytest.approx(sum(1 / k for k in range(1, ues + 1)), abs=5e-4)
    found = []
    for version in range(4000):
        gains = rayleigh(version, ues)
        _, (chosen,) = BestChannel().choose((), view(version, ues, rate_mbps=gains.__getitem__), 1)
        found.append(gains[chosen])
    assert abs(np.mean(found) - gain) < 5 * math.sqrt(1.65 / 4000)


def test_proportional_fairness_gives_each_ue_its_part_and_the_same_gain_whatever_its_mean():
    """UEs with ten times the mean rate of others are chosen equally often, each when its own channel is best."""
    ues, rounds, means = 4, 8000, (1.0, 10.0, 1.0, 10.0)
    policy, state, chosen = ProportionalFair(window=400), ProportionalFair().start(), []
    for version in range(rounds):
        gains = rayleigh(version, ues)
        told = view(version, ues, rate_mbps=lambda ue, gains=gains: means[ue] * gains[ue])
        state, (ue,) = policy.choose(state, told, 1)
        chosen.append((ue, gains[ue]))
    late = chosen[2000:]
    counts = Counter(ue for ue, _ in late)
    for ue in range(ues):
        # Shares regulate themselves: they vary less than those of independent draws would.
        assert abs(counts[ue] / len(late) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(late))
        assert np.mean([gain for one, gain in late if one == ue]) == pytest.approx(2.083, rel=0.06)


def test_equal_rates_give_every_ue_the_same_chance():
    """Chi-squared with 9 degrees of freedom exceeds 33.7 in one of 10,000 cases."""
    for policy in (BestChannel(), ProportionalFair(), Age()):
        chosen = Counter()
        for version in range(2000):
            told = view(version, 10, rate_mbps=lambda ue: 1.0)
            chosen.update(policy.choose(policy.start(), told, 1)[1])
        assert sum((chosen[ue] - 200) ** 2 for ue in range(10)) / 200 < 33.7, policy


def test_ages_are_those_of_round_robin_where_all_is_accepted():
    """Before each round the ages of n UEs, one chosen per round, are 1 to n: here the time since the last turn."""
    for policy in (RoundRobin(), Age()):
        state, last = policy.start(), dict.fromkeys(range(6), 0)
        for version in range(30):
            state, ues = policy.choose(state, view(version, 6, rate_mbps=lambda ue: 1.0 + ue), 1)
            state = policy.settled(state, Settled(version + 1, 0.0, ues))
            last.update(dict.fromkeys(ues, version + 1))
            if version >= 5:
                assert sorted(version + 1 - one for one in last.values()) == [0, 1, 2, 3, 4, 5]


def test_age_goes_on_with_who_was_not_accepted():
    state = Age().start()
    state = Age().settled(state, Settled(1, 0.0, (0, 2)))
    assert Age().choose(state, view(1, 4, rate_mbps=lambda ue: float(ue)), 3)[1] == (3, 1, 2)


def test_candidates_are_drawn_by_their_samples_and_the_highest_losses_are_taken():
    """With a single candidate losses do not matter, and it is UE u with probability n_u / n."""
    samples, counts = {0: 1, 1: 2, 2: 5, 3: 12}, Counter()
    for version in range(4000):
        told = view(version, 4, samples, loss=lambda ue: 0.0)
        counts.update(PowerOfChoice(candidates=1).choose((), told, 1)[1])
    for ue, n in samples.items():
        assert abs(counts[ue] - 4000 * n / 20) < 5 * math.sqrt(4000 * n / 20 * (1 - n / 20))
    losses = {0: 0.3, 1: 2.0, 2: 0.1, 3: 1.0}
    told = view(0, 4, samples, loss=losses.__getitem__)
    assert PowerOfChoice(candidates=4).choose((), told, 2)[1] == (1, 3)


def length_s(order, uploads, trainings):
    total = 0.0
    for ue in order:
        total += uploads[ue] + max(0.0, trainings[ue] - total)
    return total


def most(uploads, trainings, deadline_s):
    """Brute force: the largest number of UEs that some order finishes before the deadline."""
    ues = range(len(uploads))
    for count in range(len(uploads), 0, -1):
        for some in itertools.combinations(ues, count):
            # The order by training time is the shortest of all, as an exchange of two neighbours shows.
            if length_s(sorted(some, key=lambda ue: trainings[ue]), uploads, trainings) < deadline_s:
                return count
    return 0


def test_fedcs_meets_its_deadline_and_is_seldom_below_the_best_of_all_subsets():
    draws, short = stream(2, "test"), 0
    for trial in range(60):
        uploads, trainings = (dict(enumerate(draws.random(8) * scale)) for scale in (4.0, 8.0))
        told = view(trial, 8, upload_s=uploads.__getitem__, compute_s=trainings.__getitem__)
        _, ues = FedCs(deadline_s=12.0, share=1.0).choose((), told, 8)
        found = length_s(ues, uploads, trainings)
        assert len(ues) == 1 or found < 12.0
        others = [ue for ue in range(8) if ue not in ues]
        assert all(length_s((*ues, ue), uploads, trainings) >= 12.0 for ue in others)
        best = most(uploads, trainings, 12.0)
        assert len(ues) <= max(best, 1) and best - len(ues) <= 2
        short += best - len(ues) > 0
    assert short < 30


def test_fedcs_takes_the_most_where_all_train_equally_long():
    draws = stream(3, "test")
    for trial in range(40):
        uploads, trainings = dict(enumerate(draws.random(8) * 4.0)), dict.fromkeys(range(8), 2.0)
        told = view(trial, 8, upload_s=uploads.__getitem__, compute_s=trainings.__getitem__)
        _, ues = FedCs(deadline_s=9.0, share=1.0).choose((), told, 8)
        assert len(ues) == max(1, most(uploads, trainings, 9.0))


def test_a_tenth_of_the_ues_are_candidates_and_each_equally_often():
    chosen = Counter()
    for version in range(1000):
        told = view(version, 20, upload_s=lambda ue: 1.0, compute_s=lambda ue: 0.0)
        _, ues = FedCs(deadline_s=100.0).choose((), told, 20)
        assert len(ues) == 2
        chosen.update(ues)
    assert sum((chosen[ue] - 100) ** 2 for ue in range(20)) / 100 / (18 / 19) < 50.0


@pytest.mark.parametrize(
    ("sizes", "count", "chances"),
    [
        ((1, 2, 3, 4), 2, (0.2, 0.4, 0.6, 0.8)),
        # The largest is always chosen; one place is left for the others.
        ((1, 1, 2, 96), 2, (0.25, 0.25, 0.5, 1.0)),
        ((5, 0, 5), 2, (1.0, 0.0, 1.0)),
        ((3, 3, 3), 0, (0.0, 0.0, 0.0)),
    ],
)
def test_over_all_starts_each_ue_is_chosen_with_its_chance(sizes, count, chances):
    """The start is uniform; between two fractions of running sums the choice is constant."""
    found = inclusion(np.array(sizes, dtype=float), count)
    assert found.tolist() == pytest.approx(chances)
    for order in itertools.permutations(range(len(sizes))):
        ordered = found[list(order)]
        cuts = sorted({0.0, 1.0, *(np.cumsum(ordered) % 1.0).tolist()})
        total = np.zeros(len(sizes))
        for low, high in zip(cuts, cuts[1:]):
            chosen = systematic(ordered, (low + high) / 2)
            if high - low > 1e-9:
                assert len(set(chosen.tolist())) == len(chosen) == count
                total[chosen] += high - low
        assert total == pytest.approx(ordered)


def test_the_mean_of_important_ues_is_that_of_all_by_their_samples():
    """Within five deviations of a mean of 4000 draws; each is a plain mean of two of four values."""
    samples, values, found = {0: 1, 1: 2, 2: 3, 3: 4}, (4.0, -1.0, 0.0, 2.0), []
    for version in range(4000):
        _, ues = Importance().choose((), view(version, 4, samples), 2)
        found.append(np.mean([values[ue] for ue in ues]))
    wanted = sum(samples[ue] * values[ue] for ue in range(4)) / 10
    assert abs(np.mean(found) - wanted) < 5 * np.std(found) / math.sqrt(4000)


BASE = {
    **{"rounds": 6, "ues": 5, "ues_per_round": 2, "seed": 3, "backend": "torch", "model": "logistic_regression"},
    "data": {"name": "digits", "train_samples": 100, "test_samples": 20},
    "channel": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 2.0},
    "compute": {"name": "uniform", "low_s": 0.1, "high_s": 0.4},
}


class Stop(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 3:
            coordinator.stop()


@pytest.mark.parametrize(
    "name", ["best_channel", "proportional_fair", "age", "power_of_choice", "fedcs", "importance"]
)
@pytest.mark.parametrize("protocol", ["wait_for_all", {"name": "buffered", "k": 1}])
def test_runs_are_resumed_to_the_same_model(name, protocol, tmp_path):
    experiment = fl.Experiment.parse({**BASE, "selection": name, "protocol": protocol})
    whole = fl.run(experiment)
    fl.run(experiment, tmp_path / "run", [Stop()])
    assert fl.resume(tmp_path / "run").summary.model_sha256 == whole.summary.model_sha256


def test_what_a_run_tells_is_what_becomes_of_it():
    """The channel is constant within a round here, so the current rate is the rate of the upload."""
    best = fl.run(fl.Experiment.parse({**BASE, "selection": "best_channel"}))
    every = fl.run(fl.Experiment.parse({**BASE, "ues_per_round": 5}))
    for one, other in zip(best.records, every.records):
        delays = {outcome.ue: outcome.delays_s[0] for outcome in other.ues}
        assert {outcome.ue for outcome in one.ues} == set(sorted(delays, key=delays.get)[:2])
