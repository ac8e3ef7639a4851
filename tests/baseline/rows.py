"""Sixty small experiments that use every part once, and the result of each."""

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch

from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.parameters import sha256
from fl_simu.loop.assemble import assemble
from fl_simu.loop.coordinator import Observer
from fl_simu.loop.plan import load_data, plan

STEPS = Path(__file__).with_name("steps.txt")

# Digits for five UEs, two rounds with all of them; a layer of the model takes about 0.1 s to send.
COMMON = {
    "name": "baseline",
    "seed": 4,
    "rounds": 3,
    "ues": 5,
    "payload": "update",
    "training": {"batch_size": 16},
    "data": {"name": "digits", "train_samples": 160, "test_samples": 60},
    "model": {"name": "mlp", "hidden": [8]},
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.5},
    "compute": {"name": "uniform", "low_s": 0.05, "high_s": 0.2},
    "codec": {"name": "affine", "base_bits": 3, "enhancement_bits": [3]},
    "channel": {"name": "uniform", "low_mbps": 0.1, "high_mbps": 0.6},
    "protocol": {"name": "base_then_enhancement", "receive_s": 0.15, "wait_s": 0.12},
}

CHANNEL_TICK = "channel.tick_s=0.05"

# Name of a row -> its settings on top of COMMON.
ROWS: Dict[str, List[str]] = {
    "common": [],
    "codec float32": ["codec=float32"],
    "codec float16": ["codec=float16"],
    "codec decimal": ["codec=decimal", "codec.base_bits=2", "codec.enhancement_bits=[2]"],
    "codec text_split": ["codec=text_split"],
    "codec stochastic": ["codec=stochastic", "codec.base_bits=2", "codec.enhancement_bits=[1]"],
    "codec top_k": ["codec=top_k", "codec.base_fraction=0.05", "error_feedback=true"],
    "payload weights": ["payload=weights"],
    "error feedback": ["error_feedback=true"],
    "bits channel_adaptive": ["bits=channel_adaptive", "bits.deadline_s=0.1", "codec.enhancement_bits=[]"],
    "bits adaquantfl": ["bits=adaquantfl", "codec.enhancement_bits=[]"],
    "bits feddq": ["bits=feddq", "codec.enhancement_bits=[]"],
    "size notes": ["size=notes", "channel.high_mbps=5.0", "channel.low_mbps=1.0"],
    "size notes_cifar": ["size=notes_cifar", "channel.high_mbps=50.0", "channel.low_mbps=10.0"],
    "channel constant": ["channel=constant", "channel.rate_mbps=0.3"],
    "channel normal": ["channel=normal", "channel.mean_mbps=0.3", "channel.std_mbps=0.1"],
    "channel random_walk": [
        "channel=random_walk",
        CHANNEL_TICK,
        "channel.initial_mean_mbps=0.4",
        "channel.initial_std_mbps=0.1",
        "channel.step_low_mbps=-0.1",
        "channel.step_high_mbps=0.1",
        "channel.low_mbps=0.1",
        "channel.high_mbps=1.0",
    ],
    "channel notes_walk": [
        "channel=notes_walk",
        CHANNEL_TICK,
        "delay=rate_at_start",
        "channel.initial_mean_mbps=0.4",
        "channel.initial_std_mbps=0.1",
        "channel.step_low_mbps=-0.1",
        "channel.step_high_mbps=0.1",
    ],
    "channel gauss_markov": [
        "channel=gauss_markov",
        CHANNEL_TICK,
        "channel.mean_mbps=0.4",
        "channel.std_mbps=0.2",
    ],
    "channel markov": ["channel=markov", CHANNEL_TICK, "channel.good_mbps=0.5", "channel.bad_mbps=0.05"],
    "channel fading": ["channel=fading", "channel.tick_s=0.01", "channel.bandwidth_mhz=0.5"],
    "channel fading uma rician": [
        "channel=fading",
        "channel.tick_s=0.01",
        "channel.bandwidth_mhz=0.5",
        "channel.path_loss=uma",
        "channel.rician_k_db=6.0",
    ],
    "channel trace": ["channel=trace", f"channel.path={STEPS}", "size=notes"],
    "downlink": ["downlink=constant", "downlink.rate_mbps=2.0"],
    "downlink normal": ["downlink=normal", "downlink.mean_mbps=2.0", "downlink.std_mbps=1.0"],
    "compute constant": ["compute=constant", "compute.seconds=0.1"],
    "compute pareto": ["compute=pareto", "compute.least_s=0.05", "compute.per_round=false"],
    "faults dropout": ["faults=dropout", "faults.rate=0.4", "protocol=deadline", "protocol.deadline_s=0.3"],
    "faults crash": ["faults=crash", "faults.crash_rate=0.4", "protocol=deadline", "protocol.deadline_s=0.3"],
    "protocol wait_for_all": ["protocol=wait_for_all"],
    "protocol deadline": ["protocol=deadline", "protocol.deadline_s=0.25"],
    "protocol first_k": ["protocol=first_k", "protocol.k=3"],
    "protocol event_triggered": ["protocol=event_triggered", "protocol.threshold=0.6", "rounds=5"],
    "protocol event_triggered out": [
        "protocol=event_triggered",
        "protocol.threshold=0.6",
        "protocol.absent=out",
        "rounds=5",
    ],
    "protocol buffered": ["protocol=buffered", "protocol.k=2", "rounds=6"],
    "ues_per_round": ["ues_per_round=3", "rounds=5"],
    "partition shards": ["partition=shards_by_label"],
    "partition dirichlet": ["partition=dirichlet", "partition.alpha=0.5"],
    "partition sliding_slices": ["partition=sliding_slices", "partition.length=30", "partition.step=20"],
    "partition independent": ["partition=independent", "partition.samples_per_ue=20"],
    "optimizer adam": ["optimizer=adam", "optimizer.lr=0.01", "training.keep_optimizer_state=true"],
    "optimizer adamw": ["optimizer=adamw", "optimizer.lr=0.01"],
    "optimizer rmsprop": ["optimizer=rmsprop", "optimizer.momentum=0.5", "training.keep_optimizer_state=true"],
    "optimizer adadelta": ["optimizer=adadelta"],
    "optimizer adagrad": ["optimizer=adagrad", "optimizer.lr=0.05"],
    "model logistic_regression": ["model=logistic_regression", "training.epochs=2"],
    "model mlp dropout": ["model=mlp", "model.dropout=0.3"],
    "model mnist_cnn": ["model=mnist_cnn", "data.train_samples=40", "ues=2", "rounds=1", "codec.base_bits=1"],
    "model row_lstm": ["model=row_lstm", "model.hidden=8"],
    "model dlg_lenet": ["model=dlg_lenet"],
    "model lens_e": ["model=lens_e"],
}

RULES = [
    "plain_mean",
    "running_pairwise",
    "sum_over_drawn",
    "krum",
    "krum_unsquared",
    "multi_krum",
    "median",
    "trimmed_mean",
    "geometric_median",
    "centred_clipping",
    "norm_bound",
]
ATTACKS = [
    "boosting",
    "alternating_minimisation",
    "concatenated",
    "data_poisoning",
    "sign_flip",
    "gaussian_noise",
    "little_is_enough",
    "inner_product",
    "label_flip",
]
ROWS.update({f"rule {rule}": [f"aggregation={rule}"] for rule in RULES})
ROWS.update({f"attack {attack}": [f"attack={attack}", "protocol=wait_for_all"] for attack in ATTACKS})
for radius in ("rule centred_clipping", "rule norm_bound"):
    ROWS[radius].append("aggregation.radius=0.3")
ROWS["attack boosting, graded"] = ["attack=boosting", "attack.estimate=before", "attack.constraint=others_last"]

# Rows for backends other than torch. Torch runs every row, which covers the code that backends share.
OTHERS: Dict[str, List[str]] = {
    "syft": [
        "common",
        "payload weights",
        "ues_per_round",
        "protocol event_triggered",
        "protocol buffered",
        "optimizer adam",
        "optimizer rmsprop",
        "model mlp dropout",
        "attack boosting",
        "attack little_is_enough",
        "attack label_flip",
    ],
    "ray": ["common", "protocol buffered", "optimizer adam", "attack boosting"],
    "vectorized": [
        "common",
        "ues_per_round",
        "protocol buffered",
        "protocol event_triggered",
        "optimizer rmsprop",
        "attack sign_flip",
    ],
}


class _Keep(Observer):
    def __init__(self) -> None:
        self.records: List[Any] = []

    def aggregated(self, record: Any, coordinator: Any) -> None:
        self.records.append(record)


def outcome(row: str, backend: str) -> Tuple[str, str, str, float]:
    """The result of a row on a backend.

    Returns:
        digest of the timeline: virtual times, bits, and the accepted layers of each UE in each round.
        digest of the records: the timeline with accuracy, loss and the measures of an attack.
        SHA-256 of the final model.
        the final test loss.
    """
    values = config.override(COMMON, [f"backend={backend}", *ROWS[row]])
    planned = plan(Experiment.parse(values))
    keep = _Keep()
    try:
        coordinator = assemble(planned, load_data(planned), [keep])
        coordinator.run()
    finally:
        planned.backend.close()
    timeline, records = [], []
    for record in keep.records:
        line = json.loads(record.to_line())
        ues = [
            [ue[key] for key in ("ue", "compute_s", "delays_s", "bits", "accepted", "reason", "download_s")]
            for ue in line["ues"]
        ]
        times = [line[key] for key in ("round", "time_s", "uplink_bits", "downlink_bits")] + ues
        timeline.append(_rounded(times))
        records.append([_rounded(times), line["accuracy"], line["loss"], line.get("attack")])
    return _digest(timeline), _digest(records), sha256(coordinator.model), keep.records[-1].loss


def probe() -> str:
    """A digest of the rounding of torch on this machine: on another processor, sums may differ in the last bit."""
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(16, 784, generator=generator)
    weights = torch.randn(784, 8, generator=generator)
    filters = torch.randn(32, 1, 3, 3, generator=generator)
    features = torch.nn.functional.conv2d(images.view(16, 1, 28, 28), filters)
    sums = [images @ weights, images.t() @ features[:, :8, 0, 0], features.tanh().sum(0), features.exp().mean(0)]
    return sha256({str(number): tensor for number, tensor in enumerate(sums)})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _rounded(value: Any) -> Any:
    """Numbers to ten digits: numpy's exponentials, used for rates, may differ in the last bit elsewhere."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.9e}") if isinstance(value, float) else value
