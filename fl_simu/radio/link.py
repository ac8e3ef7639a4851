"""One UE's path to the BS: encode, send, decode.

An upload crosses the link in steps. The UE encodes its trained model (`encode`). The layers are sent one after the
other and arrive when the channel has carried their bits (`transmit`). The BS decodes the layers that it accepts
(`told`) and computes a model from them (`model`). The length of a layer follows from the structure of the model
alone. So `transmit` knows the arrivals when the UE begins to send, and the BS fetches the model only when the
clock has reached them.
"""

import math
from dataclasses import dataclass, field
from typing import Dict, NamedTuple, Optional, Sequence, Tuple, Union, cast

import numpy as np

from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.parameters import Params, Structure, difference, structure_of, total
from fl_simu.kernel.randomness import briefly
from fl_simu.parts import KINDS
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.codecs.base import EXACT, Codec
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.layered import Layered
from fl_simu.radio.delays import DelayRule, Integrated
from fl_simu.radio.losses import Loss, NoLoss
from fl_simu.radio.sizes import SizeRule

PAYLOADS = ("update", "weights")
# A layer on the air: bytes, or the tensors themselves where `float32` would write them to bytes and read them
# back.
Layer = Union[bytes, Params]
# Up to here float64 can distinguish times a millisecond apart.
LATEST_S = 1e12


class Training(NamedTuple):
    """The training of a UE before its upload.

    Args:
        samples: number of its samples.
        passes: samples times epochs.
        cycles_per_sample, frequency_hz: of its processor; 0 if the compute rule models none.
    """

    samples: int = 1
    passes: float = 0.0
    cycles_per_sample: float = 0.0
    frequency_hz: float = 0.0


class Upload(NamedTuple):
    """One upload that is under way.

    Args:
        ue: index of the UE.
        version: version of the global model that it trained on.
        start_s: virtual time at which it began to send.
        sizes_bits: bits on the air for each layer, base first, retransmissions included.
        arrivals_s: virtual time at which each layer has arrived completely, or would have if it were not lost;
            infinity if the channel never carries it.
        bits: bits per parameter that the UE chose, in one layer; 0 for the codec as configured.
        compute_s: virtual time in s for which the UE trained before.
        lost: number of the first lost layer; the BS reads no layer from there on. -1 if none is lost.
        numbers: count of numbers in an upload sent as amplitudes instead of bits; else 0.
        training: the UE's training before, if a medium needs to know it; else None.
    """

    ue: int
    version: int
    start_s: float
    sizes_bits: Tuple[int, ...]
    arrivals_s: Tuple[float, ...]
    bits: int = 0
    compute_s: float = 0.0
    lost: int = -1
    numbers: int = 0
    training: Optional[Training] = None

    @property
    def begins(self) -> bool:
        """Whether it ever begins."""
        return self.start_s < math.inf

    @property
    def delays_s(self) -> Tuple[float, ...]:
        """Delay of each layer, from the start of the upload to its arrival; infinity if it never arrives."""
        return tuple(arrival - self.start_s if arrival < math.inf else math.inf for arrival in self.arrivals_s)


@dataclass(frozen=True)
class Link:
    """The uplink of every UE.

    Args:
        codec: converts params to layers of bytes and back.
        channel: rate over time.
        size: rule for the bits charged for a layer.
        payload: what is encoded: "weights" (the params themselves) or "update" (params minus the global model
            that the UE started from, which the BS knows).
        seed: the experiment's seed, for the draws of the channel.
        delay: rule for the arrivals when the rate changes during an upload.
        overhead_bits: bits charged and sent in addition, with the base of each upload.
        loss: rule for lost layers and retransmissions.
    """

    codec: Codec
    channel: Channel
    size: SizeRule
    payload: str
    seed: int
    delay: DelayRule = field(default_factory=Integrated)
    overhead_bits: int = 0
    loss: Loss = field(default_factory=NoLoss)
    # By bits: the last requested structure, and the bits of each layer. All UEs of a round send models of one
    # structure, which is the same object.
    _sizes: Dict[int, Tuple[Structure, Tuple[int, ...]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        require(self.payload in PAYLOADS, "payload", self.payload, "one of " + ", ".join(PAYLOADS))
        self.size.check(self.codec)
        self.delay.check(self.channel)

    def check(self, structure: Structure, table: str = "codec") -> None:
        """Raise BadField unless the codec, set in this table, carries every tensor of a model, integers and
        booleans exactly.
        """
        for spec in structure:
            able = (*self.codec.floats, *EXACT)
            allowed = f"it carries {', '.join(map(str, able))}, and the model's tensor {spec.name} is {spec.dtype}"
            allowed = allowed.replace("torch.", "")
            require(spec.dtype in able, f"{table}.name", KINDS[table].name_of(self.codec, nameless=True), allowed)

    def codec_at(self, bits: int) -> Codec:
        """The codec with other bits, in one layer; the configured codec for 0."""
        return self.codec.with_bits(bits) if bits and isinstance(self.codec, Layered) else self.codec

    def content(self, params: Params, reference: Params) -> Params:
        """The params that a UE encodes for its model trained from `reference`; transforms may change them."""
        return difference(params, reference) if self.payload == "update" else params

    @property
    def exact(self) -> bool:
        """Whether the codec keeps every number."""
        return type(self.codec) is Float32

    @property
    def intact(self) -> bool:
        """Whether the BS gets exactly the model that a UE sends."""
        return self.exact and self.payload == "weights"

    def encode(self, upload: Upload, content: Params) -> Tuple[Layer, ...]:
        """Step 1, at the UE: the layers of its content, base first."""
        if self.exact:
            return (content,)
        return self.codec_at(upload.bits).encode(content, briefly(self.seed, "codec", upload.ue, upload.version))

    def transmit(
        self, ue: int, version: int, start_s: float, structure: Structure, bits: int = 0, compute_s: float = 0.0
    ) -> Upload:
        """Step 2, on the air: when each layer arrives. The size of an upload is counted here.

        An upload that never begins (`start_s` infinite) never arrives.

        Raises:
            UserError: virtual time is too large.
        """
        sizes, lost = self._on_air(ue, version, structure, bits)
        arrivals: Tuple[float, ...] = (math.inf,) * len(sizes)
        if start_s < math.inf:
            if start_s > LATEST_S:
                raise UserError(
                    f"virtual time has come to {start_s:g} s, and up to {LATEST_S:g} s can be simulated"
                )
            loads_mbit = [self.size.load_mbit(size) for size in sizes]
            arrivals = self.delay.arrivals_s(self.channel, self.seed, ue, version, start_s, loads_mbit)
        return Upload(ue, version, start_s, sizes, arrivals, bits, compute_s, lost)

    def pending(
        self, ue: int, version: int, start_s: float, structure: Structure, bits: int, compute_s: float
    ) -> Upload:
        """An upload whose arrival times are unknown, since they depend on other UEs that send."""
        sizes, lost = self._on_air(ue, version, structure, bits)
        return Upload(ue, version, start_s, sizes, (math.inf,) * len(sizes), bits, compute_s, lost)

    def told(self, upload: Upload, layers: Sequence[Layer], structure: Structure) -> Params:
        """Step 3, at the BS: the content, decoded from the first layers."""
        first = layers[0]
        if isinstance(first, dict):
            return first
        return self.codec_at(upload.bits).decode(cast(Sequence[bytes], layers), structure)

    def model(self, told: Params, reference: Params) -> Params:
        """Step 4, at the BS: the model for this content of a UE that started from `reference`."""
        return total(told, reference) if self.payload == "update" else told

    def decode(self, upload: Upload, layers: Sequence[Layer], reference: Params) -> Params:
        """Steps 3 and 4: the model decoded from the first layers."""
        return self.model(self.told(upload, layers, structure_of(reference)), reference)

    def loads_mbit(self, upload: Upload) -> Tuple[float, ...]:
        """The load on the air of each layer of an upload, in Mbit."""
        return tuple(map(self.size.load_mbit, upload.sizes_bits))

    def rate_mbps(self, ue: int, version: int, now_s: float) -> float:
        """The rate of the channel at a given time."""
        return next(self.channel.pieces(self.seed, ue, version, now_s))[0]

    def transmit_w(self, ue: int, start_s: float, end_s: float) -> Optional[float]:
        """The mean transmit power of a UE between two times, in W; None if the channel models none."""
        return self.channel.transmit_w(self.seed, ue, start_s, end_s)

    def carried_mbit(self, ue: int, version: int, start_s: float, end_s: float) -> float:
        """The load that the channel carries between two times, in Mbit."""
        return self.delay.carried_mbit(self.channel, self.seed, ue, version, start_s, end_s)

    def arrival_s(self, ue: int, version: int, start_s: float, load_mbit: float) -> float:
        """The time at which the channel has carried a load sent from `start_s` on; infinity if it never does."""
        return self.delay.arrivals_s(self.channel, self.seed, ue, version, start_s, [load_mbit])[0]

    def rates_of(self, ues: Sequence[int], versions: Sequence[int], now_s: float) -> np.ndarray:
        """The rates of several links at a given time, in Mbit/s; shape (UEs,)."""
        return self.channel.rates_of(self.seed, ues, versions, now_s)

    def carried_of(self, ues: Sequence[int], versions: Sequence[int], start_s: float, end_s: float) -> np.ndarray:
        """The load that the channel carries on several links between the same two times, by the integral of the
        rate.

        Returns:
            The loads in Mbit, shape (UEs,).
        """
        return self.channel.carried_of(self.seed, ues, versions, start_s, end_s)

    def first_arrival(
        self, ues: Sequence[int], versions: Sequence[int], start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, int]:
        """The first of several links to carry its load above 0 from `start_s` on, by the integral of the rate: its
        time and position.
        """
        return self.channel.first_arrival(self.seed, ues, versions, start_s, loads_mbit)

    def require_integrated(self, field: str, value: str) -> None:
        """Raise BadField unless an upload's delay follows from the integral of the rate."""
        integrated = isinstance(self.delay, Integrated)
        require(integrated, field, value, "it divides the rate over time; take delay integrated")

    def load_mbit(self, structure: Structure, bits: int) -> float:
        """The load on the air of an upload with a number of bits per parameter, in Mbit."""
        return sum(map(self.size.load_mbit, self._sizes_bits(structure, bits)))

    def sent_bits(self, upload: Upload, end_s: float) -> int:
        """Bits that an upload has put on the air by `end_s`, when it is cut off unless it has ended."""
        if end_s <= upload.start_s:
            return 0
        if end_s >= upload.arrivals_s[-1]:
            return sum(upload.sizes_bits)
        return self.bits_of(upload, self.carried_mbit(upload.ue, upload.version, upload.start_s, end_s))

    def _sizes_bits(self, structure: Structure, bits: int) -> Tuple[int, ...]:
        known = self._sizes.get(bits)
        if known is None or known[0] is not structure:
            base, *others = self.size.layer_bits(self.codec_at(bits), structure)
            known = self._sizes[bits] = structure, (base + self.overhead_bits, *others)
        return known[1]

    def _on_air(self, ue: int, version: int, structure: Structure, bits: int) -> Tuple[Tuple[int, ...], int]:
        """The bits on the air of each layer, and the first layer that is lost, -1 if none is."""
        sizes = self._sizes_bits(structure, bits)
        if isinstance(self.loss, NoLoss):
            return sizes, -1
        carried = [
            self.loss.carry(size, briefly(self.seed, f"loss of layer {layer}", ue, version))
            for layer, size in enumerate(sizes)
        ]
        lost = [layer for layer, one in enumerate(carried) if not one.arrives]
        return tuple(one.bits for one in carried), min(lost, default=-1)

    def bits_of(self, upload: Upload, sent_mbit: float) -> int:
        """The bits of an upload that correspond to a load on the air."""
        return min(sum(upload.sizes_bits), round(sent_mbit / self.size.load_mbit(1)))
