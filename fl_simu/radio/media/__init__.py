"""Media: how uploads that are on the air at the same time affect one another."""

from typing import Dict, Type

from fl_simu.radio.media.base import Medium, Orthogonal
from fl_simu.radio.media.over_the_air import OverTheAir
from fl_simu.radio.media.planned_band import PlannedBand, PlannedShannonBand
from fl_simu.radio.media.resource_blocks import LeastErrorBlocks, RandomBlocks, ResourceBlocks
from fl_simu.radio.media.shannon_band import ShannonBand
from fl_simu.radio.media.shared_band import SharedBand
from fl_simu.radio.media.tdma_energy import EqualSlots, TdmaEnergy
from fl_simu.radio.media.uniform_forcing import UniformForcing

MEDIA: Dict[str, Type[Medium]] = {
    "orthogonal": Orthogonal,
    "shared_band": SharedBand,
    "shannon_band": ShannonBand,
    "planned_band": PlannedBand,
    "planned_shannon_band": PlannedShannonBand,
    "resource_blocks": ResourceBlocks,
    "random_blocks": RandomBlocks,
    "least_error_blocks": LeastErrorBlocks,
    "tdma_energy": TdmaEnergy,
    "equal_slots": EqualSlots,
    "over_the_air": OverTheAir,
    "uniform_forcing": UniformForcing,
}
