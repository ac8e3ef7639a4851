"""Meters: what is measured of a run besides accuracy, time and bits."""

from typing import Dict, Type

from fl_simu.meters.base import Meter
from fl_simu.meters.energy import Energy

METERS: Dict[str, Type[Meter]] = {"energy": Energy}
