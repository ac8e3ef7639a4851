"""The affine codec on the parameters of the MNIST CNN: 4.8 MB of float32."""

import pytest

from fl_simu.kernel.parameters import structure_of
from fl_simu.ue.models import MODELS
from fl_simu.ue.training import initial_params
from fl_simu.uplink.codecs.affine import Affine

CODECS = {"2 bits": Affine(2), "4 bits": Affine(4), "8 bits": Affine(8), "2 + 2 bits": Affine(2, (2,))}


@pytest.mark.parametrize("bits", CODECS)
def test_encode_and_decode(bits, benchmark, report):
    codec = CODECS[bits]
    params = initial_params(lambda: MODELS["mnist_cnn"]().build((1, 28, 28), 10), seed=1)
    structure = structure_of(params)

    def both_ways():
        codec.decode(codec.encode(params), structure)

    benchmark.pedantic(both_ways, rounds=25, warmup_rounds=2)
    median_s, least_s = benchmark.stats.stats.median, benchmark.stats.stats.min
    megabytes = 4e-6 * sum(spec.elements for spec in structure)
    report.add(
        f"affine, {bits}: encode + decode {megabytes:.1f} MB",
        f"{1e3 * median_s:.1f} ms (least {1e3 * least_s:.1f}), {megabytes / median_s:.0f} MB/s",
        "< 60 ms" if bits != "4 bits" else "< 60 ms, later < 40 ms",
        median_s=median_s,
        least_s=least_s,
    )
