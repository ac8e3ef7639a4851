"""Codecs: params to layers of bytes and back. One file a codec, one row here."""

from typing import Dict, Type

from fl_simu.uplink.codecs.affine import Affine
from fl_simu.uplink.codecs.base import Codec
from fl_simu.uplink.codecs.float32 import Float32

CODECS: Dict[str, Type[Codec]] = {"float32": Float32, "affine": Affine}
