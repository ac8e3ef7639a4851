"""A size rule: every layer is sent in packets with a header."""

from dataclasses import dataclass

from fl_simu.radio.sizes import RealBytes


@dataclass(frozen=True)
class Packets(RealBytes):
    """The bytes of a layer, and a header for each packet.

    Args:
        payload_bytes: payload of a packet.
        header_bytes: header of a packet.
    """

    payload_bytes: int = 1460
    header_bytes: int = 40

    def layer_bits(self, codec, structure):
        packets = [-(-size // (8 * self.payload_bytes)) for size in super().layer_bits(codec, structure)]
        sizes = super().layer_bits(codec, structure)
        return tuple(size + 8 * self.header_bytes * count for size, count in zip(sizes, packets))
