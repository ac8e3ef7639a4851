"""Trials of gradient leakage: kept, resumed, counted."""

import json

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from fl_simu.cli import app as cli
from fl_simu.cli.leakage import described, percent, quarters, summary
from fl_simu.kernel.errors import UserError
from fl_simu.results.intervals import wilson
from fl_simu.studies import leakage as leakage_study
from fl_simu.studies.leakage import Trial, Trials, run_trials
from fl_simu.studies.leakage_setting import Setting, make_setting

pytest.importorskip("skimage")

DIGITS = {"data": "digits", "method": {"name": "dlg", "iterations": 2}}
TIMES = ("processor_s",)
# A norm that clips nothing.
LONG = {"name": "clip", "norm": 1e6}


def told(record):
    return {key: value for key, value in record.items() if key not in TIMES}


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "trials").iterdir()}


def test_a_second_call_keeps_what_is_there_and_makes_what_is_missing(tmp_path):
    trials, wanted = Trials(tmp_path, Setting(**DIGITS)), [Trial(i, seed) for seed in (0, 5) for i in range(2)]
    said = []
    records = run_trials(trials, wanted, 2, None, said.append)
    assert said[0].startswith("4 trials, 4 of them to run") and len(said) == 5
    before = files(tmp_path)
    assert len(before) == 8
    trials.file(wanted[1]).unlink()
    again = run_trials(trials, [*wanted, Trial(0, 9)], 1, None, said.append)
    assert "5 trials, 2 of them to run" in said[5]
    assert [told(one) for one in again[:4]] == [told(one) for one in records]
    after = files(tmp_path)
    for trial in wanted[:1] + wanted[2:]:
        assert after[trials.file(trial).name] == before[trials.file(trial).name]
    assert len({json.dumps(told(one)["losses"]) for one in again}) == 5, "each has weights and a start of its own"


def test_noise_of_the_ue_keeps_the_bs_from_the_image(tmp_path):
    """With and without the noise of a mechanism; a repetition has the same noise."""
    private = {"name": "gaussian", "at": "ue", "accounting": "none", "clip": 0.1}
    found = []
    for number, own in enumerate(({}, {"privacy": private}, {"transforms": [LONG], "privacy": private})):
        trials = Trials(tmp_path / str(number), Setting(**DIGITS, **own))
        found += run_trials(trials, [Trial(0, 1)], 1, None, lambda line: None)
    assert found[0]["gradient_distance"] < 0.1 * found[1]["gradient_distance"]
    assert told(found[1])["losses"] == told(found[2])["losses"]


@pytest.mark.parametrize(
    "line, said",
    [
        ("privacy=gaussian", "privacy.name = 'gaussian' is not allowed: here the BS sees single uploads"),
        ("privacy={name='gaussian',at='ue_sum',accounting='none'}", "privacy.name"),
        ("transforms=clip", "transforms = 'clip' is not allowed: a list"),
        ("transforms=[{name='clip',norm=0}]", "norm"),
    ],
)
def test_what_the_bs_would_do_protects_of_no_bs(line, said):
    with pytest.raises(UserError, match=said):
        make_setting([line])


def test_what_a_trial_leaves(tmp_path):
    trials = Trials(tmp_path, Setting(**DIGITS, batch_size=2))
    (record,) = run_trials(trials, [Trial(1, 3)], 1, None, lambda line: None)
    truth, kept = trials.pictures(Trial(1, 3))
    pixels, labels = leakage_study.pixels(trials.setting, 2, None)
    assert np.array_equal(truth, pixels[2:]) and record["labels"] == labels[2:].tolist()
    assert 0 <= pixels.min() < 0.01 and 0.99 < pixels.max() <= 1
    assert sorted(kept) == [0, 1, 2] and kept[2].shape == truth.shape
    assert len(record["losses"]) == len(record["mses"]) == 3
    assert record["psnr_db"] == pytest.approx(-10 * np.log10(record["mse"]))
    assert record["mse"] == pytest.approx(record["mses"][-1])
    assert record["gradient_distance"] == pytest.approx(record["losses"][-1], rel=1e-4)


def test_a_manual_seed_gives_all_images_the_same_start(tmp_path):
    starts = {}
    for manual in (True, False):
        trials = Trials(tmp_path / str(manual), Setting(**DIGITS, manual=manual))
        run_trials(trials, [Trial(0, 1234), Trial(1, 1234)], 1, None, lambda line: None)
        starts[manual] = [trials.pictures(Trial(image, 1234))[1][0] for image in (0, 1)]
    assert np.array_equal(*starts[True]) and not np.array_equal(*starts[False])


def test_every_label_is_found(tmp_path, capsys):
    line = "attack leakage --method idlg --iterations 1 --set data=digits --images 5 --seeds 4 --jobs 1 --out"
    assert cli.main([*line.split(), str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "| label recovered | 20 of 20 |" in said and "[20 of 20]" in said
    found = json.loads((tmp_path / "results.json").read_text())
    assert (found["trials"], found["labels"], found["labels_found"]) == (20, 20, 20)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if "trials" not in path.parts}
    assert left == {
        "setting.json", "results.json", "table.md", "figures/reconstructions.png", "figures/losses.png",
    }  # fmt: skip


def test_settings_from_the_command_line():
    setting = make_setting(["codec.base_bits=2", "codec.enhancement_bits=[2]", "lr=0.5"], codec="affine", layers=1)
    assert setting.parts["codec"].layer_bits() == (2, 2) and setting.lr == 0.5
    assert described(setting) == "gradient, affine base_bits 2 enhancement_bits [2], 1 layer"
    assert setting == make_setting(["lr=0.5"], codec=dict(setting.codec), layers=1)
    assert setting.plain()["method"] == {"name": "dlg", "iterations": 300, "restarts": 1}


@pytest.mark.parametrize("passed, count", [(0, 7), (3, 7), (7, 7), (113, 200)])
def test_the_interval_ends_at_the_shares_from_which_the_measured_one_is_z_deviations_away(passed, count):
    share = passed / count

    def away(p):
        return abs(share - p) - 1.959963984540054 * np.sqrt(p * (1 - p) / count)

    low = brentq(away, 1e-12, share - 1e-9) if passed else 0.0
    high = brentq(away, share + 1e-9, 1 - 1e-12) if passed < count else 1.0
    assert wilson(passed, count) == pytest.approx((low, high), abs=1e-9)


def record(loss, success, **others):
    return {
        **{"losses": [loss, loss], "success": success, "ended": "iterations", "labels": [1], "labels_found": 1},
        **{"mse": 0.1, "psnr_db": 10.0, "ssim": 0.5, "gradient_distance": 1.0, "processor_s": 2.0},
        **others,
    }


def test_quarters_and_pairs():
    draws = np.random.RandomState(1)
    losses, won = draws.randint(0, 30, 50).astype(float), draws.rand(50) < 0.5
    found = quarters([record(float(loss), bool(one)) for loss, one in zip(losses, won)], 1)
    assert found["pairs"] == pytest.approx(roc_auc_score(won, -losses))
    assert [one["trials"] for one in found["quarters"]] == [13, 13, 12, 12]
    assert sum(one["successes"] for one in found["quarters"]) == won.sum()
    assert found["quarters"][0]["to"] <= found["quarters"][1]["from"]
    assert quarters([record(1.0, True)] * 7, 0)["quarters"] == []


def test_a_trial_that_diverged_at_once_has_an_infinite_loss():
    records = [record(float(at), at < 4) for at in range(7)] + [record(3.0, False, losses=[3.0])]
    assert quarters(records, 1)["quarters"][-1]["to"] == float("inf")


def test_failures_are_counted():
    records = [record(1.0, True), record(1.0, False, ended="diverged", ssim=None), record(1.0, False, mse=1e9)]
    found = summary(records)
    assert (found["trials"], found["successes"], found["diverged"]) == (3, 1, 2)
    assert found["ssim_median"] == 0.5 and percent(1 / 3, found["interval"]) == "33.3 % (6.1 to 79.2 %)"
