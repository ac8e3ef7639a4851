"""Checks, before data are read, that the parts of an experiment fit together."""

from fl_simu.attacks.poisoning.base import NoAttack
from fl_simu.experiment import Experiment
from fl_simu.kernel.checked import told_of
from fl_simu.kernel.errors import require
from fl_simu.loop.analog import require_summable
from fl_simu.loop.below_cloud import require_edges_fit
from fl_simu.loop.needs import ONCE, require_all, takes_once
from fl_simu.loop.protection import require_protecting
from fl_simu.radio.allocation.base import Equal
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.downlink import Unicast
from fl_simu.radio.losses import NoLoss
from fl_simu.radio.media.base import SharedMedium
from fl_simu.station.protocols.buffered import Buffered
from fl_simu.ue.faults import NoFaults
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.transforms.base import Chain
from fl_simu.ue.transforms.error_feedback import ErrorFeedback
from fl_simu.ue.transforms.movement import Movement


def require_fit(experiment: Experiment) -> None:
    """Raise UserError unless the parts fit together and fit the number of UEs."""
    _require_numbers_fit(experiment)
    _require_feedback_fits(experiment)
    _require_meters_fit(experiment)
    require(
        experiment.data.symbols is None or not experiment.partition.changes_pixels,
        "partition.name",
        experiment.named("partition"),
        f"it changes pixels, and images of {experiment.data.name} are characters",
    )
    experiment.bits.check(experiment.codec)
    if experiment.local_layers:
        _require_local_layers_fit(experiment)
    if experiment.aggregation.normalises:
        _require_plain_steps(experiment)
    _require_media_fit(experiment)
    if isinstance(experiment.medium, SharedMedium) and experiment.medium.own_links:
        _require_own_links_fit(experiment)
    _require_selection_fits(experiment)
    _require_downlink_fits(experiment)
    if experiment.medium.analog:
        require_summable(experiment)
    if not isinstance(experiment.loss, NoLoss):
        _require_losses_fit(experiment)
    require_protecting(experiment, chain(experiment))
    if experiment.topology.active:
        require_edges_fit(experiment)


def _require_numbers_fit(experiment: Experiment) -> None:
    """Raise UserError unless there are enough UEs, and the protocol tolerates UEs that fail."""
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
        experiment.named("aggregation"),
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
        experiment.named("faults"),
        f"protocol {experiment.named('protocol')} would wait for ever for a UE that fails; take deadline, "
        "base_then_enhancement with close_s, or event_triggered with deadline_s",
    )


def _require_feedback_fits(experiment: Experiment) -> None:
    """Raise UserError unless error feedback gets updates and is used only once."""
    feedback = [isinstance(one, ErrorFeedback) for one in chain(experiment).transforms].count(True)
    allowed = 'payload = "weights" has no update; say "update"'
    require(experiment.payload == "update" or not feedback, "error_feedback", True, allowed)
    require(feedback < 2, "error_feedback", True, "the chain of transforms has it already")


def _require_meters_fit(experiment: Experiment) -> None:
    """Raise UserError unless each column has one source, and every column that is needed exists."""
    names = [name for meter in experiment.meters for name in meter.columns]
    names += [*experiment.privacy.columns, *experiment.medium.columns]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, "meters", twice[:1], "two of them have the same column")
    metered = experiment.stop.energy_j is None or "energy_j" in names
    require(metered, "stop.energy_j", experiment.stop.energy_j, 'not without the meter: meters = ["energy"]')
    require(
        not experiment.faults.drains or "energy_j" in names,
        "faults.name",
        experiment.named("faults"),
        'not without the meter that tells what UEs spend: meters = ["energy"]',
    )


def _require_local_layers_fit(experiment: Experiment) -> None:
    """Raise UserError if another part would have to know which layers stay at the UEs."""
    wanted = {
        "algorithm fedavg or fedprox": not (experiment.algorithm.remembers or experiment.algorithm.personal),
        "no attack": isinstance(experiment.attack, NoAttack),
    }
    for what, given in wanted.items():
        require(given, "local_layers", list(experiment.local_layers), f"with {what} only")


def _require_plain_steps(experiment: Experiment) -> None:
    """Raise UserError unless every update is a sum of plain SGD steps from the current model."""
    optimizer, rule = experiment.optimizer, experiment.named("aggregation")
    wanted = {
        "optimizer sgd with momentum 0": isinstance(optimizer, Sgd) and not optimizer.momentum,
        "algorithm fedavg": not experiment.algorithm.corrects,
        ONCE: takes_once(experiment.protocol),
    }
    for what, given in wanted.items():
        require(given, "aggregation.name", rule, f"it divides an update by the steps behind it; take {what}")


def _require_media_fit(experiment: Experiment) -> None:
    """Raise UserError unless medium, allocator, bits and aggregation fit together."""
    shares = isinstance(experiment.medium, SharedMedium)
    medium = experiment.named("medium")
    require(
        shares or experiment.allocator == Equal(),
        "allocator.name",
        experiment.named("allocator"),
        f"medium {medium} shares nothing; take shared_band",
    )
    divided = not isinstance(experiment.medium, SharedMedium) or experiment.medium.allocates
    allowed = "it needs allocator equal: no allocator divides it"
    require(divided or experiment.allocator == Equal(), "medium.name", medium, allowed)
    require(
        experiment.medium.separable or not experiment.aggregation.compares,
        "aggregation.name",
        experiment.named("aggregation"),
        f"it compares single updates, and on medium {medium} the BS hears none",
    )
    require(
        not (shares and experiment.bits.foresees),
        "bits.knows",
        "oracle",
        f"on medium {medium} nobody can know the delay of an upload before it is sent",
    )


def _require_own_links_fit(experiment: Experiment) -> None:
    """Raise UserError if another part defines the links, or needs to know them."""
    wanted = {
        "loss none: it has losses of its own": isinstance(experiment.loss, NoLoss),
        "a protocol in rounds: blocks are assigned to a cohort": not isinstance(experiment.protocol, Buffered),
    }
    require_all(experiment, "medium", wanted)


def _require_selection_fits(experiment: Experiment) -> None:
    """Raise UserError unless the selection gets the information that it asks for, and its weights are used."""
    selection, rule = experiment.named("selection"), experiment.named("aggregation")
    with told_of("selection.", experiment.selection):
        experiment.selection.check(experiment.ues)
    require(
        experiment.selection.weighs == experiment.aggregation.adds,
        "aggregation.name",
        rule,
        f"selection {selection} tells weights, and only weighted_sum adds up by them"
        if experiment.selection.weighs
        else f"selection {selection} tells no weights; take importance_by_norm",
    )
    wanted = {
        ONCE: not experiment.selection.weighs or takes_once(experiment.protocol),
        "that the BS hears single updates": not experiment.selection.compares
        or (experiment.medium.separable and not experiment.secure.active),
    }
    require_all(experiment, "selection", wanted)


def _require_downlink_fits(experiment: Experiment) -> None:
    """Raise UserError unless the downlink can be shared by several UEs."""
    downlink, cast = experiment.downlink, experiment.named("cast")
    if isinstance(experiment.cast, Unicast):
        return
    allowed = "the downlink is free, and nothing is sent; take a channel, as downlink constant"
    require(isinstance(downlink, Channel), "cast.name", cast, allowed)
    allowed = f"the rate of downlink {experiment.named('downlink')} may fall below 0, where nobody is the slowest"
    require(not getattr(downlink, "falls_below_0", False), "cast.name", cast, allowed)


def _require_losses_fit(experiment: Experiment) -> None:
    """Raise UserError unless UEs send single uploads, at rates that do not follow the fading."""
    loss, channel, medium = (experiment.named(table) for table in ("loss", "channel", "medium"))
    require(
        not experiment.channel.adapts,
        "loss.name",
        loss,
        f"the rate of channel {channel} follows the SNR, and losses drawn besides would count fading twice; "
        "take a channel whose rate does not, as constant, or loss none",
    )
    require(
        experiment.medium.separable,
        "loss.name",
        loss,
        f"on medium {medium} the BS hears no single upload that could be lost",
    )


def chain(experiment: Experiment) -> Chain:
    """The transforms of every UE: the protocol's trigger, the experiment's, privacy, error feedback."""
    threshold = experiment.protocol.movement_threshold()
    trigger = () if threshold is None else (Movement(threshold),)
    feedback = (ErrorFeedback(),) if experiment.error_feedback else ()
    private = experiment.privacy.transforms(experiment.drawn)
    return Chain((*trigger, *experiment.transforms, *private, *feedback))
