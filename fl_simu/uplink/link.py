"""One UE's path to the BS: the codec, the channel, the codec back.

An upload crosses the link in three steps. The UE encodes what it trained (`encode`); the layers travel one after
the other and arrive when the channel has carried their bits (`transmit`); the BS decodes the layers that it takes
(`decode`). Because the length of a layer follows from the structure of the model alone, `transmit` can tell the
arrivals when the UE begins to send, and the BS fetches the model only when the clock has reached them.
"""

import functools
import math
from dataclasses import dataclass, field
from typing import Optional, Sequence, Tuple

from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.parameters import Params, Structure, difference, structure_of, total
from fl_simu.kernel.randomness import briefly
from fl_simu.parts import KINDS
from fl_simu.uplink.channels.base import Channel
from fl_simu.uplink.codecs.base import EXACT, Codec
from fl_simu.uplink.codecs.layered import Layered
from fl_simu.uplink.delays import DelayRule, Integrated
from fl_simu.uplink.sizes import SizeRule

PAYLOADS = ("update", "weights")
# Up to here float64 tells moments apart that lie a millisecond from each other.
LATEST_S = 1e12


@dataclass(frozen=True)
class Upload:
    """One upload under way.

    Args:
        ue: index of the UE.
        version: version of the global model that it trained on.
        start_s: virtual time at which it began to send.
        sizes_bits: size of each layer, base first.
        arrivals_s: virtual time at which each layer has arrived whole; infinity where it never does.
        bits: bits a parameter that the UE chose, in one layer; 0 for the codec as it is configured.
        compute_s: virtual time in s that the UE trained before it.
    """

    ue: int
    version: int
    start_s: float
    sizes_bits: Tuple[int, ...]
    arrivals_s: Tuple[float, ...]
    bits: int = 0
    compute_s: float = 0.0

    @property
    def delays_s(self) -> Tuple[float, ...]:
        """Delay of each layer, from the start of the upload to its arrival; infinity where it never arrives."""
        return tuple(arrival - self.start_s if arrival < math.inf else math.inf for arrival in self.arrivals_s)


@dataclass(frozen=True)
class Link:
    """The uplink of every UE.

    Args:
        codec: params to layers of bytes and back.
        channel: rate over time.
        size: how many bits a layer is charged.
        payload: what is encoded: "weights" (the params themselves) or "update" (params minus the global model
            that the UE started from, which the BS knows).
        seed: the experiment's seed, for what the channel draws.
        delay: what a rate that changes while sending means for the arrivals.
    """

    codec: Codec
    channel: Channel
    size: SizeRule
    payload: str
    seed: int
    delay: DelayRule = field(default_factory=Integrated)

    def __post_init__(self) -> None:
        require(self.payload in PAYLOADS, "payload", self.payload, "one of " + ", ".join(PAYLOADS))
        self.size.check(self.codec)
        self.delay.check(self.channel)

    def check(self, structure: Structure) -> None:
        """Raise BadField unless the codec carries every tensor of a model, integers and booleans exactly."""
        for spec in structure:
            able = (*self.codec.floats, *EXACT)
            allowed = f"it carries {', '.join(map(str, able))}, and the model's tensor {spec.name} is {spec.dtype}"
            allowed = allowed.replace("torch.", "")
            require(spec.dtype in able, "codec.name", KINDS["codec"].name_of(self.codec, nameless=True), allowed)

    def codec_at(self, bits: int) -> Codec:
        """The codec at other bits, in one layer; as it is configured for 0."""
        return self.codec.with_bits(bits) if bits and isinstance(self.codec, Layered) else self.codec

    def content(self, params: Params, reference: Params, error: Optional[Params] = None) -> Params:
        """What a UE encodes.

        Args:
            params: the model that it has trained.
            reference: the global model that it started from.
            error: what `lost` told of its last accepted upload, with error feedback.
        """
        content = difference(params, reference) if self.payload == "update" else params
        return {**content, **{name: content[name] + missed for name, missed in (error or {}).items()}}

    def encode(self, upload: Upload, content: Params) -> Tuple[bytes, ...]:
        """Step 1, at the UE: the layers that it sends of its content, base first."""
        return self.codec_at(upload.bits).encode(content, briefly(self.seed, "codec", upload.ue, upload.version))

    def transmit(self, ue: int, version: int, start_s: float, structure: Structure, bits: int = 0) -> Upload:
        """Step 2, on the air: when each layer arrives. The size of an upload is counted here.

        An upload that never begins (`start_s` infinite) never arrives.

        Raises:
            UserError: virtual time has gone on for too long.
        """
        sizes = _sizes_bits(self.size, self.codec_at(bits), structure)
        if start_s == math.inf:
            return Upload(ue, version, start_s, sizes, (math.inf,) * len(sizes), bits)
        if start_s > LATEST_S:
            raise UserError(f"virtual time has come to {start_s:g} s, and up to {LATEST_S:g} s can be simulated")
        loads_mbit = [self.size.load_mbit(size) for size in sizes]
        arrivals = self.delay.arrivals_s(self.channel, self.seed, ue, version, start_s, loads_mbit)
        return Upload(ue, version, start_s, sizes, arrivals, bits)

    def decode(self, upload: Upload, layers: Sequence[bytes], reference: Params) -> Params:
        """Step 3, at the BS: the model that the first layers tell."""
        params = self.codec_at(upload.bits).decode(layers, structure_of(reference))
        return total(params, reference) if self.payload == "update" else params

    def lost(
        self,
        upload: Upload,
        layers: Sequence[bytes],
        params: Params,
        reference: Params,
        error: Optional[Params] = None,
    ) -> Params:
        r"""Error feedback, at the UE: what these layers do not tell of what was encoded.

        .. math:: e_{t+1} = v_t - decode(layers), \quad v_t = (params - reference) + e_t

        Args:
            upload, params, reference, error: as they were when it was encoded.
            layers: those that the BS took.

        Returns:
            :math:`e_{t+1}`, floating-point tensors only.

        Reference: Seide et al. 2014, "1-Bit Stochastic Gradient Descent"; Karimireddy et al. 2019, "Error Feedback
        Fixes SignSGD and other Gradient Compression Schemes".
        """
        content = self.content(params, reference, error)
        told = self.codec_at(upload.bits).decode(layers, structure_of(reference))
        return {name: tensor - told[name] for name, tensor in content.items() if tensor.dtype.is_floating_point}

    def load_mbit(self, structure: Structure, bits: int) -> float:
        """What an upload at so many bits puts on the air, in Mbit."""
        return sum(map(self.size.load_mbit, _sizes_bits(self.size, self.codec_at(bits), structure)))

    def sent_bits(self, upload: Upload, end_s: float) -> int:
        """Bits that an upload has put on the air by a moment, where it is cut off if it has not ended."""
        if end_s <= upload.start_s:
            return 0
        if end_s >= upload.arrivals_s[-1]:
            return sum(upload.sizes_bits)
        carried = self.delay.carried_mbit(
            self.channel, self.seed, upload.ue, upload.version, upload.start_s, end_s
        )
        return min(sum(upload.sizes_bits), round(carried / self.size.load_mbit(1)))


@functools.lru_cache(maxsize=64)
def _sizes_bits(size: SizeRule, codec: Codec, structure: Structure) -> Tuple[int, ...]:
    """Bits of each layer, remembered: all UEs of a round send models of one structure."""
    return size.layer_bits(codec, structure)
