"""Selections that learn from settled uploads: Oort, TiFL, and importance by the norms of updates."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import distance
from fl_simu.loop.plan import plan
from fl_simu.station.aggregation import Mean, PlainMean, WeightedSum
from fl_simu.station.selection import ImportanceByNorm, Oort, Tifl, TiflStatic
from fl_simu.station.selection.base import Settled, View
from fl_simu.station.selection.draws import Norms, in_order, inclusion
from fl_simu.station.selection.oort import Explored, Known
from fl_simu.station.selection.tifl import Tiers

# The result of FedScale 1.0 (thirdparty/oort/oort.py, its defaults) for this history in round 12: its selection
# probabilities for UEs with these (utility, duration, round of the last participation).
HISTORY = {
    **{0: (40.0, 1.5, 3), 1: (12.0, 0.8, 9), 2: (90.0, 4.0, 5), 3: (31.0, 2.5, 11)},
    **{4: (77.0, 9.0, 2), 5: (8.0, 1.1, 11), 6: (55.0, 3.0, 7), 7: (500.0, 2.0, 10)},
}
FEDSCALE = (
    *(0.22926849203642766, 0.11325670225821927, 0.035599003167019694, 0.04609485983093598),
    *(0.0088932709642058, 0.09766743272867545, 0.04612455462540177, 0.4230956843891144),
)


def view(version, ues, samples=None, idle=None, **told):
    told = {"compute_s": lambda ue: 1.0, "upload_s": lambda ue: 1.0, "loss": lambda ue: 1.0, **told}
    samples = samples or dict.fromkeys(range(ues), 1)
    return View(1, version, float(version), samples, list(range(ues)) if idle is None else idle, **told)


def known(history):
    explored = {ue: Explored(utility, last, lasted_s) for ue, (utility, lasted_s, last) in history.items()}
    return Known(explored, {}, 30.0, (0.0, 0.0))


def test_what_counts_at_oort_is_what_fedscale_counts():
    worth = Oort().worth(known(HISTORY), list(HISTORY), 12)
    everything = sum(worth.values())
    assert [worth[ue] / everything for ue in range(8)] == pytest.approx(FEDSCALE, rel=1e-12)


def test_oort_draws_by_what_counts_among_those_near_the_best():
    """The best of k = 2 without exploration: the cut is at 1 - c of the second best, which is UE 0."""
    narrow, wide = Oort(exploration=0.0, least=0.0), Oort(exploration=0.0, least=0.0, cut_off=0.55)
    found = {narrow: Counter(), wide: Counter()}
    for version in range(3000):
        # The bonus grows with the round, so view every draw from round 12.
        told = view(11, 8)._replace(seed=version)
        for policy, counts in found.items():
            counts.update(policy.choose(known(HISTORY), told, 2)[1])
    assert found[narrow] == {7: 3000, 0: 3000}
    assert set(found[wide]) == {7, 0, 1}
    # Two of three without replacement, with probabilities proportional to the score: by hand for the one left out.
    p = {ue: FEDSCALE[ue] for ue in (7, 0, 1)}
    total = sum(p.values())
    for ue in p:
        others = [one for one in p if one != ue]
        out = sum(p[one] / total * p[two] / (total - p[one]) for one, two in (others, others[::-1]))
        assert abs(3000 - found[wide][ue] - 3000 * out) < 5 * math.sqrt(3000 * out * (1 - out))


def test_oort_explores_by_speed_and_its_share_falls_to_the_least():
    """UEs 0 to 3 are known, 4 to 7 are new with 1, 2, 4 and 8 s; one place, so that the share is a probability."""
    state = known({ue: HISTORY[ue] for ue in range(4)})
    explored, new = {0: [], 100: []}, Counter()
    for seed in range(4000):
        for version, found in explored.items():
            told = view(version + 11, 8, compute_s=lambda ue: 0.0, upload_s=lambda ue: 2.0 ** (ue - 4))
            (ue,) = Oort().choose(state, told._replace(seed=seed), 1)[1]
            found.append(ue >= 4)
            new.update([ue] if ue >= 4 else [])
    for version, share in ((0, 0.9 * 0.98**11), (100, 0.3)):
        assert abs(np.mean(explored[version]) - share) < 5 * math.sqrt(share * (1 - share) / 4000)
    total = sum(new.values())
    for ue, share in zip((4, 5, 6, 7), np.array([8, 4, 2, 1]) / 15):
        assert abs(new[ue] - total * share) < 5 * math.sqrt(total * share * (1 - share))


def test_oort_fills_its_places_from_whom_there_is():
    state = known({ue: HISTORY[ue] for ue in range(4)})
    for version in range(200):
        for ues, free in ((8, 7), (8, 8), (5, 4), (4, 3), (8, 0), (8, 12)):
            chosen = Oort().choose(state, view(version, ues), free)[1]
            assert len(chosen) == len(set(chosen)) == min(free, ues)


def test_a_ue_that_gives_nothing_counts_as_one_that_takes_as_long_as_the_bs_has_waited():
    losses = {0: np.array([3.0, 4.0]), 1: np.array([math.nan, 1.0])}
    first = Settled(1, 2.0, (0, 1), {0: 0.5, 1: 0.7, 2: 2.0}, losses.__getitem__)
    state = Oort().settled(Oort().start(), first)
    assert state.explored == {0: Explored(math.sqrt(2 * 25.0), 1, 0.5), 1: Explored(0.0, 1, 0.7)}
    assert (state.waited_s, state.gained) == ({2: 2.0}, (0.0, math.sqrt(50.0)))
    state = Oort().settled(state, Settled(2, 5.0, (2,), {0: 3.0, 2: 1.0}, lambda ue: np.array([-1.0])))
    assert state.explored[0] == Explored(math.sqrt(50.0), 2, 3.0)
    assert state.explored[2] == Explored(1.0, 2, 1.0) and not state.waited_s


def test_the_pacer_lets_slower_ues_in_when_less_is_gained():
    policy, percentiles = Oort(window=2, step=40.0), []
    state = policy.start()
    for version, gain in enumerate((3.0, 3.0, 2.0, 1.0, 2.0, 2.0, 0.0, 0.0), 1):
        told = Settled(version, 0.0, (0,), {0: 1.0}, lambda ue, gain=gain: np.array([gain]))
        state = policy.settled(state, told)
        percentiles.append(state.percentile)
    # Windows of 6, 3, 4 and 0.
    assert percentiles == [30.0, 30.0, 30.0, 70.0, 70.0, 70.0, 70.0, 100.0]
    state = known({0: (1.0, 1.0, 1), 1: (1.0, 50.0, 1)})._replace(percentile=100.0)
    worth = policy.worth(state, [0, 1], 2)
    assert worth[0] == worth[1]


def test_tiers_are_by_the_time_of_training_and_of_an_upload():
    told = view(0, 7, compute_s=lambda ue: 7.0 - ue, upload_s=lambda ue: math.inf if ue == 6 else 2.0 * ue)
    state, _ = Tifl(tiers=3).choose(Tifl(tiers=3).start(), told, 2)
    # 7, 8, ..., 12 and never.
    assert state.ues == ((0, 1, 2), (3, 4), (5, 6))


def test_a_tier_is_drawn_by_its_chances_and_then_its_ues_uniformly():
    policy = TiflStatic(chances=(1.0, 0.0, 3.0))
    state, tiers, ues = policy.start(), Counter(), Counter()
    for version in range(4000):
        state, chosen = policy.choose(state, view(version, 9, compute_s=float), 2)
        assert len({ue // 3 for ue in chosen}) == 1 and len(set(chosen)) == 2
        tiers.update([chosen[0] // 3])
        ues.update(chosen)
    assert set(tiers) == {0, 2} and abs(tiers[0] - 1000) < 5 * math.sqrt(4000 * 3 / 16)
    for ue in range(3):
        assert abs(ues[ue] - tiers[0] * 2 / 3) < 5 * math.sqrt(tiers[0] * 2 / 9)


def test_credits_are_used_up_before_any_are_given_anew():
    policy = TiflStatic(chances=(100.0, 1.0, 1.0), credits=(1, 2, 1))
    state, drawn = policy.start(), []
    for version in range(12):
        state, _ = policy.choose(state, view(version, 6, compute_s=float), 1)
        drawn.append(state.drawn)
    assert [sorted(drawn[start : start + 4]) for start in (0, 4, 8)] == [[0, 1, 1, 2]] * 3


def test_of_a_tier_with_too_few_idle_ues_all_are_taken_and_one_without_any_is_not_drawn():
    policy = TiflStatic(chances=(1.0, 1.0))
    state, _ = policy.choose(policy.start(), view(0, 6, compute_s=float), 3)
    found = {policy.choose(state, view(version, 6, idle=[1, 3, 4, 5]), 2)[1] for version in range(60)}
    assert (1,) in found and {len(ues) for ues in found} == {1, 2}
    assert all(set(policy.choose(state, view(version, 6, idle=[4, 5]), 3)[1]) == {4, 5} for version in range(20))
    fast = TiflStatic(chances=(1.0, 0.0))
    assert fast.choose(fast.start(), view(0, 4, idle=[2, 3], compute_s=float), 2)[1] == ()


def test_chances_follow_the_losses_when_that_of_the_tier_drawn_has_not_fallen():
    """Tiers of two UEs with 1 and 3 samples: their loss is the mean over all four samples."""
    policy, samples = Tifl(tiers=3, interval=2), {ue: 1 + 2 * (ue % 2) for ue in range(6)}
    asked = []

    def told(version, losses):
        def loss(ue):
            asked.append((version, ue))
            return losses[ue // 2] + (0.3 if ue % 2 == 0 else -0.1)

        return view(version, 6, samples, compute_s=float, loss=loss)

    state, _ = policy.choose(policy.start(), told(0, (1.0, 3.0, 2.0)), 1)
    assert state.losses == pytest.approx((1.0, 3.0, 2.0)) and state.chances == (1.0, 1.0, 1.0)
    state, _ = policy.choose(state, told(1, (9.0, 9.0, 9.0)), 1)
    assert {version for version, _ in asked} == {0}
    fallen, still = [0.5, 1.5, 2.5], [4.0, 5.0, 3.0]
    assert policy.choose(state._replace(drawn=1), told(2, fallen), 1)[0].chances == (1.0, 1.0, 1.0)
    after, _ = policy.choose(state._replace(drawn=1), told(2, still), 1)
    assert (after.chances, after.looked) == ((2.0, 3.0, 1.0), 2)
    assert type(after) is Tiers


SAMPLES = {0: 3, 1: 1, 2: 4, 3: 2, 4: 6}
MODELS = {ue: {"w": torch.tensor([1.5 * ue - 2.0, (-1.0) ** ue * ue])} for ue in SAMPLES}
CURRENT = {"w": torch.tensor([0.25, -1.0])}


def expectation(rule, sizes, count, weight):
    """Over all orders of the UEs and all starts: between two cuts of the running sums the sample is constant."""
    total, orders = np.zeros(2), list(itertools.permutations(sizes))
    for order in orders:
        ends = np.cumsum(inclusion(np.array([sizes[ue] for ue in order], dtype=float), count))
        cuts = sorted({0.0, 1.0, *(ends % 1.0).tolist()})
        for low, high in zip(cuts, cuts[1:]):
            if high - low > 1e-12:
                ues = sorted(in_order(order, sizes, count, (low + high) / 2))
                updates = [Update(ue, 0, SAMPLES[ue], MODELS[ue], weight(ue)) for ue in ues]
                total += (high - low) * rule.combine(CURRENT, iter(updates), count)["w"].double().numpy()
    return total / len(orders)


SOME, VAST = {0: 2.0, 1: 0.0, 2: 0.5}, {0: 1.0, 1: 900.0, 2: 1.0, 3: 1.0, 4: 1.0}


@pytest.mark.parametrize("norms", [{}, SOME, VAST], ids=["none", "some", "vast"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_weighted_sum_over_all_samples_is_the_mean_over_all_ues_whatever_the_norms(norms, count):
    policy, told = ImportanceByNorm(), view(0, 5, SAMPLES)
    whole = Mean().combine(CURRENT, [Update(ue, 0, SAMPLES[ue], MODELS[ue]) for ue in SAMPLES], 5)["w"]
    sizes = policy.sizes(Norms(norms, {}), told)
    # The weights of the chosen UEs, from the part itself, over enough draws to see each UE.
    weights = {}
    for seed in range(400):
        state, ues = policy.choose(Norms(norms, {}), told._replace(seed=seed), count)
        assert len(ues) == count and set(state.weights) == set(ues)
        for ue in ues:
            assert weights.setdefault(ue, policy.weight(state, ue)) == pytest.approx(policy.weight(state, ue))
    found = expectation(WeightedSum(), sizes, count, weights.__getitem__)
    assert found == pytest.approx(whole.numpy(), abs=1e-6)
    if norms is SOME and count in (2, 3):
        for other in (Mean(), PlainMean()):
            biased = expectation(other, sizes, count, weights.__getitem__)
            assert np.abs(biased - whole.numpy()).max() > 0.01


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_plain_mean_over_all_samples_by_their_number_is_the_mean_over_all_ues(count):
    """With 2 of 5 the largest has 12/16, below 1; where one would be above 1 the plain mean is biased."""
    sizes = {ue: float(samples) for ue, samples in SAMPLES.items()} if count < 5 else dict.fromkeys(SAMPLES, 1.0)
    shares = np.array([sizes[ue] for ue in SAMPLES]) / sum(sizes.values())
    whole = sum(share * MODELS[ue]["w"].double().numpy() for ue, share in enumerate(shares))
    assert expectation(PlainMean(), sizes, count, lambda ue: 1.0) == pytest.approx(whole, abs=1e-6)


BASE = {
    **{"rounds": 8, "ues": 6, "ues_per_round": 3, "seed": 3, "backend": "torch", "model": "logistic_regression"},
    "data": {"name": "digits", "train_samples": 120, "test_samples": 20},
    "channel": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 2.0},
    "compute": {"name": "uniform", "low_s": 0.1, "high_s": 0.4},
    "faults": {"name": "dropout", "rate": 0.2},
    "protocol": {"name": "deadline", "deadline_s": 0.7},
}
BY_NORM = {"selection": "importance_by_norm", "aggregation": "weighted_sum"}
WAITING = {"protocol": "wait_for_all", "faults": "none"}


class Stop(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 5:
            coordinator.stop()


class Overhears(fl.Observer):
    """What the selection is told, asked at once, beside the record of the same round."""

    def __init__(self, monkeypatch, cls):
        self.told, self.records = [], []
        settled = cls.settled

        def overheard(part, state, round):
            norms = {ue: round.norm(ue) for ue in round.accepted}
            self.told.append((round, {ue: round.losses(ue) for ue in round.lasted_s}, norms))
            return settled(part, state, round)

        monkeypatch.setattr(cls, "settled", overheard)

    def aggregated(self, record, coordinator):
        self.records.append(record)


@pytest.mark.parametrize("payload", ["weights", "update"])
def test_a_selection_is_told_times_and_losses_of_what_was_settled(payload, monkeypatch):
    """In one round all losses are those of the initial model."""
    changes = {"rounds": 1, "ues_per_round": 6, "payload": payload, "codec": {"name": "affine", "base_bits": 4}}
    overhears = Overhears(monkeypatch, Oort)
    fl.run(fl.Experiment.parse({**BASE, **changes, "selection": "oort"}), observers=[overhears])
    ((round, losses, norms),) = overhears.told
    outcomes = {one.ue: one for one in overhears.records[0].ues}
    assert list(round.lasted_s) == sorted(outcomes) and 0 < len(round.accepted) < 6
    for ue, lasted_s in round.lasted_s.items():
        one = outcomes[ue]
        answered = one.accepted != "none"
        waited_s = one.compute_s + max(one.delays_s) if answered else 0.7
        assert lasted_s == pytest.approx(waited_s) and (ue in round.accepted) == answered
        # ln 10 is what a model loses that tells nothing.
        assert losses[ue].mean() == pytest.approx(math.log(10), rel=0.2) and losses[ue].std() > 0
    assert set(norms) == set(round.accepted) and all(0 < norm < 10 for norm in norms.values())


@pytest.mark.parametrize("payload", ["weights", "update"])
def test_norms_and_losses_are_of_the_model_that_the_ue_was_handed(payload, monkeypatch):
    """One UE, whose model is the next global one: its norm is how far that moves."""
    overhears, models, views = Overhears(monkeypatch, Oort), [], []
    choose = Oort.choose
    monkeypatch.setattr(
        Oort,
        "choose",
        lambda self, state, view, free: views.append(view.loss(0)) or choose(self, state, view, free),
    )

    class Keep(fl.Observer):
        def aggregated(self, record, coordinator):
            models.append(coordinator.model)

    values = {**BASE, **WAITING, "payload": payload, "rounds": 4, "ues": 1, "ues_per_round": 1}
    fl.run(fl.Experiment.parse({**values, "selection": "oort"}), observers=[Keep(), overhears])
    assert [losses[0].mean() for _, losses, _ in overhears.told] == pytest.approx(views, rel=1e-5)
    moved = [distance(earlier, later) for earlier, later in zip(models, models[1:])]
    assert [norms[0] for _, _, norms in overhears.told[1:]] == pytest.approx(moved, rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"selection": "oort"},
        {"selection": {"name": "tifl", "tiers": 3, "interval": 2}},
        {"selection": {"name": "tifl_static", "chances": [1.0, 2.0], "credits": [1, 3]}},
        BY_NORM,
        {"selection": "oort", **WAITING, "protocol": {"name": "buffered", "k": 2}},
        {"selection": {"name": "tifl", "tiers": 2}, **WAITING, "protocol": {"name": "buffered", "k": 1}},
    ],
    ids=str,
)
def test_runs_that_learn_are_resumed_to_the_same_model(changes, tmp_path):
    experiment = fl.Experiment.parse({**BASE, **changes})
    whole = fl.run(experiment)
    fl.run(experiment, tmp_path / "run", [Stop()])
    resumed = fl.resume(tmp_path / "run")
    assert resumed.summary.model_sha256 == whole.summary.model_sha256
    told = [[[(one.ue, one.accepted) for one in record.ues] for record in run.records] for run in (whole, resumed)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "changes", [{"selection": "oort"}, {"selection": {"name": "tifl", "interval": 2}}, BY_NORM]
)
def test_who_is_chosen_does_not_follow_from_the_backend(changes):
    values = {**BASE, **changes, "rounds": 5}
    hashes = [
        fl.run(fl.Experiment.parse({**values, "backend": backend})).summary.model_sha256
        for backend in ({"name": "torch", "exact": True}, "syft")
    ]
    assert hashes[0] == hashes[1]


def test_with_everybody_chosen_the_weighted_sum_is_the_mean_by_samples():
    values = {**BASE, **WAITING, "ues_per_round": 6, "rounds": 3, "partition": "quantity_skew"}
    models = [fl.run(fl.Experiment.parse({**values, **changes})).model for changes in ({}, BY_NORM)]
    assert distance(*models) < 1e-5 * distance(models[0], {name: 0 * one for name, one in models[0].items()})


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"selection": "importance_by_norm"}, "aggregation.name = 'mean' .* only weighted_sum adds up"),
        ({"aggregation": "weighted_sum"}, "aggregation.name = 'weighted_sum' .* tells no weights"),
        ({**BY_NORM, **WAITING, "protocol": "buffered"}, "selection.name = 'importance_by_norm' .* in rounds"),
        ({"selection": {"name": "tifl", "tiers": 7}}, "selection.tiers = 7 .* no more than the 6 ues"),
        ({"selection": {"name": "tifl_static", "chances": [0.0]}}, "selection.chances"),
        ({"selection": {"name": "tifl_static", "credits": [1]}}, "selection.credits"),
        ({"selection": {"name": "oort", "clip": 1.5}}, "selection.clip = 1.5 .* 0 to 1"),
        ({"selection": {"name": "importance_by_norm", "floor": 0.0}}, "selection.floor"),
    ],
)
def test_what_does_not_fit_is_one_line(changes, told):
    with pytest.raises(UserError, match=told):
        plan(fl.Experiment.parse({**BASE, **changes}))
