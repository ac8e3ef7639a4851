"""The results of a run, and the files written when it has ended."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

from fl_simu.data.datasets import Dataset
from fl_simu.experiment import Experiment
from fl_simu.kernel.installation import stack, versions
from fl_simu.kernel.parameters import Params, sha256, to_arrays
from fl_simu.loop.coordinator import Coordinator
from fl_simu.loop.plan import Plan
from fl_simu.results.checkpoints import write_tensors
from fl_simu.results.columns import totals
from fl_simu.results.evaluated import Evaluated, UeAccuracies, confusion_matrix, write_evaluated
from fl_simu.results.files import alone_in, make_folder, write_text
from fl_simu.results.plots import draw_figures
from fl_simu.results.records import RoundRecord, Summary, summarise
from fl_simu.results.run_folder import RunFolder
from fl_simu.results.targets import told


@dataclass(frozen=True)
class Ended:
    """A finished run: its folder, its summary, the paths of its figures."""

    folder: RunFolder
    summary: Summary
    figures: List[Path]


def without_address(experiment: Experiment) -> Experiment:
    """The experiment without the address of its cluster, which affects no result and belongs in no folder."""
    return experiment.with_(backend=experiment.backend.anywhere())


def keep_own_files(experiment: Experiment, folder: RunFolder) -> None:
    """Write the text of each user file as it was when imported, each text once."""
    for file in set(experiment.own_files().values()):
        make_folder(folder.own_files)
        write_text(folder.own_files / f"{file.sha256[:8]}-{file.path.name}", file.text)


def conclude(planned: Plan, dataset: Dataset, folder: RunFolder, coordinator: Coordinator) -> Ended:
    records = folder.log.read()
    summary = summary_of(planned, dataset, records, coordinator)
    left = evaluated_of(dataset, records, coordinator)
    return Ended(folder, summary, _conclude(planned.experiment, folder, records, coordinator.model, summary, left))


def evaluated_of(dataset: Dataset, records: Sequence[RoundRecord], coordinator: Coordinator) -> Evaluated:
    """The final model's evaluation in addition to the last record; empty if it was not evaluated."""
    if not records or math.isnan(records[-1].accuracy):
        return Evaluated()
    measured = coordinator.measured()
    evaluation, found = measured.evaluation, Evaluated()
    if evaluation.truth is not None and evaluation.predicted is not None:
        matrix = confusion_matrix(evaluation.truth, evaluation.predicted, dataset.classes)
        found = found._replace(confusion=matrix)
    if measured.accuracies is not None:
        samples = np.array(list(coordinator.setting.samples.values()), dtype=np.int64)
        found = found._replace(ues=UeAccuracies(samples, measured.accuracies))
    return found


def summary_of(
    planned: Plan, dataset: Dataset, records: Sequence[RoundRecord], coordinator: Coordinator
) -> Summary:
    """The summary of a run."""
    experiment = planned.experiment
    return summarise(
        records,
        experiment.name,
        experiment.named("backend"),
        stack(),
        experiment.seed,
        experiment.ues,
        sha256(coordinator.model),
        coordinator.state.wall_s,
        data=dataset.name,
        data_source=dataset.source,
        threads=experiment.threads,
        versions=versions(),
        **_thresholds(experiment),
        **_meters(experiment, records),
        **_targets(experiment, records),
    )


def _thresholds(experiment: Experiment) -> Dict[str, Any]:
    """The deadlines of the protocol; empty if it has none."""
    found = {label: limit_s for label, limit_s in experiment.protocol.thresholds_s().items() if limit_s < math.inf}
    return {"thresholds_s": found} if found else {}


def _meters(experiment: Experiment, records: Sequence[RoundRecord]) -> Dict[str, Any]:
    """The totals of a run's meters; empty if it has none."""
    found = totals(records, experiment.columns())
    return {"meters": found} if found else {}


def _targets(experiment: Experiment, records: Sequence[RoundRecord]) -> Dict[str, Any]:
    """The cost of reaching each of a run's targets; empty if it has none."""
    found = told(records, experiment.evaluation.targets, experiment.columns())
    return {"targets": found} if found else {}


def write_down(
    experiment: Experiment,
    folder: RunFolder,
    records: Sequence[RoundRecord],
    model: Params,
    summary: Summary,
    left: Evaluated,
) -> None:
    """Write a finished run that was not written yet into its own folder."""
    text = without_address(experiment).to_toml()
    make_folder(folder.path)
    with alone_in(folder.path):
        write_text(folder.config, text)
        keep_own_files(experiment, folder)
        for record in records:
            folder.log.append(record)
        _conclude(experiment, folder, records, model, summary, left)


def _conclude(
    experiment: Experiment,
    folder: RunFolder,
    records: Sequence[RoundRecord],
    model: Params,
    summary: Summary,
    left: Evaluated,
) -> List[Path]:
    """Write a run's files other than its records; the summary is last and marks the run as ended."""
    write_tensors(folder.model, to_arrays(model))
    write_evaluated(left, folder.confusion, folder.ue_accuracy)
    thresholds_s, columns = experiment.protocol.thresholds_s(), experiment.columns()
    figures = draw_figures(records, folder.figures, thresholds_s, experiment.name, columns, left.ues)
    summary.write(folder.summary)
    return figures
