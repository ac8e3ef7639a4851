"""Parts that a user writes outside the package can do everything that ours can."""

import importlib.util
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from children import run_and_die

import fl_simu as fl
from fl_simu.experiment import CHAINS
from fl_simu.kernel.own_files import import_own, read_own
from fl_simu.kernel.parameters import structure_of
from fl_simu.parts import KINDS

HERE = Path(__file__).parent

BASE = {
    **{"rounds": 4, "ues": 5, "ues_per_round": 4, "seed": 2, "backend": "torch", "payload": "update"},
    "data": {"name": "digits", "train_samples": 120, "test_samples": 40},
    "model": {"name": "mlp", "hidden": [6]},
    "training": {"batch_size": 8},
    "compute": {"name": "uniform", "low_s": 0.1, "high_s": 0.4},
    "channel": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 2.0},
}

# Table of the part -> its class or function, and arguments.
PARTS = {
    "model": ("model.py:Bottleneck", {"width": 5}),
    "data": ("data.py:stripes", {"noise": 0.2}),
    "partition": ("partition.py:OneRich", {"share": 0.4}),
    "codec": ("codec.py:Signs", {}),
    "channel": ("channel.py:Swing", {"period_s": 0.5}),
    "protocol": ("protocol.py:Quorum", {"share": 0.5}),
    "aggregation": ("aggregation.py:WithoutTheLongest", {}),
    "transforms": ("transform.py:NoisyMomentum", {"beta": 0.25}),
    "medium": ("medium.py:OneAtATime", {}),
    "allocator": ("allocator.py:ByLoad", {"least": 0.01}),
    "meters": ("meter.py:Airtime", {"guard_s": 0.5}),
    "privacy": ("privacy.py:Laplace", {"each": 50.0}),
    "selection": ("selection.py:Longest", {}),
    "schedule": ("schedule.py:WarmUp", {"rounds": 3}),
    "algorithm": ("algorithm.py:Shrink", {"strength": 0.5}),
    "server": ("server.py:TwoRounds", {}),
    "backend": ("backend.py:Eager", {}),
    "optimizer": ("optimizer.py:Nesterov", {"lr": 0.1}),
    "work": ("work.py:Tired", {"each": 0.8}),
    "compute": ("compute.py:PerBatch", {"batch_s": 0.05}),
    "faults": ("faults.py:Sleeping", {"every": 4}),
    "bits": ("bits.py:Rising", {"most": 4}),
    "size": ("size.py:Packets", {"payload_bytes": 500}),
    "loss": ("loss.py:Bursts", {"every": 3}),
    "delay": ("delay.py:AfterAccess", {"access_s": 0.1}),
    "downlink": ("downlink.py:FarFirst", {"least_mbps": 0.2}),
    "downlink_codec": ("codec.py:Signs", {}),
    "cast": ("cast.py:Pairs", {"size": 3}),
    "secure": ("secure.py:OneMask", {"secret_bits": 64}),
    "attack": ("attack.py:Mirror", {"factor": 2.0}),
    "topology": ("topology.py:Nearest", {"per_edge_s": 0.3}),
}


# Further settings that a part needs.
BESIDE = {
    "secure": {"codec": "fixed_point", "payload": "update", "aggregation": "plain_mean"},
    "allocator": {"medium": "shared_band"},
    "bits": {"codec": "affine"},
    "cast": {"downlink": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 5.0}},
    "faults": {"protocol": {"name": "deadline", "deadline_s": 1.0}},
    "privacy": {"aggregation": "plain_mean"},
    "topology": {"ues_per_round": 2},
}


def from_toml(table, folder, **changes):
    """The experiment read from a TOML file."""
    reference, arguments = PARTS[table]
    part = {"name": reference, **arguments}
    values = {**BASE, **BESIDE.get(table, {}), **changes, table: [part] if table in CHAINS else part}
    experiment = fl.Experiment.parse(values, HERE)
    (folder / "mine.toml").write_text(experiment.to_toml())
    return fl.Experiment.read(folder / "mine.toml")


def made(table):
    """The part as an object, or the factory that Python code passes instead."""
    reference, arguments = PARTS[table]
    file, _, name = reference.partition(":")
    found = getattr(import_own(read_own(HERE / file)), name)
    return partial(found, **arguments) if table == "model" else found(**arguments)


def in_python(table):
    """The same experiment with the part as an object."""
    part = made(table)
    return base(table).with_(**{table: (part,) if table in CHAINS else part})


def base(table):
    """The experiment with our own part instead."""
    return fl.Experiment.parse({**BASE, **BESIDE.get(table, {})})


@pytest.mark.parametrize("table", PARTS)
def test_from_toml_and_from_python_it_is_one_run_that_bears_a_kill(table, tmp_path, forked):
    experiment = from_toml(table, tmp_path)
    whole = fl.run(in_python(table)).summary
    child = forked.Process(target=run_and_die, args=(str(tmp_path / "mine.toml"), str(tmp_path / "run"), 2))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL and len(list((tmp_path / "run" / "own").iterdir())) == 1
    assert not (tmp_path / "run" / "summary.json").exists()
    resumed = fl.resume(tmp_path / "run")
    assert (resumed.summary.model_sha256, resumed.summary.rounds) == (whole.model_sha256, 4)
    assert resumed.experiment == experiment
    ours = fl.run(base(table)).summary
    told = [(one.model_sha256, one.virtual_time_s, one.facts.get("meters")) for one in (whole, ours)]
    # The backend does not change the result.
    assert (told[0] == told[1]) == (table == "backend")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")
@pytest.mark.parametrize("table", sorted(set(PARTS) - {"backend"}))
def test_processes_that_train_import_it_too(table, tmp_path, reused_actors):
    hashes = [
        fl.run(from_toml(table, tmp_path, backend=backend)).summary.model_sha256
        for backend in ({"name": "torch", "exact": True}, {"name": "ray", "actors": 1, "exact": True})
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("table", PARTS)
def test_it_keeps_the_laws_of_its_kind(table):
    fl.laws.check(made(table), table)


def test_the_codec_sends_a_bit_an_element_and_the_mean_size():
    codec = import_own(read_own(HERE / "codec.py")).Signs()
    params = {"w": torch.tensor([[1.0, -2.0], [3.0, -4.0]]), "n": torch.tensor(7)}
    (layer,) = codec.encode(params, None)
    assert (len(layer),) == codec.layer_bytes(structure_of(params)) == (8 + 4 + 1,)
    decoded = codec.decode([layer], structure_of(params))
    assert decoded["w"].tolist() == [[2.5, -2.5], [2.5, -2.5]] and int(decoded["n"]) == 7


def test_every_kind_has_an_example_that_is_short():
    assert {*PARTS, "method"} == set(KINDS)
    lengths = {file.name: len(file.read_text().splitlines()) for file in HERE.glob("*.py")}
    assert [name for name, length in lengths.items() if length > 40] == ["test_open.py"]
