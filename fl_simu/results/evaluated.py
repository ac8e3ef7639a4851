"""The final model's evaluation in addition to its record: for each class, and for each UE."""

import csv
import io
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence

import numpy as np

from fl_simu.kernel.errors import UserError
from fl_simu.results.files import read_bytes, told_in_one_line, write_text

# The most classes for which there is a matrix; its size grows with their square.
MAX_CLASSES = 1000


class UeAccuracies(NamedTuple):
    """For each UE the number of samples, int64, and the share of them classified correctly; shape (UEs,)."""

    samples: np.ndarray
    accuracies: np.ndarray


class Evaluated(NamedTuple):
    """The evaluation of the final model, if the last round was evaluated.

    Args:
        confusion: int64, shape (classes, classes): numbers of test samples by true class (rows) and predicted
            class (columns); None for more than 1,000 classes.
        ues: on each UE's own training samples; None without a meter that asks for it.
    """

    confusion: Optional[np.ndarray] = None
    ues: Optional[UeAccuracies] = None


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> Optional[np.ndarray]:
    """Numbers of samples by true class (rows) and predicted class (columns); None if there are too many classes.

    Args:
        truth, predicted: int64, shape (N,).
        classes: number of classes of the data; a model may predict more.

    >>> confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2).tolist()
    [[1, 1], [0, 2]]
    """
    size = max(classes, int(truth.max()) + 1, int(predicted.max()) + 1)
    if size > MAX_CLASSES:
        return None
    return np.bincount(truth * size + predicted, minlength=size**2).reshape(size, size)


def write_evaluated(told: Evaluated, confusion: Path, ues: Path) -> None:
    """Write the two files of a run; remove a file for which there are no data.

    Raises:
        UserError: a file cannot be written.
    """
    matrix: List[Sequence[Any]] = []
    if told.confusion is not None:
        matrix = [["true_class", *range(len(told.confusion))]]
        matrix += [[one, *row] for one, row in enumerate(told.confusion.tolist())]
    _write(confusion, matrix)
    table: List[Sequence[Any]] = []
    if told.ues is not None:
        rows = zip(told.ues.samples.tolist(), map(repr, told.ues.accuracies.tolist()))
        table = [["ue", "samples", "accuracy"], *([ue, *row] for ue, row in enumerate(rows))]
    _write(ues, table)


def read_evaluated(confusion: Path, ues: Path) -> Evaluated:
    """The content of the two files of a run, if they exist.

    Raises:
        UserError: a file is damaged.
    """
    matrix, table = _read(confusion), _read(ues)
    return Evaluated(
        None if matrix is None else matrix[:, 1:].astype(np.int64),
        None if table is None else UeAccuracies(table[:, 1].astype(np.int64), table[:, 2]),
    )


def _write(path: Path, rows: List[Sequence[Any]]) -> None:
    if rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_text(path, text.getvalue())
    else:
        with told_in_one_line(path, "remove"):
            if path.exists():
                path.unlink()


def _read(path: Path) -> Optional[np.ndarray]:
    """The numbers below the header; None if there is no file."""
    with told_in_one_line(path, "read"):
        if not path.exists():
            return None
    try:
        head, *rows = csv.reader(io.StringIO(read_bytes(path).decode("utf-8")))
        found = np.array(rows, dtype=float).reshape(-1, len(head))
        right = len(rows) > 0 and bool(np.isfinite(found).all()) and bool((found[:, 0] == range(len(rows))).all())
        # Below its header, a matrix has as many rows as classes.
        if not right or (head[0] == "true_class" and len(head) != len(rows) + 1):
            raise ValueError("other rows")
        return found
    except (ValueError, csv.Error):
        raise UserError(f"{path} is damaged") from None
