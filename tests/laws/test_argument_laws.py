"""Every number for an argument either works or is refused with the argument's name."""

import dataclasses
import itertools
import math
import warnings
from typing import Tuple, get_type_hints

import numpy as np
import pytest
import torch

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import structure_of
from fl_simu.radio.bits import BITS, Memory, Outlook
from fl_simu.radio.channels import CHANNELS
from fl_simu.radio.codecs import CODECS

FLOATS = (0.0, 5e-324, 1e-300, 1e-7, 0.999, 1 - 1e-16, 1.0, 1e7, 1e300, 1.7e308, math.inf, math.nan)
INTEGERS = (0, 1, 2**31, 2**63, 10**59, 10**4000)
NUMBERS = {
    float: [sign * number for number in FLOATS for sign in (1, -1)],
    int: [sign * number for number in INTEGERS for sign in (1, -1)],
    Tuple[int, ...]: [(number,) for number in INTEGERS] + [(1,) * 10**5],
    Tuple[float, ...]: [(number,) for number in FLOATS] + [(1e-9,) * 10**5],
}
CASES = [
    pytest.param(cls, field.name, get_type_hints(cls)[field.name], id=f"{name} {field.name}")
    for name, cls in [*CHANNELS.items(), *CODECS.items(), *BITS.items()]
    for field in dataclasses.fields(cls)
    if get_type_hints(cls)[field.name] in NUMBERS
]
PARAMS = {"w": torch.linspace(-1, 1, 40), "n": torch.tensor(7)}


def use(part):
    """Use a part once as an experiment does."""
    if isinstance(part, tuple(CHANNELS.values())):
        (arrival_s,) = part.arrivals_s(1, 3, 2, 3.7, [1.0])
        assert arrival_s >= 3.7
        assert not any(math.isnan(rate) for rate, _ in itertools.islice(part.pieces(1, 3, 2, 3.7), 5))
    elif isinstance(part, tuple(CODECS.values())):
        layers = part.encode(PARAMS, np.random.Generator(np.random.Philox(1)))
        assert tuple(map(len, layers)) == part.layer_bytes(structure_of(PARAMS))
        assert bool(torch.isfinite(part.decode(layers, structure_of(PARAMS))["w"]).all())
    else:
        memory, losses = Memory(1e-300, 1e300, 3, 0.01), (2.3, 1e-300)
        bits = part.choose(Outlook(memory, losses, lambda bits: 1e-3 * bits, lambda bits: math.inf))
        assert 0 <= bits <= 16


@pytest.mark.parametrize("cls, name, kind", CASES)
def test_a_number_is_refused_by_name_or_works(cls, name, kind):
    for value in NUMBERS[kind]:
        try:
            part = cls(**{name: value})
        except BadField as error:
            # A bound may be refused because of the other bound.
            assert error.field == name or error.field.split("_")[-1] == name.split("_")[-1]
            assert len(str(error)) < 300
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            use(part)
