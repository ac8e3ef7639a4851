import importlib.util
import json
import re

import pytest

from fl_simu.attacks.poisoning.targeted import Boosting
from fl_simu.cli import first, inventory
from fl_simu.cli.app import main
from fl_simu.cli.defaults import POISONING
from fl_simu.data import downloads
from fl_simu.data.datasets import DATASETS, FashionMnist
from fl_simu.experiment import PARTS, Experiment
from fl_simu.kernel import installation
from fl_simu.kernel.installation import MODERN, syft_installed
from fl_simu.kernel.machine import cores
from fl_simu.loop.plan import plan
from fl_simu.parts import KINDS
from fl_simu.ue.optimizers import Adam


@pytest.fixture
def ran(capsys):
    """Runs a command that must succeed; returns its output."""

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("kind", sorted(inventory.PLURALS))
def test_list_names_every_part(kind, ran):
    title, *lines = ran("list", kind).splitlines()
    assert title == kind
    assert [line.split()[0] for line in lines] == list(KINDS[inventory.PLURALS[kind]].rows)
    assert all(len(line.split()) > 2 for line in lines), "each with a line on what it is"


def test_first_lines_are_plain_text():
    assert not re.search(r"\\|:math:|\$|lceil|\bpm\b", inventory.listing(None))
    assert "|x| = m * 10^e with m in [0.1, 1)" in inventory.listing("codecs")
    assert "n = ceil(log2(1 + spread / resolution))." in inventory.listing("bits")


def test_every_registry_can_be_listed():
    assert set(PARTS) <= set(inventory.PLURALS.values())
    assert set(KINDS) - set(inventory.PLURALS.values()) == {"method"}


def test_list_lists_every_kind(ran):
    said = ran("list").splitlines()
    assert [line for line in said if line and not line.startswith(" ")] == [*inventory.PLURALS, "experiments"]


def test_list_says_what_this_installation_lacks(ran, monkeypatch):
    def backends():
        return {line.split()[0]: line for line in ran("list", "backends").splitlines()[1:]}

    assert "(" not in backends()["syft"]
    monkeypatch.setattr(installation, "whose_syft", lambda: "")
    assert "(needs syft 0.2.4, or torch 2)" in backends()["syft"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert re.search(r"\(ray is not installed: `\S+ -m pip install .*ray>=2.7\S*`\)", backends()["ray"])
    assert "(" not in backends()["torch"]


def test_list_says_that_stacks_need_the_modern_stack(ran):
    (line,) = [line for line in ran("list", "backends").splitlines() if line.startswith("  vectorized")]
    assert ("(not on this stack)" in line) == (not MODERN)


def test_list_experiments(ran):
    rows = dict(line.split(maxsplit=1) for line in ran("list", "experiments").splitlines()[1:])
    assert rows["graded_upload"].startswith("What graded uploads gain over unquantised uploads")


def test_data_list(ran, tmp_path, monkeypatch):
    monkeypatch.delenv("FL_SIMU_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rows = [line.split() for line in ran("data", "list").splitlines()]
    assert [row[0] for row in rows] == list(DATASETS)
    assert {row[0]: row[1] for row in rows}["digits"] == "found"
    assert {row[0]: row[1] for row in rows}["mnist"] == "missing"


def test_data_fetch_of_what_needs_no_file(ran):
    assert ran("data", "fetch", "digits") == ""


def test_data_alone_helps(ran):
    said = ran("data")
    assert "fetch" in said
    assert "list" in said


def test_doctor(ran, monkeypatch, tmp_path):
    monkeypatch.delenv("FL_SIMU_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = ran("doctor")
    assert f"\ndata, looked for in {tmp_path / 'fl_simu'} (FL_SIMU_DATA is not set)\n" in said
    assert " -m fl_simu data fetch mnist`" in said
    assert "legacy" in said or "modern" in said
    assert ("make setup" in said) == (not syft_installed())
    assert re.search(r"\n  ray +(installed\n|missing, needed only for backend ray: )", said)
    assert all(name in said for name in DATASETS)


@pytest.mark.parametrize(
    "arguments",
    [(), ("run",), ("list",), ("compare",), ("data",), ("data", "list"), ("data", "fetch"), ("doctor",)],
    ids=" ".join,
)
def test_help(arguments, ran):
    assert "Usage: python -m fl_simu" in ran(*arguments, "--help")


@pytest.mark.figures
def test_run_tells_where_to_look(small, ran, tmp_path):
    out = tmp_path / "out"
    said = ran("run", small, "--out", out)
    for name in ("config.toml", "rounds.jsonl", "summary.json", "model.safetensors", "checkpoint"):
        assert (out / name).exists()
    for path in [*(out / "figures").glob("*.png"), out / "rounds.jsonl", out / "summary.json"]:
        assert str(path) in said
    assert len(list((out / "figures").glob("*.png"))) >= 3
    assert said.count("\nround ") == 2
    for label in ("test accuracy", "virtual time", "bits sent", "accepted full", "accepted base", "rejected"):
        assert f"\n{label} " in said


def test_options_go_before_the_file(small, ran, tmp_path):
    out = tmp_path / "out"
    ran("run", small, "--out", out, "--rounds", 1, "--seed", 9, "--set", "seed=8", "--set", "codec=float32")
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["rounds"], summary["seed"], summary["backend"]) == (1, 9, "torch")
    assert 'name = "float32"' in (out / "config.toml").read_text()


def test_without_out_each_run_has_its_own_folder(small, ran, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        ran("run", small, "--rounds", 1)
    assert len(list((tmp_path / "runs").glob("small-*/summary.json"))) == 2


def test_default_command_without_data_and_network(small, tmp_path, ran, monkeypatch):
    """With small experiments instead of the defaults, and with mirrors that do not answer."""
    text = small.read_text().replace('{ name = "torch", exact = true }', '"auto"')
    small.write_text(text)
    mnist = tmp_path / "mnist.toml"
    mnist.write_text(text.replace('{ name = "digits", train_samples = 400, test_samples = 100 }', '"mnist"'))
    monkeypatch.setattr(first, "MNIST", mnist)
    monkeypatch.setattr(first, "DIGITS", small)
    monkeypatch.setattr(downloads, "_mirrors", lambda files: ["http://127.0.0.1:9/"])
    monkeypatch.delenv("FL_SIMU_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    said = ran("--out", tmp_path / "out")

    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    # Real syft is so slow that any work is distributed.
    alone = cores() == 1
    assert summary["backend"] == (("syft" if alone else "processes") if syft_installed() else "torch")
    assert "handwritten digits instead of MNIST" in said
    assert ("syft is not installed" in said) == (not syft_installed())
    tried = said.split("try next\n")[1].splitlines()
    assert len(tried) == 3
    assert all(" -m fl_simu " in line for line in tried)


def imported(names, script, fl_simu_process):
    """The packages of a list that a new Python has imported after a script."""
    told = f"\nimport sys; print('imported', sorted(set({names!r}) & set(sys.modules)))"
    done = fl_simu_process(python=("-c", script + told))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_syft_and_torchvision_stay_out(fl_simu_process):
    commands = [["list"], ["data", "list"], ["doctor"], ["run", "no.toml"]]
    script = f"import fl_simu\nfrom fl_simu.cli.app import main\nfor command in {commands}: main(command)"
    assert imported(["syft", "torchvision", "ray"], script, fl_simu_process) == "imported []"


# A run, and the work of the processes of `attack leakage` instead of the command.
TRAINS = """
from pathlib import Path
from fl_simu.cli.app import main
from fl_simu.studies.leakage import Attacker, Trial, Trials, pixels
from fl_simu.studies.leakage_setting import Setting

assert main(["run", "small.toml", "--rounds", "1"]) == 0
for method in ("dlg", "inverting_gradients"):
    setting = Setting(method={"name": method, "iterations": 1}, data="digits")
    Attacker(Trials(Path("out"), setting), *pixels(setting, 1, None)).attempt(Trial(0, 0))
"""


@pytest.mark.skipif(not MODERN, reason="torch 1.4 has no such compiler")
def test_nothing_is_compiled(small, fl_simu_process):
    """Importing torch's compiler takes a second."""
    assert imported(["torch._dynamo", "torch._inductor"], TRAINS, fl_simu_process) == "imported []"


@pytest.mark.figures
def test_attack_poisoning_is_a_run_under_an_attack(ran, small, tmp_path):
    said = ran(
        *(
            "attack",
            "poisoning",
            small,
            "--attack",
            "boosting",
            "--rule",
            "median",
            "--model",
            "LR",
            "--rounds",
            1,
        ),
        *("--set", "attack.most_steps=20", "--set", "ues_per_round=4", "--out", tmp_path / "out"),
    )
    config = (tmp_path / "out" / "config.toml").read_text()
    assert [word in config for word in ('"boosting"', '"median"', '"logistic_regression"', "most_steps = 20")] == [
        True
    ] * 4
    (record,) = [json.loads(line) for line in (tmp_path / "out" / "rounds.jsonl").read_text().splitlines()]
    measures = record["attack"]
    assert f"target {measures['predicted'][0]} (wanted {measures['wanted'][0]}, confidence" in said
    assert (tmp_path / "out" / "figures" / "attack.png").read_bytes().startswith(b"\x89PNG")
    assert "poisoning" in ran("attack")


def test_the_default_poisoning_is_the_papers():
    planned = plan(Experiment.read(POISONING))
    experiment = planned.experiment
    assert (experiment.ues, experiment.ues_per_round, experiment.payload) == (10, None, "update")
    assert (experiment.training.epochs, experiment.training.batch_size) == (5, 100)
    assert experiment.optimizer == Adam(lr=0.001)
    assert experiment.data == FashionMnist(scale="unit")
    assert experiment.attack == Boosting(boost=10.0)
    planned.backend.close()


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_a_run_out_of_memory_ends_in_a_line(error, small, tmp_path, monkeypatch, capsys):
    # The messages of torch 1.4 and 2 in a RuntimeError, and of numpy in a MemoryError.
    said = "[enforce fail at CPUAllocator.cpp:64] . DefaultCPUAllocator: can't allocate memory: ..."

    def start(*arguments):
        raise error(said)

    monkeypatch.setattr("fl_simu.cli.run.start", start)
    assert main(["run", str(small), "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == f"fl_simu: out of memory: {said}\n"
