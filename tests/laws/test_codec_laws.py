"""What every codec must do. A new codec is tested here as soon as it is registered: give it a few settings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_simu.kernel.parameters import structure_of
from fl_simu.uplink.codecs import CODECS
from fl_simu.uplink.codecs.affine import Affine
from fl_simu.uplink.codecs.float32 import Float32

SETTINGS = {
    "float32": [Float32()],
    "affine": [Affine(1), Affine(2, (2,)), Affine(4), Affine(3, (1, 4)), Affine(8, (8,)), Affine(16)],
}
CASES = [pytest.param(codec, id=str(codec)) for settings in SETTINGS.values() for codec in settings]
LAYERED = [pytest.param(codec, id=str(codec)) for codec in SETTINGS["affine"]]

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
FLOATS = SHAPES.flatmap(
    lambda shape: hnp.arrays(
        np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
INTEGERS = SHAPES.flatmap(
    lambda shape: st.one_of(hnp.arrays(np.int64, shape), hnp.arrays(np.uint8, shape), hnp.arrays(np.bool_, shape))
)
PARAMS = st.lists(st.one_of(FLOATS, INTEGERS), min_size=1, max_size=4).map(
    lambda arrays: {f"layer{number}.weight": torch.from_numpy(array) for number, array in enumerate(arrays)}
)


def test_every_registered_codec_is_tested_here():
    assert set(SETTINGS) == set(CODECS)


@pytest.mark.parametrize("codec", CASES)
@given(params=PARAMS)
def test_every_prefix_decodes_to_the_same_structure(codec, params):
    structure = structure_of(params)
    layers = codec.encode(params)
    assert len(layers) == len(codec.layer_bits()) == len(codec.layer_bytes(structure))
    for count in range(1, len(layers) + 1):
        decoded = codec.decode(layers[:count], structure)
        assert structure_of(decoded) == structure
        assert all(bool(torch.isfinite(tensor).all()) for tensor in decoded.values())


@pytest.mark.parametrize("codec", CASES)
@given(params=PARAMS)
def test_the_length_of_every_layer_follows_from_the_structure(codec, params):
    assert tuple(len(layer) for layer in codec.encode(params)) == codec.layer_bytes(structure_of(params))


@pytest.mark.parametrize("codec", CASES)
@given(params=PARAMS)
def test_tensors_that_are_not_floating_point_come_back_exactly(codec, params):
    decoded = codec.decode(codec.encode(params)[:1], structure_of(params))
    for name, tensor in params.items():
        if not tensor.dtype.is_floating_point:
            assert torch.equal(decoded[name], tensor)


@pytest.mark.parametrize("codec", CASES)
@given(params=PARAMS, value=st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_constant_tensors_come_back_exactly(codec, params, value):
    constant = {name: torch.full(tuple(tensor.shape), value) for name, tensor in params.items()}
    decoded = codec.decode(codec.encode(constant)[:1], structure_of(constant))
    assert all(torch.equal(decoded[name], constant[name]) for name in constant)


@pytest.mark.parametrize("codec", CASES)
@given(params=PARAMS)
def test_encoding_leaves_the_params_alone(codec, params):
    before = {name: tensor.clone() for name, tensor in params.items()}
    codec.encode(params)
    assert all(torch.equal(params[name], before[name]) for name in params)


@given(params=PARAMS)
def test_float32_is_exact_down_to_the_sign_of_zero(params):
    codec = Float32()
    decoded = codec.decode(codec.encode(params), structure_of(params))
    assert all(decoded[name].numpy().tobytes() == params[name].numpy().tobytes() for name in params)


@pytest.mark.parametrize("codec", LAYERED)
@given(tensor=FLOATS)
def test_affine_more_layers_never_increase_the_largest_error(codec, tensor):
    params = {"w": torch.from_numpy(tensor)}
    layers = codec.encode(params)
    decoded = [codec.decode(layers[:count], structure_of(params))["w"] for count in range(1, len(layers) + 1)]
    errors = [np.abs(one.double().numpy() - tensor.astype(np.float64)).max(initial=0.0) for one in decoded]
    # What float32 can tell apart at this size is not the codec's error.
    slack = 2 * float(np.spacing(np.abs(tensor).max(initial=np.float32(0)).astype(np.float64) + 1e-45) * 2**29)
    assert all(later <= earlier + slack for earlier, later in zip(errors, errors[1:]))
    spread = float(tensor.max(initial=-np.inf)) - float(tensor.min(initial=np.inf)) if tensor.size else 0.0
    assert errors[-1] <= spread / (2 ** sum(codec.layer_bits()) - 1) / 2 * (1 + 1e-6) + slack


@pytest.mark.parametrize("codec", LAYERED)
@given(params=PARAMS)
def test_affine_all_layers_are_the_codec_of_one_layer(codec, params):
    whole, structure = Affine(sum(codec.layer_bits())), structure_of(params)
    layered, single = codec.decode(codec.encode(params), structure), whole.decode(whole.encode(params), structure)
    assert all(torch.equal(layered[name], single[name]) for name in params)
