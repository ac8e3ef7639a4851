"""What energy does a shorter round cost, with the best slots and with equal ones (Tran et al. 2019)?

Ten UEs train and then send one after the other, within a time T. A part of T is for training, and the processors
run at the frequency that finishes training in this part. The rest is for sending. The slots are either those with
the least total energy (`tdma_energy`) or equal ones (`equal_slots`). Both schemes use the least powers that fill
their slots, and their best split of T between training and sending, chosen from the same grid. The script also
compares allocators that divide a band at full power. The channel is constant during the round. Each seed is a
cell.
"""

from statistics import mean, stdev
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.results.figures import new_figure, plain_log_ticks, write_figures
from fl_simu.results.files import write_text
from fl_simu.results.findings import Finding, Reading, inequality
from fl_simu.results.marks import COLOURS
from fl_simu.results.tables import markdown_table
from fl_simu.studies.script import Setup

TRAN = "Tran, Bao, Zomaya, Nguyen, Hong 2019"
YANG = "Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021"

# 125,000 cycles a sample (20 a bit of an image of 784 bytes), 140 samples, five passes.
CYCLES, SAMPLES, EPOCHS = 125_000.0, 140, 5
BANDWIDTH_MHZ, POWER_W, KAPPA = 1.0, 1.0, 1e-28

EXPERIMENT: Dict[str, Any] = {
    "rounds": 1,
    "ues": 10,
    "backend": "torch",
    "payload": "update",
    "data": {"name": "digits", "test_samples": 100},
    "partition": {"name": "iid", "samples_per_ue": SAMPLES},
    "model": "logistic_regression",
    "training": {"epochs": EPOCHS, "batch_size": SAMPLES},
    # 63 kbit an upload.
    "codec": {"name": "affine", "base_bits": 8},
    # 1 W is 30 dBm. A direct path keeps the fades shallow; one tick is longer than any run.
    "channel": {
        "name": "fading", "tick_s": 1e6, "radius_m": 200.0, "shadowing_db": 0.0, "rician_k_db": 10.0,
        "power_dbm": 30.0, "bandwidth_mhz": BANDWIDTH_MHZ, "shares": 1, "min_snr_db": -100.0,
    },
    "meters": [{"name": "energy", "kappa": KAPPA, "power_w": POWER_W}],
}  # fmt: skip

SLOTS = {"best": "tdma_energy", "equal": "equal_slots"}
# The fractions of T for training; the values of T in s, the tightest first.
SPLITS = {True: (0.1, 0.3, 0.5, 0.7, 0.9), False: (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)}
DEADLINES_S = {True: (0.3, 0.6, 1.6), False: (0.3, 0.4, 0.6, 0.8, 1.2, 1.6)}
SEEDS = {True: range(1, 4), False: range(1, 21)}

# The recorded verdict of every claim, at the full and at the quick size.
EXPECTED = "agrees"

Spent = Mapping[Tuple[str, float, float], Tuple[float, float]]
Curves = Mapping[Tuple[int, str], Sequence[float]]
# Time [s] and energy [J] with equal bandwidths, and with the best ones.
Bands = Tuple[Tuple[float, float], Tuple[float, float]]


def run(seed: int, changes: Mapping[str, Any]) -> Tuple[float, float, float]:
    """One round: its duration [s], the energy of all UEs [J], and that of sending alone [J]."""
    (record,) = fl.run(fl.Experiment.parse({**EXPERIMENT, "seed": seed, **changes})).records
    return record.time_s, record.meters["energy_j"], record.meters["transmit_energy_j"]


def processor(frequency_hz: float) -> Dict[str, Any]:
    return {"name": "cycles", "cycles_per_sample": CYCLES, "low_hz": frequency_hz, "high_hz": frequency_hz}


def spent(seed: int, deadlines_s: Sequence[float], splits: Sequence[float]) -> Spent:
    """The duration [s] and energy [J] of a round, by slots, deadline and split."""
    found = {}
    for slots, medium in SLOTS.items():
        for deadline_s in deadlines_s:
            for split in splits:
                band = {"name": medium, "time_s": (1 - split) * deadline_s, "bandwidth_mhz": BANDWIDTH_MHZ}
                frequency_hz = CYCLES * SAMPLES * EPOCHS / (split * deadline_s)
                changes = {"compute": processor(frequency_hz), "medium": {**band, "power_w": POWER_W}}
                found[slots, deadline_s, split] = run(seed, changes)[:2]
    return found


def least(seed: int, found: Spent, slots: str, deadline_s: float) -> float:
    """The least energy of all splits that keep the deadline."""
    kept = [
        energy_j
        for (kind, deadline, _), (time_s, energy_j) in found.items()
        if (kind, deadline) == (slots, deadline_s) and time_s <= deadline_s * (1 + 1e-9)
    ]
    if not kept:
        raise UserError(f"seed {seed}: no split with {slots} slots keeps {deadline_s:g} s")
    return min(kept)


def bandwidths(seed: int) -> Bands:
    """Time [s] and energy [J] of simultaneous sending at full power, with equal and with the best bandwidths.

    The best time is that of bandwidths with which all UEs finish at the same time. The best energy is that of the
    cheapest bandwidths that end no later than the equal ones.
    """
    shared = {
        "compute": {"name": "constant", "seconds": 0.0},
        "medium": {"name": "planned_shannon_band", "bandwidth_mhz": BANDWIDTH_MHZ},
    }
    equal_s, _, equal_j = run(seed, {**shared, "allocator": "equal"})
    together_s, _, _ = run(seed, {**shared, "allocator": "min_max_delay"})
    cheapest = {"name": "min_energy", "deadline_s": equal_s * (1 + 1e-9)}
    _, _, cheapest_j = run(seed, {**shared, "allocator": cheapest})
    return (equal_s, equal_j), (together_s, cheapest_j)


def reproduce(setup: Setup) -> List[Finding]:
    deadlines_s, splits, seeds = (one[setup.quick] for one in (DEADLINES_S, SPLITS, SEEDS))
    every = {}
    for seed in seeds:
        every[seed] = spent(seed, deadlines_s, splits)
        setup.say(f"seed {seed}: {len(every[seed])} rounds")
    curves = {
        (seed, slots): [least(seed, found, slots, deadline_s) for deadline_s in deadlines_s]
        for seed, found in every.items()
        for slots in SLOTS
    }
    bands = [bandwidths(seed) for seed in seeds]
    write_figures(setup.out / "figures", {"energy-over-time.png": figure(deadlines_s, curves)})
    write_text(setup.out / "energies.md", table(deadlines_s, curves))
    best, equal = ([curves[seed, slots] for seed in seeds] for slots in SLOTS)
    return [
        *claims_on_slots(deadlines_s, best, equal),
        claim_on_split(deadlines_s[-1], list(every.values())),
        *claims_on_bandwidths(bands),
    ]


def claim(says: str, source: str, less: Sequence[float], than: Sequence[float], unit: str = "") -> Finding:
    """The claim that the values of one side are less than those of the other, seed by seed."""
    sides = ([Reading(one) for one in side] for side in (less, than))
    return inequality(says, source, *sides, unit=unit, expected=EXPECTED)


def claims_on_slots(
    deadlines_s: Sequence[float], best: Sequence[Sequence[float]], equal: Sequence[Sequence[float]]
) -> List[Finding]:
    """On the energies [J] over the deadlines, of each seed, with the best and with equal slots."""
    ones = [1.0] * len(best)
    saved = [[1 - one / other for one, other in zip(*pair)] for pair in zip(best, equal)]
    return [
        claim(
            "Each longer deadline takes less energy: the least ratio of consecutive energies is above 1",
            TRAN,
            ones,
            [min(one / after for one, after in zip(curve, curve[1:])) for curve in best],
        ),
        claim(
            "The best slots never cost more energy than equal ones: the least ratio over deadlines is above 1",
            TRAN,
            ones,
            [min(other / one for one, other in zip(*pair)) for pair in zip(best, equal)],
        ),
        claim(
            "The best slots save a larger share of energy "
            f"with a deadline of {deadlines_s[0]:g} s than with {deadlines_s[-1]:g} s",
            "ours, before the runs",
            [100 * one[-1] for one in saved],
            [100 * one[0] for one in saved],
            "%",
        ),
    ]


def claim_on_split(deadline_s: float, every: Sequence[Spent]) -> Finding:
    """On the split of a deadline between training and sending, with the best slots."""
    at = {split: [found["best", deadline_s, split][1] for found in every] for split in (0.1, 0.5, 0.9)}
    return claim(
        f"With {deadline_s:g} s, half each for training and sending takes less energy than a tenth for either",
        TRAN,
        [1e3 * one for one in at[0.5]],
        [1e3 * min(pair) for pair in zip(at[0.1], at[0.9])],
        "mJ",
    )


def claims_on_bandwidths(bands: Sequence[Bands]) -> List[Finding]:
    return [
        claim(
            "At full power, bandwidths with which all UEs finish together end a round sooner than equal ones",
            YANG,
            [together_s for _, (together_s, _) in bands],
            [equal_s for (equal_s, _), _ in bands],
            "s",
        ),
        claim(
            "Within the time that equal bandwidths take at full power, the cheapest ones send with less energy",
            YANG,
            [1e3 * cheapest_j for _, (_, cheapest_j) in bands],
            [1e3 * equal_j for (_, equal_j), _ in bands],
            "mJ",
        ),
    ]


def figure(deadlines_s: Sequence[float], curves: Curves) -> Any:
    """Energy over the deadline: mean and range over the cells, each slot scheme with its own best splits."""
    drawn = new_figure("What a shorter round costs", 4.2, title_size=11)
    axes = drawn.subplots()
    for slots, mark, colour in zip(SLOTS, ("o-", "s--"), COLOURS.values()):
        columns = [[1e3 * one for one in column] for column in _columns(curves, slots)]
        axes.loglog(deadlines_s, [*map(mean, columns)], mark, color=colour, label=f"{slots} slots")
        axes.fill_between(deadlines_s, [*map(min, columns)], [*map(max, columns)], color=colour, alpha=0.2)
    for axis in (axes.xaxis, axes.yaxis):
        plain_log_ticks(axis)
    axes.set(xlabel="time for training and sending [s]", ylabel="energy of all UEs in a round [mJ]")
    axes.grid(True, alpha=0.3)
    axes.legend(frameon=False)
    return drawn


def table(deadlines_s: Sequence[float], curves: Curves) -> str:
    """A Markdown table with a row for each deadline: mean and deviation over the cells."""
    rows = [["deadline [s]", "best slots [mJ]", "equal slots [mJ]", "saved [%]"]]
    sides = (_columns(curves, slots) for slots in SLOTS)
    for deadline_s, best, equal in zip(deadlines_s, *sides):
        saved = [100 * (1 - one / other) for one, other in zip(best, equal)]
        values = ([1e3 * one for one in best], [1e3 * one for one in equal], saved)
        rows.append([f"{deadline_s:g}", *(f"{mean(one):.1f} ± {stdev(one):.1f}" for one in values)])
    return markdown_table(rows)


def _columns(curves: Curves, slots: str) -> List[List[float]]:
    """For each deadline, the energy in every cell [J]."""
    return [list(column) for column in zip(*(curve for (_, kind), curve in curves.items() if kind == slots))]
