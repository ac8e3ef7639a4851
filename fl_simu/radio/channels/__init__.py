"""Channels: the rate of a link over time. One file per channel, one row here."""

from typing import Dict, Type

from fl_simu.radio.channels.base import Channel
from fl_simu.radio.channels.cell import Cell
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.gauss_markov import GaussMarkov
from fl_simu.radio.channels.markov import Markov
from fl_simu.radio.channels.normal import Normal
from fl_simu.radio.channels.random_walk import NotesWalk, RandomWalk
from fl_simu.radio.channels.trace import Trace
from fl_simu.radio.channels.uniform import Uniform

CHANNELS: Dict[str, Type[Channel]] = {
    "constant": Constant,
    "uniform": Uniform,
    "normal": Normal,
    "random_walk": RandomWalk,
    "notes_walk": NotesWalk,
    "gauss_markov": GaussMarkov,
    "markov": Markov,
    "fading": Fading,
    "cell": Cell,
    "trace": Trace,
}
