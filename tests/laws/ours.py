"""Our own parts, as checked by the laws."""

import atexit
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from fl_simu.attacks.poisoning.base import NoAttack
from fl_simu.attacks.poisoning.targeted import AlternatingMinimisation, Boosting, Concatenated, DataPoisoning
from fl_simu.attacks.poisoning.untargeted import (
    GaussianNoise,
    InnerProduct,
    LabelFlip,
    LittleIsEnough,
    SignFlip,
)
from fl_simu.data.own_data import Npz
from fl_simu.data.partition import PARTITIONS, FeatureNoise, FromFile
from fl_simu.parts import KINDS
from fl_simu.privacy import AdaptiveClipping, Gaussian, NoPrivacy
from fl_simu.radio.channels.cell import Cell
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.gauss_markov import GaussMarkov
from fl_simu.radio.channels.markov import Markov
from fl_simu.radio.channels.normal import Normal
from fl_simu.radio.channels.random_walk import NotesWalk, RandomWalk
from fl_simu.radio.channels.trace import Trace
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.decimal import Decimal
from fl_simu.radio.codecs.fixed_point import FixedPoint
from fl_simu.radio.codecs.float16 import Float16
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.stochastic import Stochastic
from fl_simu.radio.codecs.text_split import TextSplit
from fl_simu.radio.codecs.top_k import TopK
from fl_simu.radio.downlink import Free
from fl_simu.station.protocols import (
    BaseThenEnhancement,
    Buffered,
    Deadline,
    EventTriggered,
    FirstK,
    WaitForAll,
)
from fl_simu.topology import Edges, Flat

FOLDER = Path(tempfile.mkdtemp(prefix="fl_simu-laws-"))
atexit.register(shutil.rmtree, str(FOLDER), ignore_errors=True)
RECORDINGS = FOLDER / "recordings"
RECORDINGS.mkdir()
PACKETS = str(RECORDINGS / "packets")
Path(PACKETS).write_text("\n".join(str(ms) for ms in (0, 1, 1, 5, 9, 20, 20, 20, 31)))
(RECORDINGS / "rates").write_text("0 5.0\n1.5 0.0\n2.0 40.0\n6.25 1.0\n")
BOTH_WAYS = str(FOLDER / "irish.csv")
Path(BOTH_WAYS).write_text(
    "Timestamp,DL_bitrate,UL_bitrate\n2019.11.28_07.27.54,9000,-\n2019.11.28_07.27.56,0,700\n"
    "2019.11.28_07.27.57,-,0\n2019.11.28_07.27.59,4000,50000\n"
)
POSITIONS = str(FOLDER / "positions.csv")
Path(POSITIONS).write_text(
    "ue,time_s,x_m,y_m\n" + "".join(f"{ue},0,{ue / 4},30\n{ue},40,{250 - ue / 4},-60\n" for ue in range(1002))
)
np.savez(
    str(FOLDER / "mine.npz"),
    **{"x_train": np.ones((6, 2, 3)), "y_train": np.arange(6) % 3, "x_test": np.ones((2, 2, 3)), "y_test": [0, 2]},
)
(FOLDER / "parts.json").write_text('{"1": [4, 0], "0": [3, 59999]}')

OUTAGES = Markov(tick_s=0.05, bad_mbps=0.0)
BOUND = {"constraint": "own_benign", "rho": 0.01, "most_steps": 20}

# Kind -> name -> arguments. Other kinds are checked with their default arguments.
SETTINGS = {
    "codec": {
        "float32": [Float32()],
        "float16": [Float16(), Float16(remainder=False)],
        "fixed_point": [FixedPoint(), FixedPoint(bits=3, limit=0.5, at_random=False, headroom_bits=4)],
        "affine": [Affine(1), Affine(2, (2,)), Affine(4), Affine(3, (1, 4)), Affine(8, (8,)), Affine(16)],
        "decimal": [Decimal(1), Decimal(2, (2,)), Decimal(4, (3, 1)), Decimal(16)],
        "text_split": [TextSplit(), TextSplit(8)],
        "stochastic": [Stochastic(1), Stochastic(2, (2,), bucket_size=3), Stochastic(8, (8,))],
        "top_k": [TopK(), TopK(0.3, (0.3, 0.4)), TopK(1.0)],
    },
    "channel": {
        "constant": [Constant(), Constant(0.001)],
        "uniform": [Uniform(), Uniform(0.0, 5.0)],
        "normal": [Normal(), Normal(0.0, 10.0), Normal(20.0, 0.0)],
        "random_walk": [
            RandomWalk(),
            RandomWalk(tick_s=0.01, step="normal", low_mbps=0.0, high_mbps=20.0),
        ],
        "notes_walk": [NotesWalk()],
        "gauss_markov": [
            GaussMarkov(),
            GaussMarkov(tick_s=0.1, mean_mbps=5.0, memory=0.99),
            GaussMarkov(memory=0.0),
        ],
        "markov": [Markov(), OUTAGES],
        "fading": [
            Fading(),
            Fading(path_loss="uma", rician_k_db=6.0),
            Fading(tick_s=0.001, path_loss="umi"),
        ],
        "cell": [
            Cell(),
            Cell(mobility="random_waypoint", path_loss="uma", other_cells="hexagons", power_control="open_loop"),
            Cell(tick_s=0.02, mobility="gauss_markov", mean_speed_mps=100.0, other_cells="poisson"),
            Cell(mobility="file", path=POSITIONS, power_control="open_loop", alpha=0.6),
        ],
        "trace": [
            Trace(PACKETS),
            Trace(str(RECORDINGS / "rates")),
            Trace(str(RECORDINGS), offset="none"),
            Trace(BOTH_WAYS, direction="up"),
        ],
    },
    "protocol": {
        "wait_for_all": [WaitForAll()],
        "deadline": [Deadline(2.0), Deadline(0.25)],
        "base_then_enhancement": [BaseThenEnhancement(1.0, 2.0), BaseThenEnhancement(2.0, 1.0)],
        "first_k": [FirstK(1), FirstK(2), FirstK(9)],
        "event_triggered": [
            EventTriggered(),
            EventTriggered(0.5, "out"),
            EventTriggered(0.5, "last", deadline_s=2.0),
        ],
        "buffered": [Buffered(1), Buffered(2, staleness_power=0.0), Buffered(9)],
    },
    "attack": {
        "none": [NoAttack()],
        "boosting": [
            Boosting(most_steps=20),
            Boosting(2, 3, boosted="weights", constrained="weights", estimate="before", **BOUND),
        ],
        "alternating_minimisation": [
            AlternatingMinimisation(epochs=1, benign_steps=1),
            AlternatingMinimisation(2, 2, constraint="others_last", estimate="after", epochs=2, benign_steps=2),
        ],
        "concatenated": [Concatenated(most_steps=20), Concatenated(estimate="after", **BOUND)],
        "data_poisoning": [DataPoisoning(), DataPoisoning(2, 3, copies=1)],
        "sign_flip": [SignFlip(2, scale=3.0)],
        "gaussian_noise": [GaussianNoise(2)],
        "little_is_enough": [LittleIsEnough(2)],
        "inner_product": [InnerProduct(2)],
        "label_flip": [LabelFlip(2)],
    },
    "privacy": {
        "none": [NoPrivacy()],
        "gaussian": [
            Gaussian(),
            Gaussian(2.0, 1e-5, "fixed_size", clip=0.1),
            Gaussian(0.5, 1e-5, "none", at="ue_sum"),
            Gaussian(0.5, 1e-3, "none", at="ue"),
        ],
        "adaptive_clipping": [AdaptiveClipping(), AdaptiveClipping(2.0, 1e-5, "none", 5.0, 0.9, 1.0, 3.0)],
    },
    "topology": {
        "flat": [Flat()],
        "edges": [
            Edges(),
            Edges(1, 60),
            Edges(3, 2, "random", weights="accepted", delay_s=(0.1, 0.0, 0.2), rate_mbps=10.0, both_ways=True),
            Edges(4, deal="alike", rate_mbps=(1.0, 2.0, math.inf, 4.0)),
            Edges(3, deal="mixed", delay_s=1.0),
            Edges(2, of_ue=(1, 0, 1, 1)),
        ],
    },
    "partition": {
        **{name: [row()] for name, row in PARTITIONS.items() if name not in ("file", "feature_noise")},
        "file": [FromFile(str(FOLDER / "parts.json"))],
        "feature_noise": [FeatureNoise(), FeatureNoise(samples_per_ue=1, sigma=3.0)],
    },
    # The others need files or scikit-learn: tests/data/test_datasets.py checks those for which it writes files.
    "data": {"npz": [Npz(str(FOLDER / "mine.npz"))]},
    # The others are channels.
    "downlink": {"free": [Free()]},
}


def parts(kind):
    """Our parts of a kind."""
    default = {name: [row()] for name, row in KINDS[kind].rows.items()} if kind not in SETTINGS else {}
    return [part for settings in SETTINGS.get(kind, default).values() for part in settings]


def cases(kind):
    """The same as test parameters, with names that are equal in every process."""
    told = [f"{number} {part}".replace(str(FOLDER), "") for number, part in enumerate(parts(kind))]
    return [pytest.param(part, id=name[:80]) for name, part in zip(told, parts(kind))]
