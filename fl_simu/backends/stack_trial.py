"""Whether a module can be trained in a stack, and what that takes: found out with two models on random images."""

from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.backends.optimizer_state import flatten_state
from fl_simu.backends.stacked import Stacked
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.ue.training import LocalTraining

# Of a gradient's norm: more than rounding makes of it, less than any mistake.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Footprint:
    """What training takes at its peak, in bytes.

    Args:
        ue: of a UE: parameters, gradients, the optimiser's memory, and what its step needs for a moment.
        sample: of a sample of a UE's batch: the image, what the backward pass needs, and the gradients of that.
    """

    ue: float
    sample: float

    def of(self, batch: int) -> float:
        """Of a UE with batches of so many samples."""
        return self.ue + self.sample * batch


def try_out(stacked: Stacked, training: LocalTraining, device: torch.device) -> Footprint:
    """Try two models on random images, stacked and each by itself. Torch's own generator is left alone.

    Raises:
        UserError: a module that keeps more than parameters, draws random numbers, cannot be batched by torch.func,
            or whose gradients come out otherwise when samples are batched.
    """
    if training.shape is None:
        raise ValueError("a stack is tried on images of training.shape, which is not given")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = training.make_module().train()
        models = [params_of(module), params_of(training.make_module())]
        images = torch.randn(2, 3, *training.shape)
        classes = _classes(module, images[0])
        labels = torch.randint(classes, (2, 3))
    trial = _Trial(stacked, training, module.to(device), models, images.to(device), labels.to(device))
    try:
        return trial.footprint()
    except UserError:
        raise
    # Whatever torch.func raises of an operation that it cannot batch, it means that this model cannot be stacked.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _refusal(f"that torch.func cannot batch: {reason}") from error


def _classes(module: nn.Module, images: Tensor) -> int:
    if list(module.state_dict()) != [name for name, _ in module.named_parameters()]:
        raise _refusal("that keeps more than its own parameters, as batch norm does")
    before = torch.get_rng_state()
    classes = module(images).shape[1]
    if not torch.equal(torch.get_rng_state(), before):
        raise _refusal("that draws random numbers in training, as dropout does")
    return classes


@dataclass(frozen=True)
class _Trial:
    stacked: Stacked
    training: LocalTraining
    module: nn.Module
    models: List[Params]
    images: Tensor
    labels: Tensor

    def footprint(self) -> Footprint:
        self._saved_bytes((3, 2))
        of_one, of_three = self._saved_bytes((1, 1)), self._saved_bytes((3, 3))
        of_sample = (of_three - of_one) / 2
        leaves = self.stacked.leaves(self.models)
        for leaf in leaves.values():
            leaf.grad = torch.zeros_like(leaf)
        optimizer = self.stacked.build_optimizer(leaves)
        optimizer.step()
        kept = sum(_bytes(tensor) for tensor in flatten_state(optimizer).values()) / 2
        weights = sum(_bytes(leaf) for leaf in leaves.values()) / 2
        return Footprint(
            3 * weights + kept + max(of_one - of_sample, 0), _bytes(self.images[0, 0]) + 2 * of_sample
        )

    def _saved_bytes(self, counts: Tuple[int, ...]) -> float:
        """A step on batches of so many samples, compared; what its operations save for the backward pass, a UE."""
        leaves, width = self.stacked.leaves(self.models), max(counts)
        saved: Dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self.stacked.loss(leaves, self.images[:, :width], self.labels[:, :width], np.array(counts))
        loss.backward()
        for ue, count in enumerate(counts):
            self._compare(leaves, ue, count)
        for tensor in (self.images, *leaves.values()):
            saved.pop(tensor.untyped_storage().data_ptr(), None)
        return sum(saved.values()) / len(counts)

    def _compare(self, leaves: Dict[str, Tensor], ue: int, count: int) -> None:
        """Raise UserError unless a UE's gradients in the stack are those of the module."""
        self.module.load_state_dict(self.models[ue])
        self.module.zero_grad()
        self.training.loss(self.module(self.images[ue, :count]), self.labels[ue, :count]).backward()
        for name, parameter in self.module.named_parameters():
            stacked, plain = leaves[name].grad, parameter.grad
            if stacked is None or plain is None:
                agree = stacked is plain
            else:
                agree = bool((stacked[ue] - plain).norm() <= TOLERANCE * plain.norm() + 1e-9)
            if not agree:
                raise _refusal(f"whose gradient in {name} is another one when samples are batched")


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _refusal(what: str) -> UserError:
    return UserError(f"backend = 'vectorized' is not allowed with a model {what}; use backend = 'torch'")
