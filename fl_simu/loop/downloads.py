"""The global model on the downlink: encoded once per version, and sent to each UE alone or to several together."""

from typing import Collection, Dict, List, Sequence, Tuple

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import Structure, structure_of
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import Copy, RunState
from fl_simu.radio.downlink import decoded, on_the_air, to_all
from fl_simu.radio.link import Upload
from fl_simu.ue.algorithms.base import flat


class Downloads:
    """What the BS sends to the UEs. The memory is kept in the state."""

    def __init__(self, setting: Setting, state: RunState) -> None:
        self.setting = setting
        self.state = state
        # The structure of the data that are sent along with the model.
        self._beside: Structure = structure_of(flat(setting.algorithm.station(state.model).shared))

    def send(self, ues: Sequence[int], version: int, now_s: float) -> Dict[int, Upload]:
        """Send the global model to UEs, in ascending order. The BS continues with the model as the UEs decode it.

        Returns:
            The copy of each UE; empty if the downlink is free.
        """
        setting, state = self.setting, self.state
        if state.sent_down != version:
            state.model = decoded(setting.downlink_codec, state.model, setting.seed, version)
            state.sent_down = version
        found: Dict[int, Upload] = {}
        if setting.downlink is None or not ues:
            return found
        link, structure = on_the_air(setting.downlink, structure_of(state.model), self._beside)
        for group in setting.cast.groups(ues):
            download = to_all(link, group).transmit(group[0], version, now_s, structure)
            found.update({ue: download._replace(ue=ue) for ue in group})
            if len(group) > 1:
                state.copies.append(Copy(state.begun - 1, tuple(group), download))
        # A UE in no group would get the model free of charge.
        require(set(found) == set(ues), "cast", setting.cast, "every UE in a group")
        return found

    def bits(self, ues: Collection[int], now_s: float) -> int:
        """The bits that the BS has sent so far to give these UEs the model, and that no record contains yet."""
        link, flights = self.setting.downlink, self.state.flights
        if link is None:
            return 0
        own = {(flights[ue].cohort, ue): flights[ue].download for ue in ues}
        total = 0
        for copy in self._of(self.state.copies, own):
            total += self._copied_bits(copy, now_s) - copy.charged
            for ue in copy.ues:
                own.pop((copy.cohort, ue), None)
        return total + sum(link.sent_bits(download, now_s) for download in own.values() if download)

    def settle(self, settled: Collection[Tuple[int, int]], now_s: float) -> None:
        """Remember the recorded cost of a copy as long as one of its UEs is at work.

        Args:
            settled: broadcast and UE of each flight that has ended.
            now_s: when they ended.
        """
        state = self.state
        if state.copies:
            under_way = {(flight.cohort, ue) for ue, flight in state.flights.items()}
            told = self._of(state.copies, settled)
            state.copies = [
                copy._replace(charged=self._copied_bits(copy, now_s)) if copy in told else copy
                for copy in self._of(state.copies, under_way)
            ]

    def _of(self, copies: Sequence[Copy], flights: Collection[Tuple[int, int]]) -> List[Copy]:
        """The copies that any of these flights received; a flight is given by broadcast and UE."""
        return [copy for copy in copies if any((copy.cohort, ue) in flights for ue in copy.ues)]

    def _copied_bits(self, copy: Copy, now_s: float) -> int:
        assert self.setting.downlink is not None
        return to_all(self.setting.downlink, copy.ues).sent_bits(copy.download, now_s)
