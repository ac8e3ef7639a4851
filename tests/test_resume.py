"""A run that is killed, interrupted or damaged resumes as if nothing had happened."""

import errno
import json
import os
import random
import shutil
import signal
import time
from typing import NamedTuple, Tuple

import pytest
from children import command

from fl_simu.backends.syft_workers import SyftWorkers
from fl_simu.backends.torch_loop import TorchLoop
from fl_simu.cli.app import main
from fl_simu.kernel import config
from fl_simu.results import files
from fl_simu.station.protocols import PROTOCOLS

# Full, base and rejected uploads all occur; --realtime 4 makes a round last a quarter of a second or more.
KILLED = """
name = "killed"
seed = 11
rounds = 8
ues = 5
ues_per_round = 3
size = "notes"
codec = { name = "affine", base_bits = 2, enhancement_bits = [2] }
channel = { name = "normal", mean_mbps = 5.0, std_mbps = 2.0 }
protocol = { name = "base_then_enhancement", receive_s = 0.4, wait_s = 0.35 }
compute = { name = "uniform", low_s = 0.5, high_s = 1.0 }
model = { name = "mlp", hidden = [32], dropout = 0.25 }
data = { name = "digits", train_samples = 600, test_samples = 100 }

[training]
epochs = 2
batch_size = 32
keep_optimizer_state = true
"""
OPTIMIZERS = {
    "momentum": 'optimizer = { name = "sgd", lr = 0.05, momentum = 0.9 }\n',
    "adam": 'optimizer = { name = "adam", lr = 0.002 }\n',
}
# Exact, so that on one stack every backend gives the same bits, and one reference is enough.
BACKENDS = {"torch": ["--set", 'backend={ name = "torch", exact = true }'], "syft": ["--backend", "syft"]}


class Outcome(NamedTuple):
    """The results that must not depend on how often a run was stopped."""

    model_sha256: str
    records: Tuple[str, ...]
    config: str


def outcome(folder):
    records = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    for record in records:
        del record["wall_time_s"]
    return Outcome(
        json.loads((folder / "summary.json").read_text())["model_sha256"],
        tuple(json.dumps(record) for record in records),
        (folder / "config.toml").read_text(),
    )


def rounds_done(folder):
    log = folder / "rounds.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


class Running:
    """A command of fl_simu in its own process, to be stopped while it runs."""

    def __init__(self, forked, folder, environment, *arguments):
        self.output = folder / "output"
        given = [str(argument) for argument in arguments], str(folder), environment, str(self.output)
        self.process = forked.Process(target=command, args=given)
        self.process.start()

    def said(self):
        return self.output.read_text()

    def wait_until(self, reached):
        while not reached():
            assert self.process.is_alive(), self.said()
            time.sleep(0.005)

    def stop(self, folder, rounds, pause_s, how):
        """Send a signal a while after some rounds are done; return the exit status."""
        self.wait_until(lambda: rounds_done(folder) >= rounds)
        time.sleep(pause_s)
        assert self.process.is_alive(), self.said()
        os.kill(self.process.pid, how)
        return self.end(60)

    def end(self, timeout_s=240):
        """Wait for the end; return the exit status."""
        self.process.join(timeout_s)
        return self.process.exitcode


@pytest.fixture
def start(forked, tmp_path, environment):
    begun = []

    def start(*arguments):
        begun.append(Running(forked, tmp_path, environment, *arguments))
        return begun[-1]

    yield start
    for running in begun:
        if running.process.is_alive():
            running.process.kill()
            running.process.join()


@pytest.mark.parametrize("backend, optimizer, kills", [("torch", "adam", 1), ("syft", "momentum", 2)])
def test_kill_9_at_random_moments(backend, optimizer, kills, start, tmp_path):
    experiment = tmp_path / "killed.toml"
    experiment.write_text(OPTIMIZERS[optimizer] + KILLED)
    whole, killed = tmp_path / "whole", tmp_path / "run"
    draw = random.Random(f"{backend} {optimizer}")
    # Each time at least one round later, and at most in the middle of the run.
    moments = [(rounds, draw.uniform(0.0, 0.25)) for rounds in sorted(draw.sample(range(1, 5), kills))]

    running = start("run", experiment, *BACKENDS[backend], "--out", killed, "--realtime", 4)
    for rounds, pause_s in moments:
        assert running.stop(killed, rounds, pause_s, signal.SIGKILL) == -signal.SIGKILL
        running = start("run", "--resume", killed, "--realtime", 4)
    assert running.end() == 0, running.said()
    assert "resuming after round" in running.said()

    assert main(["run", str(experiment), *BACKENDS["torch"], "--out", str(whole)]) == 0
    assert outcome(killed)[:2] == outcome(whole)[:2]
    accepted = [ue["accepted"] for line in outcome(whole).records for ue in json.loads(line)["ues"]]
    assert set(accepted) == {"full", "base", "none"}


def test_a_run_that_goes_on_elsewhere_is_left_alone(start, small, tmp_path, capsys):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    assert main(["run", str(small), "--out", str(whole)]) == 0
    running = start("run", small, "--out", folder, "--realtime", 1)
    running.wait_until(lambda: rounds_done(folder))
    # However long this takes, the other one does not end in the meantime.
    os.kill(running.process.pid, signal.SIGSTOP)
    capsys.readouterr()
    assert main(["run", "--resume", str(folder)]) == 2
    os.kill(running.process.pid, signal.SIGCONT)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder} is in use by another process" in line
    assert running.end() == 0, running.said()
    assert outcome(folder) == outcome(whole)


@pytest.mark.parametrize("backend", BACKENDS)
def test_kill_9_before_the_first_checkpoint(backend, start, small, tmp_path):
    folder = tmp_path / "run"
    running = start("run", small, *BACKENDS[backend], "--out", folder, "--realtime", 0.001)
    running.wait_until((folder / "rounds.jsonl").exists)
    assert running.stop(folder, 0, 0.0, signal.SIGKILL) == -signal.SIGKILL
    assert rounds_done(folder) == 0

    resumed = start("run", "--resume", folder)
    assert resumed.end() == 0, resumed.said()
    assert "starting from the first round" in resumed.said()

    assert main(["run", str(small), "--out", str(tmp_path / "whole")]) == 0
    assert outcome(folder)[:2] == outcome(tmp_path / "whole")[:2]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_ends_a_run_says_how_to_go_on(how, start, small, tmp_path):
    folder = tmp_path / "a run"
    running = start("run", small, "--rounds", 500, "--out", folder, "--realtime", 4)

    assert running.stop(folder, 1, 0.05, how) == 128 + how

    said = running.said()
    assert f"python -m fl_simu run --resume '{folder}'" in said
    assert said.splitlines()[-1] == "fl_simu: stopped"
    assert "Traceback" not in said
    assert main(["run", "--resume", str(folder), "--rounds", str(rounds_done(folder) + 1)]) == 0


@pytest.fixture(scope="module")
def four_rounds(tmp_path_factory):
    """A finished run of four rounds of the small experiment."""
    folder = tmp_path_factory.mktemp("four")
    experiment = folder / "experiment.toml"
    experiment.write_text(OPTIMIZERS["momentum"] + KILLED.replace("rounds = 8", 'rounds = 4\nbackend = "torch"'))
    assert main(["run", str(experiment), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def copied(four_rounds, tmp_path):
    """A copy of that run, to be damaged."""
    return shutil.copytree(str(four_rounds), str(tmp_path / "run")) and tmp_path / "run"


def flip(path):
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :])


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resume(folder, *arguments):
    return main(["run", "--resume", str(folder), *arguments])


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_damaged_checkpoint_is_passed_over(damage, suffix, four_rounds, copied, capsys):
    damage(copied / "checkpoint" / f"round-000004.{suffix}")

    assert resume(copied) == 0

    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("checkpoint of")]
    assert len(told) == 1
    assert told[0].startswith("checkpoint of round 4 is damaged")
    assert told[0].endswith("using the one before it")
    assert "resuming after round 3" in lines
    assert outcome(copied) == outcome(four_rounds)


@pytest.mark.parametrize(
    "suffix, told", [("json", 0), ("safetensors", 1)], ids=["no JSON is no checkpoint", "no tensors is damage"]
)
def test_a_deleted_half_is_passed_over(suffix, told, four_rounds, copied, capsys):
    (copied / "checkpoint" / f"round-000004.{suffix}").unlink()

    assert resume(copied) == 0

    lines = capsys.readouterr().out.splitlines()
    assert sum("round-000004.safetensors is missing" in line for line in lines) == told
    assert "resuming after round 3" in lines
    assert outcome(copied) == outcome(four_rounds)


def test_all_damaged_starts_from_the_first_round(four_rounds, copied, capsys):
    for path in (copied / "checkpoint").glob("*.safetensors"):
        flip(path)

    assert resume(copied) == 0

    said = capsys.readouterr().out
    assert f"no complete checkpoint in {copied}: starting from the first round" in said
    assert outcome(copied) == outcome(four_rounds)


def test_a_record_without_its_checkpoint_is_written_again(four_rounds, copied):
    """A stop between the two writes of a round, with half a line after them."""
    for path in (copied / "checkpoint").glob("round-000004.*"):
        path.unlink()
    with open(str(copied / "rounds.jsonl"), "ab") as log:
        log.write(b'{"round": 5, "time')

    assert resume(copied) == 0

    assert outcome(copied) == outcome(four_rounds)


def test_a_finished_run_goes_on_to_more_rounds(four_rounds, copied, tmp_path):
    assert resume(copied, "--rounds", "6") == 0

    config = str(four_rounds / "config.toml")
    assert main(["run", config, "--rounds", "6", "--out", str(tmp_path / "six")]) == 0
    assert outcome(copied) == outcome(tmp_path / "six")
    assert len(outcome(copied).records) == 6


def test_a_finished_run_resumed_stays_as_it_is(four_rounds, copied):
    assert resume(copied) == 0
    assert outcome(copied) == outcome(four_rounds)
    for name in ("rounds.jsonl", "model.safetensors"):
        assert (copied / name).read_bytes() == (four_rounds / name).read_bytes()


def test_the_config_of_a_run_gives_the_same_run(four_rounds, tmp_path):
    assert main(["run", str(four_rounds / "config.toml"), "--out", str(tmp_path / "again")]) == 0
    assert outcome(tmp_path / "again") == outcome(four_rounds)


def test_another_version_of_torch_is_refused(four_rounds, copied, monkeypatch, capsys):
    monkeypatch.setattr("torch.__version__", "9.9.9")
    before = (copied / "config.toml").read_text()

    assert resume(copied, "--rounds", "6") == 2

    assert "(here 9.9.9)" in capsys.readouterr().err
    assert (copied / "config.toml").read_text() == before
    assert outcome(copied) == outcome(four_rounds)


@pytest.mark.parametrize("full_at", [6, 7, 8], ids=["record", "tensors", "JSON"])
def test_a_full_disk_leaves_a_run_that_goes_on(full_at, four_rounds, tmp_path, monkeypatch, capsys):
    """The disk is full in the second round: the config, the empty log and three files of round 1 came before."""
    folder = tmp_path / "run"
    real, written = files._write_all, []

    def write(file, data):
        written.append(file.name)
        if len(written) == full_at:
            real(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, data)

    monkeypatch.setattr(files, "_write_all", write)
    assert main(["run", str(four_rounds / "config.toml"), "--out", str(folder)]) == 2
    monkeypatch.undo()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fl_simu: cannot write")
    assert line.endswith("No space left on device")

    assert resume(folder) == 0
    assert "resuming after round 1" in capsys.readouterr().out
    assert outcome(folder) == outcome(four_rounds)


# Every protocol; each feature that a checkpoint must hold is in some row.
EVERYWHERE = """
name = "everywhere"
seed = 5
rounds = 5
ues = 4
ues_per_round = 3
codec = { name = "affine", base_bits = 2, enhancement_bits = [2] }
compute = { name = "uniform", low_s = 0.2, high_s = 0.6 }
data = { name = "digits", train_samples = 160, test_samples = 60 }
model = { name = "mlp", hidden = [8], dropout = 0.2 }
optimizer = { name = "sgd", lr = 0.05, momentum = 0.9 }
training = { batch_size = 20, keep_optimizer_state = true }
"""
UPLINK = 'channel = { name = "normal", mean_mbps = 0.05, std_mbps = 0.02 }\n'
DOWNLINK = 'downlink = { name = "normal", mean_mbps = 0.4, std_mbps = 0.2 }\n'
TO_ALL = 'cast = "multicast"\ndownlink_codec = { name = "stochastic", base_bits = 6 }\n'
LOSSES = 'loss = { name = "outage", snr_db = 0.0, spectral_efficiency = 0.5, tries = 2 }\n'
FEEDBACK = 'payload = "update"\nerror_feedback = true\n'


class Row(NamedTuple):
    """A protocol with its settings, and the events that the records must show to make the row a useful test."""

    protocol: str
    more: str
    shown: Tuple[str, ...]


ROWS = [
    Row('{ name = "wait_for_all" }', UPLINK + DOWNLINK, ('"full"',)),
    Row('{ name = "wait_for_all" }', UPLINK + FEEDBACK + 'bits = "feddq"\n', ('"full"',)),
    Row(
        '{ name = "deadline", deadline_s = 1.2 }',
        'channel = { name = "notes_walk", initial_mean_mbps = 0.05, initial_std_mbps = 0.02, tick_s = 0.3, '
        'step_low_mbps = -0.03, step_high_mbps = 0.03 }\ndelay = "rate_at_start"\nfaults = "dropout"\n',
        ('"base"', '"full"', '"late"', '"dropped out"'),
    ),
    Row(
        '{ name = "base_then_enhancement", receive_s = 0.7, wait_s = 0.6, close_s = 2.0 }',
        UPLINK + DOWNLINK + FEEDBACK + 'faults = "crash"\n',
        ('"base"', '"full"', '"late"'),
    ),
    Row('{ name = "wait_for_all" }', UPLINK + FEEDBACK + LOSSES, ('"base"', '"full"', '"lost"')),
    Row('{ name = "first_k", k = 2 }', UPLINK + DOWNLINK + FEEDBACK, ('"full"', '"late"')),
    Row(
        '{ name = "event_triggered", threshold = 1.1, deadline_s = 2.5 }',
        UPLINK + DOWNLINK + FEEDBACK + 'faults = "dropout"\n',
        ('"full"', '"not moved"'),
    ),
    Row('{ name = "event_triggered", threshold = 1.1, absent = "out" }', UPLINK, ('"full"', '"not moved"')),
    Row('{ name = "buffered", k = 2 }', UPLINK + DOWNLINK + FEEDBACK + TO_ALL, ('"full"',)),
]


def fetches(backend, arguments, monkeypatch, last=None):
    """Run, with Ctrl-C when the loop fetches the `last` model; returns the number of fetched models."""
    asked = []
    cls = {"torch": TorchLoop, "syft": SyftWorkers}[backend]

    def counted(real):
        def look(self, ue):
            asked.append(ue)
            if len(asked) == last:
                raise KeyboardInterrupt
            return real(self, ue)

        return look

    with monkeypatch.context() as patched:
        patched.setattr(cls, "get", counted(cls.get))
        patched.setattr(cls, "peek", counted(cls.peek))
        assert main(arguments) == (130 if last else 0)
    return len(asked)


def test_every_protocol_is_tried_everywhere():
    assert {config.tomllib.loads("p = " + row.protocol)["p"]["name"] for row in ROWS} == set(PROTOCOLS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.protocol.split('"')[1])
def test_the_same_after_a_break_in_the_middle_of_a_round(row, tmp_path, monkeypatch):
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(f"protocol = {row.protocol}\n{row.more}{EVERYWHERE}")
    outcomes = {}
    # A protocol makes the same requests to both backends; by the laws of backends they train the same models.
    both = "base_then_enhancement" in row.protocol or "buffered" in row.protocol
    for backend in BACKENDS if both else ["torch"]:
        run = ["run", str(experiment), *BACKENDS[backend]]
        count = fetches(backend, [*run, "--out", str(tmp_path / backend)], monkeypatch)
        outcomes[backend] = outcome(tmp_path / backend)[:2]
        for last in (count // 2 + 1, count):
            folder = tmp_path / f"{backend}-{last}"
            fetches(backend, [*run, "--out", str(folder)], monkeypatch, last)
            assert 0 < rounds_done(folder) < 5
            assert main(["run", "--resume", str(folder)]) == 0
            outcomes[backend, last] = outcome(folder)[:2]
    assert [where for where, found in outcomes.items() if found != outcomes["torch"]] == []
    records = " ".join(outcomes["torch"][1])
    assert [word for word in row.shown if word not in records] == []
    assert ('"downlink_bits": 0' not in records) == ("downlink" in row.more)
