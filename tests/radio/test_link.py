import math

import pytest
import torch
from torch import nn

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import structure_of
from fl_simu.loop.plan import plan
from fl_simu.models import LogisticRegression
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.link import Link
from fl_simu.radio.sizes import NotesCount, RealBytes

PARAMS = {"w": torch.linspace(-1, 1, 1000), "n": torch.tensor(3)}
REFERENCE = {"w": torch.full((1000,), 0.75), "n": torch.tensor(1)}


class TwoRates(Channel):
    """1 Mbit/s for a second after the start, then 0.001."""

    def pieces(self, seed, ue, round, start_s):
        yield 1.0, start_s + 1.0
        yield 0.001, math.inf


def test_layers_arrive_one_after_the_other():
    link = Link(Affine(2, (2,)), Constant(1.0), NotesCount(), "weights", 1)
    upload = link.transmit(3, 0, 5.0, structure_of(PARAMS))
    assert upload.sizes_bits == (6000, 2000)
    assert upload.delays_s == pytest.approx((10 * 6000 / 2**20, 10 * 8000 / 2**20), rel=1e-12)


@pytest.mark.parametrize("payload", ["weights", "update"])
def test_what_is_decoded_is_a_model_within_half_a_step(payload):
    link = Link(Affine(4, (4,)), Constant(1.0), RealBytes(), payload, 1)
    upload = link.transmit(0, 0, 0.0, structure_of(PARAMS))
    layers = link.encode(upload, link.content(PARAMS, REFERENCE))
    for count, bits in ((1, 4), (2, 8)):
        decoded = link.decode(upload, layers[:count], REFERENCE)
        # Weights and update have the range 2; a base layer of 4 of 8 bits decodes to the middle of 16 codes.
        assert (decoded["w"] - PARAMS["w"]).abs().max() <= 2 / (2**bits - 1)
        assert decoded["n"] == 3


def test_bits_of_an_upload_that_is_cut_off():
    link = Link(Affine(8), TwoRates(), RealBytes(), "weights", 1)
    upload = link.transmit(0, 0, 10.0, structure_of({"w": torch.randn(1_000_000)}))
    size = sum(upload.sizes_bits)
    sent = [link.sent_bits(upload, end_s) for end_s in (0.0, 10.0, 10.5, 11.0, 12.0, 1e9)]
    assert sent == [0, 0, 500_000, 1_000_000, 1_001_000, size]


def test_a_model_that_the_codec_would_round_is_refused_before_any_data_are_read(monkeypatch):
    monkeypatch.setattr(LogisticRegression, "build", lambda self, shape, classes: nn.Linear(784, 10).double())
    values = {"backend": "torch", "data": "digits", "model": "logistic_regression", "codec": "affine"}
    with pytest.raises(BadField, match=r"codec\.name = 'affine' .* tensor weight is float64"):
        plan(Experiment.parse(values))
    assert plan(Experiment.parse(dict(values, codec="float32"))).link.codec.layer_bits(torch.float64) == (64,)


def test_an_unknown_payload_is_refused():
    with pytest.raises(BadField, match="weights"):
        Link(Affine(8), Constant(1.0), RealBytes(), "gradients", 1)
