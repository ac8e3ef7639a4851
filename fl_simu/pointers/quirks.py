"""Where 0.2.4 is wrong: the right thing, told once on stderr; or, after `strict()`, 0.2.4 to the letter."""

from fl_simu.kernel.notices import tell_once

RIGHT = {
    "batch_norm": "batch norm works at the worker, and buffers travel with the model; 0.2.4 skips both",
    "size": "ptr.size() is the size at the worker; 0.2.4 gives torch.Size([0])",
    "adagrad": "Adagrad follows the model to the worker; 0.2.4 fails",
    "recurrent": "LSTM, GRU and RNN work on pointers; 0.2.4 fails",
    "mask": "a pointer can be indexed by a mask at its worker; 0.2.4 fails",
    "set": "set_() of a pointer sets the tensor at the worker, and federated_avg works there; 0.2.4 does nothing",
    "saved_memory": "what an optimiser remembers at a worker is saved with its values; 0.2.4 saves empty tensors",
    "attribute_clone": "clone() of a gradient or of .data copies it; 0.2.4 gives the tensor that it belongs to",
}

_strict = False


def strict(on: bool = True) -> None:
    """From now on behave as 0.2.4 does also where that is wrong; `strict(False)` ends it."""
    global _strict
    _strict = on


def strictly() -> bool:
    """Whether `strict()` holds."""
    return _strict


def is_strict(quirk: str) -> bool:
    """Whether 0.2.4's way shall be gone; if not, what is done instead is told the first time."""
    if not _strict:
        tell_once("fl_simu.pointers: " + RIGHT[quirk])
    return _strict
