"""The robust rules against brute force, numpy and scipy, and the influence of one update on them."""

import itertools

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.messages import Update
from fl_simu.station.aggregation import AGGREGATIONS, robust
from fl_simu.station.aggregation.robust import (
    CentredClipping,
    GeometricMedian,
    Krum,
    KrumUnsquared,
    Median,
    MultiKrum,
    NormBound,
    Robust,
    TrimmedMean,
)

N = 9
CURRENT = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2), "steps": torch.tensor(0)}


def models(seed=0, n=N, scale=1.0):
    draws = np.random.RandomState(seed)
    return [
        {
            "a.weight": torch.from_numpy(scale * draws.randn(2, 3)).float(),
            "a.bias": torch.from_numpy(scale * draws.randn(2)).float(),
            "steps": torch.tensor(10 + number),
        }
        for number in range(n)
    ]


def flat(model):
    return np.concatenate([model["a.weight"].double().numpy().ravel(), model["a.bias"].double().numpy()])


def combine(rule, given, current=CURRENT, samples=None):
    updates = [Update(ue, 0, samples[ue] if samples else 10, model) for ue, model in enumerate(given)]
    return rule.combine(current, iter(updates), len(given))


def result(rule, given, **others):
    return flat(combine(rule, given, **others))


def brute_force_scores(rows, f, power):
    """Krum's score as Blanchard et al. define it: the smallest sum over any n - f - 2 others."""
    scores = []
    for i, row in enumerate(rows):
        others = [np.linalg.norm(row - other) ** power for j, other in enumerate(rows) if j != i]
        scores.append(min(sum(choice) for choice in itertools.combinations(others, len(rows) - f - 2)))
    return np.array(scores)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("f", [0, 1, 3])
def test_krum_is_the_brute_force_one(seed, f):
    given = models(seed)
    best = np.argsort(brute_force_scores([flat(one) for one in given], f, 2), kind="stable")
    assert result(Krum(f), given).tolist() == flat(given[best[0]]).tolist()
    for take, kept in ((None, N - f), (2, 2)):
        wanted = np.mean([flat(given[ue]) for ue in best[:kept]], axis=0)
        assert result(MultiKrum(f, take), given) == pytest.approx(wanted, abs=1e-7)


def test_the_published_krum_looks_at_weights_only_and_does_not_square():
    for seed in range(5):
        given = models(seed)
        weights = [one["a.weight"].double().numpy().ravel() for one in given]
        best = int(np.argmin(brute_force_scores(weights, 1, 1)))
        assert result(KrumUnsquared(1), given).tolist() == flat(given[best]).tolist()
    # On a line with f = 0: squared 31 from the 2 and 30 from the 3, unsquared 9 and 10.
    line = [{"w": torch.tensor([[x]])} for x in (0.0, 1.0, 2.0, 3.0, 7.0, 8.0)]
    assert [float(combine(rule, line, {"w": torch.zeros(1, 1)})["w"]) for rule in (Krum(0), KrumUnsquared(0))] == [
        3,
        2,
    ]


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_median_is_numpys(n):
    given = models(1, n)
    assert result(Median(), given) == pytest.approx(np.median([flat(one) for one in given], axis=0), abs=1e-7)


@pytest.mark.parametrize("n, f", [(5, 1), (8, 2), (8, 0), (7, 3)])
def test_the_trimmed_mean_is_scipys(n, f):
    given = models(2, n)
    wanted = scipy.stats.trim_mean([flat(one) for one in given], f / n + 1e-9, axis=0)
    assert result(TrimmedMean(f), given) == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_the_geometric_median_is_what_scipy_minimises(seed):
    given = models(seed, 7)
    rows = np.stack([flat(one) for one in given])
    found = scipy.optimize.minimize(
        lambda point: np.linalg.norm(rows - point, axis=1).sum(), rows.mean(axis=0), method="BFGS", tol=1e-9
    )
    assert result(GeometricMedian(iterations=1000), given) == pytest.approx(found.x, abs=1e-5)


def test_the_geometric_median_of_points_most_of_which_agree_is_that_point():
    given = [models(3)[0]] * 4 + models(4, 3)
    assert result(GeometricMedian(), given) == pytest.approx(flat(given[0]), abs=1e-5)


def test_clipping_is_the_papers_formula():
    given, current = models(5, 6, scale=2.0), models(6, 1)[0]
    rows, point = np.stack([flat(one) for one in given]), flat(current)
    for _ in range(2):
        lengths = np.linalg.norm(rows - point, axis=1)
        point = point + np.mean([(x - point) * min(1, 1.5 / far) for x, far in zip(rows, lengths)], axis=0)
    assert result(CentredClipping(1.5, 2), given, current=current) == pytest.approx(point, abs=1e-6)


def test_the_norm_bound_is_the_mean_by_samples_of_shortened_updates():
    given, current, samples = models(7, 3, scale=2.0), models(8, 1)[0], [10, 20, 70]
    start = flat(current)
    moves = [flat(one) - start for one in given]
    shortened = [move / max(1, np.linalg.norm(move) / 8.0) for move in moves]
    wanted = start + np.average(shortened, axis=0, weights=samples)
    found = result(NormBound(8.0), given, current=current, samples=samples)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert 0 < sum(np.linalg.norm(move) > 8 for move in moves) < 3


@pytest.mark.parametrize("rule", [Krum(2), MultiKrum(2), Median(), TrimmedMean(2), GeometricMedian()], ids=str)
@pytest.mark.parametrize("size", [1e3, 1e30])
def test_two_of_nine_carry_nothing_away(rule, size):
    """Below the breakdown point the result stays among the good models, while the mean is carried away."""
    good = models(9, N - 2)
    bad = [{**model, "a.weight": model["a.weight"] + size, "a.bias": model["a.bias"] - size} for model in good[:2]]
    rows = np.stack([flat(one) for one in good])
    assert np.abs(result(rule, good + bad)).max() <= np.abs(rows).max() + 0.5
    assert np.abs(result(AGGREGATIONS["mean"](), good + bad)).max() > size / 10


@pytest.mark.parametrize("rule, most", [(CentredClipping(1.0, 3), 2 * 3 / N), (NormBound(1.0), 2 / N)], ids=str)
def test_what_one_update_does_to_a_clipped_mean_is_bounded(rule, most):
    good = models(10)
    bad = [*good[:-1], {**good[-1], "a.weight": torch.full((2, 3), 1e30)}]
    assert np.linalg.norm(result(rule, good) - result(rule, bad)) <= most + 1e-6


def test_the_mean_of_the_best_leaves_the_far_ones_out():
    given = [*models(11, 8), {**models(12, 1)[0], "a.bias": torch.tensor([100.0, 0.0])}]
    assert result(MultiKrum(1), given) == pytest.approx(
        np.mean([flat(one) for one in given[:-1]], axis=0), abs=1e-6
    )


FEWEST = [(Krum(1), 5), (KrumUnsquared(2), 7), (MultiKrum(1, 6), 6), (TrimmedMean(2), 5), (Median(), 1)]


@pytest.mark.parametrize("rule, fewest", FEWEST, ids=str)
def test_with_too_few_updates_the_model_stays(rule, fewest):
    current = models(13, 1)[0]
    assert rule.fewest() == fewest
    assert combine(rule, models(14, fewest - 1), current) is current
    assert not np.array_equal(result(rule, models(14, fewest), current=current), flat(current))


def test_counters_are_the_median_whoever_lies():
    given = models(15)
    given[-1]["steps"] = torch.tensor(-(10**15))
    for name, rule in AGGREGATIONS.items():
        if issubclass(rule, Robust):
            merged = combine(rule(), given)["steps"]
            assert (merged.dtype, int(merged)) == (torch.int64, 13), name


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Krum(-1), "byzantine"),
        (lambda: TrimmedMean(-1), "byzantine"),
        (lambda: MultiKrum(1, 0), "take"),
        (lambda: GeometricMedian(0.0), "smoothing"),
        (lambda: GeometricMedian(iterations=0), "iterations"),
        (lambda: CentredClipping(radius=float("nan")), "radius"),
        (lambda: CentredClipping(iterations=0), "iterations"),
        (lambda: NormBound(float("inf")), "radius"),
    ],
)
def test_arguments_are_checked(make, field):
    with pytest.raises(BadField, match=field):
        make()


@pytest.mark.parametrize("rule", [Median(), TrimmedMean(2)], ids=str)
@pytest.mark.parametrize("at_once", [1, 20, 30])
def test_merged_some_elements_after_others_the_result_is_the_same_bit_for_bit(rule, at_once, monkeypatch):
    """For 9 models of 8 numbers, one, two or three elements at a time."""
    given = [Update(ue, 0, 10, model) for ue, model in enumerate(models())]
    wanted = rule.combine(CURRENT, iter(given), N)
    monkeypatch.setattr(robust, "AT_ONCE", at_once)
    found = rule.combine(CURRENT, iter(given), N)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
