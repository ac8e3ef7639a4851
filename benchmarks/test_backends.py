"""Compares the syft and torch backends, each in a separate process; the two take turns round by round."""

from statistics import median

import pytest
from children import Turns, answer_of_script

from fl_simu.kernel.installation import syft_installed

REPEATS, ROUNDS = 2, 8
# Batch size: number of UEs, and the goal. A round takes about a second.
SETTINGS = {64: (3, "1.15"), 4: (2, "1.50")}


@pytest.mark.skipif(not syft_installed(), reason="syft 0.2.4 is on the legacy stack only")
@pytest.mark.parametrize("batch_size", SETTINGS)
def test_syft_against_torch(batch_size, report):
    ues, goal = SETTINGS[batch_size]
    arguments = ("--batch-size", batch_size, "--ues", ues)
    pairs = []
    for _ in range(REPEATS):
        plain, hooked = (Turns("backend_rounds.py", backend, *arguments) for backend in ("torch", "syft"))
        with plain, hooked:
            # The first round of each is a warm-up: caches, and memory that is not allocated yet.
            turns = [(plain.take(), hooked.take()) for _ in range(1 + ROUNDS)]
        pairs += turns[1:]
    for clock, name in (("wall_s", "wall clock"), ("cpu_s", "CPU time")):
        torch_s, syft_s = ([pair[side][clock] for pair in pairs] for side in (0, 1))
        ratios = sorted(syft / torch for torch, syft in zip(torch_s, syft_s))
        lower, upper = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        report.add(
            f"syft / torch a round, batch {batch_size}, {name}",
            f"{median(syft_s) / median(torch_s):.2f} ({median(syft_s):.3f} / {median(torch_s):.3f} s); "
            f"pairs: half in {lower:.2f} to {upper:.2f}; least {min(syft_s) / min(torch_s):.2f}",
            f"<= {goal}",
            torch_s=torch_s,
            syft_s=syft_s,
        )


def test_nothing_but_the_bs(report):
    seconds = answer_of_script("bs_overhead.py")["seconds"]
    report.add(
        "the BS alone, 16 UEs at 2 + 2 bits, a round",
        f"{median(seconds):.3f} s (least {min(seconds):.3f}, most {max(seconds):.3f})",
        seconds=seconds,
    )
