"""Size rules: how many bits are charged for an upload, and how much load they put on the air."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Dict, Tuple, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import Structure
from fl_simu.parts import KINDS
from fl_simu.radio.codecs.base import Codec, split


class SizeRule(ABC):
    """How many bits are charged for a layer, and how long a link takes to carry them."""

    @abstractmethod
    def layer_bits(self, codec: Codec, structure: Structure) -> Tuple[int, ...]:
        """Bits charged for each layer, base first."""

    @abstractmethod
    def check(self, codec: Codec) -> None:
        """Raise BadField if this rule cannot charge a codec."""

    @abstractmethod
    def load_mbit(self, size_bits: int) -> float:
        """The load in Mbit that a link with a rate in Mbit/s has to carry for this size."""


@dataclass(frozen=True)
class RealBytes(SizeRule):
    """Every byte of every layer, 8 bits each; 1 Mbit is 10^6 bits.

    A link of 1 Mbit/s carries 10^6 bits per second.
    """

    def check(self, codec: Codec) -> None:
        """Every codec has a length in bytes."""

    def layer_bits(self, codec: Codec, structure: Structure) -> Tuple[int, ...]:
        return tuple(8 * length for length in codec.layer_bytes(structure))

    def load_mbit(self, size_bits: int) -> float:
        return size_bits / 1e6


@dataclass(frozen=True)
class NotesCount(SizeRule):
    """The notes' count: 4 + n bits per parameter at n bits, the model counted ten times, 2^20 bits per Mbit.

    The four extra bits (three for a decimal exponent, one for the integer part) are charged once, with the base;
    an enhancement is charged only its own bits. Counting the model ten times makes sending take about as long as
    computing. The notes' thresholds are meaningful under this rule only.

    Reference: notes, graded upload.
    """

    name: ClassVar[str] = "notes"

    def check(self, codec: Codec) -> None:
        known, codec_name = bool(codec.layer_bits()), KINDS["codec"].name_of(codec, nameless=True)
        require(known, "size.name", self.name, f"{codec_name} has no number of bits a parameter to count")

    def layer_bits(self, codec: Codec, structure: Structure) -> Tuple[int, ...]:
        sizes = [0] * len(codec.layer_bits())
        for spec in split(structure)[0]:
            for layer, bits in enumerate(codec.layer_bits(spec.dtype)):
                sizes[layer] += (bits if layer else 4 + bits) * spec.elements
        return tuple(sizes)

    def load_mbit(self, size_bits: int) -> float:
        return 10 * size_bits / 2**20


@dataclass(frozen=True)
class NotesCifarCount(NotesCount):
    """The notes' count on CIFAR-10: 4 + n bits per parameter at n bits, and 10^4 bits per Mbit.

    So their small LeNet takes about as long to send as their CNN does under `notes`.

    Reference: notes, graded upload on CIFAR.
    """

    name: ClassVar[str] = "notes_cifar"

    def load_mbit(self, size_bits: int) -> float:
        return size_bits / 1e4


SIZE_RULES: Dict[str, Type[SizeRule]] = {"bytes": RealBytes, "notes": NotesCount, "notes_cifar": NotesCifarCount}
