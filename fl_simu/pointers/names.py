"""`import syft` in this process: the modules of syft 0.2.4 by name, built from fl_simu.pointers."""

import logging
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Dict, Optional

from fl_simu.pointers import (
    averaging,
    client,
    exceptions,
    ids,
    local,
    multi,
    network,
    objects,
    old_paths,
    optims,
    pointers,
    private_grid,
    quirks,
    torch_hook,
    uncovered,
    websocket_client,
    websocket_server,
    worker,
)
from fl_simu.pointers.data import BaseDataset, FederatedDataset, PointerDataset, dataset_federate
from fl_simu.pointers.fixed_precision import FixedPrecisionTensor
from fl_simu.pointers.loader import FederatedDataLoader, default_collate
from fl_simu.pointers.sharing import AdditiveSharingTensor

VERSION = "0.2.4"

_DATA = {"BaseDataset": BaseDataset, "FederatedDataset": FederatedDataset, "dataset_federate": dataset_federate}
_UTILS = {
    name: getattr(averaging, name)
    for name in ("accuracy", "add_model", "extract_batches_per_worker", "federated_avg", "scale_model")
}
_POINTERS = {
    "PointerTensor": pointers.PointerTensor,
    "ObjectPointer": objects.ObjectPointer,
    "MultiPointerTensor": multi.MultiPointerTensor,
    "combine_pointers": multi.combine_pointers,
}
_WEBSOCKETS = {
    "WebsocketClientWorker": websocket_client.WebsocketClientWorker,
    "WebsocketServerWorker": websocket_server.WebsocketServerWorker,
}

# Module -> its contents. The packages that contain these modules exist too.
MODULES: Dict[str, Dict[str, Any]] = {
    "syft": {
        "__version__": VERSION,
        "TorchHook": torch_hook.TorchHook,
        "VirtualWorker": worker.VirtualWorker,
        **_WEBSOCKETS,
        "FederatedDataLoader": FederatedDataLoader,
        "FederatedDataset": FederatedDataset,
        "BaseDataset": BaseDataset,
        "TrainConfig": client.TrainConfig,
        "PrivateGridNetwork": private_grid.PrivateGridNetwork,
        "ID_PROVIDER": ids.ID_PROVIDER,
        "IdProvider": ids.IdProvider,
        "logging": logging,
        "logger": logging.getLogger("syft"),
        "FixedPrecisionTensor": FixedPrecisionTensor,
        "AdditiveSharingTensor": AdditiveSharingTensor,
        "strict": quirks.strict,
        "allow_network": network.allow_network,
        **_POINTERS,
    },
    "syft.version": {"__version__": VERSION},
    "syft.exceptions": {
        name: value
        for name, value in vars(exceptions).items()
        if getattr(value, "__module__", None) == exceptions.__name__
    },
    "syft.utils": _UTILS,
    "syft.frameworks.torch": {},
    "syft.frameworks.torch.fl": {**_DATA, "FederatedDataLoader": FederatedDataLoader},
    "syft.frameworks.torch.fl.utils": _UTILS,
    "syft.frameworks.torch.fl.dataset": _DATA,
    "syft.frameworks.torch.fl.dataloader": {
        "FederatedDataLoader": FederatedDataLoader,
        "default_collate": default_collate,
    },
    "syft.frameworks.torch.functions": {"combine_pointers": multi.combine_pointers},
    "syft.frameworks.torch.hook": {},
    "syft.frameworks.torch.hook.hook": {"TorchHook": torch_hook.TorchHook},
    "syft.frameworks.torch.tensors.interpreters.additive_shared": {"AdditiveSharingTensor": AdditiveSharingTensor},
    "syft.frameworks.torch.tensors.interpreters.precision": {"FixedPrecisionTensor": FixedPrecisionTensor},
    "syft.federated.federated_client": {"FederatedClient": client.FederatedClient},
    "syft.federated.train_config": {"TrainConfig": client.TrainConfig},
    "syft.federated.floptimizer": {"Optims": optims.Optims},
    "syft.generic.id_provider": {"IdProvider": ids.IdProvider},
    "syft.generic.object_storage": {"ObjectStorage": worker.ObjectStorage},
    "syft.generic.pointers.pointer_tensor": {"PointerTensor": pointers.PointerTensor},
    "syft.generic.pointers.object_pointer": {"ObjectPointer": objects.ObjectPointer},
    "syft.generic.pointers.callable_pointer": {"CallablePointer": client.CallablePointer},
    "syft.generic.pointers.object_wrapper": {"ObjectWrapper": objects.ObjectWrapper},
    "syft.generic.pointers.multi_pointer": {"MultiPointerTensor": multi.MultiPointerTensor},
    "syft.generic.pointers.pointer_dataset": {"PointerDataset": PointerDataset},
    "syft.grid.private_grid": {"PrivateGridNetwork": private_grid.PrivateGridNetwork},
    "syft.workers.abstract": {"AbstractWorker": worker.VirtualWorker},
    "syft.workers.base": {"BaseWorker": worker.VirtualWorker},
    "syft.workers.virtual": {"VirtualWorker": worker.VirtualWorker},
    "syft.workers.websocket_client": {"WebsocketClientWorker": websocket_client.WebsocketClientWorker},
    "syft.workers.websocket_server": {"WebsocketServerWorker": websocket_server.WebsocketServerWorker},
}
_PACKAGES = {name.rsplit(".", depth)[0] for name in MODULES for depth in range(1, name.count(".") + 1)}

# Names that a TorchHook sets, looked up on each access; and the module itself, which 0.2.4 has as `syft.syft`.
_STATE = {
    "syft": lambda: module_of("syft"),
    "local_worker": local.local_worker,
    "hook": torch_hook.first_hook,
    "torch": torch_hook.attributes,
    "framework": torch_hook.attributes,
}


_made: Dict[str, ModuleType] = {}


def module_of(name: str) -> ModuleType:
    """A module of syft, such as "syft.workers.virtual", whether or not it can be imported by that name."""
    if name not in _made:
        new = old_paths.module(name) or name
        module = _made[name] = ModuleType(name)
        vars(module).update(MODULES.get(new, {}), __getattr__=lambda attribute: lookup(name, attribute))
    return _made[name]


def lookup(module: str, name: str) -> Any:
    """Member of a syft module by name: a covered object, a submodule, or a placeholder that refuses to be used.

    Raises:
        AttributeError: 0.2.4 has no such name either, as far as is known.
    """
    if (module, name) in old_paths.NAMES:
        new = old_paths.NAMES[module, name]
        old_paths.told(f"{module}.{name}", ".".join(new))
        return lookup(*new)
    module = old_paths.MODULES.get(module, module)
    if name in MODULES.get(module, ()):
        return MODULES[module][name]
    if module == "syft" and name in _STATE:
        return _STATE[name]()
    below = f"{module}.{name}"
    if below in old_paths.MODULES:
        return module_of(below)
    if below in MODULES or below in _PACKAGES or (module == "syft" and name in uncovered.PACKAGES):
        return module_of(below)
    known = name in uncovered.TOP if module == "syft" else module not in ("syft.version", "syft.exceptions")
    if known and not name.startswith("__"):
        return uncovered.uncovered(below)
    raise AttributeError(f"module '{module}' has no attribute '{name}'")


class _Syft(MetaPathFinder, Loader):
    """Creates the modules of syft when they are imported."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Optional[ModuleSpec]:
        root, _, rest = fullname.partition(".")
        if root != "syft" or (rest and fullname not in MODULES and rest.split(".")[0] not in uncovered.PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return module_of(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to do: `create_module` returns a complete module."""


def install() -> None:
    """Make `import syft` mean fl_simu.pointers in this process, whatever else is installed."""
    if not any(isinstance(finder, _Syft) for finder in sys.meta_path):
        for name in [name for name in sys.modules if name.partition(".")[0] == "syft"]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Syft())
