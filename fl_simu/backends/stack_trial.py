"""Whether a module can be trained in a stack, and the memory for it; measured with two models on random images."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.backends.devices import is_out_of_memory
from fl_simu.backends.optimizer_state import flatten_state
from fl_simu.backends.stacked import Stacked
from fl_simu.kernel.errors import UserError, brief, one_line
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.ue.training import LocalTraining

# Tolerance relative to a gradient's norm: above rounding errors, below any real mistake.
TOLERANCE = 1e-3

Gradients = Dict[str, Optional[Tensor]]


@dataclass(frozen=True)
class Footprint:
    """Peak memory of training, in bytes.

    Args:
        ue: per UE: parameters, gradients, the optimiser's memory, and temporary tensors of a step.
        sample: per sample of a batch: the image, the tensors saved for the backward pass, and their gradients.
    """

    ue: float
    sample: float

    def of(self, batch: int) -> float:
        """Memory of a UE with batches of this many samples."""
        return self.ue + self.sample * batch


def try_out(stacked: Stacked, training: LocalTraining, device: torch.device) -> Footprint:
    """Try two models on random images, stacked and separately. Torch's own generator is not changed.

    Raises:
        UserError: the module keeps more than parameters, draws random numbers, cannot be batched by torch.func, or
            has different gradients when batched; or the device has too little memory.
        Exception: an error that the module, or the loss, raises when trained separately.
    """
    if training.shape is None:
        raise ValueError("a stack is tried on images of training.shape, which is not given")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = training.make_module().train()
        models = [params_of(module), params_of(training.make_module())]
        images = _images((2, 3, *training.shape), training.symbols)
        classes = _classes(module, images[0])
        labels = torch.randint(classes, (2, 3))
    try:
        trial = _Trial(stacked, training, module.to(device), models, images.to(device), labels.to(device))
        return trial.footprint()
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"backend = 'vectorized' is not allowed here: {device} is out of memory with two models and three "
                f"images each; use backend = 'torch', or another device: {_reason(error)}"
            ) from error
        raise


def _images(size: Tuple[int, ...], symbols: Optional[int]) -> Tensor:
    return torch.randn(size) if symbols is None else torch.randint(symbols, size).float()


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
        # Parameters, gradients, temporary tensors of a step; with a correction also the correction, the start, and
        # the values that the algorithm remembers and receives.
        algorithm, copies = self.training.algorithm, 3
        if algorithm.corrects:
            copies = 5 + len(algorithm.start(self.models[0])) + len(algorithm.station(self.models[0]).shared)
        return Footprint(
            copies * weights + kept + max(of_one - of_sample, 0), _bytes(self.images[0, 0]) + 2 * of_sample
        )

    def _saved_bytes(self, counts: Tuple[int, ...]) -> float:
        """Compare a step on batches of these sizes; return the bytes saved for the backward pass, per UE."""
        # First separately: an error there is due to the model itself, not to the stack.
        wanted = [self._alone(ue, count) for ue, count in enumerate(counts)]
        leaves, width = self.stacked.leaves(self.models), max(counts)
        saved: Dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        try:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                loss = self.stacked.loss(leaves, self.images[:, :width], self.labels[:, :width], np.array(counts))
            loss.backward()
        # A module that fails only in a stack has an operation that cannot be batched, whatever the error is.
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise _refusal(f"that torch.func cannot batch: {_reason(error)}") from error
        for ue, gradients in enumerate(wanted):
            _compare(leaves, ue, gradients)
        for tensor in (self.images, *leaves.values()):
            saved.pop(tensor.untyped_storage().data_ptr(), None)
        return sum(saved.values()) / len(counts)

    def _alone(self, ue: int, count: int) -> Gradients:
        """The module's own gradients on this many samples of a UE."""
        self.module.load_state_dict(self.models[ue])
        for parameter in self.module.parameters():
            parameter.grad = None
        self.training.loss(self.module(self.images[ue, :count]), self.labels[ue, :count]).backward()
        return {name: parameter.grad for name, parameter in self.module.named_parameters()}


def _compare(leaves: Dict[str, Tensor], ue: int, gradients: Gradients) -> None:
    """Raise UserError unless a UE's gradients in the stack equal those of the module."""
    for name, plain in gradients.items():
        stacked = leaves[name].grad
        if stacked is None or plain is None:
            agree = stacked is plain
        else:
            agree = bool((stacked[ue] - plain).norm() <= TOLERANCE * plain.norm() + 1e-9)
        if not agree:
            raise _refusal(f"whose gradient in {name} is another one when samples are batched")


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return brief(one_line(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__), 200)


def _refusal(what: str) -> UserError:
    return UserError(f"backend = 'vectorized' is not allowed with a model {what}; use backend = 'torch'")
