"""Bugs of 0.2.4: do the right thing and report it once on stderr; after `strict()`, behave exactly like 0.2.4."""

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
    """Behave like 0.2.4 even where it is wrong; `strict(False)` ends this."""
    global _strict
    _strict = on


def strictly() -> bool:
    """Whether strict mode is on."""
    return _strict


def is_strict(quirk: str) -> bool:
    """Whether to behave like 0.2.4; if not, report the first time what is done instead."""
    if not _strict:
        tell_once("fl_simu.pointers: " + RIGHT[quirk])
    return _strict
