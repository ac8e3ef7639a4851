"""The results of `channel` apart from rates and delays, against closed forms, printed numbers and runs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.loop.plan import plan
from fl_simu.radio.channels.normal import Normal
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.closed_forms import mean_s_a_mbit
from fl_simu.studies import on_air
from fl_simu.studies.channel import draw
from fl_simu.studies.on_air import beside, rounds, training_s, uploads

OPEN = Path(__file__).resolve().parents[1] / "open"
DRAWS = 4000
BASE = """
name = "small"
ues = 8
backend = "torch"
data = { name = "digits", train_samples = 400, test_samples = 50 }
model = "logistic_regression"
codec = { name = "affine", base_bits = 2, enhancement_bits = [2] }
channel = { name = "constant", rate_mbps = 2.0 }
"""


def experiment(text):
    values, changes = config.tomllib.loads(BASE), config.tomllib.loads(text)
    return Experiment.parse({**values, **changes})


def study(text, draws=DRAWS, **scope):
    return draw(plan(experiment(text)), draws, **scope)


# x = 0.5 for log2(1 + 1/2) bit/s/Hz at 0 dB: P(L, x) is 0.393, 0.0902, 0.0144.
EFFICIENCY = math.log2(1.5)
HARQ = f'loss = {{ name = "outage", snr_db = 0, combining = true, tries = 2, spectral_efficiency = {EFFICIENCY} }}'
# The layers have 15,840 and 15,712 bits, which are 2 packets of 1,000 bytes each.
LOSSES = {
    'loss = { name = "waterfall", threshold_db = 0.0, sinr_db = 10.0 }': (0.2334, 0.2334, 1.0),
    'loss = { name = "waterfall", threshold_db = 0.0, sinr_db = 0.0, tries = 3 }': (0.7203**3, 0.7203**3, 2.2391),
    'loss = { name = "fixed", error_rate = 0.1, packet_bytes = 1000 }': (0.19, 0.19, 1.0),
    'loss = { name = "fixed", error_rate = 0.5, packet_bytes = 1000, tries = 3 }': (0.234375, 0.234375, 1.75),
    HARQ: (0.0902, 0.0902, 1.3935),
}


@pytest.mark.parametrize("text", LOSSES)
def test_what_is_lost_and_how_often_it_is_sent_is_what_the_closed_forms_say(text):
    base, enhancement, tries = LOSSES[text]
    parts = {row["part"]: row for row in beside(study(text), {}, None)["loss"]["parts"]}
    wanted = {"base layer": base, "enhancement 1": enhancement}
    wanted["complete upload"] = 1 - (1 - base) * (1 - enhancement)
    assert list(parts) == list(wanted)
    for name, chance in wanted.items():
        lost = parts[name]["lost"]
        assert lost["closed_form"] == pytest.approx(chance, abs=1e-4)
        assert abs(lost["measured"] - chance) <= 4 * math.sqrt(chance * (1 - chance) / DRAWS)
        assert lost["low"] < lost["measured"] < lost["high"]
        assert parts[name]["closed_form_tries"] == pytest.approx(tries, abs=1e-4)
        assert parts[name]["tries"] == pytest.approx(tries, abs=0.06)


def test_uploads_are_lost_and_take_as_long_as_in_a_run():
    found = study('loss = { name = "fixed", error_rate = 0.4, packet_bytes = 1000, tries = 2 }', 30, ues=3)
    sent, at = uploads(found), 0
    for ue in range(3):
        for k in range(10):
            upload = found.planned.link.transmit(ue, k, 0.0, found.structure)
            assert sent.bits[at].tolist() == list(upload.sizes_bits)
            assert sent.airtimes_s[at] == pytest.approx(upload.delays_s[-1])
            lost = sent.arrives[at].tolist().index(False) if not sent.arrives[at].all() else -1
            assert lost == upload.lost
            at += 1


def test_the_energy_of_an_upload_and_of_the_training_before_it():
    """From the cost table of Liu et al. 2020: 0.5 W at 1e6 log2(51) bit/s; 1e-28 x 2.4e7 cycles x (1e9 Hz)^2."""
    text = 'channel = { name = "constant", rate_mbps = 5.672425341971495 }\ncodec = "float32"\nmeters = ["energy"]'
    found = beside(study(text, 8), {}, 1200)["energy_j"]
    # 7,850 parameters of 32 bit; the paper's 21,840 of 32 bit are 0.06160 J.
    assert found["sending"]["mean"] == pytest.approx(0.06160 * 7850 / 21_840, rel=1e-3)
    assert found["sending"]["closed_form"] == pytest.approx(found["sending"]["mean"])
    assert found["training"]["mean"] == pytest.approx(0.0024) == found["training"]["closed_form"]
    assert "training" not in beside(study(text, 8), {}, None)["energy_j"]


def test_energy_counts_what_is_sent_again_and_the_rate_that_is_drawn():
    text = """
channel = { name = "uniform", low_mbps = 1.0, high_mbps = 2.0 }
loss = { name = "waterfall", threshold_db = 0.0, sinr_db = 10.0, tries = 2 }
meters = [{ name = "energy", power_w = 0.2, efficiency = 0.5, circuit_w = 0.1 }]
"""
    found = beside(study(text), {}, None)["energy_j"]["sending"]
    wanted = 0.5 * 0.031552 * math.log(2) * 1.2334
    assert found["closed_form"] == pytest.approx(wanted, rel=1e-4)
    assert found["mean"] == pytest.approx(wanted, rel=0.02)
    assert mean_s_a_mbit(Normal(50.0, 16.67)) == math.inf and mean_s_a_mbit(Uniform(0.0, 1.0)) == math.inf
    assert mean_s_a_mbit(Normal(50.0, 0.0)) == mean_s_a_mbit(Uniform(50.0, 50.0)) == 0.02


@pytest.mark.parametrize(
    "text, mean_s, within",
    [
        ('compute = { name = "constant", seconds = 0.7 }', 0.7, 0.0),
        ('compute = { name = "uniform", low_s = 1.0, high_s = 3.0 }', 2.0, 0.03),
        ('compute = { name = "pareto", least_s = 1.0, shape = 4.0 }', 4 / 3, 0.03),
        # 2e4 cycles x 50 samples x 3 epochs, and the mean of 1/f is ln(b/a) / (b - a).
        ('compute = "cycles"\ntraining = { epochs = 3 }', 3e6 * math.log(2) / 1e9, 0.02),
    ],
)
def test_times_of_training(text, mean_s, within):
    found = beside(study(text, ues=1000), {}, 50)["training_s"]
    assert found["closed_form"] == pytest.approx(mean_s, rel=1e-12)
    assert found["mean"] == pytest.approx(mean_s, rel=within + 1e-12)


def test_a_time_that_depends_on_the_samples_is_told_where_they_are():
    found = study('compute = "cycles"\nmeters = ["energy"]', ues=1000)
    assert training_s(found, None) is None and "training_s" not in beside(found, {}, None)
    # The mean of f^2 is (1 + 2 + 4) / 3 GHz^2.
    energy = beside(found, {}, 50)["energy_j"]["training"]
    assert energy["closed_form"] == pytest.approx(1e-28 * 1e6 * 7 / 3 * 1e18)
    assert energy["mean"] == pytest.approx(energy["closed_form"], rel=0.05)
    own = study(
        f'compute = {{ name = "{OPEN}/compute.py:PerBatch", batch_s = 0.5 }}\ntraining = {{ batch_size = 10 }}'
    )
    told = beside(own, {}, 20)["training_s"]
    assert (told["mean"], told["closed_form"]) == (1.5, None), "1 s, and 2 s of every second UE"
    with pytest.raises(fl.UserError, match="--samples 0 is not allowed"):
        beside(found, {}, 0)


def test_equal_shares_of_a_constant_rate_let_all_end_together():
    found = study('medium = "shared_band"\nues_per_round = 5', 100)
    limits = {"just": 5 * 0.031552 / 2 * (1 + 1e-9), "less": 5 * 0.031552 / 2 * 0.999}
    told = beside(found, limits, None)["medium"]
    assert (told["ues"], told["rounds"], told["name"], told["allocator"]) == (5, 20, "shared_band", "equal")
    base, complete = told["parts"]
    for part, load in ((base, 0.01584), (complete, 0.031552)):
        for which in ("first_s", "all_s", "last_s"):
            assert part[which]["mean"] == pytest.approx(5 * load / 2)
    rates = {(row["threshold"], row["part"]): row["measured"] for row in told["pass_rates"]}
    assert rates["just", "complete upload"] == 1.0 and rates["less", "complete upload"] == 0.0


@pytest.mark.parametrize(
    "medium",
    [
        'medium = "shared_band"',
        'medium = "shared_band"\nallocator = "tdma"',
        'medium = "shannon_band"',
        'medium = { name = "tdma_energy", time_s = 3.0, bandwidth_mhz = 2.0 }',
        f'medium = "{OPEN}/medium.py:OneAtATime"',
    ],
)
@pytest.mark.parametrize("lossy", [False, True])
def test_a_round_on_a_shared_medium_is_that_of_a_run(medium, lossy, monkeypatch):
    monkeypatch.setattr(on_air, "MOST_ROUNDS", 1)
    text = f"""
{medium}
rounds = 1
ues_per_round = 4
compute = {{ name = "constant", seconds = 0.0 }}
channel = {{ name = "uniform", low_mbps = 1.0, high_mbps = 4.0 }}
meters = ["energy"]
"""
    text += 'loss = { name = "outage", snr_db = 3.0, tries = 2 }\n' if lossy else ""
    (record,) = fl.run(experiment(text)).records
    found = study(text, 8)
    (told,) = rounds(found)
    delays = sorted(np.where(told.arrives, told.delays_s, math.inf).tolist())
    assert np.array(delays) == pytest.approx(np.array(sorted(one.delays_s for one in record.ues)))
    spent = beside(found, {}, None)["energy_j"]["sending"]
    assert spent["mean"] == pytest.approx(np.mean([one.meters["transmit_energy_j"] for one in record.ues]))
    assert spent["closed_form"] is None


def test_a_medium_that_does_not_use_the_channel_is_refused():
    with pytest.raises(fl.UserError, match="'resource_blocks' is not allowed: it has links"):
        beside(study('medium = "resource_blocks"'), {}, None)


@pytest.mark.parametrize("cast", ["unicast", "multicast"])
def test_downloads_are_those_of_a_run(cast, monkeypatch):
    monkeypatch.setattr(on_air, "MOST_ROUNDS", 1)
    text = f"""
rounds = 1
ues_per_round = 4
cast = "{cast}"
algorithm = "scaffold"
downlink = {{ name = "uniform", low_mbps = 1.0, high_mbps = 4.0 }}
downlink_codec = {{ name = "affine", base_bits = 6 }}
"""
    (record,) = fl.run(experiment(text)).records
    told = beside(study(text, 8), {}, None)["download"]
    waited = [one.download_s for one in record.ues]
    assert (told["ues"], told["bits"], told["last_s"]["mean"]) == (4, record.downlink_bits, max(waited))
    assert told["all_s"]["mean"] == pytest.approx(np.mean(waited))


def test_uploads_have_the_size_of_those_of_a_run():
    """Including the tensors sent with the model, and without the layers that stay at the UE."""
    for text in ('algorithm = "scaffold"\noptimizer = "sgd"', 'local_layers = ["*bias"]'):
        record = fl.run(experiment("rounds = 1\n" + text)).records[0]
        assert study(text, 1).sizes_bits[-1] == record.ues[0].bits


def test_parts_of_a_users_own_have_no_closed_form():
    found = study(f'loss = {{ name = "{OPEN}/loss.py:Bursts", every = 4 }}\nmeters = ["energy"]')
    told = beside(found, {}, None)
    whole = told["loss"]["parts"][-1]
    assert (whole["lost"]["closed_form"], whole["closed_form_tries"]) == (None, None)
    assert whole["lost"]["measured"] == pytest.approx(1 - 0.75**2, abs=0.03)
    assert told["energy_j"]["sending"]["closed_form"] is None


def test_all_of_it_is_printed_and_written(tmp_path, capsys):
    file = tmp_path / "all.toml"
    parts = (
        'medium = "shared_band"\nloss = { name = "outage", tries = 2 }\ncompute = "cycles"\nmeters = ["energy"]'
    )
    file.write_text(BASE + 'downlink = "constant"\n' + parts)
    command = ["channel", str(file), "--draws", "200", "--threshold", "1", "--out", str(tmp_path / "out")]
    assert main([*command, "--samples", "30"]) == 0
    said = capsys.readouterr().out
    for words in (
        "medium shared_band, allocator equal: 25 rounds of 8 UEs that start to send together",
        "complete upload lost",
        "downlink unicast, codec float32: 8 UEs per round, 2,009,600 bits for all of them",
        "last download of 8 [s]",
        "complete upload within 1 s (threshold 1), 8 at once",
        "last of 8 at once, complete upload [s]",
        "tries, enhancement 1",
        "energy of sending [J]",
        "energy of training [J]",
        "time of training [s]",
    ):
        assert words in said
    assert max(map(len, said.splitlines())) < 140
    found = json.loads((tmp_path / "out" / "channel.json").read_text())
    assert set(found["medium"]) >= {"parts", "pass_rates"} and set(found["energy_j"]) == {"sending", "training"}
    assert main([*command, "--samples", "-3"]) == 2
    assert capsys.readouterr().err == "fl_simu: --samples -3 is not allowed: at least 1, at most 10,000,000\n"


TRACES = {
    "ghent": ("down", "1453121790686 686 51.0 3.7 125000 1000\n1453121791687 1687 51.0 3.7 250000 1001\n"),
    "irish": ("up", "Timestamp,UL_bitrate,DL_bitrate\n2019.11.28_07.27.54,900,-\n2019.11.28_07.27.55,800,70\n"),
    "lumos": ("any", "run_num,seq_num,Throughput\n1,1,8\n1,2,4\n"),
    "fcc web": ("down", "unit_id,dtime,target,fetch_time,bytes_sec\n9,0,a,1000000,125000\n9,1,a,1000000,99000\n"),
    "fcc post": (
        "up",
        "unit_id,dtime,target,fetch_time,bytes_sec,warmup_time\n9,0,a,1000000,125000,0\n9,1,a,1000000,99000,0\n",
    ),
    "two columns": ("any", "0 5\n1 6\n2 7.5\n"),
    "mahimahi": ("any", "1\n2\n5\n9\n"),
}


@pytest.mark.figures
@pytest.mark.parametrize("form", TRACES)
def test_recordings_of_every_format_are_drawn(form, small, tmp_path, capsys):
    direction, text = TRACES[form]
    (tmp_path / "recording").write_text(text)
    part = f'{{name = "trace", path = "{tmp_path / "recording"}", direction = "{direction}"}}'
    out = tmp_path / "out"
    command = ["channel", str(small), "--draws", "40", "--seconds", "3", "--out", str(out)]
    assert main([*command, "--set", f"channel={part}"]) == 0
    assert "channel trace (" in capsys.readouterr().out
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("rates.png", "delays.png"))
    assert json.loads((out / "channel.json").read_text())["rates_mbps"]["mean"] > 0
