import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_simu import config
from fl_simu.assemble import plan
from fl_simu.defaults import DIGITS, MNIST
from fl_simu.kernel.errors import UserError

quickly = settings(suppress_health_check=[HealthCheck.too_slow])
KEYS = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8).filter(lambda key: key != "name")
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
PART = st.builds(lambda name, rest: {"name": name, **rest}, TEXTS, st.dictionaries(KEYS, VALUES, max_size=3))
COUNT = st.integers(1, 10**6)
EXPERIMENTS = st.builds(
    config.Experiment,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True),
    seed=st.integers(0, 2**62),
    rounds=COUNT,
    ues=COUNT,
    ues_per_round=st.none() | COUNT,
    threads=st.integers(1, 256),
    payload=TEXTS,
    training=st.builds(config.Training, epochs=COUNT, batch_size=COUNT, keep_optimizer_state=st.booleans()),
    **dict.fromkeys(config.PARTS, PART),
)


@quickly
@given(EXPERIMENTS)
def test_plain_values_give_the_same_experiment(experiment):
    assert config.parse(config.to_plain(experiment)) == experiment


@quickly
@given(EXPERIMENTS)
def test_toml_gives_the_same_experiment(experiment):
    assert config.parse(config.tomllib.loads(config.to_toml(experiment))) == experiment


@quickly
@given(EXPERIMENTS, EXPERIMENTS)
def test_differences_are_the_fields_that_differ(one, other):
    assert config.differences(one, one) == []
    differing = [name for name in config.Experiment.model_fields if getattr(one, name) != getattr(other, name)]
    assert config.differences(one, other) == sorted(differing)


@quickly
@given(st.dictionaries(KEYS, st.integers() | st.booleans() | st.floats(allow_nan=False), max_size=4))
def test_assignments_of_toml_values_are_read_as_such(values):
    assignments = [f"{key}={config.tomli_w.dumps({'v': value})[4:].strip()}" for key, value in values.items()]
    assert config.override({}, assignments) == values


@pytest.mark.parametrize("file", [MNIST, DIGITS], ids=["mnist", "digits"])
def test_a_plan_writes_every_argument_out(file):
    complete = plan(config.parse(config.override(config.read(file), ["backend=torch"]))).experiment
    assert complete.backend == {"name": "torch", "device": "cpu", "exact": False}
    assert complete.optimizer == {"name": "sgd", "lr": 0.03, "momentum": 0.9, "weight_decay": 0.0}
    again = plan(config.parse(config.tomllib.loads(config.to_toml(complete)))).experiment
    assert config.to_toml(again) == config.to_toml(complete)
    assert again == plan(complete).experiment


def test_nothing_given_is_the_default():
    assert config.parse({}) == config.Experiment()


def test_fields_that_are_not_given_are_not_written():
    assert "ues_per_round" not in config.to_toml(config.Experiment())


@pytest.mark.parametrize(
    "value, part",
    [
        ("affine", {"name": "affine"}),
        ({"name": "affine", "base_bits": 2}, {"name": "affine", "base_bits": 2}),
        ({}, {"name": "float32"}),
    ],
)
def test_short_forms_of_a_part(value, part):
    assert config.parse({"codec": value}).codec == part


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
        ({"name": "a b"}, "name = 'a b' is not allowed: string should match pattern"),
    ],
)
def test_a_complaint_is_one_line(values, line):
    with pytest.raises(UserError) as raised:
        config.parse(values)
    assert str(raised.value).startswith(line)
    assert len(str(raised.value).splitlines()) == 1


def test_unknown_name_far_from_all():
    assert config.nearest("zzz", ["b", "a"]) == "known are a, b"
    assert config.nearest("zzz", []) == "known are none"
