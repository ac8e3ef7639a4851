"""A selection: the UEs that have waited longest."""

from dataclasses import dataclass

from fl_simu.station.selection.base import Selection


@dataclass(frozen=True)
class Longest(Selection):
    """The UEs whose last turn is longest ago; ties go to those with the most samples."""

    def start(self):
        return {}

    def choose(self, state, view, free):
        ranked = sorted(view.idle, key=lambda ue: (state.get(ue, -1), -view.samples[ue], ue))
        ues = tuple(ranked[:free])
        return {**state, **dict.fromkeys(ues, view.version)}, ues
