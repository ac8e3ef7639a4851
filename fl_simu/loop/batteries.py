"""The remaining energy of the UEs, for faults that depend on it."""

from typing import Iterable

from fl_simu.loop.setting import Setting
from fl_simu.loop.state import RunState
from fl_simu.results.records import UeOutcome
from fl_simu.ue.faults import Spent


class Batteries:
    """Asks the faults about each UE's energy. The memory is kept in the state.

    Args:
        setting, state: of the run.
    """

    def __init__(self, setting: Setting, state: RunState) -> None:
        self.setting = setting
        self.state = state

    def powered(self, ue: int, now_s: float) -> bool:
        """Whether a UE has the energy to take part."""
        faults, known = self.setting.faults, self.state.ues.get(ue)
        return not faults.drains or faults.powered(self.setting.seed, ue, known.energy if known else None, now_s)

    def drain(self, outcomes: Iterable[UeOutcome], now_s: float) -> None:
        """Tell the faults how much energy the UEs of the uploads that are settled now have spent."""
        faults = self.setting.faults
        if faults.drains:
            for one in outcomes:
                spent = Spent(one.meters.get("energy_j", 0.0), self.state.flights[one.ue].handed_s, now_s)
                memory = self.state.memory(one.ue)
                memory.energy = faults.spent(self.setting.seed, one.ue, memory.energy, spent)

    def empty(self, now_s: float) -> int:
        """Number of UEs without enough energy to take part."""
        return sum(not self.powered(ue, now_s) for ue in self.setting.samples) if self.setting.faults.drains else 0
