"""How a pointer must treat each function of torch; determined once per function."""

from typing import Any, Dict

PLAIN, IN_PLACE, SETTER, RECURRENT, BATCH_NORM, INDEX = "plain", "in place", "setter", "recurrent", "bn", "index"

NAMED = {"__set__": SETTER, "batch_norm": BATCH_NORM, "__getitem__": INDEX}
RECURRENT_NAMES = {
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
    "lstm_cell",
    "gru_cell",
    "rnn_tanh_cell",
    "rnn_relu_cell",
}
OPERATORS = {"add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"}
OPERATORS |= {"lshift", "rshift"}

_found: Dict[Any, str] = {}


def kind_of(func: Any) -> str:
    """One of the kinds above."""
    return _found.get(func) or _find(func)


def _find(func: Any) -> str:
    name = getattr(func, "__name__", "")
    kind = NAMED.get(name, RECURRENT if name in RECURRENT_NAMES else PLAIN)
    if (name.endswith("_") and not name.startswith("_")) or (name.startswith("__i") and name[3:-2] in OPERATORS):
        kind = IN_PLACE
    _found[func] = kind
    return kind
