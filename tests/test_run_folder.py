"""A run folder that is damaged or comes from others: one line that names the problem, or the correct run.

One small run is made once; each row changes a copy of its folder.
"""

import hashlib
import json
import os
import re
import shutil

import numpy as np
import pytest
import safetensors.numpy

from fl_simu import __version__
from fl_simu.cli.app import main
from fl_simu.kernel.errors import UserError
from fl_simu.results.run_folder import RunFolder
from fl_simu.studies.grid import Study
from fl_simu.studies.running import Job, Runs, folders_of

# UEs with older models continue while the BS aggregates, and their optimisers have state.
EXPERIMENT = """
name = "folder"
seed = 5
rounds = 4
ues = 5
protocol = { name = "buffered", k = 2 }
compute = { name = "uniform", low_s = 0.2, high_s = 0.6 }
channel = { name = "normal", mean_mbps = 0.5, std_mbps = 0.1 }
data = { name = "digits", train_samples = 160, test_samples = 60 }
model = { name = "mlp", hidden = [8] }
optimizer = { name = "sgd", lr = 0.05, momentum = 0.9 }
training = { batch_size = 20, keep_optimizer_state = true }
backend = { name = "torch", exact = true }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    (folder / "experiment.toml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fl_simu.loop.closing.draw_figures", lambda *anything: [])
        assert main(["run", str(folder / "experiment.toml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    monkeypatch.setattr("fl_simu.loop.closing.draw_figures", lambda *anything: [])
    shutil.copytree(str(made), str(tmp_path / "run"))
    return tmp_path / "run"


def model_of(folder):
    return json.loads((folder / "summary.json").read_text())["model_sha256"]


def resume(folder, capsys, *more):
    """Status, standard output, standard error."""
    capsys.readouterr()
    status = main(["run", "--resume", str(folder), *more])
    return (status, *capsys.readouterr())


def rewrite(folder, round, change):
    """Change the body and the arrays of a checkpoint, and make the checksums fit."""
    names = [folder / "checkpoint" / f"round-{round:06d}.{suffix}" for suffix in ("json", "safetensors")]
    body = json.loads(json.loads(names[0].read_text())["body"])
    arrays = safetensors.numpy.load(names[1].read_bytes())
    change(body, arrays)
    tensors, text = safetensors.numpy.save(arrays), json.dumps(body)
    head = {
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
        "body_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "body": text,
    }
    names[0].write_text(json.dumps(head))
    names[1].write_bytes(tensors)


def run_of(body):
    """The fields of the run's state in JSON, which tests change."""
    return body["plain"]["fields"]["run"]["fields"]


def puts(name, value):
    def change(body, arrays):
        fields = body["plain"]["fields"] if name in ("now_s", "events") else run_of(body)
        assert name in fields
        fields[name] = value

    return change


def array(where, make):
    def change(body, arrays):
        found = next(one for one in sorted(arrays) if where in one)
        arrays[found] = make(arrays[found])

    return change


def without(where):
    def change(body, arrays):
        found = next(one for one in sorted(arrays) if where in one)
        del arrays[found]

    return change


def event_of_a_stranger(body, arrays):
    body["plain"]["fields"]["events"][0][-1] = {"class": "Path", "fields": {}}


def other_ue(body, arrays):
    text = json.dumps(run_of(body)["flights"])
    assert '"ue": ' in text
    run_of(body)["flights"] = json.loads(text.replace('"ue": ', '"ue": 7'))


def forgotten(body, arrays):
    """No UE has memory, and the checkpoint has no arrays for it."""
    run_of(body)["ues"] = {"pairs": []}
    for name in [one for one in arrays if one.startswith("run/ues/")]:
        del arrays[name]


def deep(body, arrays):
    value = 0
    for _ in range(400):
        value = [value]
    run_of(body)["protocol"] = value


FITTED = {
    "a model of float64": array("run/model/", lambda one: one.astype(np.float64)),
    "a model of NaN": array("run/model/", lambda one: one * np.float32(np.nan)),
    "a model of another shape": array("run/model/", lambda one: one.reshape(-1)[:3]),
    "a model without a tensor": without("run/model/"),
    "an optimiser of another shape": array("/training/", lambda one: one.reshape(-1)[:1]),
    "without an optimiser": forgotten,
    "without a model handed out": without("/start/"),
    "a model handed out of another shape": array("/start/", lambda one: one.reshape(-1)[:1]),
    "a tensor of nobody": lambda body, arrays: arrays.update({"trained/77/w": np.zeros(2)}),
    "flights = 5": puts("flights", 5),
    "protocol = None": puts("protocol", None),
    "events = x": puts("events", "x"),
    "no events": puts("events", []),
    "an event of another class": event_of_a_stranger,
    "an upload of another UE": other_ue,
    "a state nested deep": deep,
    "no upload under way": puts("flights", {"pairs": []}),
    "a broadcast that was never": puts("begun", 0),
    "another round": puts("version", 3),
    "time of a text": puts("now_s", "soon"),
    "time of NaN": puts("now_s", {"float": "nan"}),
    "a key is missing": lambda body, arrays: run_of(body).pop("losses"),
    "another class": lambda body, arrays: body["plain"].update({"class": "Upload"}),
    "null": lambda body, arrays: body.update(plain=None),
    "a name for what is not there": puts("server", {"tensor": "w"}),
}


@pytest.mark.parametrize("damage", FITTED.values(), ids=FITTED)
def test_a_damaged_checkpoint_whose_checksums_fit_is_passed_over(damage, made, folder, capsys):
    rewrite(folder, 4, damage)
    (folder / "summary.json").unlink()

    status, said, complaints = resume(folder, capsys)

    assert (status, complaints) == (0, "")
    told = [line for line in said.splitlines() if line.startswith("checkpoint of round 4 is damaged")]
    assert len(told) == 1 and len(told[0]) < 200 and told[0].endswith("using the one before it")
    assert "resuming after round 3" in said
    assert model_of(folder) == model_of(made)


def change_digit(text):
    at = text.rindex('"accuracy": 0.') + len('"accuracy": 0.')
    return text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]


RECORDS = {
    "a bit of a number": change_digit,
    "another run's": lambda text: text.replace('"time_s": ', '"time_s": 1'),
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_records_that_are_not_those_before_the_checkpoint_are_refused(change, folder, capsys):
    log = folder / "rounds.jsonl"
    log.write_text(change(log.read_text()))
    before = log.read_bytes()

    status, _, complaint = resume(folder, capsys, "--rounds", "5")

    assert status == 2 and len(complaint.splitlines()) == 1
    assert f"{log} does not hold the records before the checkpoint of round 4" in complaint
    assert "anew" in complaint
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("fl_simu", f"fl_simu 0.0.1 (here {__version__})"),
        ("torch", "torch 0.0.1 (here "),
        ("the data set digits", "the data set digits 0.0.1 (here "),
    ],
)
def test_what_a_checkpoint_was_made_with_is_named_where_it_differs(name, wanted, folder, capsys):
    rewrite(folder, 4, lambda body, arrays: body["identity"].update({name: "0.0.1"}))
    status, _, complaint = resume(folder, capsys)
    assert status == 2 and wanted in complaint and len(complaint.splitlines()) == 1


def test_another_recording_of_rates_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fl_simu.loop.closing.draw_figures", lambda *anything: [])
    rates, experiment = tmp_path / "rates.txt", tmp_path / "experiment.toml"
    rates.write_text("0 5\n1 4\n2 5\n")
    channel = json.dumps(str(rates))
    experiment.write_text(EXPERIMENT.replace('{ name = "normal", mean_mbps = 0.5, std_mbps = 0.1 }',
                                             f'{{ name = "trace", path = {channel} }}'))  # fmt: skip
    assert main(["run", str(experiment), "--rounds", "1", "--out", str(tmp_path / "run")]) == 0
    rates.write_text("0 5\n1 4.5\n2 5\n")
    status, _, complaint = resume(tmp_path / "run", capsys, "--rounds", "2")
    assert status == 2 and "the files of channel.path" in complaint


def test_a_checkpoint_of_an_older_fl_simu_is_one_line(folder, capsys):
    rewrite(folder, 4, lambda body, arrays: body.pop("records_sha256"))
    status, _, complaint = resume(folder, capsys)
    assert status == 2 and len(complaint.splitlines()) == 1
    assert "of an older fl_simu" in complaint


JSON = ["[]", "null", "3", "{}", '"x"', "[" * 10_000, '{"name": 3}', "\x00", "{"]


@pytest.mark.parametrize("content", JSON, ids=range(len(JSON)))
@pytest.mark.parametrize("name", ["summary.json", "rounds.jsonl", "config.toml"])
def test_any_other_content_is_one_line_that_names_the_file(name, content, folder, tmp_path, capsys):
    file = folder / name
    file.write_text(content + "\n" + content + "\n" if name == "rounds.jsonl" else content)
    shutil.copytree(str(folder), str(tmp_path / "other"))
    capsys.readouterr()

    # For several runs, the records are read too.
    assert main(["report", str(folder), str(tmp_path / "other"), "--out", str(tmp_path / "page.html")]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert name in line and len(line) < 500


FLIPPED = ["name", "seed", "final_accuracy", "uplink_bits", "rejected", "model_sha256", "stack"]


@pytest.mark.parametrize("key", FLIPPED)
def test_a_key_of_the_summary_that_is_gone_or_of_another_type_is_one_line(key, folder, capsys):
    file = folder / "summary.json"
    whole = json.loads(file.read_text())
    for changed in ({name: value for name, value in whole.items() if name != key}, {**whole, key: [whole[key]]}):
        file.write_text(json.dumps(changed))
        capsys.readouterr()
        assert main(["report", str(folder)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(file) in line


@pytest.mark.parametrize("name", ["summary.json", "rounds.jsonl", "config.toml", "checkpoint", "figures"])
def test_a_link_in_a_folder_leads_nowhere(name, folder, tmp_path, capsys):
    outside = tmp_path / "outside"
    if name in ("checkpoint", "figures"):
        outside.mkdir()
        (outside / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n secret")
        shutil.rmtree(str(folder / name), ignore_errors=True)
    else:
        shutil.copy(str(folder / name), str(outside))
        (folder / name).unlink()
    (folder / name).symlink_to(outside)
    before = sorted(path.read_bytes() for path in tmp_path.glob("outside*/*")) if outside.is_dir() else []

    status, _, complaint = resume(folder, capsys, "--rounds", "5")
    assert status == 2 and f"{folder / name} is a link" in complaint
    assert main(["report", str(folder)]) == 2
    assert not (folder / "report.html").exists()
    if outside.is_dir():
        assert sorted(path.read_bytes() for path in outside.iterdir()) == before


@pytest.mark.parametrize("name", ["model.safetensors", "report.html", "figures/more.png"])
def test_nothing_is_written_or_embedded_through_a_link(name, folder, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.write_bytes(b"\x89PNG\r\n\x1a\n mine")
    (folder / "figures").mkdir(exist_ok=True)
    if (folder / name).exists():
        (folder / name).unlink()
    (folder / name).symlink_to(outside)
    assert main(["report", str(folder)]) == 2
    assert resume(folder, capsys, "--rounds", "5")[0] == 2
    assert outside.read_bytes() == b"\x89PNG\r\n\x1a\n mine"


def test_a_figure_that_is_no_png_is_not_embedded(folder, capsys):
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "a.png").write_text("<script>")
    assert main(["report", str(folder)]) == 2
    assert "a.png is no PNG file" in capsys.readouterr().err


def test_an_address_in_a_file_joins_no_cluster(folder, tmp_path, capsys):
    experiment = tmp_path / "experiment.toml"
    experiment.write_text('backend = { name = "ray", address = "127.0.0.1:9" }\n')
    assert main(["run", str(experiment), "--out", str(tmp_path / "new")]) == 2
    assert "only --address" in capsys.readouterr().err

    stored = folder / "config.toml"
    text = stored.read_text()
    stored.write_text(text.replace('name = "torch"\n', 'name = "ray"\naddress = "127.0.0.1:9"\n').replace(
        'device = "cpu"\n', ""))  # fmt: skip
    status, _, complaint = resume(folder, capsys)
    # It is another experiment, so it is refused, without a connection to that address.
    assert status == 2 and "127.0.0.1" not in complaint


def test_what_a_killed_writer_left_is_removed_and_no_more(folder, capsys):
    killed = [place / f".4194303.{16 * '0'}.tmp" for place in (folder, folder / "checkpoint")]
    living = folder / f".{os.getpid()}.{16 * '0'}.tmp"
    others = folder / ".notes.tmp"
    for path in (*killed, living, others):
        path.write_text("half")

    assert resume(folder, capsys)[0] == 0

    assert not any(path.exists() for path in killed)
    assert living.exists() and others.exists()


def test_a_folder_with_leftovers_alone_is_as_good_as_empty(made, tmp_path, monkeypatch):
    monkeypatch.setattr("fl_simu.loop.closing.draw_figures", lambda *anything: [])
    out = tmp_path / "new"
    out.mkdir()
    (out / f".4194303.{16 * '0'}.tmp").write_text("half")
    assert main(["run", str(made / "config.toml"), "--rounds", "1", "--out", str(out)]) == 0
    assert list(out.glob(".*.tmp")) == []


def test_a_checkpoint_holds_each_start_model_once_and_no_trained_one(folder):
    arrays = safetensors.numpy.load((folder / "checkpoint" / "round-000004.safetensors").read_bytes())
    body = json.loads(json.loads((folder / "checkpoint" / "round-000004.json").read_text())["body"])
    flights = run_of(body)["flights"]["pairs"]
    versions = {flight["fields"]["upload"]["fields"]["version"] for _, flight in flights}
    words = [re.sub(r"/\d+/", "/", name) for name in arrays]
    assert len(flights) == 3 and len(versions) == 2
    assert words.count("run/taken") == 1
    del arrays["run/taken"], words[words.index("run/taken")]
    assert all(word.startswith(("run/model/", "run/flights/start/", "run/ues/training/")) for word in words)
    parameters = sum(array.size for name, array in arrays.items() if name.startswith("run/model/"))
    kept = {name.split("/")[2] for name in arrays if name.startswith("run/ues/")}
    assert sum(array.size for array in arrays.values()) == parameters * (1 + len(versions) + len(kept))


@pytest.mark.parametrize(
    "change", [None, lambda text: "", lambda text: text[: len(text) // 2]], ids=["gone", "empty", "cut"]
)
def test_a_run_of_a_study_whose_records_are_gone_is_not_taken_for_done(change, folder):
    run, log = RunFolder(folder), folder / "rounds.jsonl"
    assert run.ended()
    log.write_text(change(log.read_text())) if change else log.unlink()
    assert not run.ended()
    with pytest.raises(UserError) as refusal:
        Runs(None)(Job("slow, seed 5", run.experiment(), run))
    assert "\n" not in str(refusal.value) and str(log) in str(refusal.value)
    assert str(refusal.value).endswith(f"or remove {folder}, and it is made anew")


def test_levels_of_any_length_make_folders_of_their_own(made):
    experiment = RunFolder(made).experiment()
    levels = [("a" * 300,), ("a" * 299 + "b",)]
    others = {((one,), 10**400): experiment.with_(ues=2 + at) for at, (one,) in enumerate(levels)}
    study = Study("s", "t", {"axis": tuple(one for (one,) in levels)}, (10**400,), 0.5, others)
    names = {run.path.name for run in folders_of(study, made).values()}
    assert len(names) == 2 and all(len(name) <= 255 for name in names)
