"""Checks, before data are read, that the protection of the UEs covers all that they send."""

import math

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import brief, require
from fl_simu.kernel.parameters import Structure
from fl_simu.loop.needs import ONCE, require_all, takes_once
from fl_simu.parts import KINDS
from fl_simu.privacy.noise import NoisyClip
from fl_simu.radio.bits import FixedBits
from fl_simu.radio.codecs.fixed_point import FixedPoint
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.station.aggregation.means import PlainMean
from fl_simu.station.selection.draws import RandomDraw
from fl_simu.ue.transforms.base import Chain, Transform
from fl_simu.ue.transforms.error_feedback import ErrorFeedback

# Noise of this many grid steps hides which rounded numbers a sum is made of.
STEPS_OF_NOISE = 2.0


def require_protecting(experiment: Experiment, chain: Chain) -> None:
    """Raise UserError if a part of an experiment reveals what secure aggregation or privacy hides.

    The behaviour of a user's own part is unknown, so where it matters only parts of fl_simu are allowed.

    Args:
        experiment: its parts are checked.
        chain: the transforms of every UE.
    """
    medium = experiment.named("medium")
    shared = {
        "aggregation plain_mean, in which every UE has one voice": type(experiment.aggregation) is PlainMean,
        ONCE: takes_once(experiment.protocol),
        "an algorithm that sends the model alone": not experiment.algorithm.message({}),
    }
    secure, privacy = experiment.secure, experiment.privacy
    if secure.active:
        require_all(
            experiment,
            "secure",
            {
                "codec fixed_point, whose codes can be added": type(experiment.codec) is FixedPoint,
                'payload = "update"': experiment.payload == "update",
                **shared,
                f"a medium on which the BS hears each upload, and {medium} is none": experiment.medium.separable,
            },
        )
        secure.check(experiment.drawn)
    if privacy.active:
        require_all(
            experiment,
            "privacy",
            {
                **shared,
                "no protocol or transform by which a UE is silent, which tells what it trained": all(
                    type(one).silent is Transform.silent for one in chain.transforms
                ),
                "that the BS hears single updates, which it clips; it does not with secure, nor on every medium": (
                    (experiment.medium.separable and not secure.active) or not privacy.bounds_single
                ),
                "bits fixed, since by their number a UE would tell of its update": (
                    privacy.bounds_single or type(experiment.bits) is FixedBits
                ),
            },
        )
        if privacy.sums_only:
            _require_sums(experiment, chain)
        require(
            type(experiment.selection) is RandomDraw or not privacy.samples,
            "privacy.accounting",
            KINDS["privacy"].describe(privacy, nameless=True).get("accounting"),
            f'selection {experiment.named("selection")} draws nobody at random; take random, or "none"',
        )
        privacy.check(experiment.ues, experiment.drawn)


def _require_sums(experiment: Experiment, chain: Chain) -> None:
    """Raise UserError if noise that protects only sums would have to protect anything else."""
    codec, stds = experiment.codec, [one.std for one in chain.transforms if isinstance(one, NoisyClip)]
    steps = min(stds, default=math.inf) / codec.step if isinstance(codec, FixedPoint) else 0.0
    require_all(
        experiment,
        "privacy",
        {
            "no error feedback, by which UEs keep something of single updates": not any(
                isinstance(one, ErrorFeedback) for one in chain.transforms
            ),
            f"codec float32, or secure with a codec fixed_point whose step is at most 1 / {STEPS_OF_NOISE:g} of a "
            "UE's noise: rounding one by one tells more than the sum": (
                type(codec) is Float32 or (experiment.secure.active and steps >= STEPS_OF_NOISE)
            ),
        },
    )


def require_protected(experiment: Experiment, structure: Structure) -> None:
    """Raise UserError unless all tensors that UEs send of a model with this structure are floating-point."""
    exact = [spec.name for spec in structure if not spec.dtype.is_floating_point]
    for table in ("secure", "privacy"):
        if exact and getattr(experiment, table).active:
            told = f"a model without batch norm: its tensor {brief(exact[0], 60)} travels as it is"
            require_all(experiment, table, {told: False})
