"""The noise that costs as much accuracy as a base layer."""

import pytest

from fl_simu.studies import script


@pytest.fixture(scope="module")
def leak_or_noise():
    return script.load("leak_or_noise")


@pytest.mark.parametrize(
    "loss, noise",
    [
        # Between 0.02 and 0.04, a line from 0.01 to 0.05.
        (0.03, 0.03),
        # A base layer that costs nothing, or gains: noise that costs half a point, halfway to 0.02.
        (0.0, 0.01),
        (-0.02, 0.01),
        # None of the noise levels costs this much.
        (0.5, 0.04),
    ],
)
def test_the_noise_of_the_same_cost_is_found_between_those_that_were_tried(leak_or_noise, loss, noise):
    lost = {"noise 0.02": 0.01, "noise 0.04": 0.05}
    assert leak_or_noise.equal_noise((0.02, 0.04), lost, loss) == pytest.approx(noise)
