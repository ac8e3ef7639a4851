"""The laws of models. Each takes an image shape (C, H, W)."""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from fl_simu.kernel.parameters import params_of
from fl_simu.laws.base import Inputs, Law, copied, expect, finite, same, same_params
from fl_simu.models.base import Model, Shape
from fl_simu.parts import Adapted

CLASSES, BATCH = 10, 4
# The shapes of MNIST, scikit-learn's digits and CIFAR-10, and one that no data set has.
SHAPES = ((1, 28, 28), (1, 8, 8), (3, 32, 32), (2, 9, 7))


def made(model: Model, shape: Shape, seed: int = 1) -> nn.Module:
    """A module with the initial weights for a seed."""
    torch.manual_seed(seed)
    return model.build(shape, CLASSES)


def batch(shape: Shape, model: Optional[Model] = None) -> Tuple[Tensor, Tensor]:
    """Images and labels; whole numbers instead of pixels for a model that reads symbols."""
    generator, labels = torch.Generator().manual_seed(1), torch.arange(BATCH)
    if model is not None and model.reads_symbols:
        return torch.randint(CLASSES, (BATCH, *shape), generator=generator).float(), labels
    return torch.randn(BATCH, *shape, generator=generator), labels


def it_scores_each_class(model: Model, shape: Shape) -> None:
    """Outputs of shape (N, classes), finite; there may be more outputs than classes."""
    output = made(model, shape).eval()(batch(shape, model)[0])
    right = output.dim() == 2 and len(output) == BATCH and output.shape[1] >= CLASSES
    expect(right, f"the outputs have shape {tuple(output.shape)}; right is ({BATCH}, {CLASSES})")
    finite("the module", {"the output": output})


def its_loss_has_a_gradient_in_every_parameter(model: Model, shape: Shape) -> None:
    """The loss is one number, a mean over the batch."""
    module, (images, labels) = made(model, shape).train(), batch(shape, model)
    loss = model.loss(module(images), labels)
    same("the shape of the loss", tuple(loss.shape), ())
    loss.backward()
    finite("the loss", {"the number": loss.detach()})
    lacking = [name for name, one in module.named_parameters() if one.requires_grad and one.grad is None]
    same("the parameters without a gradient", lacking, [])


def in_evaluation_it_tells_the_same_again(model: Model, shape: Shape) -> None:
    module, (images, _) = made(model, shape).eval(), batch(shape, model)
    with torch.no_grad():
        first, second = module(images), module(images)
    expect(torch.equal(first, second), "its second output for the same images differs; right is the same")


def initial_weights_follow_from_torchs_seed(model: Model, shape: Shape) -> None:
    """Every process that builds the module with one seed must get the same weights."""
    same_params("the second module", params_of(made(model, shape)), params_of(made(model, shape)))


def a_state_dict_carries_the_whole_module(model: Model, shape: Shape) -> None:
    """Another module that loads it gives the same output; the two share no memory."""
    one, other = made(model, shape).eval(), made(model, shape, seed=2).eval()
    sent, images = params_of(one), batch(shape, model)[0]
    other.load_state_dict(copied(sent))
    with torch.no_grad():
        told = "a module that has loaded the state_dict of another has other outputs; right are the same"
        expect(torch.equal(one(images), other(images)), told)
        for tensor in other.parameters():
            tensor.add_(1.0)
    same_params("a module after another one has changed", params_of(one), sent)


def shapes(model: Model) -> Inputs:
    """The shape that a model takes, or several shapes if it takes any. A user's module, which does not state its
    shape, is checked with the first shape that works."""
    if model.shape is not None:
        return _labelled((model.shape,))
    if not isinstance(model, Adapted):
        return _labelled(SHAPES[-2:])
    for shape in SHAPES:
        try:
            model.build(shape, CLASSES)(batch(shape)[0])
        # A module may raise any error for images that it is not made for.
        except Exception:
            continue
        return _labelled((shape,))
    return _labelled(SHAPES[:1])


def _labelled(shapes: Tuple[Shape, ...]) -> Inputs:
    return {f"images of shape {shape}": (shape,) for shape in shapes}


LAWS = tuple(
    Law(law, shapes)
    for law in (
        it_scores_each_class,
        its_loss_has_a_gradient_in_every_parameter,
        in_evaluation_it_tells_the_same_again,
        initial_weights_follow_from_torchs_seed,
        a_state_dict_carries_the_whole_module,
    )
)
