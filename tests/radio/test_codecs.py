import decimal
import math

import numpy as np
import pytest
import torch

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import structure_of
from fl_simu.models import MnistCnn
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.bitplanes import pack, plane_bytes, unpack_into
from fl_simu.radio.codecs.decimal import Decimal
from fl_simu.radio.codecs.float16 import Float16
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.stochastic import Stochastic
from fl_simu.radio.codecs.tens import exponent_of
from fl_simu.radio.codecs.text_split import TextSplit
from fl_simu.radio.codecs.top_k import TopK
from fl_simu.radio.sizes import NotesCount, RealBytes

DRAWS = np.random.Generator(np.random.Philox(1))


def through(codec, values, layers=None):
    """A list of numbers after the codec, from the first `layers` layers or all of them."""
    params = {"w": torch.tensor(values)}
    return codec.decode(codec.encode(params, DRAWS)[:layers], structure_of(params))["w"].tolist()


def notes_affine(values, bits):
    """The notes' formula, number by number."""
    low, high = min(values), max(values)
    q = (2**bits - 1) / (high - low)
    r = round(q * low)
    return [(round(q * value) - r + r) / q for value in values]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7, 8, 11, 16])
def test_affine_in_one_layer_is_the_notes_formula(bits):
    values = np.random.RandomState(bits).randn(500).astype(np.float32)
    params = {"w": torch.from_numpy(values)}
    codec = Affine(bits)
    decoded = codec.decode(codec.encode(params, DRAWS), structure_of(params))["w"]
    wanted = notes_affine([float(value) for value in values], bits)
    assert decoded.tolist() == [float(np.float32(value)) for value in wanted]


def test_affine_sends_the_top_bits_first():
    # 0..15 at 4 bits: code = value. Two bits leave four possible values; the decoder takes their middle.
    params = {"w": torch.arange(16.0)}
    codec = Affine(2, (1, 1))
    layers = codec.encode(params, DRAWS)
    decoded = [codec.decode(layers[:count], structure_of(params))["w"].tolist() for count in (1, 2, 3)]
    assert decoded[0] == [1.5] * 4 + [5.5] * 4 + [9.5] * 4 + [13.5] * 4
    assert decoded[1][:6] == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5]
    assert decoded[2] == list(range(16))


def test_planes_of_bits_by_hand():
    codes = np.array([0b101, 0b011, 0b000], dtype=np.uint8)
    data = pack(codes, 2, 0)
    assert [data[0], data[1], data[2]] == [0b10000000, 0b01000000, 0b11000000]
    back = np.zeros(3, dtype=np.uint8)
    unpack_into(back, data[:2], 2, 1)
    assert back.tolist() == [0b100, 0b010, 0b000]
    assert [plane_bytes(count) for count in (0, 1, 8, 9)] == [0, 1, 1, 2]


def test_sizes_of_the_notes_cnn():
    structure = structure_of(MnistCnn().build((1, 28, 28), 10).state_dict())
    count = 1_199_882
    notes, real = NotesCount(), RealBytes()
    assert notes.layer_bits(Affine(2), structure) == (7_199_292,)
    assert notes.layer_bits(Affine(2, (2,)), structure) == (6 * count, 2 * count)
    assert real.layer_bits(Float32(), structure) == (32 * count,)
    # 8 tensors with two float32 limits each; every plane of bits is rounded up to whole bytes.
    plane = math.ceil(count / 8)
    assert real.layer_bits(Affine(2, (2,)), structure) == (8 * (2 * plane + 8 * 8), 8 * 2 * plane)
    # The notes' threshold of 1.4 s is the delay of 70 Mbit at their mean rate of 50 Mbit/s.
    assert notes.load_mbit(7_199_292) == pytest.approx(68.66, abs=0.01)


@pytest.mark.parametrize("bits, wanted", [(1, 0.5), (2, 0.75), (3, 0.75), (4, 0.8125)])
def test_decimal_by_the_notes_example(bits, wanted):
    assert through(Decimal(bits), [0.825, -0.825, 0.0]) == [wanted, -wanted, 0.0]
    # Two bits first, then two more; a tenth of the number has the same mantissa and another exponent.
    layered = Decimal(2, (2,))
    assert through(layered, [0.825, 0.0825], 1) == pytest.approx([0.75, 0.075])
    assert through(layered, [0.825, 0.0825]) == pytest.approx([0.8125, 0.08125])


def test_float16_is_numpys_and_its_remainder_doubles_the_digits():
    values = np.random.RandomState(3).randn(1000).astype(np.float32)
    base = through(Float16(), values.tolist(), 1)
    assert base == values.astype(np.float16).astype(np.float32).tolist()
    both = np.array(through(Float16(), values.tolist()))
    assert (np.abs(both - values) <= np.maximum(np.abs(values) * 2.0**-21, 2.0**-25)).all()
    assert through(Float16(), [1e6, -1e38]) == [131008.0, -131008.0]


def test_exponents_are_those_of_the_decimal_module():
    powers = np.concatenate([10.0 ** np.arange(-44, 39), 2.0 ** np.arange(-149, 128)]).astype(np.float32)
    near = np.concatenate([powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(1e38))])
    size = near[near > 0].astype(np.float64)
    assert exponent_of(size).tolist() == [decimal.Decimal(number).adjusted() for number in size.tolist()]


def test_text_is_the_printed_number_cut_in_two():
    values = [-0.012345678, 3.0e38, 1.5, 0.0]
    codec, params = TextSplit(3), {"w": torch.tensor(values)}
    front, back = codec.encode(params, DRAWS)
    columns = np.frombuffer(front, np.uint8).reshape(-1, 4).T
    texts = [f"{float(value):+.8e}" for value in params["w"]]
    assert ["".join(map(chr, row)) for row in columns] == [text[:2] + text[3:5] + text[-3:] for text in texts]
    rest = np.frombuffer(back, np.uint8).reshape(-1, 4).T
    assert ["".join(map(chr, row)) for row in rest] == [text[5:11] for text in texts]
    assert through(codec, values, 1) == pytest.approx([-0.0123, 2.99e38, 1.5, 0.0], rel=1e-6) or through(
        codec, values, 1
    ) == pytest.approx([-0.0123, 3.00e38, 1.5, 0.0], rel=1e-6)


def test_text_front_halves_what_is_sent():
    structure = structure_of({"w": torch.zeros(1000)})
    front, back = TextSplit(4).layer_bytes(structure)
    # The notes: "17 MB down to 9 MB".
    assert front / (front + back) == pytest.approx(9 / 17, abs=0.1)


def test_stochastic_rounding_is_unbiased():
    values = np.random.RandomState(1).randn(64).astype(np.float32)
    codec, params = Stochastic(2, bucket_size=32), {"w": torch.from_numpy(values)}
    runs = [codec.decode(codec.encode(params, DRAWS), structure_of(params))["w"].numpy() for _ in range(4000)]
    step = np.repeat(np.linalg.norm(values.reshape(2, 32), axis=1) / 3, 32)
    # The standard deviation of one rounding is at most half a step.
    assert (np.abs(np.mean(runs, axis=0) - values) <= 5 * step / 2 / math.sqrt(4000)).all()
    # QSGD's bound on the variance: min(d / s^2, sqrt(d) / s) times the squared norm.
    variance = np.mean(np.sum((np.array(runs) - values) ** 2, axis=1))
    assert variance <= min(32 / 9, math.sqrt(32) / 3) * float((values**2).sum())


def test_top_k_keeps_the_largest_in_the_order_of_their_size():
    values = [0.1, -5.0, 2.0, 0.0, 3.0, -0.5, 1.0, 0.2, -0.3, 0.4]
    codec = TopK(0.2, (0.2,))
    assert through(codec, values, 1) == [0.0, -5.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert through(codec, values) == [0.0, -5.0, 2.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    # Two numbers of 32 bits, and four bits for each index among ten, in planes of whole bytes.
    assert codec.layer_bytes(structure_of({"w": torch.tensor(values)})) == (2 * 4 + 4, 2 * 4 + 4)
    with pytest.raises(BadField, match="top_k"):
        NotesCount().check(codec)
