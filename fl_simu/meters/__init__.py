"""Meters: measurements of a run besides accuracy, time and bits."""

from typing import Dict, Type

from fl_simu.meters.base import Meter
from fl_simu.meters.battery import Battery
from fl_simu.meters.energy import Energy
from fl_simu.meters.fairness import Fairness
from fl_simu.meters.participation import Participation

METERS: Dict[str, Type[Meter]] = {
    "energy": Energy,
    "battery": Battery,
    "fairness": Fairness,
    "participation": Participation,
}
