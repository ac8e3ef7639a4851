"""Gradient leakage: what the BS can reconstruct of a UE's images from its upload.

A UE makes one or several steps of plain SGD on a few images and sends the gradient, or the update, through
transforms and a codec. The BS knows the model, the global model that the UE started from, what it decodes, and how
the UE trains: the loss, the number of images and of steps, and the learning rate. It does not know the images or
their labels. It starts with random images and labels, trains on them as the UE did, and changes them until both
trainings give the same result.
"""

import copy
from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import Params, difference, params_of, structure_of
from fl_simu.radio.codecs.base import Codec
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining
from fl_simu.ue.transforms.base import Chain, Context

NOTHING_DONE, NO_KEY = Chain(), Key(0, 0, 0)


class Start(NamedTuple):
    """The random start of an attack.

    Args:
        images: shape (B, C, H, W), from N(0, 1).
        logits: logits of the labels, shape (B, classes), from N(0, 1).
    """

    images: Tensor
    logits: Tensor


class Functional:
    """A module as a function of its parameters and its input, so that training steps can be differentiated.

    Args:
        module: the module, which is copied; its buffers do not change.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = copy.deepcopy(module)
        self._places: List[Tuple[nn.Module, str]] = []
        for owner in self._module.modules():
            for name in [name for name, one in owner._parameters.items() if one is not None]:
                del owner._parameters[name]
                self._places.append((owner, name))

    def __call__(self, parameters: Sequence[Tensor], images: Tensor) -> Tensor:
        for (owner, name), parameter in zip(self._places, parameters):
            setattr(owner, name, parameter)
        return self._module(images)


@dataclass(frozen=True, eq=False)
class Observation:
    """All that the BS knows of an upload, and thus all input of an attack.

    Args:
        module: the model, at the global model that the UE started from.
        gradient: the decoded gradient, one tensor for each parameter of the module, in their order. After several
            local steps it is the sum of their gradients, which is the update divided by -lr.
        shape: shape of one image, (C, H, W).
        classes: number of classes.
        batch_size: number of images of the UE, all of which are used in each step.
        local_steps: number of its SGD steps.
        lr: learning rate of these steps.
    """

    module: nn.Module
    gradient: Tuple[Tensor, ...]
    shape: Tuple[int, int, int]
    classes: int
    batch_size: int = 1
    local_steps: int = 1
    lr: float = 0.01
    _function: Functional = field(init=False, repr=False)
    _parameters: Tuple[Tensor, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_function", Functional(self.module))
        leaves = tuple(one.detach().clone().requires_grad_() for one in self.module.parameters())
        object.__setattr__(self, "_parameters", leaves)

    def simulated(self, images: Tensor, targets: Tensor) -> Sequence[Tensor]:
        """The gradient for these images and labels: the sum over t of grad L(w_t), differentiable in both.

        Args:
            images: shape (B, C, H, W).
            targets: probabilities of the labels, shape (B, classes).

        Returns:
            A tensor for each parameter, like `gradient`.

        Reference: for several steps, Geiping et al. 2020, section 6.
        """
        weights: Sequence[Tensor] = self._parameters
        summed = last = self._step(weights, images, targets)
        for _ in range(1, self.local_steps):
            weights = [weight - self.lr * gradient for weight, gradient in zip(weights, last)]
            last = self._step(weights, images, targets)
            summed = [one + gradient for one, gradient in zip(summed, last)]
        return summed

    def _step(self, weights: Sequence[Tensor], images: Tensor, targets: Tensor) -> Sequence[Tensor]:
        loss = soft_cross_entropy(self._function(weights, images), targets)
        return torch.autograd.grad(loss, weights, create_graph=True)

    def squared_distance(self, images: Tensor, targets: Tensor) -> Tensor:
        """The sum of squared differences between the gradient for these images and labels and the decoded one."""
        pairs = zip(self.simulated(images, targets), self.gradient)
        return torch.stack([(ours - theirs).pow(2).sum() for ours, theirs in pairs]).sum()


def soft_cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy with label probabilities; the output may be logits or log-probabilities."""
    return -(targets * F.log_softmax(output, dim=1)).sum(dim=1).mean()


def upload(training: LocalTraining, module: nn.Module, images: Tensor, labels: Tensor) -> Params:
    """What a UE sends for this global model: the gradient of one local step, or the update of several steps.

    Args:
        training: its `epochs` are the number of local steps, each on all of the images.
        module: module with the global model; not changed.
        images, labels: data of the UE, shapes (B, C, H, W) and (B,).

    Returns:
        A tensor for each parameter, by name.
    """
    trained = copy.deepcopy(module).train()
    optimizer = training.optimizer.build(trained.parameters())
    for _ in range(training.epochs):
        training.step(trained, optimizer, images, labels)
    if training.epochs == 1:
        return {name: one.grad for name, one in trained.named_parameters() if one.grad is not None}
    update = difference(params_of(trained), params_of(module))
    return {name: update[name] for name, _ in trained.named_parameters()}


def observe(
    training: LocalTraining,
    module: nn.Module,
    images: Tensor,
    labels: Tensor,
    classes: int,
    codec: Codec,
    layers: Optional[int],
    draws: np.random.Generator,
    chain: Chain = NOTHING_DONE,
    key: Key = NO_KEY,
) -> Observation:
    """Let a UE train and send, and let the BS decode.

    Args:
        training, module, images, labels: as for `upload`; the optimiser must be plain SGD.
        classes: number of classes.
        codec: codec of the upload.
        layers: number of the codec's layers that the BS has; None for all.
        draws: for codecs that round at random.
        chain: transforms of the gradient or the update before the codec.
        key: key of the draws of this chain.

    Raises:
        BadField: there are more layers than the codec has.
        TypeError: the optimiser is not plain SGD.
    """
    if not isinstance(training.optimizer, Sgd):
        raise TypeError(f"what {training.optimizer} did cannot be simulated: it must be Sgd")
    lr = training.optimizer.lr
    sent = upload(training, module, images, labels)
    if chain.transforms:
        start = {name: one.detach() for name, one in module.named_parameters()}
        step = -lr if training.epochs == 1 else 1.0
        trained = {name: one + step * sent[name] for name, one in start.items()}
        sent, _ = chain.apply(sent, Context(key, start, trained, len(images)), ())
    encoded = codec.encode(sent, draws)
    many = len(encoded) if layers is None else layers
    require(1 <= many <= len(encoded), "layers", many, f"1 to {len(encoded)}, all that the codec has")
    decoded = codec.decode(encoded[:many], structure_of(sent))
    scale = 1.0 if training.epochs == 1 else -1.0 / lr
    gradient = tuple(decoded[name] * scale for name in sent)
    shape = images.shape[1], images.shape[2], images.shape[3]
    return Observation(module, gradient, shape, classes, len(images), training.epochs, lr)


def label_of(seen: Observation) -> int:
    """The label of a single image: the class whose row of the last layer's gradient is negative.

    The gradient of the bias of class i is p_i - [i is the label], which is negative only for the label. The
    gradient of a weight row is this number times the layer's input. If the last layer has no bias and activations
    are never negative, the sums of the rows reveal the label too. The smallest value is used, since a codec or
    several steps may shift the values.

    Raises:
        BadField: there is more than one image.

    Reference: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", 2020.
    """
    require(seen.batch_size == 1, "batch_size", seen.batch_size, "1: it tells the label of one image only")
    rows = [one for one in seen.gradient if one.dim() <= 2 and one.shape[0] == seen.classes]
    return int(rows[-1].reshape(seen.classes, -1).sum(dim=1).argmin())


@dataclass(frozen=True)
class Guess:
    """The state of an attack.

    Args:
        loss: the loss that it minimises.
        images: shape (B, C, H, W).
        targets: probabilities of the labels, shape (B, classes).
    """

    loss: float
    images: Tensor
    targets: Tensor

    @property
    def finite(self) -> bool:
        """Whether it has no NaN or infinite number."""
        numbers = torch.cat([self.images.reshape(-1), self.targets.reshape(-1)])
        return bool(np.isfinite(self.loss)) and bool(torch.isfinite(numbers).all())

    def same_place(self, other: "Guess") -> bool:
        """Whether both are identical bit for bit."""
        return torch.equal(self.images, other.images) and torch.equal(self.targets, other.targets)
