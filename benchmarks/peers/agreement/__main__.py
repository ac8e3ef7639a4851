"""`python -m benchmarks.peers.agreement`: fl_simu's algorithms against other frameworks' own, round by round.

Logistic regression on five UEs with 4 to 22 samples of different classes. Three of the five train per round (more
for rules that tolerate Byzantine UEs), for one epoch of plain SGD with batches of 4, in the order that fl_simu
draws. The other frameworks run in a separate environment, with their own algorithms, not with copies of them.
The table shows, after each round, the largest difference of a weight of the global model, divided by the largest
weight. If it is above 1e-6, the command ends with status 1. The last column is the effect of the algorithm
itself: the same difference after the last round, between fl_simu with it and with plain local steps and a mean.

If a framework defines an algorithm differently, it gets settings or values with which both compute the same:

- Flower's FedAdagrad, FedAdam and FedYogi start v at 0. Algorithm 2 of Reddi et al. 2021 has v_{-1} >= tau^2,
  and fl_simu uses tau^2. Flower's strategy gets v = tau^2 before the first round.
- Flower's FedAdam multiplies its rate by sqrt(1 - beta_2^(t+1)) / (1 - beta_1^(t+1)) in round t = 1, 2, ..., a
  bias correction that Reddi et al. and fl_simu leave out. Flower's strategy is told that there were a million
  rounds before, after which the factor is 1.
- Flower's FedAdagrad has no momentum, which matches the default of beta_1 here.
- Flower's mean is weighted by samples, like `mean`; the means of FedLab and of pfl-research's SCAFFOLD are plain,
  like `plain_mean`. pfl-research's FedProx is weighted by samples with its own `WeightByDatapoints`.
- Flower's MultiKrum weights the selected models by samples, `multi_krum` averages them plainly: here Flower
  weights by a number that is 1 for each client. Its FedTrimmedAvg trims a fraction, `trimmed_mean` a number: 0.3
  of five is one.
- Flower implements the server's side of an algorithm. Its FedProx sends mu to clients that its user writes, so
  there is nothing to compare; its clients here are plain torch.
- SCAFFOLD is option II, c_i' = c_i - c + (x - y) / (K lr), and the server's rate is 1. pfl-research 0.6.0 adds
  (y - x) / (K lr), so its variates are those of the paper with the opposite sign, but its step adds c - c_i to the
  gradient, as for the paper's sign. Here its step gets c and c_i exchanged, which makes it the paper's algorithm;
  everything else is pfl-research's. Unmodified, it differs from the paper from the second round on.
- FedLab 1.3.0's FedDyn is not compared: it computes its two penalties from detached weights, so they have no
  gradient. Flower and pfl-research have no FedDyn.

The rows "as it is" show how far unmodified frameworks differ. They do not affect the status.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict, List, Mapping, Optional, Sequence

import torch

from benchmarks.children import ROOT, ChildFailed, answer_of, say
from benchmarks.peers.agreement import ours, problem
from benchmarks.peers.agreement.cases import CASES, Case
from benchmarks.peers.agreement.child import FRAMEWORKS
from fl_simu.kernel.parameters import Params

# A float32 step is 1.2e-7 of a number; the frameworks sum in other orders, and most of them in float32 where
# fl_simu sums in float64.
TOLERANCE = 1e-6


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.agreement", description=__doc__.split("\n")[0]
    )
    peers = ROOT / ".venv" / "peers" / "bin" / "python"
    parser.add_argument("--peers-python", type=Path, default=peers, help="of the environment of the others")
    python = parser.parse_args(arguments).peers_python
    if not python.exists():
        say(f"not installed: {python} is missing; make agreement sets it up")
        return 1
    theirs = models_of_others(python, problem.make())
    return report(theirs) or int(len(theirs) < len(CASES))


def models_of_others(python: Path, given: problem.Problem) -> Dict[Case, List[Params]]:
    """The global models of each case after each round, with each framework in a separate process.

    A framework that fails is reported, and its cases are left out.
    """
    found: Dict[Case, List[Params]] = {}
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "problem.npz", Path(folder) / "models.npz"
        problem.write(path, given)
        for framework in FRAMEWORKS:
            cases = [case for case in CASES if case.framework == framework]
            told = json.dumps([{"drawn": case.drawn, **case.arguments} for case in cases])
            command = [str(python), "-m", "benchmarks.peers.agreement.child", framework, str(path)]
            try:
                answer = answer_of([*command, "--cases", told, "--models", str(out)])
            except ChildFailed as error:
                say(f"{framework}: {error}")
                continue
            print(answer["version"], flush=True)
            found.update(zip(cases, problem.read_models(out)))
    return {case: found[case] for case in CASES if case in found}


def report(theirs: Mapping[Case, Sequence[Params]]) -> int:
    """Print the table; returns 1 if models that should agree do not."""
    given = problem.make()
    rows = [["", *(f"round {round + 1}" for round in range(given.rounds)), "it does"]]
    above = []
    for case, models in theirs.items():
        mine = ours.run(given, case.drawn, case.parts)
        mean = {"aggregation": "plain_mean"} if "aggregation" in case.parts else {}
        plain = ours.run(given, case.drawn, mean)
        found = [relative(one, other) for one, other in zip(models, mine)]
        label = f"{case.name}, {case.framework}"
        if case.differs:
            label += f" as it is: {case.differs}"
        elif len(found) < given.rounds or not all(one <= TOLERANCE for one in found):
            above.append(label)
        rows.append([label, *(f"{one:.1e}" for one in (*found, relative(mine[-1], plain[-1])))])
    width = max(len(row[0]) for row in rows)
    for row in rows:
        print(row[0].ljust(width) + "".join(cell.rjust(10) for cell in row[1:]))
    print(f"further than {TOLERANCE:.0e} apart: {'; '.join(above) or 'none'}")
    return 1 if above else 0


def relative(one: Params, other: Params) -> float:
    """The largest difference of a weight, divided by the largest weight of the other; NaN if a model has NaN."""
    gaps = torch.stack([(one[name] - tensor).abs().max() for name, tensor in other.items()])
    return float(gaps.max() / max(tensor.abs().max() for tensor in other.values()))


if __name__ == "__main__":
    sys.exit(main())
