"""Client selection: the UEs that are handed the global model."""

from typing import Dict, Type

from fl_simu.station.selection.base import Selection
from fl_simu.station.selection.draws import Importance, ImportanceByNorm, RandomDraw
from fl_simu.station.selection.fedcs import FedCs
from fl_simu.station.selection.oort import Oort
from fl_simu.station.selection.ranked import Age, BestChannel, PowerOfChoice, ProportionalFair
from fl_simu.station.selection.tifl import Tifl, TiflStatic
from fl_simu.station.selection.turns import RoundRobin

SELECTIONS: Dict[str, Type[Selection]] = {
    "random": RandomDraw,
    "round_robin": RoundRobin,
    "best_channel": BestChannel,
    "proportional_fair": ProportionalFair,
    "age": Age,
    "power_of_choice": PowerOfChoice,
    "fedcs": FedCs,
    "importance": Importance,
    "importance_by_norm": ImportanceByNorm,
    "oort": Oort,
    "tifl": Tifl,
    "tifl_static": TiflStatic,
}
