"""Channels: the rate of a link over time. One file a channel, one row here."""

from typing import Dict, Type

from fl_simu.uplink.channels.base import Channel
from fl_simu.uplink.channels.constant import Constant
from fl_simu.uplink.channels.normal import Normal

CHANNELS: Dict[str, Type[Channel]] = {"constant": Constant, "normal": Normal}
