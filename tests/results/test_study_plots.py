import math
from dataclasses import replace

import numpy as np

from fl_simu.results.figures import png_bytes
from fl_simu.results.records import RoundRecord, UeOutcome
from fl_simu.results.study_plots import Line, accuracy_figure, attack_figure, shares_figure
from fl_simu.results.study_table import cells, rows
from fl_simu.results.tables import markdown_table


def run(times_s, accuracies, kinds=("full", "none"), bits=10):
    """A run of two UEs, both of which send in every round."""
    outcomes = tuple(UeOutcome(ue, 1.0, (1.0,), bits, kind) for ue, kind in enumerate(kinds))
    return tuple(
        RoundRecord(number + 1, time_s, accuracy, 0.5, 2 * bits, outcomes, 0.0)
        for number, (time_s, accuracy) in enumerate(zip(times_s, accuracies))
    )


LINES = [
    Line(("iid", "good", "a"), (run((1, 2, 4), (0.2, 0.4, 0.8)), run((1.5, 3), (0.4, 0.6)))),
    Line(("iid", "good", "b"), (run((1, 2), (0.1, 0.3), ("base", "full")),)),
    Line(("iid", "bad", "a"), (run((1, 2), (0.5, 0.7)),)),
    Line(("iid", "bad", "b"), (run((1, 2), (0.5, 0.7)),)),
]


def test_each_run_holds_its_accuracy_until_its_next_round():
    figure = accuracy_figure(LINES, "time", "title")
    good, bad, _ = figure.axes
    assert [axes.get_title() for axes in (good, bad)] == ["iid, good", "iid, bad"]
    first = good.lines[0]
    assert first.get_drawstyle() == "steps-post"
    # Both runs are known from 1.5 s on, and the shorter one ends at 3 s.
    np.testing.assert_allclose(first.get_xdata(), [1.5, 2, 3])
    np.testing.assert_allclose(first.get_ydata(), [(20 + 40) / 2, (40 + 40) / 2, (40 + 60) / 2])
    band = good.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (20, 60)
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_bits_add_up_over_the_rounds():
    first = accuracy_figure(LINES, "bits", "title").axes[0].lines[0]
    np.testing.assert_allclose(first.get_xdata(), [20, 40])


def test_an_axis_of_many_decades_has_a_number_a_decade():
    apart = [
        Line(("iid", "a"), (run((0.0011, 0.05), (0.1, 0.9)),)),
        Line(("iid", "b"), (run((2, 4000), (0.1, 0.9)),)),
    ]
    axes = accuracy_figure(apart, "time", "title").axes[0]
    inside = [tick for tick in axes.xaxis.get_majorticklocs() if 0.009 < tick < 11]
    np.testing.assert_allclose(inside, [0.01, 0.1, 1, 10])
    near = [Line(("iid", "a"), (run((1, 2), (0.1, 0.9)),)), Line(("iid", "b"), (run((1, 90), (0.1, 0.9)),))]
    ticks = accuracy_figure(near, "time", "title").axes[0].xaxis.get_majorticklocs()
    assert {2.0, 5.0, 20.0} <= set(np.round(ticks, 6))


def test_times_below_a_second_have_three_digits():
    (row,) = rows(("data",), [Line(("iid",), (run((0.00123456, 0.0533), (0.1, 0.9)),))], 0.05)
    assert [cells([row])[1][at] for at in (2, 4)] == ["0.0533", "0.00123"]


def test_shares_are_those_of_the_records():
    good = shares_figure(LINES, "title").axes[0]
    widths = {(round(bar.get_y() + bar.get_height() / 2), bar.get_x()): bar.get_width() for bar in good.patches}
    assert {place: width for place, width in widths.items() if width} == {
        (0, 0.0): 50.0,
        (0, 50.0): 50.0,
        (1, 0.0): 50.0,
        (1, 50.0): 50.0,
    }


def test_the_table_counts_from_the_records():
    first, second, *_ = rows(("data", "scene", "scheme"), LINES, 0.6)
    assert first["levels"] == {"data": "iid", "scene": "good", "scheme": "a"}
    assert (first["runs"], first["reached"]) == (2, 2)
    np.testing.assert_allclose(first["accuracy_mean"], 0.7)
    np.testing.assert_allclose(first["accuracy_deviation"], 0.2 / np.sqrt(2))
    np.testing.assert_allclose((first["target_time_s"], first["target_bits"]), (3.5, 50))
    # One run reaches the target in its third and last round, the other in its second and last.
    np.testing.assert_allclose(
        [first[key] for key in ("rounds", "target_rounds", "taken_per_round")], (2.5, 2.5, 1)
    )
    assert (second["rounds"], second["target_rounds"], second["taken_per_round"]) == (2, None, 2)
    assert (second["accuracy_deviation"], second["reached"], second["target_time_s"]) == (None, 0, None)
    assert (second["full"], second["base"], second["none"]) == (0.5, 0.5, 0.0)
    lines = markdown_table(cells([first, second])).splitlines()
    assert lines[2] == "| iid | good | a | 70.00 ± 14.14 | 3.5 | 50 bit | 3.5 | 50 bit | 50 | 0 | 50 |"
    assert lines[3] == "| iid | good | b | 30.00 | 2.0 | 40 bit | never | never | 50 | 50 | 0 |"


def beset(run, chances, predicted=3):
    """The run under an attack with target class 3, with these probabilities of it after each round."""
    measures = [
        {"wanted": [3], "predicted": [predicted], "confidence": [chance], "distances": [6.0, 2.0], "spread": 2.0}
        for chance in chances
    ]
    return tuple(replace(record, attack=one) for record, one in zip(run, measures))


RUN = run((1, 2, 3), (0.2, 0.4, 0.8))
ATTACKED = [
    Line(("none", "mean"), (RUN, RUN)),
    Line(("boosting", "mean"), (beset(RUN, (0.5, 0.95, 0.6)), beset(RUN, (0.3, 0.9, 0.8)))),
    Line(("boosting", "median"), (beset(RUN, (0.1, 0.2, 0.3), predicted=1),) * 2),
    Line(("noise", "mean"), (tuple(replace(one, attack={"distances": [], "spread": None}) for one in RUN),)),
]


def test_a_table_tells_what_an_attack_came_to():
    table = rows(("attack", "rule"), ATTACKED, 0.5)
    names = ("confidence", "late_confidence", "hits", "surely_hit", "rounds_to_hit", "distance_ratio")
    told = [tuple(row[name] for name in names) for row in table]
    nothing = (None,) * 6
    # The confidence of the second run is never above 0.9.
    assert told[::3] == [nothing, nothing]
    np.testing.assert_allclose(told[1], (0.7, 0.8125, 1.0, 1, 2, 2.0))
    assert told[2][3:] == (0, None, 2.0)
    np.testing.assert_allclose(told[2][:3], (0.3, 0.25, 0.0))
    # Of three rounds the last two are the second half.
    np.testing.assert_allclose([row["late_accuracy"] for row in table], 0.6)
    texts = [row[-6:] for row in cells(table)]
    assert texts[1:] == [
        ["60.0", "", "", "", "", ""],
        ["60.0", "70.0", "81.2", "100", "2.0 (1 of 2)", "2.00"],
        ["60.0", "30.0", "25.0", "0", "never", "2.00"],
        ["60.0", "", "", "", "", ""],
    ]
    assert "confidence" not in rows(("a", "b", "c"), LINES, 0.5)[0]


def test_confidence_stands_below_accuracy():
    figure = attack_figure(ATTACKED, "title")
    titles = [axes.get_title() for axes in figure.axes]
    places = dict(zip(titles, figure.axes))
    below = places["confidence, boosting"]
    assert [line.get_label() for line in below.lines] == ["mean", "median"]
    np.testing.assert_allclose(below.lines[0].get_ydata(), [40, 92.5, 70])
    np.testing.assert_allclose(places["accuracy, none"].lines[0].get_ydata(), [20, 40, 80])
    assert not places["confidence, none"].lines


def test_rounds_that_were_not_evaluated_are_passed_over():
    known, thinned = run((1, 2, 4), (0.2, 0.4, 0.8)), run((1, 2, 3, 4), (0.2, 0.4, math.nan, 0.8))
    figures = [accuracy_figure([Line(("a",), (one,))], "time", "title") for one in (known, thinned)]
    wanted, found = (
        (line.get_xdata().tolist(), line.get_ydata().tolist())
        for line in (one.axes[0].lines[0] for one in figures)
    )
    assert found == wanted
