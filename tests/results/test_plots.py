import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fl_simu.results import delay_figure, plots
from fl_simu.results.columns import Column
from fl_simu.results.evaluated import UeAccuracies
from fl_simu.results.records import RoundRecord, UeOutcome

THRESHOLDS_S = {"base deadline": 1.4, "enhancement deadline": 3.3}


def _run(ues, rounds, layers=2, never=0.05):
    draw = np.random.RandomState(ues + rounds)
    made = []
    for number in range(1, rounds + 1):
        outcomes = []
        for ue in range(ues):
            base_s = float("inf") if draw.uniform() < never else draw.lognormal(0.0, 0.4)
            delays_s = (base_s, 3 * base_s)[-layers:]
            verdict = "full" if 3 * base_s <= 3.3 else "base" if base_s <= 1.4 else "none"
            outcomes.append(UeOutcome(ue, 1.0, delays_s, int(draw.randint(1, 10**6)), verdict))
        bits = sum(one.bits for one in outcomes)
        made.append(RoundRecord(number, 4.0 * number, 1 - 0.8 / number, 0.3, bits, tuple(outcomes), 0.1))
    return made


def _marks(axes):
    """Return {(layer, verdict): sorted delays} of the marks in the axes."""
    found = {}
    for marks in axes.collections:
        if marks.get_gid():
            found[tuple(marks.get_gid().split(", "))] = sorted(np.asarray(marks.get_offsets())[:, 1].tolist())
    return found


def test_accuracy_lines_hold_the_records():
    records = _run(4, 6)
    records[2] = RoundRecord(3, 12.0, float("nan"), float("nan"), records[2].uplink_bits, records[2].ues, 0.1)
    left, right = plots.accuracy_figure(records, "title").axes
    evaluated = [0, 1, 3, 4, 5]
    sent = [sum(record.uplink_bits for record in records[: number + 1]) / 1e6 for number in evaluated]
    assert "[Mbit]" in right.get_xlabel() and "[s]" in left.get_xlabel() and "[%]" in left.get_ylabel()
    for axes, x in ((left, [records[number].time_s for number in evaluated]), (right, sent)):
        (line,) = axes.lines
        np.testing.assert_allclose(line.get_xdata(), x)
        np.testing.assert_allclose(line.get_ydata(), [100 * records[number].accuracy for number in evaluated])


def test_delays_hold_every_upload_in_the_colour_of_its_verdict():
    records = _run(16, 10)
    figure = delay_figure.delays_figure(records, dict(THRESHOLDS_S, endless=float("inf")), "title")
    (axes,) = figure.axes
    outcomes = [one for record in records for one in record.ues]
    for layer, name in enumerate(["base layer", "complete upload"]):
        for verdict in ("full", "base", "none"):
            expected = [one.delays_s[layer] for one in outcomes if one.accepted == verdict]
            arrived = sorted(delay_s for delay_s in expected if np.isfinite(delay_s))
            np.testing.assert_allclose(_marks(axes)[name, verdict], arrived)
    rounds = [round(x) for marks in axes.collections for x in np.asarray(marks.get_offsets())[:, 0].tolist()]
    assert set(rounds) == set(range(1, 11))
    assert [line.get_ydata()[0] for line in axes.lines] == [1.4, 3.3]
    labels = [" ".join(text.get_text().split()) for text in axes.texts]
    assert labels == ["base deadline 1.4 s", "enhancement deadline 3.3 s"]
    never = sum(not np.isfinite(one.delays_s[-1]) for one in outcomes)
    assert never > 0 and f"{never} of 160 uploads never arrived" in axes.get_xlabel()


@pytest.mark.filterwarnings("error")
def test_uploads_that_have_no_delay_are_left_out_without_a_warning():
    outcomes = (UeOutcome(0, 1.0, (float("nan"),), 0, "none"), UeOutcome(1, 1.0, (2.0,), 10, "full"))
    (axes,) = delay_figure.delays_figure([RoundRecord(1, 3.0, 0.5, 0.3, 10, outcomes, 0.1)], {}, "title").axes
    assert [delay_s for marks in _marks(axes).values() for delay_s in marks] == [2.0]


@pytest.mark.parametrize("ues, rounds, bands", [(1000, 20, 20), (2, 1000, 50), (10000, 1, 1)])
def test_many_uploads_are_sampled_and_the_figure_says_so(ues, rounds, bands):
    records = _run(ues, rounds)
    figure = delay_figure.delays_figure(records, THRESHOLDS_S, "title")
    assert len(figure.axes) == 2
    for axes, layer in zip(figure.axes, (1, 0)):
        drawn = sum(len(one) for one in _marks(axes).values())
        assert 0.9 * min(delay_figure.MAX_UPLOADS_DRAWN, ues * rounds) < drawn <= delay_figure.MAX_UPLOADS_DRAWN
        (median,) = [line for line in axes.lines if line.get_gid() == "median"]
        assert len(median.get_ydata()) == 2 * bands
        first = [one.delays_s[layer] for record in records[: rounds // bands] for one in record.ues]
        assert median.get_ydata()[0] == pytest.approx(np.median([d for d in first if np.isfinite(d)]))
    assert f"{delay_figure.MAX_UPLOADS_DRAWN} of {ues * rounds} uploads, drawn at random" in axes.get_xlabel()


def test_bars_count_the_verdicts():
    records = _run(16, 10)
    (axes,) = plots.accepted_figure(records, "title").axes
    bottom = np.zeros(10)
    for bars, verdict in zip(axes.containers, ("full", "base", "none")):
        count = [sum(one.accepted == verdict for one in record.ues) for record in records]
        assert [bar.get_height() for bar in bars] == count
        assert [bar.get_y() for bar in bars] == bottom.tolist()
        bottom += count
    assert bottom.tolist() == [16] * 10


NAN = float("nan")
NOT_EVALUATED = [RoundRecord(1, NAN, NAN, NAN, 0, (UeOutcome(0, 1.0, (), 0, "none"),), 0.1)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "records, thresholds_s",
    [
        ([], {}),
        ([], THRESHOLDS_S),
        (NOT_EVALUATED, {"a": float("inf"), "b": float("nan"), "c": 0.0}),
        (_run(1, 1, layers=1, never=0.0), {"price in $, not in $": float("inf")}),
        (_run(3, 2, never=1.0), THRESHOLDS_S),
        (_run(300, 2, never=1.0), THRESHOLDS_S),
        (_run(2, 300), {"a": 1.0, "b": 1.001, "c": 1e9}),
    ],
    ids=["empty", "empty with deadlines", "nothing known", "one", "none arrived", "none of many", "far"],
)
def test_every_run_gets_three_figures_of_full_width(tmp_path, records, thresholds_s):
    paths = plots.draw_figures(records, tmp_path / "figures", thresholds_s, r"a $\title{ that is no formula$")
    assert [path.name for path in paths] == ["accuracy.png", "delays.png", "accepted.png"]
    for path in paths:
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(content[16:20], "big") == 1280
    assert sorted((tmp_path / "figures").iterdir()) == sorted(paths)


def test_pyplot_is_never_imported_and_matplotlib_only_to_draw(tmp_path):
    code = (
        "import sys; from fl_simu.results.plots import draw_figures; assert 'matplotlib' not in sys.modules;"
        "draw_figures([], sys.argv[1], {}, 'x'); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_the_share_of_ues_is_the_empirical_distribution():
    accuracies = np.array([0.5, 0.25, 1.0, 0.5])
    axes = plots.ue_accuracy_figure(UeAccuracies(np.ones(4, dtype=np.int64), accuracies), "t").axes[0]
    (line,) = axes.lines
    places, shares = line.get_data()
    assert line.get_drawstyle() == "steps-post"
    for at in (0.3, 0.5, 0.75, 1.0):
        # At a vertical step, the last value counts.
        assert shares[places <= 100 * at][-1] == (accuracies <= at).mean()


def test_columns_of_one_figure_are_lines_over_the_rounds_that_have_them():
    records = [
        replace(record, meters={"a": float(record.round), "b": 0.5} if record.round != 2 else {})
        for record in _run(1, 3)
    ]
    columns = {name: Column("J", name, "last", figure="both") for name in ("a", "b")}
    axes = plots.columns_figure(records, columns, "t").axes[0]
    assert [line.get_data()[0].tolist() for line in axes.lines] == [[1, 3], [1, 3]]
    assert [line.get_data()[1].tolist() for line in axes.lines] == [[1, 3], [0.5, 0.5]]
    assert (axes.get_ylabel(), [line.get_label() for line in axes.lines]) == ("both [J]", ["a", "b"])
