import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fl_simu as fl
from fl_simu.data.datasets import Samples
from fl_simu.data.partition import (
    PARTITIONS,
    ByUe,
    Dirichlet,
    FeatureNoise,
    FromFile,
    Iid,
    Independent,
    LabelsPerUe,
    QuantitySkew,
    ShardsByLabel,
    SlidingSlices,
)
from fl_simu.kernel.errors import BadField, UserError
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.randomness import stream


def rng(seed=0):
    return np.random.default_rng(seed)


def balanced(samples, classes=10):
    return np.arange(samples) % classes


cases = st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 9))


@pytest.mark.parametrize(
    "part", [Iid(), ShardsByLabel(1), ShardsByLabel(3), Dirichlet(1.0), QuantitySkew(1.0)], ids=repr
)
@given(case=cases)
def test_every_sample_goes_to_exactly_one_ue(part, case):
    labels, ues, seed = case
    try:
        parts = part.split(np.array(labels), ues, rng(seed))
    except UserError:
        assert ues * getattr(part, "shards_per_ue", 1) > len(labels) or isinstance(part, Dirichlet)
        return
    assert len(parts) == ues
    assert all(p.dtype == np.int64 and len(p) and (np.diff(p) > 0).all() for p in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))


@given(samples=st.integers(1, 200), ues=st.integers(1, 40), per_ue=st.integers(1, 20), seed=st.integers(0, 99))
def test_iid_sizes(samples, ues, per_ue, seed):
    if ues <= samples:
        sizes = [len(part) for part in Iid().split(balanced(samples), ues, rng(seed))]
        assert max(sizes) - min(sizes) <= 1
    if ues * per_ue <= samples:
        for part in (Iid(per_ue), ShardsByLabel(1, per_ue)):
            parts = part.split(balanced(samples), ues, rng(seed))
            assert [len(p) for p in parts] == [per_ue] * ues
            assert len(set(np.concatenate(parts).tolist())) == ues * per_ue
    else:
        with pytest.raises(UserError, match="is not allowed"):
            Iid(per_ue).split(balanced(samples), ues, rng(seed))


def test_iid_classes_are_those_of_a_random_part():
    """Class counts are hypergeometric: mean 100, standard deviation sqrt(1000 * .1 * .9 * 9000 / 9999) = 9.0."""
    labels = balanced(10000)
    counts = [np.bincount(labels[part], minlength=10) for part in Iid().split(labels, 10, rng())]
    assert np.abs(np.array(counts) - 100).max() < 5 * 9.0
    assert 5 < np.std(counts) < 13


def test_shards_hold_one_class_each_as_in_mcmahan_2017():
    """600 samples per class, 200 shards of 30: no shard spans two classes, so no UE has more than two."""
    labels = balanced(6000)
    parts = ShardsByLabel(shards_per_ue=2).split(labels, 100, rng())
    assert {len(part) for part in parts} == {60}
    assert max(len(np.unique(labels[part])) for part in parts) == 2
    assert min(len(np.unique(labels[part])) for part in parts) == 1
    dealt = [part.tolist() for part in ShardsByLabel(2).split(labels, 100, rng(1))]
    assert dealt != [part.tolist() for part in parts]


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_dirichlet_shares_have_the_variance_of_the_distribution(alpha):
    """Dir(alpha, ..., alpha) over K UEs: mean 1/K, variance (K - 1) / (K^2 (K alpha + 1))."""
    ues, classes = 5, 400
    labels = np.repeat(np.arange(classes), 200)
    parts = Dirichlet(alpha).split(labels, ues, rng())
    shares = np.array([np.bincount(labels[part], minlength=classes) for part in parts]) / 200
    assert shares.sum(axis=0) == pytest.approx(np.ones(classes))
    assert shares.mean(axis=1) == pytest.approx(np.full(ues, 1 / ues), abs=0.07)
    assert shares.var() == pytest.approx((ues - 1) / (ues**2 * (ues * alpha + 1)), rel=0.1)


def test_dirichlet_takes_samples_of_a_class_at_random():
    parts = Dirichlet(5.0).split(np.zeros(1000, int), 4, rng())
    assert all(np.diff(part).max() > 1 for part in parts)
    assert all(abs(part.mean() - 499.5) < 5 * 289 / np.sqrt(len(part)) for part in parts)


@given(least=st.integers(1, 10), seed=st.integers(0, 99))
def test_dirichlet_keeps_the_minimum(least, seed):
    parts = Dirichlet(0.3, min_samples=least).split(balanced(1000), 16, rng(seed))
    assert min(len(part) for part in parts) >= least


def test_dirichlet_gives_up_in_one_clear_line():
    with pytest.raises(UserError, match=r"alpha = 0.001, min_samples = 50: none of 100 draws .* 10 UEs") as caught:
        Dirichlet(0.001, min_samples=50).split(balanced(1000), 10, rng())
    assert "\n" not in str(caught.value)
    assert len(Dirichlet(1e-320).split(np.zeros(3), 1, rng())[0]) == 3


def test_quantity_skew_has_the_sizes_of_the_distribution_and_alike_content():
    """Sizes as in the test of `dirichlet`; each class is a tenth of a UE's samples, within 5 deviations."""
    ues, alpha, sizes = 5, 0.5, []
    labels = balanced(2000)
    for seed in range(300):
        parts = QuantitySkew(alpha).split(labels, ues, rng(seed))
        sizes.append([len(part) / 2000 for part in parts])
        for part in parts:
            counts = np.bincount(labels[part], minlength=10)
            assert np.abs(counts - len(part) / 10).max() <= 5 * np.sqrt(len(part) * 0.09) + 1
    assert np.mean(sizes, axis=0) == pytest.approx(np.full(ues, 1 / ues), abs=0.07)
    assert np.var(sizes) == pytest.approx((ues - 1) / (ues**2 * (ues * alpha + 1)), rel=0.1)


@given(ues=st.integers(10, 40), count=st.integers(1, 10), seed=st.integers(0, 99))
def test_each_ue_has_so_many_labels_and_each_label_is_shared_out_evenly(ues, count, seed):
    labels = balanced(1000)
    parts = LabelsPerUe(count).split(labels, ues, rng(seed))
    counts = np.array([np.bincount(labels[part], minlength=10) for part in parts])
    assert ((counts > 0).sum(axis=1) == count).all()
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    for held in counts.T:
        assert np.ptp(held[held > 0]) <= 1


def test_every_ue_may_have_every_label_alike():
    """Each of 7 UEs has each of 5 labels in 2 / 5 of the draws, and all get the larger part equally often."""
    labels, draws = balanced(5 * 11, 5), 2000
    counts = np.zeros((7, 5))
    sizes = np.zeros(7)
    for seed in range(draws):
        parts = LabelsPerUe(2).split(labels, 7, rng(seed))
        counts += [np.bincount(labels[part], minlength=5) > 0 for part in parts]
        sizes += [len(part) for part in parts]
    assert np.abs(counts / draws - 0.4).max() < 5 * np.sqrt(0.4 * 0.6 / draws)
    assert sizes / draws == pytest.approx(np.full(7, 55 / 7), rel=0.05)
    with pytest.raises(BadField, match=r"labels_per_ue = 6 .* at most the 5 classes"):
        LabelsPerUe(6).split(labels, 7, rng())
    with pytest.raises(BadField, match=r"ues = 55 .* fewer, as \d+ UEs have class"):
        LabelsPerUe(5).split(labels, 55, rng())


def test_sliding_slices_overlap_and_wrap():
    parts = SlidingSlices(length=4, step=3).split(balanced(10), 4, rng())
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [9, 0, 1, 2]]
    assert all(part.dtype == np.int64 for part in parts)


def test_independent_ues_draw_each_sample_alike():
    """40,000 draws from 20 samples: 2,000 each, within the deviation of a binomial distribution."""
    parts = Independent(samples_per_ue=4).split(balanced(20), 10_000, rng())
    assert all(part.dtype == np.int64 and (np.diff(part) >= 0).all() for part in parts)
    counts = np.bincount(np.concatenate(parts), minlength=20)
    assert len(counts) == 20 and counts.sum() == 40_000
    assert abs(counts - 2000).max() < 4 * np.sqrt(40_000 * 0.05 * 0.95)
    twice = np.mean([len(set(part.tolist())) < 4 for part in parts])
    assert twice == pytest.approx(1 - 19 * 18 * 17 / 20**3, abs=0.02)


@given(st.lists(st.integers(0, 3), max_size=30), st.permutations(range(4)))
def test_by_ue_gives_each_ue_its_own_and_others_ignore_owners(more, each):
    owners = np.array([*each, *more])
    parts = ByUe().deal(balanced(len(owners)), owners, 4, rng())
    assert [part.tolist() for part in parts] == [[i for i, ue in enumerate(owners) if ue == j] for j in range(4)]
    assert all(part.dtype == np.int64 for part in parts)
    dealt = [Iid().deal(balanced(len(owners)), given, 4, rng()) for given in (owners, None)]
    assert [part.tolist() for part in dealt[0]] == [part.tolist() for part in dealt[1]]


@pytest.mark.parametrize(
    "owners, ues, line",
    [
        (None, 2, "partition.name = 'by_ue' is not allowed: the data do not say which UE has which sample"),
        ([0, 1, 2, 1], 2, "ues = 2 is not allowed: 3, as many as the data have parts by UE"),
        ([0, 1, 0, 1], 3, "ues = 3 is not allowed: 2, as many as the data have parts by UE"),
        ([1, 2, 2, 1], 2, "partition.name = 'by_ue' is not allowed: the data have no sample of UE 0"),
        ([0, 10**12, 1, 1], 3, "partition.name = 'by_ue' is not allowed: the data have no sample of UE 2"),
    ],
)
def test_owners_that_do_not_fit_are_refused(owners, ues, line):
    with pytest.raises(BadField, match=f"^{line}$"):
        ByUe().deal(balanced(4), None if owners is None else np.array(owners), ues, rng())
    with pytest.raises(BadField, match="which UE has which sample"):
        ByUe().split(balanced(4), ues, rng())


@pytest.mark.parametrize("name", [name for name in PARTITIONS if name not in ("by_ue", "file")])
def test_same_rng_same_parts_and_more_ues_than_samples(name):
    part, labels = PARTITIONS[name](), balanced(3000)
    first, second, other = (part.split(labels, 8, rng(seed)) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, second))
    if name != "sliding_slices":
        assert any(a.tolist() != b.tolist() for a, b in zip(first, other))
    more = () if name == "independent" else (3001,)
    for ues in (0, -1, True, 2.0, *more):
        with pytest.raises(BadField, match=r"ues = .* (1 to 3000|at least 1)"):
            part.split(labels, ues, rng())


def file(folder, content):
    path = folder / "parts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return FromFile(str(path))


@given(st.permutations(range(12)), st.lists(st.integers(1, 3), min_size=1, max_size=4), st.randoms())
def test_a_file_deals_what_it_says(rows, sizes, shuffled):
    """Keys and indices in any order; samples that are left out go to no UE."""
    dealt = [rows[sum(sizes[:ue]) : sum(sizes[: ue + 1])] for ue in range(len(sizes))]
    keys = list(range(len(sizes)))
    shuffled.shuffle(keys)
    with tempfile.TemporaryDirectory() as folder:
        parts = file(Path(folder), {key: dealt[key] for key in keys}).split(balanced(12), len(sizes), rng())
    assert [one.tolist() for one in parts] == [sorted(one) for one in dealt]
    assert all(one.dtype == np.int64 for one in parts)


@pytest.mark.parametrize(
    "content, ues, line",
    [
        ({"0": [0, 1], "1": [2]}, 3, "^ues = 3 is not allowed: 2, as many as .*parts.json has"),
        ({"0": [0], "2": [1]}, 2, "parts.json: is no table whose keys are the UEs 0, 1, 2, ..."),
        ({"0": [0], "01": [1]}, 2, "parts.json: is no table whose keys are the UEs 0, 1, 2, ..."),
        ([[0], [1]], 2, "parts.json: is no table whose keys are the UEs 0, 1, 2, ..."),
        ({"0": [0], "1": [4]}, 2, "parts.json: UE 1: there is no sample 4; they are 0 to 3"),
        ({"0": [0], "1": [3, -1]}, 2, "parts.json: UE 1: there is no sample -1; they are 0 to 3"),
        ({"0": [0], "1": [10**30]}, 2, "parts.json: UE 1: there is no sample 10+; they are 0 to 3"),
        ({"0": [0, 2], "1": [3, 2]}, 2, "parts.json: UE 1: sample 2 is UE 0's already"),
        ({"0": [1], "1": [3, 3]}, 2, "parts.json: UE 1: sample 3 is UE 1's already"),
        ({"0": [1], "1": []}, 2, "parts.json: UE 1: has no sample"),
        ({"0": [1], "1": [1.0]}, 2, "parts.json: UE 1: is no list of whole numbers"),
        ({"0": [1], "1": [True]}, 2, "parts.json: UE 1: is no list of whole numbers"),
        ({"0": [1], "1": 0}, 2, "parts.json: UE 1: is no list of whole numbers"),
        ('{"0": [0], "0": [1]}', 2, "parts.json: damaged.*'0' stands twice in one table"),
        ("{", 2, "parts.json: damaged, or not what its name says: Expecting property name"),
        ("[" * 100_000, 2, "parts.json: damaged, or not what its name says: nested too deep"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path, content, ues, line):
    with pytest.raises(UserError, match=line) as told:
        file(tmp_path, content).split(balanced(4), ues, rng())
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*no.json: No such file or directory$"):
        FromFile(str(tmp_path / "no.json")).split(balanced(4), 2, rng())


SMALL = {
    **{"rounds": 1, "ues": 4, "seed": 3, "backend": "torch", "model": "logistic_regression"},
    "data": {"name": "digits", "train_samples": 200, "test_samples": 30},
}


def small(**changes):
    return fl.Experiment.parse({**SMALL, **changes})


class Once(fl.Observer):
    """Stops a run after its first round."""

    def aggregated(self, record, coordinator):
        coordinator.stop()


def test_the_parts_of_iid_as_a_file_give_the_model_of_iid(tmp_path):
    """A resume with another file is refused."""
    parts = Iid().split(np.zeros(200), 4, stream(3, "partition"))
    path = file(tmp_path, {ue: part.tolist() for ue, part in enumerate(parts)}).path
    partition = {"name": "file", "path": path}
    assert fl.run(small(partition=partition)).summary.model_sha256 == fl.run(small()).summary.model_sha256
    fl.run(small(partition=partition, rounds=2), tmp_path / "run", observers=[Once()])
    file(tmp_path, {ue: part.tolist() for ue, part in enumerate(reversed(parts))})
    with pytest.raises(UserError, match=r"its checkpoint was made with the files of partition.path"):
        fl.resume(tmp_path / "run")


def test_noise_has_the_variance_of_the_paper():
    """UE i of 5 has sigma i / 5. Bounds: five standard deviations of a mean, a variance and a fourth moment."""
    part, ues, sigma = FeatureNoise(sigma=0.4), 5, 0.4
    samples = Samples(torch.randn(1000, 1, 8, 8), torch.from_numpy(balanced(1000)))
    parts = part.split(balanced(1000), ues, rng())
    assert [one.tolist() for one in parts] == [one.tolist() for one in Iid().split(balanced(1000), ues, rng())]
    held = part.as_held(samples, parts, seed=7)
    assert torch.equal(held.labels, samples.labels)
    noise = (held.images - samples.images).numpy().astype(float)
    assert not noise[parts[0]].any()
    for ue in range(1, ues):
        own = noise[parts[ue]].ravel() / np.sqrt(sigma * ue / ues)
        assert abs(own.mean()) < 5 / np.sqrt(own.size)
        assert own.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / own.size))
        assert (own**4).mean() == pytest.approx(3.0, abs=5 * np.sqrt(96 / own.size))
    between = np.corrcoef(np.stack([noise[rows].ravel() for rows in parts[1:]]))
    assert np.abs(between - np.eye(ues - 1)).max() < 5 / np.sqrt(noise[parts[1]].size)
    assert not torch.equal(part.as_held(samples, parts, seed=8).images, held.images)


@pytest.mark.parametrize("backend", ["torch", "vectorized"])
def test_noisy_ues_are_ues_that_hold_noisy_images(backend):
    """The same as user data with noise added by hand; the meter `fairness` sees the noise too."""
    if backend == "vectorized" and not MODERN:
        pytest.skip("torch.func needs the modern stack")
    noisy = small(partition={"name": "feature_noise", "sigma": 9.0}, backend=backend, meters=["fairness"])
    data, run = noisy.data.load(), fl.run(noisy)
    images, labels = data.train.images.numpy(), data.train.labels.numpy()
    own = {}
    for ue, rows in enumerate(Iid().split(labels, 4, stream(3, "partition"))):
        noise = 1.5 * np.sqrt(ue) * stream(3, "feature noise", ue).standard_normal((50, 1, 28, 28))
        own[ue] = images[rows] + noise.astype(np.float32), labels[rows]
    by_hand = small(partition="by_ue", backend=backend).with_(data=(own, (data.test.images, data.test.labels)))
    assert run.summary.model_sha256 == fl.run(by_hand).summary.model_sha256
    module = noisy.model.build((1, 28, 28), 10)
    module.load_state_dict(run.model)
    right = [float((module(torch.from_numpy(x)).argmax(dim=1).numpy() == y).mean()) for x, y in own.values()]
    assert run.records[0].meters["ue_accuracy_min"] == min(right)
    assert run.records[0].meters["ue_accuracy_variance"] == pytest.approx(np.var(right))


def test_no_noise_is_iid_and_characters_have_none():
    still = small(partition={"name": "feature_noise", "sigma": 0})
    assert fl.run(still).summary.model_sha256 == fl.run(small()).summary.model_sha256
    text = {"name": "leaf_shakespeare", "path": "no"}
    with pytest.raises(UserError, match=r"^partition.name = 'feature_noise' is not allowed: it changes pixels"):
        fl.run(small(partition="feature_noise", data=text, model="leaf_lstm"))


def test_draws_are_the_same_on_every_numpy():
    """Pinned: the legacy and the modern stack must both deal these parts."""
    labels = np.arange(12) // 4
    assert [p.tolist() for p in Iid().split(labels, 3, rng(5))] == [
        [4, 7, 8, 11],
        [2, 3, 5, 6],
        [0, 1, 9, 10],
    ]
    assert [p.tolist() for p in ShardsByLabel(2).split(labels, 3, rng(5))] == [
        [0, 1, 8, 9],
        [6, 7, 10, 11],
        [2, 3, 4, 5],
    ]
    assert [p.tolist() for p in Dirichlet(0.5).split(labels, 3, rng(5))] == [
        [0, 1, 2, 7, 11],
        [3, 8, 9, 10],
        [4, 5, 6],
    ]


@pytest.mark.parametrize(
    "part, fields, named",
    [
        (Iid, {"samples_per_ue": 0}, "samples_per_ue = 0"),
        (Iid, {"samples_per_ue": 1.5}, "samples_per_ue = 1.5"),
        (ShardsByLabel, {"shards_per_ue": 0}, "shards_per_ue = 0"),
        (ShardsByLabel, {"shards_per_ue": 2, "samples_per_ue": 5}, "samples_per_ue = 5 .* multiple of"),
        (Dirichlet, {"alpha": 0.0}, "alpha = 0.0"),
        (Dirichlet, {"alpha": float("nan")}, "alpha = nan"),
        (Dirichlet, {"alpha": float("inf")}, "alpha = inf"),
        (Dirichlet, {"alpha": "1"}, "alpha = '1'"),
        (Dirichlet, {"min_samples": 0}, "min_samples = 0"),
        (LabelsPerUe, {"labels_per_ue": 0}, "labels_per_ue = 0"),
        (Independent, {"samples_per_ue": 0}, "samples_per_ue = 0"),
        (FeatureNoise, {"sigma": -0.1}, "sigma = -0.1"),
        (FeatureNoise, {"sigma": float("nan")}, "sigma = nan"),
        (FeatureNoise, {"samples_per_ue": 0}, "samples_per_ue = 0"),
        (SlidingSlices, {"length": 1}, "length = 1"),
        (SlidingSlices, {"length": 5, "step": 5}, "step = 5 .* from 1 to 4"),
        (SlidingSlices, {"step": 0}, "step = 0"),
    ],
)
def test_refused_when_made(part, fields, named):
    with pytest.raises(BadField, match=named):
        part(**fields)


@pytest.mark.parametrize(
    "part, named",
    [
        (Iid(samples_per_ue=26), "samples_per_ue = 26 .* at most 25"),
        (ShardsByLabel(samples_per_ue=26), "samples_per_ue = 26 .* at most 25"),
        (ShardsByLabel(shards_per_ue=26), "shards_per_ue = 26 .* at most 25"),
        (Dirichlet(min_samples=26), "min_samples = 26 .* at most 25"),
        (SlidingSlices(length=101, step=1), "length = 101 .* at most 100"),
    ],
    ids=repr,
)
def test_refused_for_too_few_samples(part, named):
    with pytest.raises(BadField, match=named):
        part.split(balanced(100), 4, rng())
