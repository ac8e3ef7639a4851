"""The gain of a shorter upload is exact on the virtual clock, whatever the machine does."""

import pytest

from fl_simu.studies import catalogue
from fl_simu.studies.script import Setup, run_script


def test_the_gain_is_the_channel_s_and_the_same_each_time(tmp_path):
    folder = catalogue.folders()["timing"]
    assert folder.is_dir()
    found = {one.what: one.ours for one in run_script("timing", Setup(True, tmp_path, say=lambda text: None))[0]}
    assert found["spread of the virtual time over repetitions [s]"] == 0.0
    assert found["deviation of a round's wall-clock time [s]"] > 0
    gains = [
        found[f"sending {ratio} times computing: gain a round, virtual time [s]"] for ratio in ("0.001", "10")
    ]
    # Delay is size over rate: on a link ten thousand times slower, the gain is ten thousand times larger.
    assert gains[1] / gains[0] == pytest.approx(1e4, rel=1e-6)
    assert (tmp_path / "figures" / "gain-and-noise.png").exists()
