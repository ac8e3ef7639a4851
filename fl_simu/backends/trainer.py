"""One resident module that trains the UEs' models in turn; the common part of the backends on plain torch."""

import torch
from torch import Tensor

from fl_simu.backends.devices import Residents
from fl_simu.backends.optimizer_state import flatten_state, load_state
from fl_simu.kernel.parameters import params_of
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained


class Trainer:
    """Does the local steps of one UE after the other, with one module.

    Args:
        training: the local training of every UE in a round.
        device: the training device. Inputs and results are on the processor.
    """

    def __init__(self, training: LocalTraining, device: torch.device) -> None:
        self._training = training
        self._device = device
        self._module = training.trainee().to(device)
        self._residents = Residents(device)

    def train(self, task: Task, shard: Shard) -> Trained:
        """Train one UE for a round; the task is not changed."""
        key, params, memory = task.key, task.start, task.memory
        with torch.no_grad():
            # Looked up again, since training may replace a buffer's tensor, as torch 1.4's batch norm does.
            for name, tensor in self._module.state_dict(keep_vars=True).items():
                tensor.copy_(params[name])
        self._module.train()
        names = [name for name, _ in self._module.named_parameters()]
        given = self._training.given(task, names, lambda tensor: tensor.to(self._device))
        optimizer = self._training.build_optimizer(self._module, key.round)
        load_state(optimizer, memory, place=lambda tensor: tensor.to(self._device, copy=True))
        once = self._residents.copy_of
        here = Shard(once(shard.images), once(shard.labels), shard.indices.to(self._device))
        cards = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=cards):
            self._training.seed_torch(key)
            for images, labels in self._training.batches(key, here, task.steps):
                self._training.step(self._module, optimizer, images, labels, given)
        trained = {name: tensor.cpu() for name, tensor in params_of(self._module).items()}
        kept = flatten_state(optimizer, _fetch) if self._training.keep_optimizer_state else {}
        return Trained(trained, kept)


def _fetch(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().contiguous().cpu()
