"""fl_simu from Python, as in a notebook."""

import json
import os
import tempfile
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.kernel.parameters import sha256
from fl_simu.kernel.randomness import stream

SMALL = {
    "rounds": 3,
    "ues": 4,
    "seed": 3,
    "backend": "torch",
    "data": {"name": "digits", "train_samples": 200, "test_samples": 60},
    "model": {"name": "mlp", "hidden": [8]},
    "codec": {"name": "affine", "base_bits": 2, "enhancement_bits": [2]},
    "channel": {"name": "normal", "mean_mbps": 2.0, "std_mbps": 1.0},
}


class Net(nn.Module):
    def __init__(self, shape, classes, width=5):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), width), nn.Linear(width, classes))

    def forward(self, x):
        return self.layers(x)


class StopAfter(fl.Observer):
    def __init__(self, rounds):
        self.rounds = rounds

    def aggregated(self, record, coordinator):
        if record.round == self.rounds:
            coordinator.stop()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The small experiment as the command line runs it."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "small.toml").write_text(fl.Experiment.parse(SMALL).to_toml())
    assert main(["run", str(folder / "small.toml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


def lines(folder):
    found = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    return [{key: value for key, value in one.items() if key != "wall_time_s"} for one in found]


def test_a_run_without_a_folder_is_that_of_the_command_line_and_changes_nothing(
    written, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads, environment = torch.get_num_threads(), dict(os.environ)
    run = fl.run(fl.Experiment.parse(dict(SMALL, threads=2)))
    assert (torch.get_num_threads(), dict(os.environ), list(tmp_path.iterdir())) == (threads, environment, [])
    assert capsys.readouterr() == ("", "")
    assert torch.equal(torch.rand(3), expected)
    assert run.summary.model_sha256 == sha256(run.model) == fl.load(written).summary.model_sha256


def test_frame_has_a_row_a_round(written):
    pandas = pytest.importorskip("pandas")
    frame = fl.load(written).frame()
    rows = lines(written)
    assert isinstance(frame, pandas.DataFrame) and list(frame["round"]) == [1, 2, 3]
    assert list(frame["accuracy"]) == [row["accuracy"] for row in rows]
    assert list(frame["full"]) == [sum(ue["accepted"] == "full" for ue in row["ues"]) for row in rows]


def test_plot_draws_a_column_over_another(written):
    run = fl.load(written)
    figure = run.plot("loss", over="uplink_bits")
    assert figure._repr_png_().startswith(b"\x89PNG"), "a notebook shows it"
    (axes,) = figure.axes
    (line,) = axes.lines
    bits = np.cumsum([row["uplink_bits"] for row in lines(written)])
    assert line.get_xdata().tolist() == bits.tolist()
    assert line.get_ydata().tolist() == [row["loss"] for row in lines(written)]
    with pytest.raises(fl.UserError, match="column 'acuracy' is not known: did you mean 'accuracy'"):
        run.plot("acuracy")


def test_what_is_saved_is_what_the_command_line_writes(written, tmp_path):
    saved = fl.run(fl.Experiment.parse(SMALL)).save(tmp_path / "saved")
    assert lines(tmp_path / "saved") == lines(written)
    assert (tmp_path / "saved" / "config.toml").read_text() == (written / "config.toml").read_text()
    assert saved.experiment == fl.load(written).experiment
    with pytest.raises(fl.UserError, match=r"lies in .*saved already"):
        saved.save(tmp_path / "again")


def test_an_observer_ends_a_run_and_a_resume_goes_on(written, tmp_path):
    folder = tmp_path / "run"
    stopped = fl.run(fl.Experiment.parse(SMALL), folder, observers=[StopAfter(1)])
    assert len(stopped.records) == stopped.summary.rounds == 1
    whole = fl.resume(folder)
    assert whole.summary.model_sha256 == fl.load(written).summary.model_sha256
    assert lines(folder) == lines(written)
    assert len(fl.resume(folder, rounds=4).records) == 4


def test_a_run_with_few_checkpoints_goes_on_after_the_last_one(tmp_path):
    experiment, told = fl.Experiment.parse(dict(SMALL, rounds=7, checkpoint={"every": 3})), []
    fl.run(experiment, tmp_path / "run", observers=[StopAfter(5)])
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoint").glob("*.json"))
    assert kept == ["round-000003.json"] and len(lines(tmp_path / "run")) == 5
    resumed = fl.resume(tmp_path / "run", say=told.append)
    assert told == ["resuming after round 3"]
    whole = fl.run(experiment.with_(checkpoint=fl.Experiment().checkpoint))
    assert resumed.summary.model_sha256 == whole.summary.model_sha256
    assert [record.time_s for record in resumed.records] == [record.time_s for record in whole.records]
    assert (tmp_path / "run" / "checkpoint" / "round-000007.json").exists()


def test_a_model_of_one_s_own_in_python():
    """A class and a function that make the same module give the same model."""
    runs = [
        fl.run(fl.Experiment.parse(SMALL).with_(model=make))
        for make in (Net, lambda shape, classes: Net(shape, classes))
    ]
    assert runs[0].summary.model_sha256 == runs[1].summary.model_sha256
    assert [tuple(tensor.shape) for tensor in runs[0].model.values()] == [(5, 784), (5,), (10, 5), (10,)]
    with tempfile.TemporaryDirectory() as folder, pytest.raises(
        fl.UserError, match="put it into a file or a module"
    ):
        runs[1].save(os.path.join(folder, "run"))


def test_parts_of_a_notebook_have_no_file_and_need_none():
    @dataclass(frozen=True)
    class Mine(fl.codecs.Affine):
        pass

    @dataclass(frozen=True)
    class Slow(fl.optimizers.Sgd):
        pass

    for size in ("bytes", "notes"):
        small = fl.Experiment.parse(dict(SMALL, rounds=1, size=size, bits="feddq", payload="update"))
        mine = small.with_(codec=Mine(2, (2,)), optimizer=Slow())
        assert fl.run(mine).summary.model_sha256 == fl.run(small).summary.model_sha256
    assert list(fl.sweep(mine, {"codec.base_bits": [1]}).runs) == [(1, SMALL["seed"])]


@pytest.mark.parametrize(
    "model, line",
    [
        (Net((1, 28, 28), 10), "model = 'Net' is not allowed: the class or a function that makes the module"),
        (lambda shape, width: None, "model.width = None is not allowed: it is missing"),
        (lambda shape: 3, "model = .* is not allowed: it makes no torch.nn.Module"),
        (5, "model = 5 is not allowed: a part"),
    ],
)
def test_a_model_that_is_none_is_one_line(model, line):
    with pytest.raises(fl.UserError, match=line):
        fl.run(fl.Experiment.parse(SMALL).with_(model=model))


MINE = """
from torch import nn

def make(shape, classes, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, classes))
"""


def test_a_model_of_a_file_is_named_kept_and_known_again(tmp_path, capsys):
    file, config = tmp_path / "nets.py", tmp_path / "mine.toml"
    file.write_text(MINE)
    config.write_text(fl.Experiment.parse(SMALL).to_toml().replace('name = "mlp"', 'name = "nets.py:make"'))
    run = [
        "run",
        str(config),
        "--set",
        'model={ name = "nets.py:make", width = 6 }',
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(run) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith(f"importing {file} (SHA-256 ")
    (kept,) = (tmp_path / "run" / "own").iterdir()
    assert kept.read_text() == MINE and kept.name.endswith("-nets.py")
    assert fl.load(tmp_path / "run").model["1.weight"].shape == (6, 784)

    file.write_text(MINE.replace("nn.ReLU", "nn.Tanh"))
    assert main(["run", "--resume", str(tmp_path / "run"), "--rounds", "4"]) == 2
    assert "its checkpoint was made with the file nets.py of model" in capsys.readouterr().err
    file.write_text("raise SystemError('imported')")
    assert main(["report", str(tmp_path / "run")]) == 0


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """scikit-learn's digits, scaled like ours, as a user's NPZ file."""
    data, path = (
        fl.datasets.Digits(train_samples=200, test_samples=60).load(),
        tmp_path_factory.mktemp("d") / "d.npz",
    )
    arrays = {"x_train": data.train.images, "y_train": data.train.labels}
    arrays.update(x_test=data.test.images, y_test=data.test.labels)
    np.savez(str(path), **{name: tensor.numpy() for name, tensor in arrays.items()})
    return path


def test_a_data_set_as_a_file_a_pair_or_a_function_gives_the_model_of_ours(written, exported):
    with np.load(str(exported)) as held:
        train, test = [(held["x_" + part], held["y_" + part]) for part in ("train", "test")]
    listed = [(torch.from_numpy(image), label) for image, label in zip(*train)]
    for data in ({"name": "npz", "path": str(exported)}, (train, test), (listed, test), lambda: (train, test)):
        run = fl.run(fl.Experiment.parse(dict(SMALL, model="mlp")).with_(data=data))
        assert (
            run.summary.model_sha256 == fl.run(fl.Experiment.parse(dict(SMALL, model="mlp"))).summary.model_sha256
        )


@pytest.fixture(scope="module")
def dealt(exported):
    """The same file with the parts that `iid` deals, and these parts as a dict."""
    with np.load(str(exported)) as held:
        arrays = {name: held[name] for name in held.files}
    parts = fl.partitions.Iid().split(arrays["y_train"], SMALL["ues"], stream(SMALL["seed"], "partition"))
    owners, path = np.empty(len(arrays["y_train"]), np.int16), exported.parent / "dealt.npz"
    for ue, part in enumerate(parts):
        owners[part] = ue
    np.savez(str(path), ue_train=owners, **arrays)
    train = {ue: (arrays["x_train"][part], arrays["y_train"][part]) for ue, part in enumerate(parts)}
    return path, (train, (arrays["x_test"], arrays["y_test"]))


def test_parts_by_ue_that_are_those_of_iid_give_the_model_of_iid(dealt):
    path, (train, test) = dealt
    listed = {ue: list(zip(*part)) for ue, part in sorted(train.items(), reverse=True)}
    npz, iid = {"name": "npz", "path": str(path)}, fl.run(fl.Experiment.parse(SMALL)).summary.model_sha256
    for data in (npz, (train, test), (listed, test), lambda: (train, test)):
        run = fl.run(fl.Experiment.parse(dict(SMALL, partition="by_ue")).with_(data=data))
        assert run.summary.model_sha256 == iid
    assert fl.run(fl.Experiment.parse(dict(SMALL, data=npz))).summary.model_sha256 == iid


def test_a_resume_needs_the_same_parts(dealt, tmp_path):
    with np.load(str(dealt[0])) as held:
        arrays = {name: held[name] for name in held.files}
    np.savez(str(tmp_path / "mine.npz"), **arrays)
    data = {"name": "npz", "path": str(tmp_path / "mine.npz")}
    experiment = fl.Experiment.parse(dict(SMALL, partition="by_ue", data=data))
    fl.run(experiment, tmp_path / "run", observers=[StopAfter(1)])
    arrays["ue_train"] = np.roll(arrays["ue_train"], 1)
    np.savez(str(tmp_path / "mine.npz"), **arrays)
    with pytest.raises(fl.UserError, match="its checkpoint was made with the data set mine"):
        fl.resume(tmp_path / "run")


PART = (np.zeros((2, 8)), np.arange(2))


@pytest.mark.parametrize(
    "train, line",
    [
        (PART, "partition.name = 'by_ue' is not allowed: the data do not say which UE has which sample"),
        ({0: PART, 1: PART, 2: PART}, "ues = 2 is not allowed: 3, as many as the data have parts by UE"),
        ({1: PART, 2: PART}, "the keys of training sets by UE are the UEs 0, 1, 2, ..."),
        ({"a": PART, "b": PART}, "the keys of training sets by UE are the UEs 0, 1, 2, ..."),
        ({}, "the keys of training sets by UE are the UEs 0, 1, 2, ..."),
        ({0: PART, 1: []}, "data own, UE 1: a data set without a sample"),
        ({0: PART, 1: PART[0]}, "data own, UE 1 is not allowed: .images, labels., or a torch data set"),
        ({0: PART, 1: (np.zeros((2, 8)), np.arange(3))}, "data own, UE 1: images of shape"),
        ({0: PART, 1: (np.zeros((2, 9)), np.arange(2))}, r"images of UE 0 are \(1, 1, 8\) and those of UE 1 \("),
    ],
)
def test_parts_by_ue_that_are_none_are_one_line(train, line):
    experiment = fl.Experiment(data=(train, PART), partition="by_ue", model="mlp", backend="torch", ues=2)
    with pytest.raises(fl.UserError, match=line) as caught:
        fl.run(experiment)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("owners", [[0, 1, 0], [0, 1, -1, 0], [0.0, 1.0, 0.0, 1.0], [[0, 1, 0, 1]], 0, ["a"] * 4])
def test_owners_in_a_file_that_are_none_are_one_line(owners, tmp_path):
    images, labels = np.zeros((4, 8)), np.arange(4)
    path = str(tmp_path / "mine.npz")
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels, ue_train=np.array(owners))
    with pytest.raises(fl.UserError, match=r"mine.npz: (ue_train is .*: 4 whole numbers from 0 on|no array of)"):
        fl.run(fl.Experiment(data={"name": "npz", "path": path}, model="mlp", backend="torch", ues=2))


@pytest.mark.parametrize(
    "train, line",
    [
        ((np.zeros((4, 8)), np.zeros(3, int)), r"images of shape \(4, 8\) for 3 labels"),
        ((np.zeros((4, 8)), np.full(4, 0.5)), "labels are whole numbers from 0 on"),
        ((np.zeros((4, 8)), np.arange(4) - 1), "labels are whole numbers from 0 on"),
        ((np.full((4, 8), np.nan), np.arange(4)), "images hold NaN"),
        ((np.zeros((4, 9)), np.arange(4)), r"training images are \(1, 1, 9\) and test images \(1, 1, 8\)"),
        ((np.array(["a"] * 4), np.arange(4)), "no array of numbers"),
        (5, "a torch data set"),
        ({"images": np.zeros((4, 8))}, "training sets by UE"),
        (np.zeros((4, 8)), "a torch data set"),
    ],
)
def test_data_that_are_none_are_one_line(train, line):
    data = (train, (np.zeros((4, 8)), np.arange(4)))
    with pytest.raises(fl.UserError, match=line):
        fl.run(fl.Experiment(data=data, model="mlp", backend="torch", ues=2))


def test_levels_of_a_sweep_are_told_apart_and_none_is_lost():
    base = fl.Experiment.parse({**SMALL, "rounds": 1})
    found = fl.sweep(base, {"codec": [fl.codecs.Affine(2), fl.codecs.Affine(4), "float32"]})
    assert [level for level, _ in found.runs] == [
        "affine, base_bits 2, enhancement_bits []",
        "affine, base_bits 4, enhancement_bits []",
        "float32",
    ]
    chained = fl.sweep(
        base, {"transforms": [[], [fl.transforms.Clip(0.01)], [fl.transforms.Clip(0.001), "movement"]]}
    )
    assert [level for level, _ in chained.runs] == ["none", "clip", "clip + movement"]
    assert len({run.summary.model_sha256 for run in chained.runs.values()}) == 3
    with pytest.raises(fl.UserError, match="has the level 2 twice"):
        fl.sweep(base, {"codec.base_bits": [2, 2]})


def test_a_sweep_is_its_runs_and_goes_on(tmp_path):
    base = fl.Experiment.parse(dict(SMALL, rounds=1))
    axes = {"codec.base_bits": [1, 3], "protocol": ["wait_for_all", fl.protocols.Deadline(2.0)]}
    found = fl.sweep(base, axes, seeds=[3, 4], folder=tmp_path)
    assert len(found.runs) == 8 == len(list(tmp_path.iterdir()))
    alone = base.with_(codec=fl.codecs.Affine(3, (2,)), protocol="deadline", seed=4).with_(
        protocol=fl.protocols.Deadline(2.0)
    )
    assert found.runs[3, "deadline", 4].summary.model_sha256 == fl.run(alone).summary.model_sha256
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    again = fl.sweep(base, axes, seeds=[3, 4], folder=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")} == before
    pytest.importorskip("pandas")
    frame = again.frame()
    assert list(frame.columns[:3]) == ["codec.base_bits", "protocol", "seed"] and len(frame) == 8
    with pytest.raises(fl.UserError, match=r"'codec.bass_bits' is no known key: did you mean 'base_bits'"):
        fl.sweep(base, {"codec.bass_bits": [1]})
