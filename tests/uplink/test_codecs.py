import math

import numpy as np
import pytest
import torch

from fl_simu.kernel.parameters import structure_of
from fl_simu.ue.models import MnistCnn
from fl_simu.uplink.codecs.affine import Affine
from fl_simu.uplink.codecs.bitplanes import pack, plane_bytes, unpack_into
from fl_simu.uplink.codecs.float32 import Float32
from fl_simu.uplink.sizes import NotesCount, RealBytes


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
    decoded = codec.decode(codec.encode(params), structure_of(params))["w"]
    wanted = notes_affine([float(value) for value in values], bits)
    assert decoded.tolist() == [float(np.float32(value)) for value in wanted]


def test_affine_sends_the_top_bits_first():
    # 0..15 at 4 bits: code = value. Two bits leave four values, of which the middle is taken.
    params = {"w": torch.arange(16.0)}
    codec = Affine(2, (1, 1))
    layers = codec.encode(params)
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
