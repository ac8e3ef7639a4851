"""What every attack must do. A new attack is tested here as soon as it is registered: give it a few settings."""

import pytest
import torch

from fl_simu.attacks.model_poisoning import ATTACKS
from fl_simu.attacks.model_poisoning.base import Knowledge, Targets, draw_targets
from fl_simu.attacks.model_poisoning.malicious import Malicious
from fl_simu.attacks.model_poisoning.targeted import AlternatingMinimisation, Boosting, Concatenated, DataPoisoning
from fl_simu.attacks.model_poisoning.untargeted import (
    GaussianNoise,
    InnerProduct,
    LabelFlip,
    LittleIsEnough,
    SignFlip,
)
from fl_simu.backends.torch_loop import TorchLoop
from fl_simu.kernel.parameters import all_finite, params_of, sha256, structure_of
from fl_simu.ue.models import Mlp
from fl_simu.ue.optimizers import Adam, Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, initial_params

BOUND = {"constraint": "own_benign", "rho": 0.01, "most_steps": 20}
SETTINGS = {
    "boosting": [
        Boosting(most_steps=20),
        Boosting(2, 3, boosted="weights", constrained="weights", estimate="before", **BOUND),
    ],
    "alternating_minimisation": [
        AlternatingMinimisation(epochs=1, benign_steps=1),
        AlternatingMinimisation(2, 2, constraint="others_last", estimate="after", epochs=2, benign_steps=2),
    ],
    "concatenated": [Concatenated(most_steps=20), Concatenated(estimate="after", **BOUND)],
    "data_poisoning": [DataPoisoning(), DataPoisoning(2, 3, copies=1)],
    "sign_flip": [SignFlip(2, scale=3.0)],
    "gaussian_noise": [GaussianNoise(2)],
    "little_is_enough": [LittleIsEnough(2)],
    "inner_product": [InnerProduct(2)],
    "label_flip": [LabelFlip(2)],
}
CASES = [pytest.param(attack, id=str(attack)) for settings in SETTINGS.values() for attack in settings]
SHAPE, CLASSES, UES = (1, 2, 3), 4, 5
# Batch norm has counters and running means, dropout draws of its own.
MODEL = Mlp((5,), dropout=0.3, batch_norm=True)
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(50, *SHAPE, generator=GENERATOR)
LABELS = torch.randint(0, CLASSES, (50,), generator=GENERATOR)


def training(optimizer, **options):
    return LocalTraining(lambda: MODEL.build(SHAPE, CLASSES), MODEL.loss, optimizer, batch_size=5, **options)


def test_every_registered_attack_is_tested_here():
    assert {*SETTINGS, "none"} == set(ATTACKS)


def rounds(attack, local, count=3):
    """Digests of what each UE sends, and of each global model, over a few rounds."""
    targets = draw_targets(1, attack.targets, IMAGES, LABELS, CLASSES)
    backend = Malicious(TorchLoop(local), attack, UES, CLASSES, targets)
    for ue in range(UES):
        backend.place(ue, Shard(IMAGES, LABELS, torch.arange(10 * ue, 10 * ue + 10)))
    params, digests, state = initial_params(local.make_module, 1), [], torch.get_rng_state()
    for round in range(count):
        before = sha256(params)
        backend.send(range(UES), params)
        backend.train([Key(1, ue, round) for ue in range(UES)])
        sent = [backend.get(ue) for ue in range(UES)]
        assert sha256(params) == before
        for one in sent:
            assert structure_of(one) == structure_of(params) and all_finite(one)
        digests.append([sha256(one) for one in sent])
        params = {
            name: sum(one[name].double() for one in sent).div(UES).to(like.dtype) for name, like in params.items()
        }
    assert torch.equal(torch.get_rng_state(), state)
    return digests


@pytest.mark.parametrize("attack", CASES)
@pytest.mark.parametrize("keep", [False, True])
def test_models_keep_their_structure_and_draws_are_keyed(attack, keep):
    local = training(Adam(lr=0.01), keep_optimizer_state=keep)
    first = rounds(attack, local)
    torch.manual_seed(99)
    assert rounds(attack, local) == first
    # The malicious ones are the last, and the benign ones are what they would be beside any of them.
    assert (
        len({digest for ue in range(UES - attack.malicious) for digest in [first[0][ue]]})
        == UES - attack.malicious
    )
    assert rounds(SignFlip(attack.malicious), local, 1)[0][: -attack.malicious] == first[0][: -attack.malicious]


@pytest.mark.parametrize("attack", CASES)
def test_what_it_knows_is_left_alone(attack):
    local = training(Sgd(lr=0.1))
    models = [initial_params(local.make_module, seed) for seed in range(4)]
    targets = Targets(IMAGES[:2].clone(), torch.tensor([1, 2]))
    shard = Shard(IMAGES, LABELS, torch.arange(10))
    known = Knowledge(
        Key(1, 4, 1),
        models[0],
        shard,
        CLASSES,
        local,
        local.make_module(),
        targets,
        UES,
        lambda: models[1],
        models[2:],
        {name: tensor for name, tensor in models[3].items() if tensor.dtype.is_floating_point},
    )
    before = [sha256(one) for one in models], [part.clone() for part in (*targets, *shard)]
    attack.own_data(shard, targets, CLASSES)
    sent = attack.poison(known)
    assert [sha256(one) for one in models] == before[0]
    assert all(torch.equal(old, new) for old, new in zip(before[1], (*targets, *shard)))
    assert structure_of(sent) == structure_of(params_of(local.make_module()))
