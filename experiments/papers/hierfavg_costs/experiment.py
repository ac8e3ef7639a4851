"""HierFAVG (Liu, Zhang, Song, Letaief 2020): do the rate, time and energy of an upload match the paper's?

One UE is placed where its link has a gain of 1e-8. It makes one local step and uploads its model. The comparison
uses the record of this run: the rate is the number of bits sent, divided by the time that they took. The images
are noise, because nothing here depends on what the model learns.

Reference: Liu, Zhang, Song, Letaief 2020, "Client-Edge-Cloud Hierarchical Federated Learning".
"""

import math
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor, nn

import fl_simu as fl
from fl_simu.results.findings import Finding, printed
from fl_simu.results.records import UeOutcome
from fl_simu.studies.script import Setup

SOURCE = "arithmetic, from the parameters of Liu, Zhang, Song, Letaief 2020"
BATCH = 20
CYCLES = 2.4e7
POWER_W = 0.5

Shape = Tuple[int, int, int]


def mnist_net(shape: Shape, classes: int) -> nn.Module:
    """The CNN of PyTorch's MNIST example: 21,840 parameters."""
    blocks = [nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 20, 5), nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(320, 50), nn.ReLU(), nn.Linear(50, classes))


def cifar_net(shape: Shape, classes: int) -> nn.Module:
    """Three blocks of two 3x3 convolutions each, and three dense layers: 5,852,170 parameters."""
    layers: List[nn.Module] = []
    for inside, middle, outside in ((3, 32, 64), (64, 128, 128), (128, 256, 256)):
        layers += [
            nn.Conv2d(inside, middle, 3, padding=1),
            # Running mean and variance are not parameters, but would be sent too.
            nn.BatchNorm2d(middle, track_running_stats=False),
            nn.ReLU(),
            nn.Conv2d(middle, outside, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    dense = [
        nn.Flatten(),
        nn.Linear(4096, 1024),
        nn.ReLU(),
        nn.Linear(1024, 512),
        nn.ReLU(),
        nn.Linear(512, classes),
    ]
    return nn.Sequential(*layers, *dense)


NETS: Dict[str, Tuple[Any, Shape]] = {"MNIST": (mnist_net, (1, 28, 28)), "CIFAR-10": (cifar_net, (3, 32, 32))}


def noise(shape: Shape) -> Tuple[Tensor, Tensor]:
    """One batch of images, two of each class."""
    return torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(1)), torch.arange(BATCH) % 10


def upload(net: Any, shape: Shape) -> UeOutcome:
    """The record of the upload of a run's only UE."""
    # 40 dB at 1 m and 40 dB a decade make a path loss of 80 dB at 10 m, where the UE is. Without shadowing and
    # with all power on the direct path, its gain is 1e-8.
    carrier_ghz = 100 * 299792458 / (4 * math.pi) / 1e9
    channel = {
        "name": "fading",
        "tick_s": 1000.0,
        "radius_m": 10.000001,
        "min_distance_m": 10.0,
        "carrier_ghz": carrier_ghz,
        "exponent": 4.0,
        "shadowing_db": 0.0,
        "rician_k_db": 100.0,
        "power_dbm": 10 * math.log10(1000 * POWER_W),
        # 1e-10 W in 1 MHz.
        "noise_dbm_hz": -130.0,
        "bandwidth_mhz": 1.0,
        "shares": 1,
        "gap_db": 0.0,
    }
    values = {
        "rounds": 1,
        "ues": 1,
        "backend": "torch",
        "training": {"epochs": 1, "batch_size": BATCH},
        "compute": {"name": "cycles", "cycles_per_sample": CYCLES / BATCH, "low_hz": 1e9, "high_hz": 1e9},
        "channel": channel,
        "codec": "float32",
        "meters": [{"name": "energy", "kappa": 1e-28, "power_w": POWER_W}],
    }
    experiment = fl.Experiment.parse(values).with_(model=net, data=(noise(shape), noise(shape)))
    (record,) = fl.run(experiment).records
    return record.ues[0]


def reproduce(setup: Setup) -> List[Finding]:
    """One step and one upload of each net; both sizes are the same."""
    one, other = (upload(*NETS[name]) for name in ("MNIST", "CIFAR-10"))
    rate_mbps = one.bits / one.delays_s[-1] / 1e6
    told = [
        ("rate at 1 MHz, 0.5 W, gain 1e-8, noise 1e-10 W [Mbit/s]", "5.6724", rate_mbps),
        ("bits of 21,840 parameters", "698880", float(one.bits)),
        ("upload of 21,840 parameters [s]", "0.12321", one.delays_s[-1]),
        ("upload of 21,840 parameters [J]", "0.06160", one.meters["transmit_energy_j"]),
        ("upload of 5,852,170 parameters [s]", "33.014", other.delays_s[-1]),
        ("upload of 5,852,170 parameters [J]", "16.507", other.meters["transmit_energy_j"]),
        ("2.4e7 cycles at 1 GHz, kappa 1e-28 [J]", "0.0024", one.meters["compute_energy_j"]),
    ]
    return [printed(says, SOURCE, number, ours, expected="agrees") for says, number, ours in told]
