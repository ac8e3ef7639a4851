"""Local layers: tensors of the model that stay at the UE."""

from fnmatch import fnmatchcase
from typing import Sequence, Tuple

from fl_simu.kernel.errors import BadField, nearest


def local_names(patterns: Sequence[str], names: Sequence[str]) -> Tuple[str, ...]:
    """Names of the tensors that stay at the UE, in the order of the model.

    Args:
        patterns: names of tensors, with `*`, `?` and `[...]` as in patterns for file names.
        names: names of all tensors of the model.

    Raises:
        BadField: a pattern matches no tensor, or all tensors stay.

    >>> local_names(["bn*", "fc.bias"], ["conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias"])
    ('bn.weight', 'bn.bias', 'fc.bias')
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise BadField("local_layers", pattern, f"names of the model's tensors: {nearest(pattern, names)}")
    local = tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
    if len(local) == len(names):
        raise BadField("local_layers", list(patterns), "at least one tensor that is sent")
    return local
