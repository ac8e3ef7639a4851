import numpy as np

from fl_simu.results.figures import png_bytes
from fl_simu.results.records import RoundRecord, UeOutcome
from fl_simu.results.study_plots import Line, accuracy_figure, shares_figure
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
    assert (second["accuracy_deviation"], second["reached"], second["target_time_s"]) == (None, 0, None)
    assert (second["full"], second["base"], second["none"]) == (0.5, 0.5, 0.0)
    lines = markdown_table(cells([first, second])).splitlines()
    assert lines[2] == "| iid | good | a | 70.00 ± 14.14 | 3.5 | 50 bit | 3.5 | 50 bit | 50 | 0 | 50 |"
    assert lines[3] == "| iid | good | b | 30.00 | 2.0 | 40 bit | never | never | 50 | 50 | 0 |"
