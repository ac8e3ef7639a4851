"""Gradient leakage: what the BS can make out of a UE's images from what the UE sends.

A UE makes one or several steps of plain SGD on a few images and sends the gradient, or the update, through
transforms and a codec. The BS knows the model, the global model that the UE started from, what it decodes, and how
the UE trains: the loss, the number of images and of steps, and the learning rate. It does not know the images, nor
their labels. It makes images and labels up, trains on them as the UE did, and changes them until both trainings
give the same.
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
    """What an attack makes up before it has seen anything.

    Args:
        images: shape (B, C, H, W), from N(0, 1).
        logits: of the labels, shape (B, classes), from N(0, 1).
    """

    images: Tensor
    logits: Tensor


class Functional:
    """A module as a function of its parameters and its input, so that training steps can be differentiated.

    Args:
        module: is copied. Its buffers stay as they are.
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
    """All that the BS knows of an upload, and so all that an attack is given.

    Args:
        module: the model, at the global model that the UE started from.
        gradient: what was decoded, a tensor for each parameter of the module, in their order. Of one local step
            the gradient; of several the sum of their gradients, which is the update divided by -lr.
        shape: of one image, (C, H, W).
        classes: number of classes.
        batch_size: images of the UE, all of them in each step.
        local_steps: SGD steps that it made.
        lr: the learning rate of these.
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
        """What these images and labels would have given: the sum over t of grad L(w_t), differentiable in both.

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
        """The sum of squared differences between what these would have given and what was decoded."""
        pairs = zip(self.simulated(images, targets), self.gradient)
        return torch.stack([(ours - theirs).pow(2).sum() for ours, theirs in pairs]).sum()


def soft_cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy with probabilities for labels; the output may be logits or log-probabilities."""
    return -(targets * F.log_softmax(output, dim=1)).sum(dim=1).mean()


def upload(training: LocalTraining, module: nn.Module, images: Tensor, labels: Tensor) -> Params:
    """What a UE sends for this global model: the gradient of one local step, the update of several.

    Args:
        training: its `epochs` are the number of local steps, each on all of the images.
        module: at the global model; is left as it was.
        images, labels: of the UE, shapes (B, C, H, W) and (B,).

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
    """Let a UE train and send, and the BS decode.

    Args:
        training, module, images, labels: as for `upload`; the optimiser must be plain SGD.
        classes: number of classes.
        codec: what the upload goes through.
        layers: how many of the codec's layers the BS has; None for all.
        draws: for codecs that round at random.
        chain: what the UE does to what it sends, the gradient or the update, before the codec.
        key: of the draws of this chain.

    Raises:
        BadField: more layers than the codec has.
        TypeError: another optimiser.
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

    The gradient of the bias of class i is p_i - [i is the label], below 0 for the label alone; a row of the
    weight's is that times the layer's input. With activations that are never negative the sums of the rows tell it
    too, where the last layer has no bias. The smallest is taken, since a codec or several steps move them.

    Raises:
        BadField: more than one image.

    Reference: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", 2020.
    """
    require(seen.batch_size == 1, "batch_size", seen.batch_size, "1: it tells the label of one image only")
    rows = [one for one in seen.gradient if one.dim() <= 2 and one.shape[0] == seen.classes]
    return int(rows[-1].reshape(seen.classes, -1).sum(dim=1).argmin())


@dataclass(frozen=True)
class Guess:
    """Where an attack stands.

    Args:
        loss: what it minimises.
        images: shape (B, C, H, W).
        targets: probabilities of the labels, shape (B, classes).
    """

    loss: float
    images: Tensor
    targets: Tensor

    @property
    def finite(self) -> bool:
        """Whether nothing in it is NaN or infinite."""
        numbers = torch.cat([self.images.reshape(-1), self.targets.reshape(-1)])
        return bool(np.isfinite(self.loss)) and bool(torch.isfinite(numbers).all())

    def same_place(self, other: "Guess") -> bool:
        """Whether both are the same to the last bit."""
        return torch.equal(self.images, other.images) and torch.equal(self.targets, other.targets)
