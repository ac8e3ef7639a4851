"""Whatever a UE sends, no aggregation rule returns a model that is not finite."""

import math

import ours
import pytest
import torch
from loops import loop

from fl_simu.kernel.messages import Aggregate, Taken
from fl_simu.kernel.parameters import all_finite, structure_of
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float16 import Float16
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.top_k import TopK
from fl_simu.radio.link import PAYLOADS, Link
from fl_simu.radio.sizes import RealBytes
from fl_simu.station.protocols import WaitForAll

CASES = ours.cases("aggregation")
LIKE = {"weight": torch.ones(3, 2), "count": torch.tensor(3)}
LARGEST = torch.finfo(torch.float32).max
SPOILT = {
    "NaN": dict(LIKE, weight=torch.tensor([[math.nan, 1.0]] * 3)),
    "Inf": dict(LIKE, weight=torch.tensor([[math.inf, 1.0]] * 3)),
    "-Inf": dict(LIKE, weight=torch.full((3, 2), -math.inf)),
    "turned": dict(LIKE, weight=torch.ones(2, 3)),
    "too short": dict(LIKE, weight=torch.ones(1)),
    "too many": dict(LIKE, more=torch.ones(1)),
    "too few": {"weight": LIKE["weight"]},
    "other numbers": dict(LIKE, weight=torch.ones(3, 2, dtype=torch.float64)),
    # Its difference from the global model, or the sum of both, overflows float32.
    "vast": dict(LIKE, weight=torch.tensor([[LARGEST, -LARGEST]] * 3)),
}
LINKS = [
    Link(codec, Constant(1.0), RealBytes(), payload, 1)
    for codec in (Float32(), Float16(), Affine(2, (2,)), TopK(0.5))
    for payload in PAYLOADS
]


@pytest.mark.parametrize("rule", CASES)
@pytest.mark.parametrize("spoilt", sorted(SPOILT))
@pytest.mark.parametrize("scale", [1.0, LARGEST])
def test_nothing_spoilt_reaches_the_model(rule, spoilt, scale):
    current = {"weight": torch.linspace(-1, 1, 6).view(3, 2) * scale, "count": torch.tensor(1)}
    good = {"weight": current["weight"] * 0.9, "count": torch.tensor(2)}
    for link in LINKS:
        flights, models = loop(None, current, link, WaitForAll(), 7).flights, [good] * 6 + [SPOILT[spoilt]]
        for ue, model in enumerate(models):
            flights.begin(ue, 0, 0.0, current)
            assert flights.receive(ue, model) or model is SPOILT[spoilt]
        taken = tuple(Taken(ue, 1) for ue, flight in sorted(flights.state.flights.items()) if flight.layers)
        merged = rule.combine(current, flights.updates(Aggregate(taken)), 7)
        assert structure_of(merged) == structure_of(current) and all_finite(merged)
        if spoilt != "vast":
            assert flights.outcomes.of(6, 0, 9.0).reason == (
                "not finite" if "N" in spoilt or "I" in spoilt else "wrong shape"
            )
