"""The problem for all frameworks, from one file: unequal UEs with non-IID data, and the order of training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.kernel.parameters import Params, from_arrays, to_arrays
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.models import MODELS
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, initial_params

SEED = 3
ROUNDS = 5
SHAPE, CLASSES = (1, 3, 4), 4
MODEL = MODELS["logistic_regression"]
# Samples of each UE: 1 to 6 steps per round; for most UEs the last batch is smaller.
SAMPLES = (4, 7, 10, 13, 22)
BATCH_SIZE, LR = 4, 0.3

Batch = Tuple[Tensor, Tensor]


def module() -> nn.Module:
    """A model for the problem, with weights from torch's initialisation."""
    return MODEL().build(SHAPE, CLASSES)


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, initial model, and fl_simu's draws.

    Args:
        images: float32 (N, C, H, W), UE by UE; labels: int64 (N,).
        shuffled: int64 (rounds, ues), the UEs in a random order for each round, which selects the first ones.
        orders: int64 (rounds, N), the order in which each UE goes through its samples, UE by UE.
        initial: the initial global model.
    """

    images: Tensor
    labels: Tensor
    shuffled: Tensor
    orders: Tensor
    initial: Params

    @property
    def ues(self) -> int:
        return len(SAMPLES)

    @property
    def rounds(self) -> int:
        return len(self.shuffled)

    def drawn(self, round: int, count: int) -> List[int]:
        """The UEs of a round, ascending."""
        return sorted(self.shuffled[round][:count].tolist())

    def data(self, ue: int) -> Batch:
        """A UE's images and labels."""
        return self.images.split(SAMPLES)[ue], self.labels.split(SAMPLES)[ue]

    def ordered(self, ue: int, round: int) -> Batch:
        """A UE's images and labels in the order of a round."""
        images, labels = self.data(ue)
        order = self.orders[round].split(SAMPLES)[ue]
        return images.index_select(0, order), labels.index_select(0, order)

    def batches(self, ue: int, round: int) -> List[Batch]:
        """The batches of a UE's epoch in a round."""
        images, labels = self.ordered(ue, round)
        return list(zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE)))


def make() -> Problem:
    """Each UE has two of the four classes, and features with a different mean."""
    images, labels = [], []
    for ue, count in enumerate(SAMPLES):
        draws = stream(SEED, "agreement", ue)
        images.append(draws.random((count, *SHAPE)) - 0.5 + 0.2 * ue)
        labels.append((ue + (draws.random(count) < 0.5)) % CLASSES)
    training = LocalTraining(module, MODEL.loss, Sgd(lr=LR), batch_size=BATCH_SIZE)
    keys = [[Key(SEED, ue, round) for ue in range(len(SAMPLES))] for round in range(ROUNDS)]
    orders = [torch.cat([batch for key in row for batch in training.orders(key, SAMPLES[key.ue])]) for row in keys]
    shuffled = [permutation(stream(SEED, "draw", round=round), len(SAMPLES)) for round in range(ROUNDS)]
    return Problem(
        images=torch.from_numpy(np.concatenate(images).astype(np.float32)),
        labels=torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        shuffled=torch.from_numpy(np.stack(shuffled).astype(np.int64)),
        orders=torch.stack(orders),
        initial=initial_params(module, SEED),
    )


ARRAYS = ("images", "labels", "shuffled", "orders")


def write(path: Path, problem: Problem) -> None:
    """Write the problem to one file."""
    initial = {f"initial/{name}": array for name, array in to_arrays(problem.initial).items()}
    np.savez(str(path), **{name: getattr(problem, name).numpy() for name in ARRAYS}, **initial)


def read(path: Path) -> Problem:
    """Read the problem from a file."""
    with np.load(str(path), allow_pickle=False) as file:
        held: Dict[str, np.ndarray] = dict(file)
    arrays = {name: torch.from_numpy(held.pop(name)) for name in ARRAYS}
    return Problem(**arrays, initial=from_arrays({name[len("initial/") :]: one for name, one in held.items()}))


def write_models(path: Path, models: Sequence[Sequence[Params]]) -> None:
    """Write the global models of each case, round by round."""
    named = {
        f"{case}/{round}/{name}": array
        for case, rounds in enumerate(models)
        for round, params in enumerate(rounds)
        for name, array in to_arrays(params).items()
    }
    np.savez(str(path), **named)


def read_models(path: Path) -> List[List[Params]]:
    """Read the global models from a file."""
    models: List[List[Params]] = []
    with np.load(str(path), allow_pickle=False) as file:
        for key, array in file.items():
            case, round, name = key.split("/")
            if int(case) == len(models):
                models.append([])
            if int(round) == len(models[-1]):
                models[-1].append({})
            models[-1][-1].update(from_arrays({name: array}))
    return models
