"""Users' modules: any callable that returns an `nn.Module` is a model."""

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Tuple

from torch import nn

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.models.base import Model, Shape
from fl_simu.parts import Adapted, called, called_with

# Arguments that come from the data if a callable has parameters of these names and the config does not set them.
FROM_DATA = ("shape", "classes")


@dataclass(frozen=True)
class OwnModel(Adapted, Model):
    """A module from a user's callable; its outputs are logits, of shape (N, classes).

    For another loss, subclass `fl_simu.models.base.Model`.

    Args:
        make: callable that returns the module. It gets the image shape (C, H, W) as `shape` and the number of
            classes as `classes` if it has such parameters and the options do not set them.
        options: arguments of the callable, by name.
    """

    make: Callable[..., nn.Module]
    options: Tuple[Tuple[str, Any], ...] = ()

    @property
    def origin(self) -> Any:
        return self.make

    def build(self, shape: Shape, classes: int) -> nn.Module:
        given = dict(self.options)
        known = {"shape": shape, "classes": classes}
        wanted = inspect.signature(self.make).parameters
        given.update({name: known[name] for name in FROM_DATA if name in wanted and name not in given})
        module = self.make(**given)
        if not isinstance(module, nn.Module):
            raise UserError(f"model = {called(self.make)} is not allowed: it makes no torch.nn.Module")
        return module


def adapt(found: Any, arguments: Mapping[str, Any]) -> Optional[OwnModel]:
    """The model that a callable returns with these arguments; None if the object is not a callable.

    Raises:
        UserError: the callable has no such arguments, or the object is a module already.
    """
    if isinstance(found, nn.Module):
        raise BadField(
            "model", type(found).__name__, "the class or a function that makes the module, not a module"
        )
    options = called_with("model", found, arguments, FROM_DATA)
    return None if options is None else OwnModel(found, options)
