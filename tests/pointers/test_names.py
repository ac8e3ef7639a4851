"""Less common names that scripts use, old paths, and searches over several workers."""

import importlib
import subprocess
import sys

import pytest
import torch
from pointer_suite import count
from torch import nn

from fl_simu.kernel.installation import syft_installed
from fl_simu.pointers import old_paths

ours_only = pytest.mark.skipif(syft_installed(), reason="fl_simu.pointers runs on torch 2.5 or newer")
POINTER = "(Wrapper)>[PointerTensor | me:# -> bob:#]"


def test_load_data(bob):
    assert bob.load_data(None) is None is bob.load_data([torch.tensor([3.0]).tag("#kept"), torch.tensor([1.0])])
    assert count(bob) == 2 and bob.search("#kept")[0].item() == 3 and bob.search("#kept")[0].owner is bob


def test_send_obj(sy, bob):
    x = torch.tensor([1.0, 2.0]).tag("#sent")
    pointer = x.send(bob)
    del pointer
    assert sy.local_worker.send_obj(x, bob) is None
    x.add_(1)
    assert list(bob._objects) == [x.id] and bob._objects[x.id].tolist() == [1, 2]
    assert bob._objects[x.id].owner is bob and len(bob.search("#sent")) == 1


def test_named_tensors():
    names = [name for name, _ in nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1)).named_tensors()]
    assert names == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_grid_of_workers_in_one_process(sy, bob, alice):
    both, one = torch.tensor([1.0]).tag("#x", "#y").send(bob), torch.tensor([2.0]).tag("#x").send(alice)
    grid = sy.PrivateGridNetwork(bob, alice)
    found = grid.search("#x")
    assert list(found) == ["bob", "alice"] and [pointer.location.id for pointer in found["alice"]] == ["alice"]
    assert (found["bob"][0] + 1).get().item() == 2
    queries = (("#x", "#y"), ("#none",), ())
    assert [list(grid.search(*query)) for query in queries] == [["bob"], [], ["bob", "alice"]]
    del found
    assert (count(bob), count(alice)) == (1, 1) and both.location is bob and one.location is alice
    for hosting in (grid.serve_model, grid.query_model_hosts):
        with pytest.raises(NotImplementedError):
            hosting("model", "id")


EXCEPTIONS = {
    Exception: [
        "CannotRequestObjectAttribute", "CompressionNotFoundException", "GetNotPermittedError",
        "IdNotUniqueError", "InvalidProtocolFileError", "ResponseSignatureError", "SendNotPermittedError",
        "UndefinedProtocolTypeError", "UndefinedProtocolTypePropertyError", "WorkerNotFoundException",
        "DependencyError", "InvalidTensorForRemoteGet", "PlanCommandUnknownError", "ObjectNotFoundError",
        "TensorsNotCollocatedException",
    ],
    BaseException: ["PureFrameworkTensorFoundError", "RemoteObjectFoundError"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "base"), [(name, base) for base, names in EXCEPTIONS.items() for name in names])
def test_exceptions(sy, name, base):
    assert getattr(sy.exceptions, name).__bases__ == (base,)


def test_what_exceptions_hold(sy, bob):
    errors = sy.exceptions
    assert errors.RemoteObjectFoundError("pointer").pointer == "pointer"
    assert errors.ResponseSignatureError().ids_generated is None
    assert errors.ResponseSignatureError([1]).get_attributes() == {"ids_generated": [1]}
    assert "`pip install tf-encrypted`" in str(errors.DependencyError("tfe", "tf-encrypted"))
    assert "`pip install lz4`" in str(errors.DependencyError("lz4"))
    error, pointer = ValueError(), torch.ones(2).send(bob)
    assert errors.route_method_exception(error, torch.ones(2), (torch.ones(2),), {}) is error
    for pair in ((pointer, torch.ones(2)), (torch.ones(2), pointer)):
        routed = errors.route_method_exception(error, pair[0], pair[1:], {})
        assert isinstance(routed, errors.TensorsNotCollocatedException)


PUBLIC = {
    "covered": [
        "AdditiveSharingTensor", "BaseDataset", "FederatedDataLoader", "FederatedDataset", "FixedPrecisionTensor",
        "ID_PROVIDER", "IdProvider", "MultiPointerTensor", "PointerTensor", "PrivateGridNetwork", "TorchHook",
        "TrainConfig", "VirtualWorker", "WebsocketClientWorker", "WebsocketServerWorker", "combine_pointers",
        "framework", "hook", "local_worker", "logger", "logging", "syft", "torch",
    ],
    "modules": [
        "codes", "common", "dependency_check", "exceptions", "execution", "federated", "frameworks", "generic",
        "grid", "messaging", "sandbox", "serde", "version", "workers",
    ],
    "refused": [
        "AutogradTensor", "CRTPrecisionTensor", "LargePrecisionTensor", "LoggingTensor", "NumpyTensor",
        "PlaceHolder", "Plan", "PointerPlan", "PointerProtocol", "PrivateTensor", "Protocol", "PublicGridNetwork",
        "create_sandbox", "func2plan", "keygen", "method2plan", "pool",
    ],
}  # fmt: skip


@pytest.mark.skipif(not syft_installed(), reason="the list is that of real syft")
def test_the_public_names_are_all_there_are(sy):
    """For a fresh import; `make_plan` is in 0.2.4's `__all__`, and nowhere else."""
    code = "import syft; print(*sorted(name for name in dir(syft) if not name.startswith('_')))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == sorted(name for names in PUBLIC.values() for name in names)
    assert {name for name in sy.__all__ if not hasattr(sy, name)} == {"make_plan"}


@pytest.mark.parametrize("name", PUBLIC["covered"] + PUBLIC["modules"])
def test_public_names(sy, hook, name):
    assert getattr(sy, name) is not None and (
        name not in PUBLIC["modules"] or type(getattr(sy, name)) is type(sys)
    )


@ours_only
@pytest.mark.parametrize("name", PUBLIC["refused"])
def test_public_names_that_are_refused(sy, name):
    with pytest.raises(NotImplementedError) as told:
        getattr(sy, name)()
    assert str(told.value).startswith(f"syft.{name} is not covered by fl_simu.pointers: ")
    assert "\n" not in str(told.value) and ". " not in str(told.value)


@pytest.mark.skipif(not syft_installed(), reason="real syft says what is where")
def test_old_paths_lead_to_what_is_there():
    """0.2.4 has none of these names; only `syft.frameworks.torch.hook` is a package now."""
    for old, new in old_paths.MODULES.items():
        importlib.import_module(new)
        with pytest.raises(ImportError):
            importlib.import_module(old)
    for (package, name), (module, known) in old_paths.NAMES.items():
        assert hasattr(importlib.import_module(module), known)
        assert package in old_paths.MODULES or not hasattr(importlib.import_module(package), name)


OLD_PATHS = """
import sys
import torch
import fl_simu.pointers
fl_simu.pointers.install()
import syft as sy
from syft.frameworks.torch.federated import utils, FederatedDataLoader, FederatedDataset
from syft.frameworks.torch.federated.dataset import BaseDataset
from syft.frameworks.torch.federated.utils import federated_avg
import syft.frameworks.torch.federated.dataloader
from syft.workers import VirtualWorker
from syft.frameworks.torch.pointers import PointerTensor
from syft.frameworks.torch.pointers.object_wrapper import ObjectWrapper
from syft.frameworks.torch.tensors.interpreters import AdditiveSharingTensor
assert PointerTensor is sy.PointerTensor and AdditiveSharingTensor is sy.AdditiveSharingTensor
assert utils.federated_avg is federated_avg and BaseDataset is sy.BaseDataset
assert FederatedDataLoader is sy.FederatedDataLoader and VirtualWorker is sy.VirtualWorker
assert sy.frameworks.torch.federated.utils.add_model is utils.add_model
hook = sy.TorchHook(torch)
bob, alice = VirtualWorker(hook, id="bob"), VirtualWorker(hook, id="alice")
data = torch.utils.data.TensorDataset(torch.ones(4, 2), torch.ones(4, 1)).federate((bob, alice))
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in FederatedDataLoader(data, batch_size=2):
    model.send(x.location)
    ((model(x) - y) ** 2).mean().backward()
    optimizer.step()
    model.get()
print(utils.federated_avg({"one": model}) is model)
"""


@ours_only
def test_paths_of_0_1():
    done = subprocess.run([sys.executable, "-c", OLD_PATHS], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    told = done.stderr.splitlines()
    assert told[0] == (
        "fl_simu.pointers: syft.frameworks.torch.federated is a name of PySyft 0.1; "
        "it stands for syft.frameworks.torch.fl of 0.2.4"
    )
    assert len(told) == len(set(told)) == 9, "one line a name"
