"""Evaluates a global model, and decides whether the next round has to wait for the result."""

import math
from typing import Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from fl_simu.kernel.parameters import Params
from fl_simu.loop.setting import Setting
from fl_simu.meters.base import Meter, ModelView
from fl_simu.radio.downlink import goes_as_it_is
from fl_simu.station.evaluation import Evaluation, mean_of

# For a model that is not evaluated, or not yet.
UNKNOWN = Evaluation(math.nan, math.nan)


class Measured(NamedTuple):
    """The evaluation of a global model.

    Args:
        version: of the model.
        evaluation: on the test set.
        accuracies: on each UE's own training samples, shape (UEs,), if a meter has asked for them.
        meters: the meters' numbers for the model.
    """

    version: int
    evaluation: Evaluation
    accuracies: Optional[np.ndarray]
    meters: Dict[str, float]


def measure(setting: Setting, version: int, model: Params, own: Mapping[int, Params], local: bool) -> Measured:
    """Evaluate a global model, and let the meters look at it.

    Args:
        setting: of the run.
        version: of the model.
        model: the global one.
        own: the models of the UEs that do not use the global model.
        local: whether layers stay at the UEs; then the evaluation is the mean over their own models.
    """
    asked: List[np.ndarray] = []

    def accuracies() -> np.ndarray:
        if not asked:
            asked.append(setting.accuracies(model, own))
        return asked[0]

    evaluation = mean_of([setting.evaluate(one) for one in own.values()]) if local else setting.evaluate(model)
    meters: Dict[str, float] = {}
    for meter in setting.meters:
        meters.update(meter.model(ModelView(accuracies)))
    return Measured(version, evaluation, asked[0] if asked else None, meters)


def can_wait(setting: Setting) -> bool:
    """Whether a model can be evaluated aside, because the next round does not need the result."""
    return (
        setting.aside is not None
        and setting.stop.accuracy is None
        and not setting.bits.remembers
        and not setting.algorithm.personal
        and goes_as_it_is(setting.downlink_codec)
        and all(type(meter).model is Meter.model for meter in setting.meters)
    )
