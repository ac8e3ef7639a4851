"""The local steps of many UEs in one computation, with their models stacked along a leading axis."""

from typing import Dict, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.backends.devices import Residents
from fl_simu.backends.optimizer_state import flatten_state, load_state
from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import Given, LocalTraining, Task, Trained


class Job(NamedTuple):
    """One UE's task with its data.

    Args:
        task: the task of the UE.
        images, labels: the arrays of its data.
        rows: int64, shape (n,): the rows of the arrays that belong to the UE.
    """

    task: Task
    images: Tensor
    labels: Tensor
    rows: np.ndarray


class Stacked:
    """Trains UEs together.

    With the parameters P_u of all UEs u stacked, the gradient of the sum of all losses with respect to P_u is
    that of UE u's own loss; torch's optimisers work elementwise. So one backward pass and one step serve all UEs.

    Args:
        training: the local training of every UE in a round.
        device: the training device. Inputs and results are on the processor.
    """

    def __init__(self, training: LocalTraining, device: torch.device) -> None:
        self._training = training
        self._device = device
        self._residents = Residents(device)
        self._module = training.make_module().to(device).train()
        for module in self._module.modules():
            if type(module) is nn.Linear:
                module.__class__ = _Linear

    def train(self, jobs: Sequence[Job]) -> Iterator[Trained]:
        """Train each UE for a round.

        Args:
            jobs: UEs of one round that share their arrays and make the same number of steps, and whose optimisers
                have made the same number of steps.

        Returns:
            The result of each task; the trained models are slices of one stack.
        """
        leaves = self.leaves([job.task.start for job in jobs])
        given = self._given(jobs, leaves)
        optimizer = self.build_optimizer(leaves, jobs[0].task.key.round)
        memories = _stacked_memories([job.task.memory for job in jobs])
        load_state(optimizer, memories, place=lambda t: t.to(self._device))
        images, labels = (self._residents.copy_of(tensor) for tensor in (jobs[0].images, jobs[0].labels))
        for rows, counts in self._batches(jobs):
            picked = torch.from_numpy(rows).to(self._device)
            batch = images.index_select(0, picked.view(-1)).view(*picked.shape, *images.shape[1:])
            targets = labels.index_select(0, picked.view(-1)).view(picked.shape)
            optimizer.zero_grad()
            self.loss(leaves, batch, targets, counts).backward()
            if given is not None:
                self._training.correct(leaves, given)
            optimizer.step()
        slices = zip(*(leaf.detach().cpu().unbind(0) for leaf in leaves.values()))
        trained = (dict(zip(leaves, tensors)) for tensors in slices)
        return map(Trained, trained, self._memories(optimizer, len(jobs)))

    def _given(self, jobs: Sequence[Job], leaves: Dict[str, Tensor]) -> Optional[Given]:
        """The inputs of the correction, stacked like the models; the BS's data are the same for all."""
        if not self._training.algorithm.corrects:
            return None
        tasks = [job.task for job in jobs]
        return Given(
            {name: leaf.detach().clone() for name, leaf in leaves.items()},
            {group: self._stack([task.own[group] for task in tasks], leaves) for group in tasks[0].own},
            {group: self._stack([task.shared[group] for task in tasks], leaves) for group in tasks[0].shared},
        )

    def _stack(self, models: Sequence[Params], names: Iterable[str]) -> Params:
        return {
            name: torch.stack([model[name] for model in models]).to(self._device)
            for name in names
            if name in models[0]
        }

    def leaves(self, models: Sequence[Params]) -> Dict[str, Tensor]:
        """The models stacked, ready for training; most often all UEs start from the same model."""
        first, stack = models[0], {}
        same = all(model is first for model in models)
        for name, parameter in self._module.named_parameters():
            if same:
                leaf = first[name].to(self._device).expand(len(models), *first[name].shape).clone()
            else:
                leaf = torch.stack([model[name] for model in models]).to(self._device)
            stack[name] = leaf.requires_grad_(parameter.requires_grad)
        return stack

    def build_optimizer(self, leaves: Dict[str, Tensor], round: int = 0) -> torch.optim.Optimizer:
        """One optimiser for all UEs in a round."""
        optimizer = self._training.optimizer.build(leaves.values(), fast=self._training.fast)
        return self._training.in_round(optimizer, round)

    def loss(self, leaves: Dict[str, Tensor], images: Tensor, labels: Tensor, counts: np.ndarray) -> Tensor:
        """The sum over the UEs of the mean loss of each UE's batch.

        Args:
            leaves: the stacked parameters.
            images: shape (UEs, B, C, H, W).
            labels: shape (UEs, B).
            counts: shape (UEs,): a UE's batch is the first `counts` of its B samples.
        """
        ues, width = labels.shape
        outputs = torch.func.vmap(self._forward)(leaves, images)
        if (counts == width).all():
            return self._training.loss(outputs.transpose(1, 2), labels) * ues
        losses = torch.func.vmap(self._loss_of_one)(outputs.flatten(0, 1), labels.flatten())
        weights = (np.arange(width) < counts[:, None]) / counts[:, None]
        return losses @ torch.from_numpy(weights.ravel()).to(losses)

    def _forward(self, params: Params, images: Tensor) -> Tensor:
        return torch.func.functional_call(self._module, params, (images,))

    def _loss_of_one(self, output: Tensor, label: Tensor) -> Tensor:
        return self._training.loss(output.unsqueeze(0), label.unsqueeze(0))

    def _batches(self, jobs: Sequence[Job]) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        """For each step, the rows, shape (UEs, B), and how many of them are each UE's batch."""
        training, samples = self._training, np.array([len(job.rows) for job in jobs])
        steps, made = jobs[0].task.steps, 0
        rows = np.empty((len(jobs), samples.max()), np.int64)
        indices = np.concatenate([job.rows for job in jobs])
        # The padding of a smaller batch has no weight, but must be valid input for the model.
        rows[:] = indices[np.cumsum(samples) - samples][:, None]
        rows[np.arange(rows.shape[1]) < samples[:, None]] = indices
        each, epochs = training.steps(rows.shape[1]), training.begun(steps, rows.shape[1])
        if rows.shape[1] <= training.batch_size:
            # A batch is a complete shard, and the order does not matter for its mean loss.
            yield from [(rows, samples)] * (epochs * each)
            return
        for order in training.shuffles([job.task.key for job in jobs], samples, epochs):
            shuffled = np.take_along_axis(rows, order, axis=1)
            for start in range(0, each * training.batch_size, training.batch_size):
                if made == steps:
                    return
                made, end = made + 1, start + training.batch_size
                yield np.ascontiguousarray(shuffled[:, start:end]), np.minimum(samples, end) - start

    def _memories(self, optimizer: torch.optim.Optimizer, ues: int) -> Iterator[Params]:
        if not self._training.keep_optimizer_state:
            return iter([{}] * ues)
        flat = flatten_state(optimizer, fetch=lambda tensor: tensor.detach().cpu())
        slices = {name: [tensor] * ues if is_count(name) else tensor.unbind(0) for name, tensor in flat.items()}
        # Copies: a UE that is not selected for long must not keep the memory of all that were selected with it.
        return ({name: of_ues[ue].clone() for name, of_ues in slices.items()} for ue in range(ues))


class _Linear(nn.Linear):
    """W x^T instead of x W^T: for a stack on a processor, the product and its gradient take half the time."""

    def forward(self, x: Tensor) -> Tensor:
        product = (self.weight @ x.transpose(-1, -2)).transpose(-1, -2)
        return product if self.bias is None else product + self.bias


def is_count(name: str) -> bool:
    """Whether this is an optimiser's step count, of which a stack has only one."""
    return name.endswith("/step")


def _stacked_memories(memories: Sequence[Params]) -> Params:
    return {
        name: first.clone() if is_count(name) else torch.stack([memory[name] for memory in memories])
        for name, first in memories[0].items()
    }
