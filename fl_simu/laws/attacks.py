"""The laws of poisoning attacks. Each takes the knowledge of a malicious UE in one round."""

from typing import List

import torch
from torch import Tensor

from fl_simu.attacks.poisoning.base import Attack, Knowledge, draw_targets
from fl_simu.kernel.parameters import Params
from fl_simu.laws.base import (
    SEED,
    Inputs,
    Law,
    copied,
    expect,
    finite,
    same,
    same_params,
    same_structure,
)
from fl_simu.models import Mlp
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, initial_params

SHAPE, CLASSES, UES, SAMPLES = (1, 2, 3), 4, 5, 10


def known(attack: Attack) -> Knowledge:
    """The knowledge of the last of five UEs in the second round, for a model with batch norm and dropout."""
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(UES * SAMPLES, *SHAPE, generator=generator)
    labels = torch.randint(0, CLASSES, (UES * SAMPLES,), generator=generator)
    model = Mlp((5,), dropout=0.3, batch_norm=True)
    local = LocalTraining(lambda: model.build(SHAPE, CLASSES), model.loss, Sgd(lr=0.1), batch_size=5)
    models = [initial_params(local.make_module, seed) for seed in range(UES)]
    last = {name: tensor for name, tensor in models[4].items() if tensor.dtype.is_floating_point}
    return Knowledge(
        Key(SEED, UES - 1, 1),
        models[0],
        Shard(images, labels, torch.arange(SAMPLES)),
        CLASSES,
        local,
        local.make_module(),
        draw_targets(SEED, attack.targets, images, labels, CLASSES),
        UES,
        lambda: copied(models[1]),
        models[1:4] if attack.omniscient else (),
        last if attack.remembers else None,
    )


def poisoned(attack: Attack, knowledge: Knowledge) -> Params:
    """What it sends, with torch's own random numbers from a fixed start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return attack.poison(knowledge)


def what_it_knows_is_left_alone(attack: Attack, knowledge: Knowledge) -> None:
    def tensors() -> List[Tensor]:
        models = [knowledge.params, *knowledge.others, knowledge.others_last or {}]
        return [*knowledge.shard, *knowledge.targets, *(tensor for model in models for tensor in model.values())]

    before = [tensor.clone() for tensor in tensors()]
    attack.own_data(knowledge.shard, knowledge.targets, CLASSES)
    poisoned(attack, knowledge)
    equal = all(torch.equal(now, was) for now, was in zip(tensors(), before))
    expect(equal, "its data, its targets or a model has changed; right are the same")


def it_sends_finite_params_of_the_structure_of_the_model(attack: Attack, knowledge: Knowledge) -> None:
    sent = poisoned(attack, knowledge)
    same_structure("what it sends", sent, knowledge.params)
    finite("what it sends", sent)


def knowing_the_same_it_sends_the_same(attack: Attack, knowledge: Knowledge) -> None:
    """Its draws are keyed, and it has no memory."""
    first = copied(poisoned(attack, knowledge))
    same_params("what it sends the second time", poisoned(attack, knowledge), first)


def its_own_data_are_samples_with_labels(attack: Attack, knowledge: Knowledge) -> None:
    """Images of the same shape, labels from 0 to classes - 1, and indices into them."""
    images, labels, indices = attack.own_data(knowledge.shard, knowledge.targets, CLASSES)
    same("the shape of an image", tuple(images.shape[1:]), SHAPE)
    same("the number of labels", len(labels), len(images))
    right = bool((labels >= 0).all()) and bool((labels < CLASSES).all())
    expect(right, f"the labels are {sorted(set(labels.tolist()))}; right are 0 to {CLASSES - 1}")
    right = len(indices) > 0 and int(indices.min()) >= 0 and int(indices.max()) < len(images)
    expect(right, f"the indices are {indices.tolist()}; right are 0 to {len(images) - 1}")


def rounds(attack: Attack) -> Inputs:
    """One round."""
    return {"a small model": (known(attack),)}


LAWS = tuple(
    Law(law, rounds)
    for law in (
        what_it_knows_is_left_alone,
        it_sends_finite_params_of_the_structure_of_the_model,
        knowing_the_same_it_sends_the_same,
        its_own_data_are_samples_with_labels,
    )
)
