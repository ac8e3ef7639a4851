"""A band of resource blocks; each UE of a cohort has one or none."""

import math
from dataclasses import dataclass
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_factor, require_time
from fl_simu.kernel.randomness import briefly, permutation, stream
from fl_simu.radio.allocation.base import Allocator
from fl_simu.radio.allocation.blocks import Assignment, hungarian, in_order
from fl_simu.radio.link import Link, Training, Upload
from fl_simu.radio.media.base import Arrival, SharedMedium, without
from fl_simu.radio.rayleigh import shannon_mean, waterfall_arrives, waterfall_error

RANGES: Dict[str, Tuple[float, float]] = {
    "block_khz": (0.001, 1e9),
    "min_distance_m": (1, 1e5),
    "exponent": (0.1, 10),
    "power_w": (1e-12, 1e6),
    "noise_dbm_hz": (-300, 100),
    "mean_interference_w": (0, 1e6),
    "threshold_db": (-100, 100),
    "kappa": (0, 1),
}
MOST_BLOCKS = 1000


class Options(NamedTuple):
    """The properties of each block for each UE of a cohort; arrays of shape (UEs, blocks).

    Args:
        rates_mbps: mean rate in Mbit/s.
        errors: probability that a layer is lost.
        delays_s: duration of the download and the upload.
        energies_j: energy of training and sending.
    """

    rates_mbps: np.ndarray
    errors: np.ndarray
    delays_s: np.ndarray
    energies_j: np.ndarray


class Held(NamedTuple):
    """A block that a UE holds from the moment it is handed the model until its upload has ended.

    Args:
        block: its number, from 0.
        rate_mbps: mean rate of the UE on it.
        ratio: waterfall threshold over the mean SINR, not in dB.
        loads_mbit: load of each layer.
        began_s: time at which the UE began to send; infinity before.
        arrived: number of its layers that have arrived.
    """

    block: int
    rate_mbps: float
    ratio: float
    loads_mbit: Tuple[float, ...]
    began_s: float = math.inf
    arrived: int = 0

    @property
    def next_s(self) -> float:
        """The time at which its next layer arrives."""
        return self.began_s + sum(self.loads_mbit[: self.arrived + 1]) / self.rate_mbps


class Blocks(NamedTuple):
    """The block of each UE, and the sending UEs in the order in which they began."""

    held: Dict[int, Held]


@dataclass(frozen=True)
class ResourceBlocks(SharedMedium):
    r"""Each UE sends on its own resource block or not at all, so that as little as possible is lost.

    When a cohort receives the global model, the BS assigns the blocks by the Hungarian method, at most one to each
    UE:

    .. math:: \min \sum_{i\ sends} K_i\,q_{i,n} + \sum_{i\ silent} K_i

    where K is the number of samples of a UE. A UE may send on block n only if it meets two limits there,

    .. math:: t_i + l_{i,n} \le T, \quad \kappa\,C D_i f^2 + P\,l_{i,n} \le E, \quad l_{i,n} = L_i / r_{i,n}

    where t is the time of its download, l that of its upload of L bits, and D the number of samples that it
    processes in all epochs. Training counts in the energy, not in the delay. A UE without a block trains but sends
    nothing, and is `no block` in the records; its training still costs energy. Rate and loss probability are means
    over Rayleigh fading, which is fast compared with an upload,

    .. math:: r_{i,n} = B\,E_h[\log_2(1 + \gamma h)], \quad q_{i,n} = E_h[1 - e^{-m / (\gamma h)}] =
        1 - 2 \sqrt{m / \gamma}\,K_1(2 \sqrt{m / \gamma}), \quad \gamma = \frac{P d_i^{-a}}{I_n + B N_0}

    so that blocks differ by their interference I and UEs by their distance d. A UE sends at its rate. Each of its
    layers is lost with the probability q of its block, with the consequences that `loss` describes. So the base of
    an upload is lost with probability q, like the complete upload in the paper.

    The medium has its own links and does not use `channel` and `delay`. It requires `loss = "none"`, `allocator =
    "equal"`, a protocol in rounds, and a selection that needs no rates. A UE is located where the channel `fading`
    places it in a cell of that radius. The meter `energy` takes P from here, and uses its own kappa. If the
    compute rule is `cycles`, both take C and f from it. The limits suit a small model: 3 mJ are 300 ms of sending.

    Args:
        blocks: number of blocks, 1 to 1000.
        block_khz: bandwidth B of a block in kHz, 0.001 to 1e9.
        radius_m: radius of the cell in m, above `min_distance_m`, at most 100,000.
        min_distance_m: smallest distance of a UE from the BS in m, 1 to 100,000.
        exponent: a, the path loss exponent, 0.1 to 10.
        power_w: P in W, 1e-12 to 1e6.
        noise_dbm_hz: N_0 in dBm/Hz, -300 to 100.
        interference_w: I of each block in W, 0 to 1e6, one number per block, the same in every round; if empty, it
            is drawn.
        mean_interference_w: mean of the drawn interference in W, 0 to 1e6: exponential, drawn for each block and
            round.
        threshold_db: m in dB, the waterfall threshold, -100 to 100; `waterfall` lists the values in use.
        delay_s: T in s, above 0.
        energy_j: E in J, above 0.
        kappa: energy coefficient of the processor in J s^2 per cycle^3, 0 to 1.
        cycles_per_sample: C, if the compute rule has no processors: 40 cycles per bit for 64 bits per sample.
        frequency_hz: f in Hz, if the compute rule has no processors.

    Reference: Chen, Yang, Saad, Yin, Poor, Cui 2021, "A Joint Learning and Communications Framework for Federated
    Learning over Wireless Networks", with a given power.
    """

    state_classes = (Blocks, Held)
    own_links, allocates = True, False

    blocks: int = 12
    block_khz: float = 150.0
    radius_m: float = 500.0
    min_distance_m: float = 10.0
    exponent: float = 2.0
    power_w: float = 0.01
    noise_dbm_hz: float = -174.0
    interference_w: Tuple[float, ...] = ()
    mean_interference_w: float = 1e-8
    threshold_db: float = 0.023
    delay_s: float = 0.5
    energy_j: float = 0.003
    kappa: float = 1e-27
    cycles_per_sample: float = 2560.0
    frequency_hz: float = 1e9

    def __post_init__(self) -> None:
        require_count("blocks", self.blocks, most=MOST_BLOCKS)
        for name, (low, high) in RANGES.items():
            require(low <= getattr(self, name) <= high, name, getattr(self, name), f"{low:g} to {high:g}")
        radius = self.min_distance_m < self.radius_m <= 1e5
        require(radius, "radius_m", self.radius_m, "above min_distance_m, at most 100000")
        told = self.interference_w
        right = len(told) in (0, self.blocks) and all(0 <= one <= 1e6 for one in told)
        allowed = f"none, or {self.blocks} numbers from 0 to 1e+06, one for each block"
        require(right, "interference_w", list(told), allowed)
        require_time("delay_s", self.delay_s)
        require_factor("energy_j", self.energy_j)
        require_factor("cycles_per_sample", self.cycles_per_sample, or_zero=True)
        require_factor("frequency_hz", self.frequency_hz)

    # Properties of blocks.

    def distance_m(self, seed: int, ue: int) -> float:
        """Distance of a UE from the BS, uniform over the area of the cell."""
        near, far = self.min_distance_m**2, self.radius_m**2
        return math.sqrt(near + (far - near) * stream(seed, "site", ue).random())

    def interferences_w(self, seed: int, version: int) -> np.ndarray:
        """I of each block in a round, shape (blocks,)."""
        if self.interference_w:
            return np.array(self.interference_w, dtype=np.float64)
        draws = (briefly(seed, f"interference in block {block}", 0, version) for block in range(self.blocks))
        return np.array([-self.mean_interference_w * math.log1p(-one.random()) for one in draws])

    def sinrs(self, seed: int, ues: Sequence[int], version: int) -> np.ndarray:
        """Mean SINR of each UE on each block, not in dB, shape (UEs, blocks)."""
        received_w = np.array([self.power_w * self.distance_m(seed, ue) ** -self.exponent for ue in ues])
        noise_w = 10 ** (self.noise_dbm_hz / 10 - 3) * self.block_khz * 1e3
        return received_w[:, None] / (self.interferences_w(seed, version) + noise_w)

    def options(self, link: Link, uploads: Mapping[int, Upload], now_s: float) -> Options:
        """The properties of each block for these UEs, in this order, if they were handed the model now."""
        told = list(uploads.values())
        sinrs = self.sinrs(link.seed, list(uploads), told[0].version)
        rates = np.array([[self._rate_mbps(one) for one in row] for row in sinrs.tolist()])
        errors = np.array([[waterfall_error(self._threshold() / one) for one in row] for row in sinrs.tolist()])
        sending_s = np.array([[sum(link.loads_mbit(one))] for one in told]) / rates
        download_s = np.array([[max(0.0, one.start_s - one.compute_s - now_s)] for one in told])
        training_j = np.array([[self.training_j(one.training or Training())] for one in told])
        return Options(rates, errors, download_s + sending_s, training_j + self.power_w * sending_s)

    def training_j(self, training: Training) -> float:
        """kappa C D f^2 of a UE, in J."""
        cycles, frequency = training.cycles_per_sample, training.frequency_hz
        if not frequency:
            cycles, frequency = self.cycles_per_sample, self.frequency_hz
        return self.kappa * cycles * training.passes * frequency**2

    def allowed(self, options: Options) -> np.ndarray:
        """Whether a UE meets both limits on a block, shape (UEs, blocks)."""
        return (options.delays_s <= self.delay_s) & (options.energies_j <= self.energy_j)

    def assigned(self, seed: int, version: int, weights: np.ndarray, options: Options) -> Assignment:
        """The block of each UE.

        Args:
            weights: number of samples of each UE, shape (UEs,).
            options: properties of the free blocks.
        """
        return hungarian(weights, options.errors, self.allowed(options))

    # Sending.

    def start(self) -> Blocks:
        return Blocks({})

    def handed(
        self, state: Blocks, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Blocks:
        taken = {one.block for one in state.held.values()}
        free = [block for block in range(self.blocks) if block not in taken]
        if not uploads or not free:
            return state
        every = self.options(link, uploads, now_s)
        version = next(iter(uploads.values())).version
        weights = np.array([float((one.training or Training()).samples) for one in uploads.values()])
        places = self.assigned(link.seed, version, weights, Options(*(one[:, free] for one in every)))
        sinrs, held = self.sinrs(link.seed, list(uploads), version), dict(state.held)
        for row, (upload, place) in enumerate(zip(uploads.values(), places)):
            if place is not None:
                block = free[place]
                ratio, rate = self._threshold() / float(sinrs[row, block]), float(every.rates_mbps[row, block])
                held[upload.ue] = Held(block, rate, ratio, link.loads_mbit(upload))
        return Blocks(held)

    def silence(self, state: Blocks, link: Link, upload: Upload, now_s: float) -> str:
        return "" if upload.ue in state.held else "no block"

    def join(self, state: Blocks, link: Link, upload: Upload, now_s: float) -> Blocks:
        joined = state.held[upload.ue]._replace(began_s=now_s)
        return Blocks({**without(state.held, upload.ue), upload.ue: joined})

    def lost(self, state: Blocks, link: Link, upload: Upload) -> int:
        ratio = state.held[upload.ue].ratio
        for layer in range(len(upload.sizes_bits)):
            draws = briefly(link.seed, f"loss of layer {layer}", upload.ue, upload.version)
            if not waterfall_arrives(ratio, draws):
                return layer
        return -1

    def leave(self, state: Blocks, link: Link, ue: int, now_s: float) -> Blocks:
        return Blocks(without(state.held, ue)) if ue in state.held else state

    def plan(
        self, state: Blocks, link: Link, allocator: Allocator, now_s: float
    ) -> Tuple[Blocks, Optional[Arrival]]:
        arrivals = [Arrival(one.next_s, ue) for ue, one in state.held.items() if one.began_s < math.inf]
        return state, min(arrivals, key=lambda one: one.time_s, default=None)

    def arrived(self, state: Blocks, link: Link, arrival: Arrival) -> Blocks:
        one = state.held[arrival.ue]
        if one.arrived + 1 == len(one.loads_mbit):
            return Blocks(without(state.held, arrival.ue))
        return Blocks({**state.held, arrival.ue: one._replace(arrived=one.arrived + 1)})

    def sent_mbit(self, state: Blocks, link: Link, upload: Upload, now_s: float) -> float:
        one = state.held.get(upload.ue)
        if one is None or now_s <= one.began_s:
            return 0.0
        return min(sum(one.loads_mbit), one.rate_mbps * (now_s - one.began_s))

    def transmits_w(self, state: Blocks, link: Link, upload: Upload) -> Optional[float]:
        return self.power_w

    def _rate_mbps(self, sinr: float) -> float:
        return self.block_khz / 1e3 * shannon_mean(sinr)

    def _threshold(self) -> float:
        return 10 ** (self.threshold_db / 10)


@dataclass(frozen=True)
class RandomBlocks(ResourceBlocks):
    """As `resource_blocks`, but the blocks are assigned at random.

    A UE that would break a limit on its block is silent. This is the baseline for the assignment, with the same
    positions, interference and draws of losses.
    """

    def assigned(self, seed: int, version: int, weights: np.ndarray, options: Options) -> Assignment:
        ues, blocks = options.errors.shape
        draws = briefly(seed, "blocks at random", 0, version)
        # If there are fewer blocks than UEs, the UEs without a block are drawn too.
        dealt = permutation(draws, max(ues, blocks))
        allowed = np.concatenate([self.allowed(options), np.full((ues, max(0, ues - blocks)), False)], axis=1)
        return in_order(dealt, allowed)


@dataclass(frozen=True)
class LeastErrorBlocks(ResourceBlocks):
    """As `resource_blocks`, but minimises the sum of all UEs' loss probabilities, whatever their data.

    That is the cost of `resource_blocks` with K = 1 for every UE: an assignment that knows the radio and not the
    learning. The paper uses it as a baseline.
    """

    def assigned(self, seed: int, version: int, weights: np.ndarray, options: Options) -> Assignment:
        return hungarian(np.ones(len(weights)), options.errors, self.allowed(options))
