"""Codecs: params to layers of bytes and back. One file per codec, one row here."""

from typing import Dict, Type

from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.base import Codec
from fl_simu.radio.codecs.decimal import Decimal
from fl_simu.radio.codecs.fixed_point import FixedPoint
from fl_simu.radio.codecs.float16 import Float16
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.stochastic import Stochastic
from fl_simu.radio.codecs.text_split import TextSplit
from fl_simu.radio.codecs.top_k import TopK

CODECS: Dict[str, Type[Codec]] = {
    "float32": Float32,
    "float16": Float16,
    "affine": Affine,
    "decimal": Decimal,
    "text_split": TextSplit,
    "stochastic": Stochastic,
    "top_k": TopK,
    "fixed_point": FixedPoint,
}
