"""The command `channel`: its measurements against closed forms, and the files that it writes."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fl_simu.cli.app import main
from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.parameters import params_of, structure_of
from fl_simu.loop.plan import plan
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.closed_forms import rate_passed, rate_survival, rayleigh_outage
from fl_simu.results import channel_plots
from fl_simu.results.files import finite_or_none
from fl_simu.studies import channel as channel_study
from fl_simu.studies.channel import _first_reached, _over_ues, draw, numbers, wilson

ROOT = Path(__file__).resolve().parents[2]
DRAWS = 4000
FIGURES = ["rates.png", "delays.png"]
CHANNELS = [
    'channel = { name = "normal", mean_mbps = 2.0, std_mbps = 1.0 }',
    'channel = { name = "normal", mean_mbps = 1.0, std_mbps = 2.0 }',
    'channel = { name = "uniform", low_mbps = 0.5, high_mbps = 4.0 }',
    'channel = { name = "constant", rate_mbps = 2.0 }',
]
AT_START = 'delay = "rate_at_start"\n'
TICKED = [
    'channel = { name = "random_walk", tick_s = 0.01, low_mbps = 0.5, high_mbps = 3.0, initial_mean_mbps = 2.0 }',
    'channel = { name = "gauss_markov", tick_s = 0.003, mean_mbps = 1.0, std_mbps = 1.0, memory = 0.5 }',
    'channel = { name = "markov", tick_s = 0.01, good_mbps = 2.0, bad_mbps = 0.0 }',
    'channel = { name = "fading", tick_s = 0.02, shares = 64 }',
    'channel = { name = "fading", tick_s = 0.02, min_snr_db = 90.0 }',
    AT_START + 'channel = { name = "notes_walk", tick_s = 0.01, initial_mean_mbps = 1.0, initial_std_mbps = 0.5 }',
    AT_START + 'channel = { name = "markov", tick_s = 0.01, good_mbps = 2.0, bad_mbps = 0.0 }',
]


def planned(channel):
    values = """
name = "small"
ues = 8
backend = "torch"
data = "digits"
model = "logistic_regression"
codec = { name = "affine", base_bits = 2, enhancement_bits = [2] }
protocol = { name = "base_then_enhancement", receive_s = 0.004, wait_s = 0.006 }
"""
    return plan(Experiment.parse(config.tomllib.loads(values + channel)))


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("part", [0, 1])
def test_measured_pass_rates_are_those_of_the_closed_form(channel, part):
    study = draw(planned(channel), DRAWS)
    for share in (0.05, 0.3, 0.5, 0.8, 0.99):
        limit_s = float(np.quantile(study.delays(part), share)) * 1.01
        found = study.pass_rate(part, limit_s)
        deviation = math.sqrt(found.closed_form * (1 - found.closed_form) / DRAWS)
        assert abs(found.measured - found.closed_form) <= 4 * deviation
        assert found.low <= found.measured <= found.high


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("wanted", [0.001, 0.2, 0.8, 0.999])
def test_the_threshold_for_a_pass_rate_gives_it_back(channel, wanted):
    study = draw(planned(channel), DRAWS)
    for part in (0, 1):
        measured_s, closed_form_s = study.threshold_s(part, wanted)
        expected = 1.0 if "constant" in channel else wanted
        assert study.pass_rate(part, measured_s).measured == pytest.approx(expected, abs=1 / DRAWS)
        assert study.pass_rate(part, closed_form_s).closed_form == pytest.approx(expected, abs=1e-9)
        deviation = math.sqrt(wanted * (1 - wanted) / DRAWS)
        assert abs(study.pass_rate(part, closed_form_s).measured - expected) <= 4 * deviation + 1e-12


def test_the_threshold_is_the_smallest_that_suffices():
    study = draw(planned(CHANNELS[0]), 10)
    limit_s, _ = study.threshold_s(0, 0.8)
    assert study.pass_rate(0, limit_s).measured == 0.8
    assert study.pass_rate(0, np.nextafter(limit_s, 0)).measured == 0.7


@pytest.mark.parametrize("channel", CHANNELS)
def test_uploads_are_those_of_a_run(channel):
    plan_ = planned(channel)
    study = draw(plan_, 20, ues=3)
    assert [len(rows) for rows in study.delays_s] == [7, 7, 6]
    structure = structure_of(params_of(plan_.training.make_module()))
    upload = plan_.link.transmit(1, 4, 0.0, structure)
    assert study.delays_s[1][4].tolist() == [upload.delays_s[0], upload.delays_s[-1]]
    assert study.sizes_bits == (upload.sizes_bits[0], sum(upload.sizes_bits))


@pytest.mark.parametrize("channel", TICKED)
def test_delays_over_a_changing_rate_are_the_channels_own(channel):
    study = draw(planned(channel), 20, ues=2, seconds=9.0)
    link = study.planned.link
    loads = [study.loads_mbit[0], study.loads_mbit[1] - study.loads_mbit[0]]
    for ue, rows in enumerate(study.delays_s):
        for k, start in enumerate(study.scope.starts_s(ue)):
            arrivals = link.delay.arrivals_s(link.channel, 1, ue, k, float(start), loads)
            assert rows[k].tolist() == pytest.approx([arrival - start for arrival in arrivals], abs=1e-8)


def test_the_first_moment_of_a_total():
    edges, total = np.arange(5.0), np.array([0.0, 2.0, 2.0, 2.0, 4.0])
    # A target slightly above the 2 of the first edge, by rounding, does not wait until the total grows again.
    targets = np.array([0.0, 1.0, 2.0, 2.0 + 1e-12, 3.0, 4.0, 4.1])
    reached = _first_reached(edges, total, targets, 1e-9 * targets)
    assert reached.tolist() == [0.0, 0.5, 1.0, 1.0, 3.5, 4.0, math.inf]


def test_the_outage_of_rayleigh_fading():
    study = draw(planned('channel = { name = "fading", min_snr_db = 5.0 }'), DRAWS)
    found = study.outage()
    blocks = 8 * 512
    deviation = math.sqrt(found.closed_form * (1 - found.closed_form) / blocks)
    assert 0.02 < found.closed_form < 0.98
    assert abs(found.measured - found.closed_form) <= 4 * deviation
    assert study.pass_rate(0, 1.0).closed_form is None


def test_no_closed_form_where_there_is_none():
    assert rayleigh_outage(Fading(rician_k_db=3.0), 1, [0]) is None
    assert rayleigh_outage(Uniform(), 1, [0]) is None
    assert rate_survival(Fading()) is None
    assert draw(planned('channel = { name = "fading", rician_k_db = 6.0 }'), 10).outage().closed_form is None
    assert draw(planned(CHANNELS[0]), 10).outage() is None


def test_rate_laws_at_their_edges():
    still = rate_survival(Uniform(5.0, 5.0))
    assert (still(5.0), still(5.1), rate_passed(still, 0.5)) == (1.0, 0.0, 5.0)
    assert rate_survival(Uniform(0.0, 1.0))(-1.0) == 1.0


def test_intervals():
    # The Wilson score interval at the ends: z^2 / (n + z^2).
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
    # Four UEs with shares of 0.2, 0.4, 0.6 and 0.8, standard deviation 0.2582; 3.182 from a table of Student's t.
    shares = [np.arange(10) < number for number in (2, 4, 6, 8)]
    half = 3.182 * 0.2582 / 2
    assert _over_ues(shares) == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=1e-4)
    study = draw(planned(TICKED[1]), 400, ues=3)
    limit_s = float(np.median(study.delays(0)))
    assert math.isnan(study.pass_rate(0, limit_s).low), "three UEs are too few"
    study = draw(planned(TICKED[1]), 400, ues=8)
    found = study.pass_rate(0, limit_s)
    assert found.low < found.measured < found.high
    never = study.pass_rate(0, 1e-9)
    assert (never.measured, never.low) == (0.0, 0.0) and never.high > 0.1


def test_a_codec_of_one_layer_has_no_base():
    study = draw(planned(CHANNELS[0]), 10)
    assert study.names == ("base layer", "complete upload")
    whole = plan(study.planned.experiment.with_(codec="float32"))
    assert draw(whole, 10).names == ("complete upload",)


def test_the_numbers_are_plain_and_complete():
    found = numbers(draw(planned(CHANNELS[0]), 50), {"receive": 0.004, "never": math.inf}, 0.5)
    assert [row["part"] for row in found["pass_rates"]] == ["base layer", "complete upload"] * 2
    assert [row["measured"] for row in found["pass_rates"][2:]] == [1.0, 1.0]
    assert found["delays_s"]["base layer"]["p50"] <= found["wanted"][0]["threshold_s"]
    assert json.loads(json.dumps(finite_or_none(found), allow_nan=False))["draws"] == 50


@pytest.fixture
def ran(small, tmp_path, capsys):
    def run(*arguments):
        status = main(["channel", str(small), "--draws", "500", "--out", str(tmp_path / "out"), *arguments])
        return status, capsys.readouterr()

    return run


def test_the_command_prints_and_writes(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(channel_plots, "FRAMES", 6)
    gif = tmp_path / "moving.gif"
    status, said = ran("--pass-rate", "0.8", "--threshold", "0.1", "--animate", str(gif), "--ues", "6")
    assert (status, said.err) == (0, "")
    for words in (
        "500 uploads of 6 UEs",
        "within 0.08 s (receive)",
        "within 0.1 s (threshold 1)",
        "pass rate of 0.8",
    ):
        assert words in said.out
    found = json.loads((tmp_path / "out" / "channel.json").read_text())
    assert len(found["pass_rates"]) == 6
    for name in FIGURES:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
        assert str(tmp_path / "out" / name) in said.out
    with Image.open(str(gif)) as film:
        assert film.format == "GIF" and film.n_frames == 6


def test_the_docs_show_what_is_printed(tmp_path, capsys, monkeypatch):
    text = (ROOT / "docs" / "channel.md").read_text(encoding="utf-8")
    command, shown = re.search(r"```\n\$ python -m fl_simu (.+)\n((?:.*\n)+?)```", text).groups()
    monkeypatch.chdir(ROOT)
    assert main([*command.split(), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split("\nfigures and numbers")[0].rstrip() == shown.rstrip()


@pytest.mark.parametrize("channel", ["fading", "markov", "notes_walk", "gauss_markov", "constant"])
def test_every_kind_of_channel_can_be_drawn(channel, ran, tmp_path):
    delay = "delay=rate_at_start" if channel == "notes_walk" else "delay=integrated"
    sets = ["--set", f"channel.name={channel}", "--set", delay, "--set", "protocol=wait_for_all"]
    status, said = ran(*sets, "--seconds", "5")
    assert (status, said.err) == (0, "")
    assert ("fading blocks in outage" in said.out) == (channel == "fading")
    assert ("--threshold" in said.out) == (channel != "fading")
    assert all((tmp_path / "out" / name).exists() for name in FIGURES)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--pass-rate 1", "--pass-rate 1 is not allowed"),
        ("--pass-rate 0", "above 0 and below 1"),
        ("--pass-rate nan", "above 0 and below 1"),
        ("--draws 0", "--draws 0 is not allowed: at least 1"),
        ("--ues 0", "--ues 0 is not allowed"),
        ("--seconds 0", "--seconds 0.0 is not allowed"),
        ("--seconds 1e9 --set channel.name=markov", "at most 100000, 100,000 ticks"),
        ("--threshold -1", "--threshold -1 is not allowed"),
        ("--animate moving.png", "ends in .gif"),
        ("--animate nowhere/moving.gif", "in a folder that exists"),
        ("--set channel.nam=3", "channel.nam is no known key"),
        ("--draws many", "many"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(arguments, words, ran, tmp_path):
    status, said = ran(*arguments.split())
    assert (status, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    assert words in said.err
    assert not (tmp_path / "out").exists()


def test_too_many_rates_to_draw(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(channel_study, "MAX_PIECES", 100)
    status, said = ran("--seconds", "60")
    assert (status, said.out) == (2, "")
    assert "--seconds 60 is not allowed: the rate changes over 100 times" in said.err


def test_a_file_that_is_missing(capsys):
    assert main(["channel", "no.toml"]) == 2
    assert "no.toml: No such file" in capsys.readouterr().err
