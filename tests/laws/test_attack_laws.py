"""The laws of attacks in a set of UEs."""

import ours
import pytest
import torch

from fl_simu.attacks.poisoning.base import NoAttack, draw_targets
from fl_simu.attacks.poisoning.malicious import Malicious
from fl_simu.attacks.poisoning.untargeted import (
    SignFlip,
)
from fl_simu.backends.torch_loop import TorchLoop
from fl_simu.kernel.parameters import all_finite, sha256, structure_of
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.state import Flight, RunState
from fl_simu.models import Mlp
from fl_simu.radio.link import Upload
from fl_simu.ue.algorithms import FedAvg
from fl_simu.ue.optimizers import Adam
from fl_simu.ue.training import LocalTraining, Shard, initial_params
from fl_simu.ue.work import Work

CASES = [case for case in ours.cases("attack") if not isinstance(case.values[0], NoAttack)]
SHAPE, CLASSES, UES = (1, 2, 3), 4, 5
WORK = Work(10, 1, 2)
# Batch norm has counters and running means; dropout draws random numbers.
MODEL = Mlp((5,), dropout=0.3, batch_norm=True)
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(50, *SHAPE, generator=GENERATOR)
LABELS = torch.randint(0, CLASSES, (50,), generator=GENERATOR)


def training(optimizer, **options):
    return LocalTraining(lambda: MODEL.build(SHAPE, CLASSES), MODEL.loss, optimizer, batch_size=5, **options)


def rounds(attack, local, count=3):
    """Digests of the upload of each UE, and of each global model, over a few rounds."""
    targets = draw_targets(1, attack.targets, IMAGES, LABELS, CLASSES)
    malicious = Malicious(attack, local, UES, CLASSES, targets)
    params, digests = initial_params(local.make_module, 1), []
    backend, run = TorchLoop(local), RunState(params)
    state = torch.get_rng_state()
    for ue in range(UES):
        shard = Shard(IMAGES, LABELS, torch.arange(10 * ue, 10 * ue + 10))
        backend.place(ue, malicious.own_data(ue, shard))
    cohorts = Cohorts(backend, 1, run, FedAvg(), dict.fromkeys(range(UES), WORK), malicious=malicious)
    for round in range(count):
        before = sha256(params)
        run.begun += 1
        run.flights = {
            ue: Flight(Upload(ue, round, 0.0, (), ()), params, run.begun - 1, WORK) for ue in range(UES)
        }
        cohorts.train(range(UES), round, params)
        sent = [cohorts.fetch(ue).params for ue in range(UES)]
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
    # The last UEs are malicious; the benign ones do not depend on them.
    assert (
        len({digest for ue in range(UES - attack.malicious) for digest in [first[0][ue]]})
        == UES - attack.malicious
    )
    assert rounds(SignFlip(attack.malicious), local, 1)[0][: -attack.malicious] == first[0][: -attack.malicious]
