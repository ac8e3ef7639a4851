"""Loggers: each number in its place, unchanged runs, and a one-line error for a missing package."""

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.kernel.packages import installed
from fl_simu.observers import LOGGERS, loggers_of

SMALL = {
    "name": "logged",
    "rounds": 2,
    "ues": 3,
    "backend": "torch",
    "data": {"name": "digits", "train_samples": 90, "test_samples": 30},
    "model": {"name": "mlp", "hidden": [4]},
    "meters": ["energy"],
    "evaluation": {"every": 2},
}


def expected(folder):
    """The expected values by step: all finite numbers of each round's record."""
    rounds = {}
    for record in map(json.loads, (folder / "rounds.jsonl").read_text().splitlines()):
        kinds = [one["accepted"] for one in record["ues"]]
        counts = {"full": kinds.count("full"), "base": kinds.count("base"), "rejected": kinds.count("none")}
        names = ("time_s", "accuracy", "loss", "uplink_bits", "downlink_bits", "wall_time_s")
        numbers = {**{name: record[name] for name in names}, **counts, **record["meters"]}
        rounds[record["round"]] = {name: value for name, value in numbers.items() if value is not None}
    assert "accuracy" not in rounds[1] and "accuracy" in rounds[2]
    return rounds


class StopAtOne(fl.Observer):
    def aggregated(self, record, coordinator):
        coordinator.stop()


class Fails(fl.Observer):
    def aggregated(self, record, coordinator):
        raise KeyboardInterrupt


class WandbRun:
    """A fake of the object that wandb.init returns, as far as documented."""

    def __init__(self, given):
        self.given, self.steps, self.summary, self.exit_code = given, {}, {}, None

    def log(self, data, step=None, commit=None):
        self.steps[step] = data

    def finish(self, exit_code=None, quiet=None):
        self.exit_code = exit_code


@pytest.fixture
def wandb(monkeypatch):
    """The runs that were requested."""
    module, runs = ModuleType("wandb"), []

    def init(entity=None, project=None, id=None, name=None, config=None, group=None, resume=None, mode=None):
        runs.append(WandbRun(locals()))
        return runs[-1]

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("fl_simu.observers.base.installed", lambda name: name == "wandb")
    return runs


class MlflowClient:
    """A fake of MLflow's client, with its limits; all clients share one server."""

    experiments: ClassVar = {}
    runs: ClassVar = {}

    def __init__(self, tracking_uri=None, registry_uri=None):
        self.uri = tracking_uri

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name):
        self.experiments[name] = self.uri
        return name

    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        run = str(len(self.runs))
        self.runs[run] = {"params": {}, "steps": {}, "tags": dict(tags), "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        assert len(params) <= 100 and all(len(one.value) <= 500 for one in params)
        self.runs[run_id]["params"].update({one.key: one.value for one in params})
        for one in metrics:
            assert isinstance(one.timestamp, int)
            self.runs[run_id]["steps"].setdefault(one.step, {})[one.key] = one.value

    def set_tag(self, run_id, key, value):
        self.runs[run_id]["tags"][key] = value

    def set_terminated(self, run_id, status=None, end_time=None):
        self.runs[run_id]["status"] = status


@pytest.fixture
def mlflow(monkeypatch):
    """The class of the clients, on a server without runs."""
    modules = {name: ModuleType(name) for name in ("mlflow", "mlflow.entities", "mlflow.tracking")}
    modules["mlflow.entities"].Param = lambda key, value: SimpleNamespace(key=key, value=value)
    modules["mlflow.entities"].Metric = lambda key, value, timestamp, step: SimpleNamespace(
        key=key, value=value, timestamp=timestamp, step=step
    )
    modules["mlflow.tracking"].MlflowClient = MlflowClient
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("fl_simu.observers.base.installed", lambda name: name == "mlflow")
    monkeypatch.setattr(MlflowClient, "experiments", {})
    monkeypatch.setattr(MlflowClient, "runs", {})
    return MlflowClient


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The model of the run without loggers."""
    return fl.run(fl.Experiment.parse(SMALL), tmp_path_factory.mktemp("observers") / "run").summary.model_sha256


def test_weights_and_biases(wandb, bare, tmp_path):
    logger = fl.observers.WandB(project="uplink", id="r7")
    ran = fl.run(fl.Experiment.parse(SMALL), tmp_path / "run", observers=[logger])
    (run,) = wandb
    assert ran.summary.model_sha256 == bare == run.summary["model_sha256"]
    assert run.steps == expected(tmp_path / "run") and run.exit_code == 0
    asked = {name: run.given[name] for name in ("project", "name", "id", "resume", "group")}
    assert asked == {"project": "uplink", "name": "logged", "id": "r7", "resume": "allow", "group": None}
    assert run.given["config"]["model.hidden"] == [4] and run.given["config"]["rounds"] == 2
    with pytest.raises(KeyboardInterrupt):
        fl.run(fl.Experiment.parse(SMALL), observers=[logger, Fails()])
    assert wandb[1].exit_code == 1 and wandb[1].summary == {} and list(wandb[1].steps) == [1]


def test_mlflow(mlflow, bare, tmp_path):
    ran = fl.run(
        fl.Experiment.parse(SMALL), tmp_path / "run", observers=[fl.observers.MLflow(tracking_uri="there")]
    )
    run = mlflow.runs["0"]
    assert ran.summary.model_sha256 == bare == run["tags"]["model_sha256"]
    assert (mlflow.experiments, run["status"]) == ({"fl_simu": "there"}, "FINISHED")
    assert run["steps"] == expected(tmp_path / "run")
    assert run["params"]["model.hidden"] == "[4]" and run["tags"]["mlflow.runName"] == "logged"
    more = fl.observers.MLflow(tracking_uri="there", run_id="0")
    fl.resume(tmp_path / "run", rounds=3, observers=[more])
    assert run["steps"] == expected(tmp_path / "run") and len(mlflow.runs) == 1
    with pytest.raises(KeyboardInterrupt):
        fl.run(fl.Experiment.parse(SMALL), observers=[fl.observers.MLflow(), Fails()])
    assert mlflow.runs["1"]["status"] == "FAILED"


def test_what_a_server_complains_of_is_one_line(mlflow, monkeypatch):
    def full(self, *arguments, **options):
        raise RuntimeError("the disk\nis full")

    monkeypatch.setattr(MlflowClient, "log_batch", full)
    with pytest.raises(fl.UserError, match=r"^logger MLflow failed \(RuntimeError: the disk is full\)$"):
        fl.run(fl.Experiment.parse(SMALL), observers=[fl.observers.MLflow()])


class SummaryWriter:
    """A fake of torch's SummaryWriter, as far as documented."""

    written: ClassVar = {}

    def __init__(self, log_dir=None, comment="", purge_step=None, max_queue=10, flush_secs=120):
        self.steps = self.written.setdefault(str(log_dir), {})
        self.texts = self.written.setdefault("texts", {})
        for step in [step for step in self.steps if purge_step is not None and step >= purge_step]:
            del self.steps[step]
        self.open = True

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None):
        assert self.open
        self.steps.setdefault(global_step, {})[tag] = scalar_value

    def add_text(self, tag, text_string, global_step=None, walltime=None):
        self.texts[tag, global_step] = text_string

    def flush(self):
        pass

    def close(self):
        self.open = False


def test_tensorboard(bare, tmp_path, monkeypatch):
    """From a TOML file, and again after a resume that goes back by a round."""
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setattr(SummaryWriter, "written", {})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("fl_simu.observers.base.installed", lambda name: name == "tensorboard")
    file, folder = tmp_path / "small.toml", tmp_path / "run"
    file.write_text('log = "tensorboard"\n' + fl.Experiment.parse(SMALL).to_toml())
    assert main(["run", str(file), "--out", str(folder)]) == 0
    run = fl.load(folder)
    assert "log" not in run.config and run.summary.model_sha256 == bare
    steps = SummaryWriter.written[str(folder / "tensorboard")]
    assert steps == expected(folder)
    assert "    model.hidden = [4]\n" in SummaryWriter.written["texts"]["config", 0]
    assert f'    model_sha256 = "{bare}"\n' in SummaryWriter.written["texts"]["summary", 2]
    for path in (folder / "checkpoint").glob("round-000002.*"):
        path.unlink()
    assert main(["run", "--resume", str(folder), "--log", "tensorboard"]) == 0
    assert steps == expected(folder)


@pytest.mark.skipif(not installed("tensorboard"), reason="needs tensorboard")
def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fl.run(fl.Experiment.parse(SMALL), tmp_path, observers=[fl.observers.TensorBoard()])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {}
    for name in events.Tags()["scalars"]:
        for one in events.Scalars(name):
            found.setdefault(one.step, {})[name] = one.value
    assert found.keys() == expected(tmp_path).keys()
    for step, numbers in expected(tmp_path).items():
        assert found[step] == pytest.approx(numbers, rel=1e-6), "float32"


@pytest.mark.parametrize("name", sorted(LOGGERS))
def test_a_package_that_is_missing_is_one_line(name, small, monkeypatch, capsys):
    monkeypatch.chdir(small.parent)
    monkeypatch.setattr("fl_simu.observers.base.installed", lambda module: False)
    assert main(["run", str(small), "--log", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"needs {name}, which is not installed: `" in line and "pip install" in line
    assert [path.name for path in small.parent.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    "log, said",
    [
        ("wand", "log.name = 'wand' is not known: did you mean 'wandb'?"),
        ('{name = "wandb", projekt = "a"}', "log.projekt is no known key: did you mean 'project'?"),
        ('{name = "mlflow", experiment = 3}', "log.experiment = 3 is not allowed: input should be a valid string"),
        ('{project = "a"}', "log = {'project': 'a'} is not allowed: a name, or a table with a name"),
    ],
)
def test_mistakes_are_one_line(log, said, small, monkeypatch, capsys):
    monkeypatch.setattr("fl_simu.observers.base.installed", lambda module: True)
    assert main(["run", str(small), "--log", log]) == 2
    assert capsys.readouterr().err == f"fl_simu: {said}\n"


def test_python_is_told_that_a_file_names_loggers(tmp_path):
    (tmp_path / "mine.toml").write_text('log = "wandb"')
    with pytest.raises(fl.UserError, match=r"is for the command `run`: in Python, give `fl.run` the observers"):
        fl.Experiment.read(tmp_path / "mine.toml")


def test_observers_are_told_of_beginning_and_end(tmp_path):
    told = []

    class Hears(fl.Observer):
        def began(self, experiment, rounds, folder):
            told.append(("began", experiment.name, rounds, folder))

        def ended(self, summary):
            told.append(("ended", summary and summary.rounds))

    folder = tmp_path / "run"
    fl.run(fl.Experiment.parse(SMALL), folder, observers=[Hears(), StopAtOne()])
    fl.resume(folder, observers=[Hears()])
    fl.run(fl.Experiment.parse(SMALL), observers=[Hears()])
    with pytest.raises(KeyboardInterrupt):
        fl.run(fl.Experiment.parse(SMALL), observers=[Hears(), Fails()])
    began = [("began", "logged", 0, folder), ("began", "logged", 1, folder), *2 * [("began", "logged", 0, None)]]
    ends = [("ended", 1), ("ended", 2), ("ended", 2), ("ended", None)]
    assert told == [one for pair in zip(began, ends) for one in pair]
    assert loggers_of([]) == []
