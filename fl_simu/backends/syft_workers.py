"""PySyft 0.2: every UE is a VirtualWorker, the BS is the local worker, models travel as pointers.

The workflow is that of the notes: send each UE's data to its worker once; `model.send(worker)`; forward,
backward and the optimiser's step on pointers; `model.get()`; then `load_state_dict` and `send` again. It runs on
real PySyft 0.2.4 if that is installed, and on fl_simu.pointers elsewhere. This is the only file that imports real
syft, and only when the backend is built: hooking replaces hundreds of attributes of torch for the whole process.
"""

import functools
import logging
import warnings
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Sequence

import torch
from torch import Tensor, nn

from fl_simu.backends.base import Backend, BackendSpec
from fl_simu.backends.optimizer_state import flatten_state, load_state
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import lacks_syft, syft_installed, whose_syft
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.kernel.shell import command_line
from fl_simu.parts import KINDS
from fl_simu.ue.optimizers import Adagrad, Adam
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained

# Errors of 0.2.4 on pointers: it skips batch norm silently, recurrent layers and Adagrad fail, and AMSGrad's
# running maximum is lost.
UNSUPPORTED_LAYERS = (nn.modules.batchnorm._BatchNorm, nn.RNNBase, nn.RNNCellBase)


def import_syft() -> Any:
    """Import real syft if it is installed, else fl_simu.pointers; torch is hooked from now on."""
    return _hooked_syft() if syft_installed() else _pointers()


@functools.lru_cache(maxsize=None)
def _hooked_syft() -> Any:
    """Real syft, with torch hooked once for this process and a local worker that skips needless work."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("tf_encrypted").setLevel(logging.ERROR)
            import syft
            from syft.messaging.message import ForceObjectDeleteMessage, IsNoneMessage
            from syft.serde import compression
            from syft.serde.msgpack import serde
    except ImportError as error:
        raise UserError(f"backend = 'syft' is not allowed here: syft cannot be imported ({error})") from error

    class BaseStation(syft.VirtualWorker):
        """The local worker, which knows the workers of its own process and skips needless work with them.

        It does not serialise the two kinds of message that carry no tensor: the request to delete an object, and
        the question whether a gradient is None. They are two thirds of the messages of a step. All others travel
        serialised, as in 0.2.4, except for the answer None, which most of them get.
        """

        def send_msg(self, message: Any, location: Any) -> Any:
            if not isinstance(location, syft.VirtualWorker):
                return super().send_msg(message, location)
            kind = type(message)
            if kind is ForceObjectDeleteMessage or kind is IsNoneMessage:
                return location._message_router[kind](message)
            received = serde.deserialize(serde.serialize(message, worker=self), worker=location)
            answer = location._message_router[kind](received)
            if answer is None:
                return None
            return serde.deserialize(serde.serialize(answer, worker=location), worker=self)

    # One of 0.2.4's own schemes; the default, lz4, hardly shrinks weights and slows down every message.
    compression._apply_compress_scheme = compression.apply_no_compression
    hook = syft.TorchHook(torch)
    hook.local_worker.__class__ = BaseStation
    return syft


@functools.lru_cache(maxsize=None)
def _pointers() -> Any:
    """fl_simu.pointers, whose methods are on torch's classes from now on."""
    from fl_simu import pointers

    if pointers.hook is None:
        pointers.TorchHook(torch)
    return pointers


class _Ue:
    """One UE: its worker, its data there, and its model, which is here or there and is built on first use."""

    def __init__(self, syft: Any, name: str, make_module: Callable[[], nn.Module]) -> None:
        self.worker = syft.VirtualWorker(syft.hook, id=name)
        self._make_module = make_module
        self._module: Any = None
        self.optimizer: Any = None
        self.images: Any = None
        self.labels: Any = None
        self.samples = 0
        self.away = False
        # The memory of its optimiser after its last round, which is also still on the worker.
        self.memory: Optional[Params] = None

    @property
    def module(self) -> Any:
        if self._module is None:
            # Its initial weights are overwritten; torch's own draws are not changed.
            with torch.random.fork_rng(devices=[]):
                self._module = self._make_module()
        return self._module

    def bring_home(self) -> None:
        if self.away:
            self.module.get()
            self.away = False

    def send_away(self) -> None:
        self.module.send(self.worker)
        self.away = True


@dataclass(frozen=True)
class Syft(BackendSpec):
    """The reference: each UE is a VirtualWorker, models are pointers; PySyft 0.2.4 or fl_simu.pointers.

    It runs on real PySyft 0.2.4 where that is installed (legacy stack), and elsewhere on fl_simu.pointers; see
    docs/pointers.md. The first line that a run prints names the one in use, and so do the `versions` in
    `summary.json`. On real syft it refuses what PySyft 0.2.4 gets wrong on pointers: batch norm, LSTM, GRU and RNN
    layers, `adagrad`, and `adam` with `amsgrad`. fl_simu.pointers gets them right.
    """

    @classmethod
    def missing(cls) -> str:
        return lacks_syft()

    @classmethod
    def whose(cls) -> str:
        return whose_syft()

    def check(self, training: LocalTraining) -> None:
        """Raise UserError if it cannot run this training here."""
        if self.missing():
            raise UserError(
                f"backend = 'syft' is not allowed here: it {self.missing()}; use backend = 'torch', or see "
                f"`{command_line('doctor')}`"
            )
        if syft_installed():
            _refuse_what_syft_gets_wrong(training)

    def build(self, training: LocalTraining) -> "SyftWorkers":
        self.check(training)
        return SyftWorkers(training)


class SyftWorkers(Backend):
    """Every UE is a VirtualWorker; models are pointers."""

    def __init__(self, training: LocalTraining) -> None:
        super().__init__(training)
        self._syft = import_syft()
        self._ues: Dict[int, _Ue] = {}

    def place(self, ue: int, shard: Shard) -> None:
        place = self._ues[ue] = _Ue(self._syft, f"ue{ue}", self.training.make_module)
        place.images = _send(shard.images.index_select(0, shard.indices), place.worker)
        place.labels = _send(shard.labels.index_select(0, shard.indices), place.worker)
        place.samples = len(shard.indices)

    def train(self, tasks: Sequence[Task]) -> None:
        self._forget_dead_ids()
        for task in tasks:
            self._train(self._ues[task.key.ue], task)

    def _train(self, place: _Ue, task: Task) -> None:
        place.bring_home()
        place.module.load_state_dict(task.start)
        if place.optimizer is None or place.memory is None or place.memory is not task.memory:
            place.optimizer = self._build_optimizer(place.module)
            load_state(place.optimizer, task.memory, place=lambda tensor: _send(tensor, place.worker))
        self.training.in_round(place.optimizer, task.key.round)
        place.memory = None
        place.send_away()
        place.module.train()
        with torch.random.fork_rng(devices=[]):
            self.training.seed_torch(task.key)
            orders = self.training.orders(task.key, place.samples, task.steps)
            round_rows, at = _send(torch.cat(orders), place.worker), 0
            names = [name for name, _ in place.module.named_parameters()]
            given = self.training.given(task, names, lambda tensor: _send(tensor.clone(), place.worker))
            for order in orders:
                rows, at = round_rows.narrow(0, at, len(order)), at + len(order)
                images, labels = place.images.index_select(0, rows), place.labels.index_select(0, rows)
                self.training.step(place.module, place.optimizer, images, labels, given)

    def get(self, ue: int) -> Trained:
        place = self._ues[ue]
        place.bring_home()
        if self.training.keep_optimizer_state:
            place.memory = flatten_state(place.optimizer, fetch=_copy_here)
        return Trained(params_of(place.module), place.memory or {})

    def peek(self, ue: int) -> Params:
        place = self._ues[ue]
        place.bring_home()
        params = params_of(place.module)
        place.send_away()
        return params

    def give_up(self, ue: int) -> None:
        """Nothing to do: the UE's next task overwrites its trained model."""

    def close(self) -> None:
        for place in self._ues.values():
            place.bring_home()
            place.optimizer = place.images = place.labels = place.memory = None
            place.worker.clear_objects()
            place.worker.remove_worker_from_local_worker_registry()
        self._ues.clear()

    def objects(self) -> Dict[int, int]:
        """Number of objects that each UE's worker holds."""
        return {ue: len(place.worker._objects) for ue, place in self._ues.items()}

    def _build_optimizer(self, module: Any) -> Any:
        optimizer: Any = self.training.optimizer.build(module.parameters())
        # No reference to the optimiser itself: its state on the worker must be freed with it, not by a later gc.
        optimizer.zero_grad = functools.partial(_zero_grad, list(module.parameters()))
        return optimizer

    def _forget_dead_ids(self) -> None:
        """0.2.4 remembers every id; only the ids of living objects must not be used again."""
        living = {id for place in self._ues.values() for id in place.worker._objects}
        self._syft.ID_PROVIDER.generated.intersection_update(living)


def _send(tensor: Any, worker: Any) -> Any:
    return tensor.send(worker)


def _zero_grad(parameters: Sequence[Any]) -> None:
    """Like torch's own, which asks for each gradient three times, and needlessly detaches it after `backward`."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None:
            gradient.zero_()


def _copy_here(tensor: Any) -> Tensor:
    # A pointer's own `clone` is a second pointer to the same object, and its `get` would remove that object.
    copy: Any = torch.clone(tensor)
    return copy.get() if hasattr(tensor, "child") else copy


def _refuse_what_syft_gets_wrong(training: LocalTraining) -> None:
    for module in training.make_module().modules():
        if isinstance(module, UNSUPPORTED_LAYERS):
            raise UserError(
                f"backend = 'syft' is not allowed with the layer {type(module).__name__}, which syft 0.2.4 gets "
                "wrong on pointers: use backend = 'torch'"
            )
    optimizer = training.optimizer
    if isinstance(optimizer, Adagrad) or (isinstance(optimizer, Adam) and optimizer.amsgrad):
        name = KINDS["optimizer"].name_of(optimizer, nameless=True)
        amsgrad = " with amsgrad" if isinstance(optimizer, Adam) else ""
        raise UserError(
            f"backend = 'syft' is not allowed with optimizer {name}{amsgrad}, which syft 0.2.4 gets wrong on "
            "pointers: use backend = 'torch'"
        )
