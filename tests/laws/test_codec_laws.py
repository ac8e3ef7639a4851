"""The laws of codecs for any params, and further guarantees of ours."""

import numpy as np
import ours
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import TensorSpec, structure_of
from fl_simu.laws.codecs import LAWS, decoded
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.base import HALVES
from fl_simu.radio.codecs.decimal import Decimal
from fl_simu.radio.codecs.float16 import Float16
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.layered import Layered
from fl_simu.radio.codecs.text_split import TextSplit
from fl_simu.radio.codecs.top_k import TopK
from fl_simu.radio.link import Link
from fl_simu.radio.sizes import NotesCount, RealBytes

CASES = ours.cases("codec")


def those(*classes):
    return [case for case in CASES if isinstance(case.values[0], classes)]


SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FLOATS = SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=NUMBERS))
SMALL_NUMBERS = st.floats(width=16, allow_nan=False, allow_infinity=False)
FLOATS16 = SHAPES.flatmap(lambda shape: hnp.arrays(np.float16, shape, elements=SMALL_NUMBERS))
INTEGERS = SHAPES.flatmap(
    lambda shape: st.one_of(hnp.arrays(np.int64, shape), hnp.arrays(np.uint8, shape), hnp.arrays(np.bool_, shape))
)
PARAMS = st.lists(st.one_of(FLOATS, INTEGERS, *[FLOATS16 for _ in HALVES]), min_size=1, max_size=4).map(
    lambda arrays: {f"layer{number}.weight": torch.from_numpy(array) for number, array in enumerate(arrays)}
)


def largest_errors(codec, tensor):
    found = [params["w"].double().numpy() for params in decoded(codec, {"w": torch.from_numpy(tensor)})]
    return [np.abs(one - tensor.astype(np.float64)).max(initial=0.0) for one in found]


def rounding(tensor):
    """The rounding of float32 at the size of a tensor, which is not an error of a codec."""
    return float(np.abs(tensor).max(initial=np.float32(0))) * 2.0**-22 + 1e-44


def zeros_stay_zeros(codec, params):
    zeros = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    assert all(torch.equal(one[name], zeros[name]) for one in decoded(codec, zeros) for name in zeros)


def only_affine_turns_signs(codec, params):
    floating = [name for name, tensor in params.items() if tensor.dtype.is_floating_point]
    for one in decoded(codec, params) if not isinstance(codec, Affine) else ():
        assert all(bool((one[name].double() * params[name].double() >= 0).all()) for name in floating)


@pytest.mark.parametrize("codec", CASES)
@given(params=PARAMS)
def test_the_laws_and_what_ours_promise_beyond_them_hold_for_any_params(codec, params):
    for holds in (*(law.holds for law in LAWS), zeros_stay_zeros, only_affine_turns_signs):
        holds(codec, params)


EVERY_DTYPE = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64]
EVERY_DTYPE += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


@pytest.mark.parametrize("dtype", EVERY_DTYPE)
@pytest.mark.parametrize("codec", CASES)
def test_a_tensor_of_any_dtype_travels_or_is_refused_by_name(codec, dtype):
    links = [Link(codec, Constant(), RealBytes(), payload, 1) for payload in ("weights", "update")]
    structure = (TensorSpec("fc.weight", (4, 2), dtype),)
    carried = [torch.float32, *HALVES, *EVERY_DTYPE[5:], *([torch.float64] if isinstance(codec, Float32) else [])]
    if dtype not in carried:
        for link in links:
            with pytest.raises(BadField, match=f"carries .*float32.* fc.weight is {str(dtype)[6:]}$"):
                link.check(structure)
        return
    # 0.3 and 1e-9 need more than 24 bits: they show whether a float64 was rounded on the way.
    numbers = torch.tensor([[0, 1], [1, 0], [0.3, -2], [1e-9, 120]], dtype=torch.float64)
    reference = {"fc.weight": torch.tensor([[0, 1]] * 4).to(dtype)}
    params = {"fc.weight": (numbers.abs() if dtype == torch.uint8 else numbers).to(dtype)}
    for link in links:
        link.check(structure)
        upload = link.transmit(0, 0, 0.0, structure)
        found = link.decode(upload, link.encode(upload, link.content(params, reference)), reference)
        assert structure_of(found) == structure
        if not dtype.is_floating_point:
            assert torch.equal(found["fc.weight"], params["fc.weight"])
            continue
        wanted = params
        if not isinstance(codec, Float32):
            # As good as the same numbers in float32.
            wide = [{"fc.weight": one["fc.weight"].float()} for one in (params, reference)]
            wanted = link.decode(upload, link.encode(upload, link.content(*wide)), wide[1])
        within = 2 * torch.finfo(dtype).eps
        assert found["fc.weight"].numpy() == pytest.approx(wanted["fc.weight"].numpy(), rel=within, abs=within)


@pytest.mark.parametrize("dtype, bits", [(torch.float64, 64), (torch.float32, 32), (torch.float16, 16)])
def test_exact_numbers_are_charged_by_their_width(dtype, bits):
    structure = structure_of({"w": torch.zeros(100, dtype=dtype), "n": torch.tensor(3)})
    assert RealBytes().layer_bits(Float32(), structure) == (100 * bits + 64,)
    # The notes count 4 bits more per parameter, and no integers.
    assert NotesCount().layer_bits(Float32(), structure) == (100 * (4 + bits),)
    if bits <= 32:
        assert NotesCount().layer_bits(Affine(2, (3,)), structure) == (600, 300)


@pytest.mark.parametrize("codec", those(Float32, Affine))
@given(params=PARAMS, value=NUMBERS)
def test_constant_tensors_come_back_exactly(codec, params, value):
    constant = {name: torch.full(tuple(tensor.shape), value) for name, tensor in params.items()}
    found = decoded(codec, constant)[0]
    assert all(torch.equal(found[name], constant[name]) for name in constant)


@pytest.mark.parametrize("codec", [*those(Float32, TextSplit), pytest.param(TopK(1.0), id="all of top_k")])
@given(params=PARAMS)
def test_codecs_that_keep_everything_are_exact(codec, params):
    found = decoded(codec, params)[-1]
    assert all(torch.equal(found[name], params[name]) for name in params)


@pytest.mark.parametrize("codec", those(Affine, Decimal, Float16, TextSplit, TopK))
@given(tensor=FLOATS)
def test_more_layers_never_increase_the_largest_error(codec, tensor):
    errors = largest_errors(codec, tensor)
    assert all(later <= earlier + rounding(tensor) for earlier, later in zip(errors, errors[1:]))


@pytest.mark.parametrize("codec", those(Layered))
@given(params=PARAMS)
def test_all_layers_are_the_codec_of_one_layer(codec, params):
    single, whole = (
        decoded(codec.with_bits(codec.total_bits), params)[0],
        decoded(codec, params)[-1],
    )
    assert all(torch.equal(whole[name], single[name]) for name in params)


@pytest.mark.parametrize("codec", those(Affine))
@given(tensor=FLOATS)
def test_affine_errs_by_half_a_step(codec, tensor):
    spread = float(tensor.max(initial=-np.inf)) - float(tensor.min(initial=np.inf)) if tensor.size else 0.0
    bound = spread / (2 ** sum(codec.layer_bits()) - 1) / 2
    assert largest_errors(codec, tensor)[-1] <= bound * (1 + 1e-6) + rounding(tensor)


@pytest.mark.parametrize("codec", those(Decimal))
@given(number=NUMBERS)
def test_decimal_rounds_towards_zero_by_less_than_one_code(codec, number):
    tensor = np.array([number], dtype=np.float32)
    found = float(decoded(codec, {"w": torch.from_numpy(tensor)})[-1]["w"])
    assert abs(found) <= abs(number) + rounding(tensor)
    assert abs(number) - abs(found) <= 10 * abs(number) / 2**codec.total_bits + rounding(tensor)
