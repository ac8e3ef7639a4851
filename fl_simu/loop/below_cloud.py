"""Checks, before data are read, that the parts of an experiment work at edges below a cloud."""

from fl_simu.attacks.poisoning.base import NoAttack
from fl_simu.experiment import Experiment
from fl_simu.kernel.checked import told_of
from fl_simu.kernel.errors import require
from fl_simu.loop.needs import ONCE, require_all, takes_once
from fl_simu.radio.media.base import SharedMedium


def require_edges_fit(experiment: Experiment) -> None:
    """Raise UserError unless each edge has enough UEs and each part works with several BSs."""
    topology = experiment.topology
    with told_of("topology.", topology):
        topology.check(experiment.ues)
    least = min(topology.sizes(experiment.ues))
    given, fewest = experiment.ues_per_round, experiment.aggregation.fewest()
    require((given or 1) <= least, "ues_per_round", given, f"at most the {least} UEs of the smallest edge")
    with told_of("selection.", experiment.selection):
        experiment.selection.check(least)
    drawn = given or least
    told = f"it needs {fewest} updates, and an edge round draws {drawn} UEs"
    require(fewest <= drawn, "aggregation.name", experiment.named("aggregation"), told)
    shares = isinstance(experiment.medium, SharedMedium)
    wanted = {
        "an algorithm of which the BS remembers nothing, since the cloud averages models alone": (
            not experiment.algorithm.remembers
        ),
        "no attack, since what an attack is measured by are all updates of one BS": isinstance(
            experiment.attack, NoAttack
        ),
        "secure none, which seals the uploads of one BS": not experiment.secure.active,
        "privacy none, which counts what one BS releases": not experiment.privacy.active,
        "a medium that carries bits: nobody tells what all edges hear of sums": not experiment.medium.analog,
        f"{ONCE}, or medium orthogonal: an edge that waits for the cloud plans no band": (
            not shares or takes_once(experiment.protocol)
        ),
    }
    require_all(experiment, "topology", wanted)
