"""The cost of over-the-air sums of an experiment's model: symbols, time, silent UEs, noise. No training."""

import math
from typing import Any, Dict, Optional, Sequence

import numpy as np

from fl_simu.kernel.errors import UserError, shown
from fl_simu.kernel.parameters import Structure
from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.loop.plan import Plan
from fl_simu.meters.energy import Energy
from fl_simu.radio.link import Upload
from fl_simu.radio.media.analog import Analog
from fl_simu.radio.media.over_the_air import OverTheAir
from fl_simu.results.intervals import wilson
from fl_simu.studies.channel import MAX_UES, MOST_DRAWS, Share, sent_of, spread


def sums(planned: Plan, draws: int, ues: Optional[int]) -> Dict[str, Any]:
    """The cost of sums as plain data, for the rounds of a run with the same seed in which no UE is late.

    Args:
        planned: an experiment on an analog medium.
        draws: number of UEs that are asked to send, over all rounds, at least 1.
        ues: number of UEs; if None, those of the experiment, at most 1,000.

    Returns:
        `numbers`, `symbols` and `seconds` of one model; `rounds`, and the `ues` drawn for each; `silent`, the
        share of UEs that do not send; `noise_std` on a number of the plain mean of models whose numbers have
        variance 1, over the rounds in which a UE sends; and `sending_j`, if there is the meter `energy`.

    Raises:
        UserError: a number out of range.
    """
    experiment, medium = planned.experiment, planned.experiment.medium
    assert isinstance(medium, Analog)
    if not 1 <= draws <= MOST_DRAWS:
        raise UserError(f"--draws {shown(draws)} is not allowed: at least 1, at most {MOST_DRAWS:,}")
    known = ues or min(experiment.ues, MAX_UES)
    together = min(experiment.drawn, known)
    structure = sent_of(planned)
    count = max(1, draws // together)
    sending = [_sending(planned, medium, structure, version, known, together) for version in range(count)]
    asked, heard = count * together, sum(map(len, sending))
    numbers = sum(spec.elements for spec in structure)
    seconds = medium.symbols(numbers) / (1e3 * medium.spacing_khz)
    closed = medium.silent_share() if isinstance(medium, OverTheAir) else 0.0
    silent = Share(1 - heard / asked, *wilson(asked - heard, asked), closed)
    noise = [
        math.sqrt(medium.noise_variance(experiment.seed, version, dict.fromkeys(some, 1.0))) / len(some)
        for version, some in enumerate(sending)
        if some
    ]
    found: Dict[str, Any] = {
        "name": experiment.name,
        "seed": experiment.seed,
        "medium": experiment.named("medium"),
        "numbers": numbers,
        "symbols": medium.symbols(numbers),
        "seconds": seconds,
        "rounds": count,
        "ues": together,
        "silent": silent._asdict(),
        "noise_std": spread(np.array(noise or [math.nan])),
    }
    meter = next((one for one in experiment.meters if isinstance(one, Energy)), None)
    if meter is not None:
        found["sending_j"] = (meter.power_w / meter.efficiency + meter.circuit_w) * seconds
    return found


def _sending(
    planned: Plan, medium: Analog, structure: Structure, version: int, ues: int, together: int
) -> Sequence[int]:
    """The UEs of a round that send."""
    link, state = planned.link, medium.start()
    drawn = permutation(briefly(link.seed, "draw", round=version), ues)[:together].tolist()

    def pending(ue: int) -> Upload:
        return medium.pending(link, ue, version, 0.0, structure, 0, 0.0)

    return [ue for ue in sorted(drawn) if not medium.silence(state, link, pending(ue), 0.0)]
