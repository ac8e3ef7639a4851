"""Local training: the steps that a UE makes between getting a model and offering its own.

The loop is written once. It runs on tensors and on pointers alike: what changes between backends is where the
model, the images and the indices live.
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
    """One UE's data: rows of the arrays that all UEs share.

    Args:
        images: float32, shape (N, C, H, W), of the whole training set.
        labels: int64, shape (N,).
        indices: int64, shape (n,): the rows that belong to this UE.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor


class Key(NamedTuple):
    """What the draws of one UE's training in one round are keyed by."""

    seed: int
    ue: int
    round: int


NOTHING: Groups = {}


class Task(NamedTuple):
    """One UE's training in one round.

    Args:
        key: what its draws are keyed by.
        start: the global model that it is handed; nobody changes it.
        memory: what its optimiser remembers, named "<index of the parameter>/<name in torch's optimiser>"; empty
            before its first round, and where it remembers nothing.
        own: what the algorithm lets it remember.
        shared: what the BS sent beside the model.
        steps: number of its steps; None for those of all epochs.
        due_s: when the BS will want what comes of it, in virtual time, as far as that is known. Whoever has to
            choose begins with what is due first; it decides nothing else.
    """

    key: Key
    start: Params
    memory: Params
    own: Groups = NOTHING
    shared: Groups = NOTHING
    steps: Optional[int] = None
    due_s: float = 0.0


class Given(NamedTuple):
    """What the algorithm's correction goes by, of the parameters alone, where they are trained.

    Args:
        start: the global model.
        memory: what the UE remembers, by group.
        shared: what the BS sent beside the model, by group.
    """

    start: Tensors
    memory: Mapping[str, Tensors]
    shared: Mapping[str, Tensors]


class Trained(NamedTuple):
    """What comes of a task.

    Args:
        params: the model that the UE has trained.
        memory: what its optimiser remembers now.
    """

    params: Params
    memory: Params


@dataclass(frozen=True)
class LocalTraining:
    """What every UE does in a round.

    Args:
        make_module: builds the module; its initial numbers are overwritten by the global model.
        loss: mean loss of samples from the module's output and the labels: of shapes (N, classes) and (N,), or, as
            torch's own losses take them too, (N, classes, D) and (N, D).
        optimizer: the optimiser to build.
        epochs: passes over the UE's samples, at least 1.
        batch_size: samples a step, at least 1; the last batch of an epoch may be smaller.
        keep_optimizer_state: whether a UE's optimiser remembers (momentum, moments) from round to round.
        drop_last: whether an epoch leaves out the samples at its end that do not fill a batch; which ones they are
            is drawn anew in each epoch.
        fast: whether torch 2 may use what changes the order of sums: convolutions in channels-last layout, and an
            optimiser's step in one call. Torch 1.4 trains as ever.
        shape: of one image, (C, H, W), for a backend that tries the module before it has data; None where none
            does.
        symbols: how many characters or words there are, where an image holds their numbers in place of pixels, as
            whole numbers from 0 on; None of pixels.
        algorithm: what a step is beside the gradient of the loss.
        schedule: of the learning rate over rounds.
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
        """Whether every UE has batches to train on.

        Args:
            samples: number of samples of each UE.

        Raises:
            BadField: `drop_last` leaves a UE without a batch; or its last batch has one sample, with which the
                module cannot train, as batch norm cannot.
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
        """Whether the module fails in training on one sample, and on two does not."""

        def fails(samples: int) -> bool:
            try:
                module(torch.zeros(samples, *shape))
            # Whatever a module raises: who fails on two samples as well, fails for another reason.
            except Exception:
                return True
            return False

        shape = self.shape or ()
        with torch.random.fork_rng(devices=[]):
            module = self.make_module().train()
            return fails(1) and not fails(2)

    def steps(self, samples: int) -> int:
        """Number of batches that so many samples make in an epoch."""
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def begun(self, steps: Optional[int], samples: int) -> int:
        """Number of epochs that so many steps begin; those of all epochs where None is given."""
        each = self.steps(samples)
        return self.epochs if steps is None or not each else -(-steps // each)

    def orders(self, key: Key, samples: int, steps: Optional[int] = None) -> List[Tensor]:
        """The batches of a round: positions in the UE's shard, int64 tensors of at most `batch_size`.

        Args:
            key: what they are drawn by.
            samples: number of the UE's samples.
            steps: number of batches; None for those of all epochs.
        """
        draws = stream(key.seed, "batches", key.ue, key.round)
        used = self.steps(samples) * self.batch_size
        epochs = [permutation(draws, samples)[:used].astype(np.int64) for _ in range(self.begun(steps, samples))]
        return [batch for epoch in epochs if used for batch in torch.from_numpy(epoch).split(self.batch_size)][
            :steps
        ]

    def shuffles(self, keys: Sequence[Key], samples: np.ndarray, epochs: int) -> np.ndarray:
        """What `orders` draws, for many UEs at once.

        Args:
            keys: of U UEs.
            samples: number of samples of each, shape (U,).
            epochs: number of epochs.

        Returns:
            int64, shape (epochs, U, most samples): positions in a UE's shard, epoch by epoch. Of a UE with fewer
            than the most samples, the first so many count.
        """
        draws = np.full((epochs, len(keys), samples.max()), np.inf)
        for row, (key, count) in enumerate(zip(keys, samples)):
            drawn = briefly(key.seed, "batches", key.ue, key.round).random(epochs * count)
            draws[:, row, :count] = drawn.reshape(epochs, count)
        return np.argsort(draws, axis=2, kind="stable")

    def seed_torch(self, key: Key) -> None:
        """Set torch's generators, from which dropout draws, to this UE's and round's place."""
        seed = torch_seed(key.seed, "training", key.ue, key.round)
        if torch.cuda.is_initialized():
            torch.manual_seed(seed)
        else:
            # The same for the processor. Of devices that nobody uses torch would note who asked, in a millisecond.
            torch.default_generator.manual_seed(seed)

    def trainee(self) -> nn.Module:
        """A module to train in this process, laid out for it."""
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
        """An optimiser, of this round or of one before, with this round's learning rate."""
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * self.schedule.factor(round)
        return optimizer

    def lr(self, round: int) -> float:
        """Learning rate in a round; 0 for an optimiser of one's own that names none."""
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
            given: what the algorithm goes by, where it corrects.
        """
        optimizer.zero_grad()
        self.loss(module(images), labels).backward()
        if given is not None:
            self.correct(dict(module.named_parameters()), given)
        optimizer.step()

    def given(self, task: Task, names: Iterable[str], place: Callable[[Tensor], Any]) -> Optional[Given]:
        """What the correction goes by, brought to where a UE trains; None where there is no correction.

        Args:
            task: the UE's.
            names: of the parameters.
            place: brings a tensor there.
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
    """For a gradient in torch's usual layout, as flattening hands it back, a pool copies all that it holds."""
    if output.requires_grad and output.dim() == 4:
        output.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))


def initial_params(make_module: Callable[[], nn.Module], seed: int) -> Params:
    """The initial global model: torch's initial weights of the module, drawn from the experiment's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial weights"))
        return params_of(make_module())
