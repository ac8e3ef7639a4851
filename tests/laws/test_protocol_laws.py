"""The laws of protocols, for any arrivals in any order."""

import ours
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.laws.protocols import FATES, LAWS, ROUNDS, Upload

QUARTERS = st.integers(0, 12).map(lambda quarter: quarter / 4)
UPLOAD = st.builds(Upload, QUARTERS, QUARTERS, QUARTERS, st.sampled_from(("sent", *FATES)))
WORLD = st.lists(st.lists(UPLOAD, min_size=ROUNDS, max_size=ROUNDS), min_size=1, max_size=5)


@pytest.mark.parametrize("protocol", ours.cases("protocol"))
@given(world=WORLD)
def test_the_laws_hold_in_any_world(protocol, world):
    for law in LAWS:
        law.holds(protocol, world)
