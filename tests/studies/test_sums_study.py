"""The command `channel` on media for over-the-air sums."""

import json
import math

import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.loop.plan import plan
from fl_simu.studies.sums import sums

BASE = {"ues": 20, "data": "digits", "model": "logistic_regression", "payload": "update", "backend": "torch"}
# E1(0.1) from Abramowitz, Stegun, table 5.1.
E1 = 1.8229


def found(medium, draws=20_000, **changes):
    return sums(plan(fl.Experiment.parse({**BASE, "medium": medium, **changes})), draws, None)


def test_silent_ues_symbols_and_time_are_the_closed_forms():
    told = found({"name": "over_the_air", "least_gain": 0.1})
    assert (told["rounds"], told["ues"]) == (1000, 20)
    # 7,850 numbers, two in each of 1,200 symbols at a time, each as long as a period of 15 kHz.
    assert (told["numbers"], told["symbols"]) == (7850, 4)
    assert told["seconds"] == pytest.approx(4 / 15e3)
    silent = told["silent"]
    assert silent["closed_form"] == pytest.approx(1 - math.exp(-0.1)) == pytest.approx(0.0952, abs=1e-4)
    assert abs(silent["measured"] - 0.0952) < 4 * math.sqrt(0.0952 * 0.9048 / 20_000)
    assert silent["low"] < silent["measured"] < silent["high"]


def test_noise_and_energy_of_one_ue_a_round_are_the_closed_forms():
    meter = {"name": "energy", "power_w": 0.2, "efficiency": 0.5, "circuit_w": 0.1}
    told = found({"name": "over_the_air", "snr_db": 20.0}, draws=100, ues_per_round=1, meters=[meter])
    assert told["noise_std"]["mean"] == pytest.approx(math.sqrt(0.01 * E1 / 2), rel=1e-4)
    assert told["sending_j"] == pytest.approx(0.5 * 4 / 15e3)
    assert found({"name": "over_the_air", "snr_db": math.inf}, draws=100)["noise_std"]["p99"] == 0


def test_nobody_is_silent_under_uniform_forcing_and_antennas_help():
    few, many = (found({"name": "uniform_forcing", "antennas": count}, draws=400) for count in (1, 16))
    assert few["silent"]["measured"] == many["silent"]["measured"] == 0
    assert many["noise_std"]["mean"] < few["noise_std"]["mean"] / 2


def test_the_command_says_so_and_writes_it(tmp_path, capsys):
    file = tmp_path / "sum.toml"
    fl_simu = fl.Experiment.parse({**BASE, "medium": "over_the_air", "name": "sum"})
    file.write_text(fl_simu.to_toml())
    assert main(["channel", str(file), "--draws", "2000", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "a sum of 7,850 numbers: 4 symbols in sequence, 0.00026667 s" in said
    assert "closed form 9.516%" in said
    assert json.loads((tmp_path / "out" / "channel.json").read_text())["symbols"] == 4
    assert main(["channel", str(file), "--draws", "0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
