import math
import string
from dataclasses import fields
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_simu.cli.defaults import DIGITS, MNIST
from fl_simu.experiment import CHAINS, PARTS, Checkpointing, Experiment, Training
from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError, nearest
from fl_simu.models import Mlp
from fl_simu.parts import KINDS
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.station.protocols import BaseThenEnhancement

ROOT = Path(__file__).resolve().parent.parent
quickly = settings(suppress_health_check=[HealthCheck.too_slow])
KEYS = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
COUNT = st.integers(1, 10**6)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True)

# Every row of every registry; some by hand where arguments are required, and for lists and options.
LEAF = ("leaf_femnist", "leaf_shakespeare", "leaf_sent140", "leaf_synthetic")
NEEDED = {name: {"path": "mine"} for name in ("npz", "file", *LEAF)}
NEEDED["trace"] = {"path": str(ROOT / "tests" / "baseline" / "steps.txt")}
PARTS_OF = {
    table: st.sampled_from(
        [KINDS[table].build({"name": name, **NEEDED.get(name, {})}) for name in KINDS[table].rows]
    )
    for table in PARTS
}
# For tables with several parts, none to three.
PARTS_OF.update({table: st.lists(PARTS_OF[table], max_size=3).map(tuple) for table in CHAINS})
PARTS_OF["codec"] |= st.builds(Affine, st.integers(1, 8), st.lists(st.integers(1, 4), max_size=2).map(tuple))
PARTS_OF["model"] |= st.builds(Mlp, st.lists(st.integers(1, 99), max_size=3).map(tuple), st.floats(0, 0.9))
PARTS_OF["protocol"] |= st.builds(BaseThenEnhancement, close_s=st.floats(0.1, 9) | st.just(math.inf))
EXPERIMENTS = st.builds(
    Experiment,
    name=NAMES,
    seed=st.integers(0, 2**63 - 1),
    rounds=COUNT,
    ues=COUNT,
    ues_per_round=st.none() | COUNT,
    threads=st.integers(1, 256),
    payload=st.sampled_from(["weights", "update"]),
    error_feedback=st.booleans(),
    training=st.builds(Training, epochs=COUNT, batch_size=COUNT, keep_optimizer_state=st.booleans()),
    checkpoint=st.builds(Checkpointing, COUNT),
    **PARTS_OF,
)


@quickly
@given(EXPERIMENTS)
def test_toml_gives_the_same_experiment(experiment):
    assert Experiment.parse(config.tomllib.loads(experiment.to_toml())) == experiment


@quickly
@given(EXPERIMENTS, EXPERIMENTS)
def test_differences_are_the_fields_that_differ(one, other):
    assert config.differences(one.to_plain(), one.to_plain()) == []
    differing = [field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)]
    assert config.differences(one.to_plain(), other.to_plain()) == sorted(differing)


@quickly
@given(st.dictionaries(KEYS, st.integers() | st.booleans() | st.floats(allow_nan=False), max_size=4))
def test_assignments_of_toml_values_are_read_as_such(values):
    assignments = [f"{key}={tomli_w.dumps({'v': value})[4:].strip()}" for key, value in values.items()]
    assert config.override({}, assignments) == values


@pytest.mark.parametrize("file", [MNIST, DIGITS], ids=["mnist", "digits"])
def test_every_argument_is_written_out(file):
    complete = Experiment.read(file, ["backend=torch"])
    assert complete.to_plain()["backend"] == {"name": "torch", "device": "cpu", "exact": False}
    assert complete.to_plain()["optimizer"] == {"name": "sgd", "lr": 0.03, "momentum": 0.9, "weight_decay": 0.0}


def test_nothing_given_is_the_default():
    assert Experiment.parse({}) == Experiment()


def test_fields_that_are_not_given_are_not_written():
    assert "ues_per_round" not in Experiment().to_toml()


@pytest.mark.parametrize(
    "value, part",
    [
        ("affine", Affine()),
        ({"name": "affine", "base_bits": 2, "enhancement_bits": [1]}, Affine(2, (1,))),
        ({}, Float32()),
    ],
)
def test_short_forms_of_a_part(value, part):
    assert Experiment.parse({"codec": value}).codec == part
    assert Experiment(codec=value) == Experiment(codec=part)


def test_files_of_parts_are_relative_to_the_config(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from dataclasses import dataclass\nfrom fl_simu.models import Mlp\n"
        "@dataclass(frozen=True)\nclass Net(Mlp):\n    width: int = 3\n"
    )
    (tmp_path / "mine.toml").write_text('model = { name = "nets.py:Net", width = 5 }')
    experiment = Experiment.read(tmp_path / "mine.toml")
    assert experiment.model.width == 5
    assert Experiment.parse(config.tomllib.loads(experiment.to_toml())) == experiment


@pytest.mark.parametrize(
    "values, assignments, result",
    [
        ({}, ["seed=3"], {"seed": 3}),
        ({"seed": 1}, ["seed=2", "seed=3"], {"seed": 3}),
        ({}, [" seed = 3 "], {"seed": 3}),
        ({}, ["backend=torch"], {"backend": "torch"}),
        ({}, ['backend="torch"'], {"backend": "torch"}),
        ({}, ["optimizer.lr=1e-3"], {"optimizer": {"lr": 0.001}}),
        ({}, ["a=b=c"], {"a": "b=c"}),
        ({"codec": "float32"}, ["codec=affine"], {"codec": "affine"}),
        ({"codec": "affine"}, ["codec.base_bits=3"], {"codec": {"name": "affine", "base_bits": 3}}),
        ({"codec": {"name": "x", "y": 1}}, ["codec.y=2"], {"codec": {"name": "x", "y": 2}}),
        ({"codec": {"name": "x", "y": 1}}, ["codec.name=z"], {"codec": {"name": "z"}}),
        ({"codec": {"name": "x", "y": 1}}, ["codec.name=x"], {"codec": {"name": "x", "y": 1}}),
        ({"codec": {"name": "x", "y": 1}}, ["codec.name=z", "codec.w=2"], {"codec": {"name": "z", "w": 2}}),
        ({"codec": {"name": "x", "y": 1}}, ["codec=z"], {"codec": "z"}),
        ({}, ['codec={name="x", y=[1, 2]}'], {"codec": {"name": "x", "y": [1, 2]}}),
    ],
)
def test_override(values, assignments, result):
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    assert config.override(values, assignments) == result
    assert values == kept


@pytest.mark.parametrize("assignment", ["seed", "=3", "a.b.c=3", ".b=3", "a.=3", ""])
def test_no_assignment(assignment):
    with pytest.raises(UserError, match=r"KEY=VALUE or TABLE\.KEY=VALUE"):
        config.override({}, [assignment])


def test_override_into_what_is_no_table():
    with pytest.raises(UserError, match="seed is no table"):
        config.override({"seed": 3}, ["seed.x=1"])


@pytest.mark.parametrize(
    "values, line",
    [
        ({"rouns": 3}, "rouns is no known key: did you mean 'rounds'?"),
        ({"training": {"epoch": 3}}, "training.epoch is no known key: did you mean 'epochs'?"),
        (
            {"training": {"zzz": 3}},
            "training.zzz is no known key: known are batch_size, drop_last, epochs, keep_optimizer_state",
        ),
        ({"rounds": 0}, "rounds = 0 is not allowed: input should be greater than or equal to 1"),
        ({"rounds": "3"}, "rounds = '3' is not allowed: input should be a valid integer"),
        ({"seed": float("nan")}, "seed = nan is not allowed: input should be a valid integer"),
        ({"training": {"epochs": 0}}, "training.epochs = 0 is not allowed: input should be greater than or"),
        ({"codec": 3}, "codec = 3 is not allowed: a name, or a table with a name"),
        ({"codec": {"name": 3}}, "codec = {'name': 3} is not allowed: a name, or a table with a name"),
        ({"codec": {"name": "affine", "base_bits": 0}}, "codec.base_bits = 0 is not allowed: "),
        ({"name": "a b"}, "name = 'a b' is not allowed: string should match pattern"),
        # If two parts have mistakes, every process reports the first one in the file.
        ({"codec": 3, "channel": 4}, "codec = 3 is not allowed"),
        ({"channel": 4, "codec": 3}, "channel = 4 is not allowed"),
    ],
)
def test_a_complaint_is_one_line(values, line):
    with pytest.raises(UserError) as raised:
        Experiment.parse(values)
    assert str(raised.value).startswith(line)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "arguments, line",
    [
        ({"rounds": 0}, "rounds = 0 is not allowed: input should be greater than or equal to 1"),
        ({"codec": 3}, "codec = 3 is not allowed: a part; `list` has those of kind codec"),
        ({"codec": Mlp()}, "codec = Mlp(hidden=(64,), dropout=0.0, batch_norm=False) is not allowed: a part"),
        ({"training": Affine()}, "training = Affine("),
    ],
)
def test_a_complaint_in_python_is_the_same_line(arguments, line):
    with pytest.raises(UserError) as raised:
        Experiment(**arguments)
    assert str(raised.value).startswith(line)


def test_unknown_name_far_from_all():
    assert nearest("zzz", ["b", "a"]) == "known are a, b"
    assert nearest("zzz", []) == "known are none"
