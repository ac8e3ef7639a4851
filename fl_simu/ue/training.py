"""Local training: the steps of a UE between receiving a model and sending its own.

There is only one loop, which runs on tensors and on pointers. Backends differ in where the model, the images and
the indices are.
"""

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.kernel.errors import BadField, require
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.kernel.randomness import briefly, permutation, stream, torch_seed
from fl_simu.ue.algorithms.base import FedAvg, Groups, LocalAlgorithm, Tensors
from fl_simu.ue.optimizers import Optimizer
from fl_simu.ue.schedules import Constant, Schedule


class Shard(NamedTuple):
    """One UE's data: rows of arrays that all UEs share.

    Args:
        images: float32, shape (N, C, H, W), the complete training set.
        labels: int64, shape (N,).
        indices: int64, shape (n,): the rows that belong to this UE.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor


class Key(NamedTuple):
    """The key of the draws of one UE's training in one round."""

    seed: int
    ue: int
    round: int


NOTHING: Groups = {}


class Task(NamedTuple):
    """One UE's training in one round.

    Args:
        key: the key of its draws.
        start: the global model that it is handed; never changed.
        memory: the state of its optimiser, named "<index of the parameter>/<name in torch's optimiser>"; empty
            before its first round, or if there is no state.
        own: its memory for the algorithm.
        shared: tensors that the BS sent in addition to the model.
        steps: number of its steps; None for the steps of all epochs.
        due_s: virtual time at which the BS needs the result, as far as it is known. It only sets the order of
            tasks: the first due comes first.
    """

    key: Key
    start: Params
    memory: Params
    own: Groups = NOTHING
    shared: Groups = NOTHING
    steps: Optional[int] = None
    due_s: float = 0.0


class Given(NamedTuple):
    """Inputs of the algorithm's correction, for the parameters only, where they are trained.

    Args:
        start: the global model.
        memory: the memory of the UE, by group.
        shared: tensors that the BS sent in addition to the model, by group.
    """

    start: Tensors
    memory: Mapping[str, Tensors]
    shared: Mapping[str, Tensors]


class Trained(NamedTuple):
    """The result of a task.

    Args:
        params: the model that the UE has trained.
        memory: the new state of its optimiser.
    """

    params: Params
    memory: Params


@dataclass(frozen=True)
class LocalTraining:
    """The work of every UE in a round.

    Args:
        make_module: function that builds the module, whose initial numbers are overwritten by the global model.
        loss: mean loss of samples from the module's output and the labels, of shapes (N, classes) and (N,), or (N,
            classes, D) and (N, D) as in torch's own losses.
        optimizer: the optimiser to build.
        epochs: number of passes over the UE's samples, at least 1.
        batch_size: samples per step, at least 1; the last batch of an epoch may be smaller.
        keep_optimizer_state: whether a UE's optimiser keeps its state (momentum, moments) from round to round.
        drop_last: whether an epoch leaves out the samples at its end that do not fill a batch; they are drawn
            again in each epoch.
        fast: whether torch 2 may use convolutions in channels-last layout and fused optimiser steps, which change
            the order of sums. No effect on torch 1.4.
        shape: shape of one image, (C, H, W), for a backend that tries the module before it has data; else None.
        symbols: number of characters or words, if images contain their whole numbers from 0 on instead of pixels;
            None for pixels.
        algorithm: the local algorithm, which may correct the gradient of the loss.
        schedule: schedule of the learning rate over rounds.
    """

    make_module: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Optimizer
    epochs: int = 1
    batch_size: int = 64
    keep_optimizer_state: bool = False
    drop_last: bool = False
    fast: bool = False
    shape: Optional[Tuple[int, ...]] = None
    symbols: Optional[int] = None
    algorithm: LocalAlgorithm = FedAvg()
    schedule: Schedule = Constant()

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")

    def check(self, samples: Mapping[int, int]) -> None:
        """Check that every UE has batches to train on.

        Args:
            samples: number of samples of each UE.

        Raises:
            BadField: `drop_last` leaves a UE without a batch; or its last batch has one sample, and the module
                cannot train on one sample, as with batch norm.
        """
        fewest = min(samples, key=lambda ue: samples[ue])
        full = not self.drop_last or samples[fewest] >= self.batch_size
        has = "UE {} has {} samples"
        allowed = has.format(fewest, samples[fewest]) + f", which fill no batch of {self.batch_size}"
        require(full, "drop_last", self.drop_last, allowed)
        alone = next((ue for ue, count in samples.items() if self._last_batch(count) == 1), None)
        if alone is not None and self._needs_two():
            mend = "" if self.batch_size == 1 else ", or set training.drop_last = true"
            allowed = (
                has.format(alone, samples[alone])
                + ", so that its last batch has one, and the model, as batch norm, "
                f"needs at least 2 to train; take another batch_size{mend}"
            )
            raise BadField("batch_size", self.batch_size, allowed)

    def _last_batch(self, samples: int) -> int:
        return self.batch_size if self.drop_last else (samples - 1) % self.batch_size + 1

    def _needs_two(self) -> bool:
        """Whether the module fails in training on one sample, but not on two."""

        def fails(samples: int) -> bool:
            try:
                module(torch.zeros(samples, *shape))
            # Any exception counts. A module that also fails on two samples has another problem.
            except Exception:
                return True
            return False

        shape = self.shape or ()
        with torch.random.fork_rng(devices=[]):
            module = self.make_module().train()
            return fails(1) and not fails(2)

    def steps(self, samples: int) -> int:
        """Number of batches of an epoch with a number of samples."""
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def begun(self, steps: Optional[int], samples: int) -> int:
        """Number of epochs that a number of steps begins; all epochs if None."""
        each = self.steps(samples)
        return self.epochs if steps is None or not each else -(-steps // each)

    def orders(self, key: Key, samples: int, steps: Optional[int] = None) -> List[Tensor]:
        """The batches of a round: positions in the UE's shard, int64 tensors of at most `batch_size`.

        Args:
            key: the key of the draws.
            samples: number of the UE's samples.
            steps: number of batches; None for the batches of all epochs.
        """
        draws = stream(key.seed, "batches", key.ue, key.round)
        used = self.steps(samples) * self.batch_size
        epochs = [permutation(draws, samples)[:used].astype(np.int64) for _ in range(self.begun(steps, samples))]
        return [batch for epoch in epochs if used for batch in torch.from_numpy(epoch).split(self.batch_size)][
            :steps
        ]

    def shuffles(self, keys: Sequence[Key], samples: np.ndarray, epochs: int) -> np.ndarray:
        """The draws of `orders` for several UEs together.

        Args:
            keys: keys of U UEs.
            samples: number of samples of each UE, shape (U,).
            epochs: number of epochs.

        Returns:
            int64, shape (epochs, U, largest number of samples): positions in a UE's shard, by epoch. A UE with
            fewer samples uses only its first positions.
        """
        draws = np.full((epochs, len(keys), samples.max()), np.inf)
        for row, (key, count) in enumerate(zip(keys, samples)):
            drawn = briefly(key.seed, "batches", key.ue, key.round).random(epochs * count)
            draws[:, row, :count] = drawn.reshape(epochs, count)
        return np.argsort(draws, axis=2, kind="stable")

    def seed_torch(self, key: Key) -> None:
        """Seed torch's generators, from which dropout draws, for this UE and round."""
        seed = torch_seed(key.seed, "training", key.ue, key.round)
        if torch.cuda.is_initialized():
            torch.manual_seed(seed)
        else:
            # The same on the CPU. For unused devices torch would record the caller, which takes a millisecond.
            torch.default_generator.manual_seed(seed)

    def trainee(self) -> nn.Module:
        """A module to train in this process, in the memory layout for it."""
        module: Any = self.make_module()
        if not (self._fast and any(parameter.dim() == 4 for parameter in module.parameters())):
            return module
        for layer in module.modules():
            if isinstance(layer, nn.MaxPool2d):
                layer.register_forward_hook(_keep_gradient_channels_last)
        return module.to(memory_format=torch.channels_last)

    def build_optimizer(self, module: nn.Module, round: int = 0) -> torch.optim.Optimizer:
        """The optimiser of a trainee in a round."""
        return self.in_round(self.optimizer.build(module.parameters(), fast=self._fast), round)

    def in_round(self, optimizer: torch.optim.Optimizer, round: int) -> torch.optim.Optimizer:
        """An optimiser, of this or an earlier round, with the learning rate of this round."""
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * self.schedule.factor(round)
        return optimizer

    def lr(self, round: int) -> float:
        """Learning rate in a round; 0 for a user's optimiser without `lr`."""
        return getattr(self.optimizer, "lr", 0.0) * self.schedule.factor(round)

    def batches(self, key: Key, shard: Shard, steps: Optional[int] = None) -> Iterator[Tuple[Tensor, Tensor]]:
        """The images and labels of a round's steps, in this process and on the shard's device."""
        for order in self.orders(key, len(shard.indices), steps):
            rows = shard.indices.index_select(0, order.to(shard.indices.device))
            yield shard.images.index_select(0, rows), shard.labels.index_select(0, rows)

    @property
    def _fast(self) -> bool:
        return self.fast and MODERN

    def step(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        images: Tensor,
        labels: Tensor,
        given: Optional[Given] = None,
    ) -> None:
        """One step on one batch, of tensors or of pointers.

        Args:
            given: inputs of the algorithm's correction, if it has one.
        """
        optimizer.zero_grad()
        self.loss(module(images), labels).backward()
        if given is not None:
            self.correct(dict(module.named_parameters()), given)
        optimizer.step()

    def given(self, task: Task, names: Iterable[str], place: Callable[[Tensor], Any]) -> Optional[Given]:
        """The inputs of the correction, moved to where a UE trains; None if there is no correction.

        Args:
            task: the UE's task.
            names: names of the parameters.
            place: function that moves a tensor there.
        """
        if not self.algorithm.corrects:
            return None

        def brought(params: Params) -> Tensors:
            return {name: place(params[name]) for name in names if name in params}

        names = list(names)
        own = {group: brought(params) for group, params in task.own.items()}
        return Given(brought(task.start), own, {group: brought(params) for group, params in task.shared.items()})

    def correct(self, parameters: Mapping[str, Any], given: Given) -> None:
        """Add the algorithm's correction to the gradients of these parameters."""
        trained = {name: one for name, one in parameters.items() if one.grad is not None}
        found = self.algorithm.correction({name: one.data for name, one in trained.items()}, *given)
        for name, correction in found.items():
            trained[name].grad.add_(correction)


def _keep_gradient_channels_last(pool: nn.Module, inputs: Any, output: Tensor) -> None:
    """Max pooling copies all its tensors for a gradient in torch's default layout, as flattening returns it."""
    if output.requires_grad and output.dim() == 4:
        output.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))


def initial_params(make_module: Callable[[], nn.Module], seed: int) -> Params:
    """The initial global model: torch's initial weights of the module, drawn from the experiment's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial weights"))
        return params_of(make_module())
