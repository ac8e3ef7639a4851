"""Checks, before data are read, that updates can be sent as amplitudes that add up on the air."""

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import brief
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Structure
from fl_simu.loop.needs import require_all
from fl_simu.radio.allocation.base import Equal
from fl_simu.radio.bits import FixedBits
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.station.protocols.buffered import Buffered


def require_summable(experiment: Experiment) -> None:
    """Raise UserError unless a round's uploads amount to one mean of numbers."""
    protocol = experiment.protocol
    require_all(
        experiment,
        "medium",
        {
            "codec float32: a number is sent as an amplitude, and not as bits": (
                type(experiment.codec) is Float32 and type(experiment.bits) is FixedBits
            ),
            "aggregation mean or plain_mean, which the air makes, or a rule that needs no more": (
                experiment.aggregation.weight_of(Update(0, 0, 1, {})) is not None
            ),
            "a protocol in rounds: a sum is of one cohort": not isinstance(protocol, Buffered),
            "a protocol that takes all of a sum or nothing, as wait_for_all and deadline": protocol.takes_whole,
            'a protocol that takes no upload again, as event_triggered with absent = "out"': (
                not protocol.repeats()
            ),
            "an algorithm that sends the model alone": not experiment.algorithm.message({}),
            "secure none: sealed codes cannot be added as amplitudes": not experiment.secure.active,
            "privacy none: the side numbers by which UEs scale tell of each, and no mechanism counts that": (
                not experiment.privacy.active
            ),
            "allocator equal: no band is divided": experiment.allocator == Equal(),
            "a run that ends by something else than stop.uplink_bits: no bits are sent": (
                experiment.stop.uplink_bits is None
            ),
        },
    )


def require_analog(experiment: Experiment, structure: Structure) -> None:
    """Raise UserError unless all tensors that UEs send of a model with this structure are floating-point."""
    exact = [spec.name for spec in structure if not spec.dtype.is_floating_point]
    if exact and experiment.medium.analog:
        told = f"a model without batch norm: a whole number, as its tensor {brief(exact[0], 60)}, is no amplitude"
        require_all(experiment, "medium", {told: False})
