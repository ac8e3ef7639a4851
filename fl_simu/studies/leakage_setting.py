"""The setting that all trials of a gradient-leakage attack share."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

import torch
from torch import nn

from fl_simu.data.datasets import DATASETS, ImageSet
from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError, nearest, require
from fl_simu.kernel.installation import versions
from fl_simu.kernel.limits import require_count
from fl_simu.loop.plan import build_module
from fl_simu.parts import KINDS
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.transforms.base import Chain

# Types of the fields that are not parts; --set may give any type.
SCALARS: Dict[str, Tuple[Tuple[type, ...], str]] = {
    "layers": ((int, type(None)), "a whole number"),
    "local_steps": ((int,), "a whole number"),
    "batch_size": ((int,), "a whole number"),
    "lr": ((int, float), "a number"),
    "manual": ((bool,), "a boolean"),
}
TABLES = ("method", "codec", "model", "data", "privacy")


@dataclass(frozen=True)
class Setting:
    """The setting that all trials of a folder share.

    Args:
        method: the attack of the BS, a name or a table of `attacks.leakage.methods.METHODS`.
        codec, model, data: parts as in a config; the attack uses the first training images, pixels in 0..1.
        privacy: part as in a config; the UE itself must add the noise.
        transforms: parts as in a config; the UE applies them to its message before `privacy` and the codec.
        layers: number of the codec's layers that the BS has; None for all.
        local_steps: full-batch SGD steps of the UE; it sends the gradient for 1 step, the update for more.
        batch_size: number of images of the UE.
        lr: learning rate of its steps.
        manual: whether to pass each seed directly to `torch.manual_seed` before the weights are drawn, as in the
            published code. All images then have the same weights and start. Otherwise each (image, seed) has its
            own key.

    Raises:
        UserError: an unknown name or argument, or a value that is not allowed.
    """

    method: Any = "dlg"
    codec: Any = "float32"
    model: Any = "dlg_lenet"
    data: Any = "cifar100"
    privacy: Any = "none"
    transforms: Any = ()
    layers: Optional[int] = None
    local_steps: int = 1
    batch_size: int = 1
    lr: float = 0.01
    manual: bool = False
    parts: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = {name: KINDS[name].build(KINDS[name].table_of(getattr(self, name))) for name in TABLES}
        for name in TABLES:
            object.__setattr__(self, name, KINDS[name].describe(parts[name]))
        kind = KINDS["transforms"]
        require(isinstance(self.transforms, (list, tuple)), "transforms", self.transforms, "a list of parts")
        transforms = tuple(kind.build(kind.table_of(one)) for one in self.transforms)
        object.__setattr__(self, "transforms", [kind.describe(one) for one in transforms])
        parts["chain"] = Chain((*transforms, *parts["privacy"].transforms(1)))
        object.__setattr__(self, "parts", parts)
        for name, (kinds, told) in SCALARS.items():
            require(type(getattr(self, name)) in kinds, name, getattr(self, name), told)
        for name in ("local_steps", "batch_size"):
            require_count(name, getattr(self, name))
        self._require_fit()
        Sgd(lr=self.lr)
        privacy = self.parts["privacy"]
        own = not (privacy.active and privacy.bounds_single) and not privacy.sums_only
        allowed = 'here the BS sees single uploads as they are sent; take gaussian with at = "ue"'
        require(own, "privacy.name", self.privacy["name"], allowed)

    def _require_fit(self) -> None:
        """Raise BadField unless method, codec, model and data fit together."""
        known = isinstance(self.parts["data"], ImageSet)
        require(known, "data.name", self.data["name"], "one of " + ", ".join(DATASETS))
        fits = self.parts["method"].batches or self.batch_size == 1
        allowed = "1, as {} reads the label; dlg takes more".format(self.method["name"])
        require(fits, "batch_size", self.batch_size, allowed)
        with torch.random.fork_rng(devices=[]):
            module = build_module(self.parts["model"], self.parts["data"])
        alone = self.batch_size == 1 and any(isinstance(layer, nn.BatchNorm1d) for layer in module.modules())
        allowed = f"at least 2, as {self.model['name']} has batch norm, which takes a mean over the batch"
        require(not alone, "batch_size", self.batch_size, allowed)
        layers = len(self.parts["codec"].layer_bytes(()))
        allowed = f"1 to {layers}, all that the codec has"
        require(self.layers is None or 1 <= self.layers <= layers, "layers", self.layers, allowed)

    def plain(self) -> Dict[str, Any]:
        """Everything apart from its key that determines a trial's result, as JSON values."""
        values = {name: value for name, value in asdict(self).items() if name != "parts"}
        return json.loads(json.dumps({**values, "torch": versions()["torch"]}))


def make_setting(assignments: Iterable[str] = (), **given: Any) -> Setting:
    """A setting from its fields and from `--set KEY=VALUE` assignments.

    Raises:
        UserError: as for `Setting`, or a key that is not known.
    """
    known = [name for name, one in Setting.__dataclass_fields__.items() if one.init]
    defaults = {name: getattr(Setting, name) for name in known}
    values = config.override({**defaults, **given}, assignments)
    for name in values:
        if name not in known:
            raise UserError(f"{name} is no known key: {nearest(name, known)}")
    return Setting(**values)
