"""The untargeted attacks against numpy."""

import math

import numpy as np
import pytest
import torch

from fl_simu.attacks.poisoning.base import Knowledge, Targets
from fl_simu.attacks.poisoning.untargeted import (
    GaussianNoise,
    InnerProduct,
    LabelFlip,
    LittleIsEnough,
    SignFlip,
)
from fl_simu.kernel.errors import BadField
from fl_simu.ue.training import Key, Shard

DRAWS = np.random.RandomState(2)
START = {"w": torch.from_numpy(DRAWS.randn(4, 3)).float(), "n": torch.tensor(7)}
OWN = {"w": torch.from_numpy(DRAWS.randn(4, 3)).float(), "n": torch.tensor(8)}
OTHERS = [{"w": torch.from_numpy(DRAWS.randn(4, 3)).float(), "n": torch.tensor(9)} for _ in range(5)]


def knowledge(others=OTHERS):
    nothing = Targets(torch.zeros(0, 1, 1, 3), torch.zeros(0, dtype=torch.int64))
    return Knowledge(Key(1, 4, 2), START, None, 4, None, None, nothing, 6, lambda: OWN, others)


def update(attack, **changes):
    return (attack.poison(knowledge(**changes))["w"] - START["w"]).double().numpy()


def rows():
    return np.stack([(one["w"] - START["w"]).double().numpy() for one in OTHERS])


def test_sign_flip_turns_its_own_update_round():
    own = (OWN["w"] - START["w"]).double().numpy()
    assert update(SignFlip(scale=3.0)) == pytest.approx(-3 * own, abs=1e-5)


def test_a_little_is_the_benign_mean_less_some_deviations():
    wanted = rows().mean(axis=0) - 1.5 * rows().std(axis=0)
    assert update(LittleIsEnough()) == pytest.approx(wanted, abs=1e-5)


def test_inner_product_is_the_benign_mean_turned_round():
    assert update(InnerProduct(scale=0.5)) == pytest.approx(-0.5 * rows().mean(axis=0), abs=1e-5)


def test_noise_is_normal_and_keyed():
    big = {"w": torch.zeros(200, 200)}
    known = [Knowledge(key, big, None, 4, None, None, None, 6, None) for key in (Key(1, 4, 2), Key(1, 4, 3))]
    noise, other = (GaussianNoise(deviation=2.0).poison(one)["w"].numpy().ravel() for one in known)
    # Three standard errors of the mean, standard deviation and correlation of 40,000 draws.
    assert abs(noise.mean()) < 3 * 2 / 200 and abs(noise.std() - 2) < 3 * 2 / math.sqrt(80_000)
    assert abs(np.corrcoef(noise, other)[0, 1]) < 3 / 200
    assert np.array_equal(noise, GaussianNoise(deviation=2.0).poison(known[0])["w"].numpy().ravel())


def test_label_flip_changes_the_labels_of_its_own_rows():
    images, labels = torch.randn(6, 1, 1, 3), torch.tensor([0, 1, 2, 3, 0, 1])
    shard = LabelFlip().own_data(Shard(images, labels, torch.tensor([5, 2, 0])), None, 4)
    assert shard.labels.index_select(0, shard.indices).tolist() == [2, 1, 3]
    assert torch.equal(
        shard.images.index_select(0, shard.indices), images.index_select(0, torch.tensor([5, 2, 0]))
    )
    assert LabelFlip().poison(knowledge()) is OWN


def test_counters_are_left_alone():
    for attack in (SignFlip(), GaussianNoise(), LittleIsEnough(), InnerProduct()):
        assert int(attack.poison(knowledge())["n"]) == 7


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: SignFlip(scale=0.0), "scale"),
        (lambda: GaussianNoise(deviation=float("nan")), "deviation"),
        (lambda: LittleIsEnough(deviations=-1.0), "deviations"),
        (lambda: InnerProduct(scale=float("inf")), "scale"),
        (lambda: LabelFlip(malicious=0), "malicious"),
    ],
)
def test_arguments_are_checked(make, field):
    with pytest.raises(BadField, match=field):
        make()
