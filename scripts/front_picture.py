"""Draw docs/images/graded-upload.png, the figure of the README: `make picture`.

It makes nine runs of experiments/graded_upload on the legacy stack, which take some minutes. The numbers are those
of the table in that experiment's README.
"""

from pathlib import Path

import numpy as np

import fl_simu as fl
from fl_simu.results.figures import new_figure, plain_log_ticks, write_figures
from fl_simu.studies import catalogue, grid

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
# Scheme of the study -> its text in the legend, its colour, its line style.
SCHEMES = {
    "2 + 2 bits": ("graded upload: 2-bit base layer + 2-bit enhancement", "#0072B2", "-"),
    "float32, 11.5 s": ("float32, with six times the deadline", "#D55E00", "--"),
    "float32": ("float32, with the same deadline", "#6E6E6E", ":"),
}


def main() -> None:
    study = grid.read_study(catalogue.folders()["graded_upload"])
    figure = new_figure("", height=4.0)
    axes = figure.subplots()
    for scheme, (label, colour, line) in SCHEMES.items():
        runs = [fl.run(study.experiments[("iid", "mid", scheme), seed]) for seed in study.seeds]
        mbit = np.mean([np.cumsum([record.uplink_bits for record in run.records]) for run in runs], axis=0) / 1e6
        accuracy = np.array([[100 * record.accuracy for record in run.records] for run in runs])
        axes.plot(mbit, accuracy.mean(axis=0), line, color=colour, label=label)
        axes.fill_between(mbit, accuracy.min(axis=0), accuracy.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="sent over the uplink by all clients [Mbit]", ylabel="test accuracy [%]")
    axes.set_xscale("log")
    plain_log_ticks(axes.xaxis)
    axes.set_ylim(0, 100)
    axes.grid(True, alpha=0.3)
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.42), frameon=False)
    (path,) = write_figures(IMAGES, {"graded-upload.png": figure})
    print(path)


if __name__ == "__main__":
    main()
