"""Transforms: changes of a UE to its update between training and codec."""

from typing import Dict, Type

from fl_simu.ue.transforms.base import Transform
from fl_simu.ue.transforms.clip import Clip
from fl_simu.ue.transforms.error_feedback import ErrorFeedback
from fl_simu.ue.transforms.gaussian_noise import GaussianNoise
from fl_simu.ue.transforms.movement import Movement

TRANSFORMS: Dict[str, Type[Transform]] = {
    "clip": Clip,
    "error_feedback": ErrorFeedback,
    "gaussian_noise": GaussianNoise,
    "movement": Movement,
}
