"""Whether the parts of an experiment fit each other, which is asked before any data are read."""

import torch

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import brief, require
from fl_simu.kernel.parameters import Structure
from fl_simu.parts import KINDS
from fl_simu.radio.allocation.base import Equal
from fl_simu.radio.bits import FixedBits
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.media.base import SharedMedium
from fl_simu.station.aggregation.means import PlainMean
from fl_simu.station.protocols.buffered import Buffered
from fl_simu.station.selection.draws import RandomDraw
from fl_simu.ue.faults import NoFaults
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.transforms.base import Chain, Transform
from fl_simu.ue.transforms.error_feedback import ErrorFeedback
from fl_simu.ue.transforms.movement import Movement


def require_fit(experiment: Experiment) -> None:
    """Raise UserError unless the parts fit each other and the numbers of UEs."""
    require(
        (experiment.ues_per_round or 1) <= experiment.ues,
        "ues_per_round",
        experiment.ues_per_round,
        f"at most the {experiment.ues} ues",
    )
    fewest = experiment.aggregation.fewest()
    require(
        fewest <= experiment.drawn,
        "aggregation.name",
        _name(experiment, "aggregation"),
        f"it needs {fewest} updates, and a round draws {experiment.drawn} UEs",
    )
    require(
        experiment.attack.malicious < experiment.ues,
        "attack.malicious",
        experiment.attack.malicious,
        f"fewer than the {experiment.ues} ues",
    )
    silent = not isinstance(experiment.faults, NoFaults)
    require(
        experiment.protocol.bears_silence() or not silent,
        "faults.name",
        _name(experiment, "faults"),
        f"protocol {_name(experiment, 'protocol')} would wait for ever for a UE that fails; take deadline, "
        "base_then_enhancement with close_s, or event_triggered with deadline_s",
    )
    feedback = [isinstance(one, ErrorFeedback) for one in chain(experiment).transforms].count(True)
    allowed = 'payload = "weights" has no update; say "update"'
    require(experiment.payload == "update" or not feedback, "error_feedback", True, allowed)
    require(feedback < 2, "error_feedback", True, "the chain of transforms has it already")
    names = [name for meter in experiment.meters for name in meter.columns] + list(experiment.privacy.columns)
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, "meters", twice[:1], "two of them have the same column")
    metered = experiment.stop.energy_j is None or "energy_j" in names
    require(metered, "stop.energy_j", experiment.stop.energy_j, 'not without the meter: meters = ["energy"]')
    experiment.bits.check(experiment.codec)
    if experiment.aggregation.normalises:
        _require_plain_steps(experiment)
    _require_media_fit(experiment)
    if experiment.privacy.active:
        _require_private(experiment)


def _require_plain_steps(experiment: Experiment) -> None:
    """Raise UserError unless every update is a sum of plain SGD steps from the present model."""
    optimizer, rule = experiment.optimizer, _name(experiment, "aggregation")
    wanted = {
        "optimizer sgd with momentum 0": isinstance(optimizer, Sgd) and not optimizer.momentum,
        "algorithm fedavg": not experiment.algorithm.corrects,
        "a protocol in rounds that takes no update twice": not (
            isinstance(experiment.protocol, Buffered) or experiment.protocol.repeats()
        ),
    }
    for what, given in wanted.items():
        require(given, "aggregation.name", rule, f"it divides an update by the steps behind it; take {what}")


def _require_private(experiment: Experiment) -> None:
    """Raise UserError unless everything that leaves the protected place is covered by the privacy mechanism.

    What a part of a user's own does cannot be known, so it must be one of ours where it counts.
    """
    privacy, protocol = experiment.privacy, experiment.protocol
    table = KINDS["privacy"].describe(privacy, nameless=True)
    in_rounds = not (isinstance(protocol, Buffered) or protocol.repeats())
    wanted = {
        "it bounds what a UE adds to a plain mean; take aggregation plain_mean": (
            type(experiment.aggregation) is PlainMean
        ),
        "it counts each update once; take a protocol in rounds that takes no update twice": in_rounds,
        "a UE that does not send tells what it trained; take no protocol or transform by which it is silent": all(
            type(one).silent is Transform.silent for one in chain(experiment).transforms
        ),
        f"the BS clips single updates, and on medium {_name(experiment, 'medium')} it hears none": (
            experiment.medium.separable or not privacy.bounds_single
        ),
        "noise of the sum does not cover updates that are rounded one by one; take codec float32": (
            type(experiment.codec) is Float32 or not privacy.sums_only
        ),
        "noise of the sum does not cover what UEs keep of single updates; leave error feedback out": not (
            privacy.sums_only and any(isinstance(one, ErrorFeedback) for one in chain(experiment).transforms)
        ),
        "it protects at the UE, and by the number of bits a UE would tell of its update; take bits fixed": (
            privacy.bounds_single or type(experiment.bits) is FixedBits
        ),
    }
    for what, given in wanted.items():
        require(given, "privacy.name", table["name"], what)
    require(
        type(experiment.selection) is RandomDraw or not privacy.samples,
        "privacy.accounting",
        table.get("accounting"),
        f'selection {_name(experiment, "selection")} draws nobody at random; take random, or accounting = "none"',
    )
    privacy.check(experiment.ues, experiment.drawn)


def require_protected(experiment: Experiment, structure: Structure) -> None:
    """Raise UserError unless the privacy mechanism covers all that UEs send of a model of this structure."""
    if not experiment.privacy.active:
        return
    name = _name(experiment, "privacy")
    exact = [spec.name for spec in structure if not spec.dtype.is_floating_point]
    allowed = (
        f"{brief(exact[0], 60) if exact else ''} of the model travels as it is; take a model without batch norm"
    )
    require(not exact, "privacy.name", name, f"it protects floating-point numbers, and {allowed}")
    model = {spec.name: torch.zeros(spec.shape, dtype=spec.dtype) for spec in structure}
    allowed = f"algorithm {_name(experiment, 'algorithm')} sends more than the model, which nothing protects"
    require(not experiment.algorithm.message(model), "privacy.name", name, allowed)


def _require_media_fit(experiment: Experiment) -> None:
    """Raise UserError unless medium, allocator, bits and aggregation fit each other."""
    shares = isinstance(experiment.medium, SharedMedium)
    medium = _name(experiment, "medium")
    require(
        shares or experiment.allocator == Equal(),
        "allocator.name",
        _name(experiment, "allocator"),
        f"medium {medium} shares nothing; take shared_band",
    )
    require(
        experiment.medium.separable or not experiment.aggregation.compares,
        "aggregation.name",
        _name(experiment, "aggregation"),
        f"it compares single updates, and on medium {medium} the BS hears none",
    )
    require(
        not (shares and experiment.bits.foresees),
        "bits.knows",
        "oracle",
        f"on medium {medium} nobody can know the delay of an upload before it is sent",
    )


def _name(experiment: Experiment, table: str) -> str:
    return KINDS[table].name_of(getattr(experiment, table), nameless=True)


def chain(experiment: Experiment) -> Chain:
    """The transforms of every UE: the protocol's trigger, those of the experiment, privacy, error feedback."""
    threshold = experiment.protocol.movement_threshold()
    trigger = () if threshold is None else (Movement(threshold),)
    feedback = (ErrorFeedback(),) if experiment.error_feedback else ()
    private = experiment.privacy.transforms(experiment.drawn)
    return Chain((*trigger, *experiment.transforms, *private, *feedback))
