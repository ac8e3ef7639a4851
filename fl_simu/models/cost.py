"""The computational cost of a model, from its layers."""

from typing import Any, List, Tuple

import numpy as np
import torch
from torch import nn

Shape = Tuple[int, int, int]


def multiply_adds(module: nn.Module, shape: Shape) -> int:
    """Multiply-adds of one forward pass of one image: for each layer its weights times the positions at which it
    is applied.

    Args:
        module: the module; not changed.
        shape: shape of an image, (C, H, W).

    >>> multiply_adds(nn.Conv2d(1, 8, 3), (1, 6, 6))
    1152
    """
    found: List[int] = []

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        told = output[0] if isinstance(output, tuple) else output
        # A convolution has its positions after the channels, other layers have them before the features.
        places = told.shape[2:] if isinstance(layer, nn.modules.conv._ConvNd) else told.shape[1:-1]
        weights = sum(one.numel() for one in layer.parameters(recurse=False) if one.dim() > 1)
        found.append(weights * int(np.prod(places)))

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, *shape))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return sum(found)
