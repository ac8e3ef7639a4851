"""The laws of meters. Each takes the uploads that were settled in one round."""

import math
from typing import Sequence

import numpy as np

from fl_simu.laws.base import Inputs, Law, expect, same
from fl_simu.meters.base import Meter, ModelView, RunView, UploadView
from fl_simu.results.columns import TOTALS, Column


def columns_say_their_unit_and_how_they_add_up(meter: Meter, uploads: Sequence[UploadView]) -> None:
    expect(bool(meter.columns), "it has no column; right is at least one")
    for name, column in meter.columns.items():
        same(f"the class of column {name}", type(column), Column)
        expect(column.total in TOTALS, f"the total of {name} is {column.total!r}; right is one of {TOTALS}")
        expect(name.isidentifier(), f"a column is named {name!r}; right is a name as of a variable")


def its_numbers_are_those_of_its_columns(meter: Meter, uploads: Sequence[UploadView]) -> None:
    """They are finite, and have the names of the columns."""
    told = [meter.upload(view) for view in uploads]
    round = meter.round(told)
    model = meter.model(ModelView(lambda: np.array([0.5, 1.0, 0.0])))
    so_far = meter.so_far(RunView(np.array([0, 1, 2])))
    same("the names of a round's numbers", sorted({**round, **so_far, **model}), sorted(meter.columns))
    for numbers in (*told, round, so_far, model):
        same("the numbers that have no column", sorted(set(numbers) - set(meter.columns)), [])
        for name, number in numbers.items():
            expect(math.isfinite(number), f"{name} is {number}; right is a finite number")


def asked_again_its_numbers_are_the_same(meter: Meter, uploads: Sequence[UploadView]) -> None:
    first = [dict(meter.upload(view)) for view in uploads]
    same("the second numbers", [dict(meter.upload(view)) for view in uploads], first)
    same("the second numbers of the round", dict(meter.round(first)), dict(meter.round(first)))


def rounds(meter: Meter) -> Inputs:
    """No UE, one UE, and one UE of each outcome."""
    full = UploadView(0, 100, 2, True, 1.5, 0.25, 32_000, "full")
    return {
        "no upload": ([],),
        "one upload": ([full],),
        "uploads of each fate": (
            [
                full,
                full._replace(ue=4, accepted="base"),
                full._replace(ue=5, accepted="none", airtime_s=3.0),
                full._replace(ue=7, works=False, airtime_s=0.0, sent_bits=0, accepted="none"),
            ],
        ),
    }


LAWS = tuple(
    Law(law, rounds)
    for law in (
        columns_say_their_unit_and_how_they_add_up,
        its_numbers_are_those_of_its_columns,
        asked_again_its_numbers_are_the_same,
    )
)
