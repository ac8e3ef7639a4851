"""The codecs on the parameters of the MNIST CNN: 4.8 MB of float32."""

import numpy as np
import pytest

from fl_simu.kernel.parameters import structure_of
from fl_simu.models import MODELS
from fl_simu.radio.codecs import CODECS as REGISTRY
from fl_simu.radio.codecs.affine import Affine
from fl_simu.ue.training import initial_params

AFFINE = {"2 bits": Affine(2), "4 bits": Affine(4), "8 bits": Affine(8), "2 + 2 bits": Affine(2, (2,))}
CODECS = {f"affine, {bits}": codec for bits, codec in AFFINE.items()}
CODECS.update({name: part() for name, part in REGISTRY.items() if name != "affine"})


@pytest.mark.parametrize("name", CODECS)
def test_encode_and_decode(name, benchmark, report):
    codec = CODECS[name]
    params = initial_params(lambda: MODELS["mnist_cnn"]().build((1, 28, 28), 10), seed=1)
    structure = structure_of(params)

    def both_ways():
        codec.decode(codec.encode(params, np.random.default_rng(0)), structure)

    benchmark.pedantic(both_ways, rounds=25, warmup_rounds=2)
    median_s, least_s = benchmark.stats.stats.median, benchmark.stats.stats.min
    megabytes = 4e-6 * sum(spec.elements for spec in structure)
    report.add(
        f"{name}: encode + decode {megabytes:.1f} MB",
        f"{1e3 * median_s:.1f} ms (least {1e3 * least_s:.1f}), {megabytes / median_s:.0f} MB/s",
        "< 40 ms" if name == "affine, 4 bits" else "< 60 ms" if name.startswith("affine") else "< 100 ms",
        median_s=median_s,
        least_s=least_s,
    )
