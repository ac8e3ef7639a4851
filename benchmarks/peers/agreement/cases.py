"""The cases to compare: settings with which fl_simu and another framework compute the same formula."""

from dataclasses import dataclass
from typing import Any, Mapping

# UEs per round, out of five.
DRAWN, ALL = 3, 5
LR, BETA_1, BETA_2, TAU, MU = 0.2, 0.6, 0.8, 0.2, 0.7


@dataclass(frozen=True, eq=False)
class Case:
    """One algorithm in fl_simu and in another framework.

    Args:
        name: its name in fl_simu.
        framework: a key of `FRAMEWORKS` in child.py.
        parts: the parts of fl_simu's experiment.
        arguments: the arguments of the framework's `run`.
        drawn: UEs per round.
        differs: why the unmodified framework computes something else; empty if both compute the same.
    """

    name: str
    framework: str
    parts: Mapping[str, Any]
    arguments: Mapping[str, Any]
    drawn: int = DRAWN
    differs: str = ""


_FED_ADAGRAD = {"name": "fedadagrad", "lr": LR, "tau": TAU}
_FED_ADAM = {"name": "fedadam", "lr": LR, "beta_1": BETA_1, "beta_2": BETA_2, "tau": TAU}
_FED_YOGI = {**_FED_ADAM, "name": "fedyogi"}
_FLOWER = {"eta": LR, "beta_1": BETA_1, "beta_2": BETA_2, "tau": TAU}
_SCAFFOLD = {"algorithm": "scaffold", "aggregation": "plain_mean"}
_FED_PROX = {"name": "fedprox", "mu": MU}

CASES = (
    Case("fedavg", "flower", {}, {"strategy": "FedAvg", "arguments": {}}),
    Case(
        "fedavgm",
        "flower",
        {"server": {"name": "fedavgm", "lr": 0.7, "momentum": 0.6}},
        {"strategy": "FedAvgM", "arguments": {"server_learning_rate": 0.7, "server_momentum": 0.6}},
    ),
    Case(
        "fedadagrad",
        "flower",
        {"server": _FED_ADAGRAD},
        {"strategy": "FedAdagrad", "arguments": {"eta": LR, "tau": TAU}, "v_0": TAU**2},
    ),
    Case(
        "fedadam",
        "flower",
        {"server": _FED_ADAM},
        {"strategy": "FedAdam", "arguments": _FLOWER, "v_0": TAU**2, "late": True},
    ),
    Case(
        "fedyogi",
        "flower",
        {"server": _FED_YOGI},
        {"strategy": "FedYogi", "arguments": _FLOWER, "v_0": TAU**2},
    ),
    Case("median", "flower", {"aggregation": "median"}, {"strategy": "FedMedian", "arguments": {}}, drawn=4),
    Case(
        "trimmed_mean",
        "flower",
        {"aggregation": {"name": "trimmed_mean", "byzantine": 1}},
        {"strategy": "FedTrimmedAvg", "arguments": {"beta": 0.3}},
        drawn=ALL,
    ),
    Case(
        "krum",
        "flower",
        {"aggregation": {"name": "krum", "byzantine": 1}},
        {"strategy": "Krum", "arguments": {"num_malicious_nodes": 1}},
        drawn=ALL,
    ),
    Case(
        "multi_krum",
        "flower",
        {"aggregation": {"name": "multi_krum", "byzantine": 1, "take": 3}},
        {
            "strategy": "MultiKrum",
            "arguments": {"num_malicious_nodes": 1, "num_nodes_to_select": 3, "weighted_by_key": "one"},
        },
        drawn=ALL,
    ),
    Case("fedprox", "pfl", {"algorithm": _FED_PROX}, {"algorithm": "fedprox", "mu": MU}),
    Case(
        "fedprox",
        "fedlab",
        {"algorithm": _FED_PROX, "aggregation": "plain_mean"},
        {
            "algorithm": "fedprox",
            "handler": "FedProxServerHandler",
            "trainer": "FedProxSerialClientTrainer",
            "server": {},
            "client": {"mu": MU},
        },
    ),
    Case("scaffold", "pfl", _SCAFFOLD, {"algorithm": "scaffold", "exchanged": True}),
    Case(
        "scaffold",
        "fedlab",
        _SCAFFOLD,
        {
            "algorithm": "scaffold",
            "handler": "ScaffoldServerHandler",
            "trainer": "ScaffoldSerialClientTrainer",
            "server": {"lr": 1.0},
            "client": {},
        },
    ),
    Case(
        "fedadagrad",
        "flower",
        {"server": _FED_ADAGRAD},
        {"strategy": "FedAdagrad", "arguments": {"eta": LR, "tau": TAU}},
        differs="v starts at 0",
    ),
    Case(
        "fedadam",
        "flower",
        {"server": _FED_ADAM},
        {"strategy": "FedAdam", "arguments": _FLOWER},
        differs="v starts at 0, bias correction",
    ),
    Case(
        "fedyogi",
        "flower",
        {"server": _FED_YOGI},
        {"strategy": "FedYogi", "arguments": _FLOWER},
        differs="v starts at 0",
    ),
    Case("scaffold", "pfl", _SCAFFOLD, {"algorithm": "scaffold"}, differs="signs of the variates"),
)
