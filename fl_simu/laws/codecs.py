"""The laws of codecs. Each takes params with finite numbers."""

from typing import Dict, List, Tuple

import numpy as np
import torch

from fl_simu.kernel.parameters import Params, structure_of
from fl_simu.kernel.randomness import stream
from fl_simu.laws.base import SEED, Inputs, Law, copied, expect, finite, same, same_params, same_structure
from fl_simu.radio.codecs.base import EXACT, LITTLE_ENDIAN, Codec


def encoded(codec: Codec, params: Params) -> Tuple[bytes, ...]:
    """The layers, with the same draws each time."""
    return codec.encode(params, stream(SEED, "laws"))


def decoded(codec: Codec, params: Params) -> List[Params]:
    """The decoded params for each prefix of the layers, beginning with the base alone."""
    layers, structure = encoded(codec, params), structure_of(params)
    return [codec.decode(layers[:count], structure) for count in range(1, len(layers) + 1)]


def encoding_leaves_the_params_alone(codec: Codec, params: Params) -> None:
    before = copied(params)
    encoded(codec, params)
    same_params("the params afterwards", params, before)


def lengths_follow_from_the_structure_alone(codec: Codec, params: Params) -> None:
    """Each layer has the length from `layer_bytes`, for these numbers and for zeros."""
    lengths = codec.layer_bytes(structure_of(params))
    expect(len(lengths) > 0, "it has no layer; right is at least a base")
    for given in (params, {name: torch.zeros_like(tensor) for name, tensor in params.items()}):
        same("the length of its layers", tuple(map(len, encoded(codec, given))), tuple(lengths))


def bits_are_those_of_each_layer_or_of_none(codec: Codec, params: Params) -> None:
    """`layer_bits` gives a number for each layer, or no numbers."""
    layers = len(codec.layer_bytes(structure_of(params)))
    for dtype in codec.floats:
        bits = len(codec.layer_bits(dtype))
        expect(bits in (0, layers), f"layer_bits names {bits} layers; right are {layers}, or none")


def any_prefix_decodes_to_finite_params_of_the_same_structure(codec: Codec, params: Params) -> None:
    for last, found in enumerate(decoded(codec, params)):
        same_structure(f"what it decodes up to layer {last}", found, params)
        finite(f"what it decodes up to layer {last}", found)


def integers_and_booleans_come_back_exactly(codec: Codec, params: Params) -> None:
    """Already from the base layer."""
    exact = [name for name, tensor in params.items() if not tensor.dtype.is_floating_point]
    for last, found in enumerate(decoded(codec, params)):
        wanted = {name: params[name] for name in exact}
        same_params(f"what it decodes up to layer {last}", {name: found[name] for name in exact}, wanted)


def the_same_draws_give_the_same_layers(codec: Codec, params: Params) -> None:
    """Earlier encoding and decoding have no effect, and all random numbers come from the draws."""
    layers, structure = encoded(codec, params), structure_of(params)
    found = codec.decode(layers, structure)
    codec.encode({"other": torch.ones(3)}, stream(SEED, "other laws"))
    expect(encoded(codec, params) == layers, "its layers are others the second time; right are the same")
    same_params("what it decodes the second time", codec.decode(layers, structure), found)


def examples(codec: Codec) -> Inputs:
    """Params of each dtype that a codec carries: like those of a model, and edge cases."""
    found: Dict[str, Params] = {
        "integers and booleans": {str(dtype)[6:]: _edges(dtype) for dtype in EXACT},
        "tensors without elements": {"w": torch.zeros(0, 4), "n": torch.zeros(0, dtype=torch.int64)},
    }
    for dtype in codec.floats:
        info, draws = torch.finfo(dtype), stream(SEED, "laws")
        shapes = {"conv.weight": (4, 2, 3, 3), "conv.bias": (4,), "norm.scale": (), "fc.weight": (3, 16)}
        model = {name: torch.from_numpy(np.array(draws.standard_normal(shape))) for name, shape in shapes.items()}
        floats = {
            "numbers of a model": model,
            "one number": {"w": torch.tensor([0.3])},
            "a tensor without dimensions": {"w": torch.tensor(-0.3)},
            "zeros": {"w": torch.zeros(3, 2)},
            "equal numbers": {"w": torch.full((5,), -0.7)},
            "the largest numbers": {"w": torch.tensor([info.max, -info.max, 1.0, 0.0], dtype=torch.float64)},
            "the smallest numbers": {
                "w": torch.tensor([info.tiny, -info.tiny, info.tiny / 8], dtype=torch.float64)
            },
        }
        for label, params in floats.items():
            typed = {name: tensor.to(dtype) for name, tensor in params.items()}
            typed = {"before": torch.tensor(7), **typed, "after": torch.tensor([True, False])}
            found[f"{label} in {str(dtype)[6:]}"] = typed
    return {label: (params,) for label, params in found.items()}


def _edges(dtype: torch.dtype) -> torch.Tensor:
    if dtype is torch.bool:
        return torch.tensor([[True, False, True]])
    info = np.iinfo(LITTLE_ENDIAN[dtype])
    return torch.tensor([info.min, 0, 1, info.max], dtype=dtype)


LAWS = tuple(
    Law(law, examples)
    for law in (
        encoding_leaves_the_params_alone,
        lengths_follow_from_the_structure_alone,
        bits_are_those_of_each_layer_or_of_none,
        any_prefix_decodes_to_finite_params_of_the_same_structure,
        integers_and_booleans_come_back_exactly,
        the_same_draws_give_the_same_layers,
    )
)
