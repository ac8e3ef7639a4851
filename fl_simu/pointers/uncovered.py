"""The names of 0.2.4 that are not covered: they can be imported, but using them raises an error that says so."""

from typing import Any, Callable

# fmt: off
TENSOR_METHODS = ("decrypt", "encrypt", "numpy_tensor", "private_tensor")
OPTIMIZER_METHODS = ("fix_precision", "float_precision")

TOP = (
    "AutogradTensor", "CRTPrecisionTensor", "KerasHook",
    "LargePrecisionTensor", "LoggingTensor", "NumpyTensor", "PaillierTensor", "Plan", "PlaceHolder",
    "PointerPlan", "PointerProtocol", "PrivateTensor", "Protocol", "PublicGridNetwork",
    "TFECluster", "TFEWorker",
    "create_sandbox", "func2plan", "keygen", "make_plan", "method2plan", "pool",
)

# All other names below these packages can be imported, but are not covered.
PACKAGES = (
    "codes", "common", "dependency_check", "execution", "federated", "frameworks", "generic", "grid",
    "messaging", "sandbox", "serde", "workers",
)
# fmt: on


# Part of a name -> its subject; all other names have the subject THE_REST.
ABOUT = {
    "torch.dp": "PATE's votes and its analysis",
    "syft.serde": "messages between workers",
    "syft.messaging": "messages between workers",
    "LoggingTensor": "tensors that print each operation",
    "callable_pointer": "pointers to functions at a worker",
    "CallablePointer": "pointers to functions at a worker",
    "String": "strings at a worker",
    ".string": "strings at a worker",
    "Keras": "Keras models",
    "keras": "Keras models",
    "TFE": "TensorFlow workers",
}
THE_REST = "encryption beyond the sums of shared secrets, plans, protocols and grids"


def _refuse(name: str) -> NotImplementedError:
    about = next((about for part, about in ABOUT.items() if part in name), THE_REST)
    return NotImplementedError(
        f"{name} is not covered by fl_simu.pointers: {about} need real syft 0.2.4 (the legacy stack)"
    )


class _Uncovered(type):
    """Metaclass of classes that refuse every use except subclassing and `isinstance`."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise _refuse(cls.refused)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _refuse(f"{cls.refused}.{name}")

    refused = ""


def uncovered(name: str) -> Any:
    """The placeholder for a name of syft, such as "syft.Plan"."""
    return _Uncovered(name.rpartition(".")[2], (), {"refused": name})


def refusing_method(name: str) -> Callable:
    def method(*_: Any, **__: Any) -> Any:
        raise _refuse(name)

    method.__name__ = name.rpartition(".")[2]
    return method
