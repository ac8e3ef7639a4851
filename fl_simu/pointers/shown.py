"""How plain tensors are printed after hooking: with tags, description and shape, if they have labels."""

from typing import Any

import torch

from fl_simu.pointers.ids import known_label


def print_labels() -> None:
    """Must be called once."""
    native = torch.Tensor.__repr__

    def __repr__(self: Any, **options: Any) -> str:
        return native(self, **options) + _labels(self)

    torch.Tensor.__repr__ = __repr__  # type: ignore[assignment]


def _labels(tensor: Any) -> str:
    label = known_label(tensor)
    text = ""
    if label is not None and label.tags:
        text += "\n\tTags: " + "".join(f"{tag} " for tag in label.tags)
    if label is not None and label.description is not None:
        first = str(label.description).split("\n")[0]
        text += f"\n\tDescription: {first}..."
    return text and f"{text}\n\tShape: {tensor.shape}"
