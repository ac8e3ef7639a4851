"""Updates that add up on the air: the received sum, by closed forms, by Monte Carlo, and in complete runs."""

import math
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from children import run_and_die
from scipy.special import exp1

import fl_simu as fl
from fl_simu.experiment import Stopping
from fl_simu.kernel.errors import BadField, UserError
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.messages import Taken, Update
from fl_simu.kernel.parameters import structure_of
from fl_simu.loop.plan import plan
from fl_simu.radio.allocation import Equal
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.closed_forms import mac_bits
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.link import Link
from fl_simu.radio.media import OverTheAir, ShannonBand, UniformForcing
from fl_simu.radio.media.analog import gains
from fl_simu.radio.media.base import Air
from fl_simu.radio.sizes import RealBytes
from fl_simu.station.aggregation import Mean, PlainMean

SEED, DRAWS = 4, 20_000

BASE = fl.Experiment(
    rounds=2,
    ues=5,
    seed=3,
    backend="torch",
    payload="update",
    data={"name": "digits", "train_samples": 120, "test_samples": 40},
    partition={"name": "dirichlet", "alpha": 1.0},
    model={"name": "mlp", "hidden": [6]},
    compute={"name": "constant", "seconds": 1.0},
)
# The images have 28 x 28 pixels.
NUMBERS = 784 * 6 + 6 + 6 * 10 + 10
FREE = {"name": "over_the_air", "snr_db": math.inf, "least_gain": 0.0}


def heard(medium, models, samples, rule, payload="update", version=0):
    """The model that the BS estimates when all start from ones, and the report of the medium."""
    start = {"w": torch.ones(len(models[0]) - 1), "b": torch.ones(1)}
    params = [{"w": torch.tensor(one[:-1]), "b": torch.tensor(one[-1:])} for one in models]
    link = Link(Float32(), Constant(1.0), RealBytes(), payload, SEED)
    told = dict.fromkeys(medium.columns, 0.0)
    updates = medium.listen(
        [Taken(ue, 1) for ue in range(len(models))],
        lambda choice: Update(choice.ue, version, samples[choice.ue], params[choice.ue]),
        Air(link, version, start, rule.weight_of, told),
    )
    (update,) = list(updates)
    return torch.cat([update.params["w"], update.params["b"]]).numpy(), told, update


@pytest.mark.parametrize("error", [0.0, 0.25])
def test_silent_share_power_and_residuals_are_the_closed_forms(error):
    medium = OverTheAir(least_gain=0.1, csi_error=error)
    known = np.array([medium.known_gain(SEED, draw % 100, draw // 100) for draw in range(DRAWS)])
    true = np.array([gains(SEED, draw % 100, draw // 100, 1)[0] for draw in range(DRAWS)])
    assert np.mean(np.abs(true) ** 2) == pytest.approx(1.0, abs=4 / math.sqrt(DRAWS))
    sends = np.abs(known) ** 2 >= 0.1
    share = medium.silent_share()
    assert np.mean(~sends) == pytest.approx(share, abs=4 * math.sqrt(share / DRAWS))
    if not error:
        assert (round(share, 4), round(medium.power_ratio(), 4)) == (0.0952, 1.8229)
    assert np.mean(sends / np.abs(known) ** 2) == pytest.approx(medium.power_ratio(), rel=0.04)
    residuals = np.array([medium.residual(SEED, draw % 100, draw // 100) for draw in np.flatnonzero(sends)])
    assert residuals == pytest.approx(true[sends] / known[sends])
    assert np.mean(residuals) == pytest.approx(medium.residual_mean(), abs=0.02)
    spread = np.mean(np.abs(residuals - medium.residual_mean()) ** 2)
    assert spread == pytest.approx(medium.residual_variance(), rel=0.05)


@pytest.mark.parametrize("rule, factors", [(PlainMean(), (1, 1, 1)), (Mean(), (1 / 4, 1 / 2, 1))])
def test_the_noise_on_the_mean_has_the_variance_of_truncated_inversion(rule, factors):
    draws = np.random.default_rng(1)
    models = draws.normal(3.0, [[0.5], [1.0], [2.0]], (3, 40_001)).astype(np.float32)
    found, told, update = heard(OverTheAir(snr_db=10.0, least_gain=0.1), models, (5, 10, 20), rule)
    wanted = np.average(models.astype(float), axis=0, weights=factors)
    # sigma^2 / (2 rho K^2) per number, where K is the sum of the factors; rho = P0 / E1(g).
    ratio = 10**-1.0 * 1.8229239584 / 2 / sum(factors) ** 2
    variance = np.var(models.astype(float)) * ratio
    assert np.var(found - wanted) == pytest.approx(variance, rel=0.03)
    assert abs(np.mean(found - wanted)) < 4 * math.sqrt(variance / 40_001)
    assert told["air_noise_std"] == pytest.approx(math.sqrt(variance))
    assert told["air_symbols"] == 17 and (update.samples, update.steps) == (35, 3)


@pytest.mark.parametrize("payload", ["update", "weights"])
def test_what_a_wrong_gain_makes_of_the_sum_is_as_symbol_by_symbol(payload):
    medium = OverTheAir(snr_db=math.inf, least_gain=0.01, csi_error=0.2)
    models = np.random.default_rng(2).normal(2.0, 1.0, (4, 7)).astype(np.float32)
    weights = np.array([1.0, 3.0, 2.0, 2.0])
    found, _, _ = heard(medium, models, (1, 3, 2, 2), Mean(), payload, version=6)
    sent = models.astype(float) - (1.0 if payload == "update" else 0.0)
    mu, nu = sent.mean(), sent.std()
    received = np.zeros(4, dtype=complex)
    for ue in range(4):
        scaled = np.append(weights[ue] / 3 * (sent[ue] - mu) / nu, 0.0)
        symbols = scaled[0::2] + 1j * scaled[1::2]
        received += symbols / medium.known_gain(SEED, ue, 6) * gains(SEED, ue, 6, 1)[0]
    numbers = np.stack([received.real, received.imag], axis=1).reshape(-1)[:7]
    wanted = mu + nu * numbers / (weights.sum() / 3) + (1.0 if payload == "update" else 0.0)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert found != pytest.approx(np.average(models, axis=0, weights=weights), rel=1e-2)


def test_a_limited_amplifier_sends_less_as_symbol_by_symbol():
    limit_db, g, error = 4.0, 0.2, 0.1
    medium = OverTheAir(snr_db=math.inf, least_gain=g, csi_error=error, most_power_db=limit_db, scale="median")
    models = np.random.default_rng(3).normal(0.5, 1.0, (5, 8)).astype(np.float32)
    models[4] *= -20.0
    weights = np.array([1.0, 3.0, 2.0, 2.0, 3.0])
    found, told, _ = heard(medium, models, (1, 3, 2, 2, 3), Mean(), "weights", version=2)
    sent = models.astype(float)
    mu = np.median(sent.mean(axis=1))
    nu = math.sqrt(np.median(((sent - mu) ** 2).mean(axis=1)))
    # P0 is 1: the symbol of each UE for two numbers has the power of both, at most twice the limit.
    rho = (1 + error) / exp1(g / (1 + error))
    received, held_back = np.zeros(4, dtype=complex), 0
    for ue in range(5):
        known, true = medium.known_gain(SEED, ue, 2), gains(SEED, ue, 2, 1)[0]
        scaled = weights[ue] / 3 * (sent[ue] - mu) / nu
        transmitted = math.sqrt(rho) * (scaled[0::2] + 1j * scaled[1::2]) / known
        power = np.mean(np.abs(transmitted) ** 2) / 2
        if power > 10 ** (limit_db / 10):
            transmitted *= math.sqrt(10 ** (limit_db / 10) / power)
            held_back += 1
        received += transmitted * true
    numbers = np.stack([received.real, received.imag], axis=1).reshape(-1) / math.sqrt(rho)
    assert found == pytest.approx(mu + nu * numbers / (weights.sum() / 3), rel=1e-6)
    assert told["air_limited"] == held_back > 0
    free, told, _ = heard(replace(medium, most_power_db=200.0), models, (1, 3, 2, 2, 3), Mean(), "weights", 2)
    unlimited = replace(medium, most_power_db=math.inf, scale="pooled")
    assert told["air_limited"] == 0
    # No UE is held back, and the channels are not known: mu, which is not sent, differs.
    assert free != pytest.approx(heard(unlimited, models, (1, 3, 2, 2, 3), Mean(), "weights", 2)[0], rel=1e-3)
    known = replace(medium, most_power_db=200.0, csi_error=0.0)
    mean = np.average(sent, axis=0, weights=weights)
    assert heard(known, models, (1, 3, 2, 2, 3), Mean(), "weights", 2)[0] == pytest.approx(mean, rel=1e-5)


def test_a_loud_ue_hides_in_the_pooled_scale_and_not_in_the_median_of_scales():
    draws = np.random.default_rng(4)
    models = draws.normal(0.0, 1.0, (9, 2000)).astype(np.float32)
    models[8] *= 1000.0
    # With this limit the weakest UE that may send just reaches the scale: 1 / (g E1(g)).
    medium = OverTheAir(snr_db=math.inf, least_gain=0.1, most_power_db=10 * math.log10(1 / (0.1 * exp1(0.1))))
    amplitude = abs(gains(SEED, 8, 0, 1)[0]) / math.sqrt(0.1)
    for scale, nu in (("pooled", math.sqrt(np.var(models.astype(float)))), ("median", 1.0)):
        found, _, _ = heard(replace(medium, scale=scale), models, [1] * 9, PlainMean(), "weights")
        others = models[:8].astype(float).sum(axis=0)
        its_share = float((found * 9 - others) @ models[8]) / float(models[8].astype(float) @ models[8]) * 1000.0
        assert its_share == pytest.approx(min(1000.0, amplitude * nu), rel=0.05)


@pytest.mark.parametrize("wrong", [{"scale": "mean"}, {"most_power_db": math.nan}, {"most_power_db": 201.0}])
def test_a_wrong_limit_is_one_line(wrong):
    with pytest.raises(BadField, match=next(iter(wrong))):
        OverTheAir(**wrong)


def test_uniform_forcing_has_its_mean_square_error():
    medium, factors = UniformForcing(snr_db=7.0, antennas=3), {0: 1.0, 1: 0.5, 2: 0.25, 3: 1.0}
    channels = {ue: gains(SEED, ue, 1, 3) for ue in factors}
    beam = medium.beamformer(channels, factors)
    draws = np.random.default_rng(5)
    # P0 is 1: the symbols with their scalings b, over the channels, with noise at each antenna.
    eta = min(abs(beam.conj() @ channels[ue]) ** 2 / factors[ue] ** 2 for ue in factors)
    symbols = draws.normal(size=(4, 30_000, 2)) @ [1, 1j]
    noise = math.sqrt(10**-0.7 / 2) * (draws.normal(size=(3, 30_000, 2)) @ [1, 1j])
    powers = {ue: abs(math.sqrt(eta) * factors[ue] / (beam.conj() @ channels[ue])) ** 2 for ue in factors}
    assert max(powers.values()) == pytest.approx(1.0)
    received = sum(
        np.outer(channels[ue], math.sqrt(eta) * factors[ue] / (beam.conj() @ channels[ue]) * symbols[ue])
        for ue in factors
    )
    estimate = beam.conj() @ (received + noise) / math.sqrt(eta)
    wanted = sum(factors[ue] * symbols[ue] for ue in factors)
    error = medium.error(channels, factors)
    assert np.mean(np.abs(estimate - wanted) ** 2) == pytest.approx(error, rel=0.03)
    assert medium.noise_variance(SEED, 1, factors) == pytest.approx(error / 2)
    models = draws.normal(0.0, 1.0, (4, 40_000)).astype(np.float32)
    found, _, _ = heard(medium, models, (4, 2, 1, 4), Mean(), version=1)
    variance = np.var(found - np.average(models, axis=0, weights=(4, 2, 1, 4)))
    assert variance == pytest.approx(np.var(models) * error / 2 / 2.75**2, rel=0.03)


def test_the_beamformer_is_the_best_where_the_best_is_known_and_never_beyond_the_bound():
    def scale(channels, antennas, factors=None):
        factors = factors or dict.fromkeys(channels, 1.0)
        return UniformForcing(antennas=antennas).power_scale(channels, factors)

    one = gains(SEED, 0, 0, 4)
    assert scale({0: one}, 4) == pytest.approx(np.linalg.norm(one) ** 2)
    single = {ue: gains(SEED, ue, 0, 1) for ue in range(5)}
    assert scale(single, 1) == pytest.approx(min(abs(h[0]) ** 2 for h in single.values()))
    # Orthogonal channels of norms l: by Lagrange the optimum is 1 / sum(phi^2 / l^2).
    orthogonal = {0: np.array([2.0, 0, 0]), 1: np.array([0, 1j, 0]), 2: np.array([0, 0, 0.5])}
    assert scale(orthogonal, 3, {0: 1.0, 1: 1.0, 2: 0.5}) == pytest.approx(1 / (1 / 4 + 1 + 1))
    for round in range(30):
        channels = {ue: gains(SEED, ue, round, 4) for ue in range(6)}
        bound = min(np.linalg.norm(h) ** 2 for h in channels.values())
        matched = [
            min(abs(np.vdot(channels[ue], h)) ** 2 for h in channels.values()) / np.linalg.norm(channels[ue]) ** 2
            for ue in channels
        ]
        assert max(matched) - 1e-12 <= scale(channels, 4) <= bound


@pytest.mark.parametrize("payload", ["update", "weights"])
@pytest.mark.parametrize("rule", ["mean", "plain_mean"])
def test_without_noise_and_threshold_it_is_the_mean_to_the_last_bit(rule, payload):
    both = [
        fl.run(BASE.with_(aggregation=rule, payload=payload, medium=medium)).summary
        for medium in ("orthogonal", FREE, {"name": "uniform_forcing", "snr_db": math.inf})
    ]
    assert len({one.model_sha256 for one in both}) == 1
    assert [one.uplink_bits > 0 for one in both] == [True, False, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": {"name": "feddyn", "alpha": 0.1}, "aggregation": "plain_mean"},
        {"algorithm": {"name": "ditto", "strength": 0.1}, "meters": ["fairness"]},
        {"local_layers": ("3.*",)},
        {"server": "fedadam"},
        {"protocol": {"name": "event_triggered", "threshold": 0.35, "absent": "out"}},
        {"transforms": ["clip", {"name": "gaussian_noise", "std": 0.01}], "error_feedback": True},
        {"attack": {"name": "sign_flip", "malicious": 2}},
        {"work": {"name": "uniform", "low": 1, "high": 3}, "downlink": "constant"},
        {"protocol": {"name": "deadline", "deadline_s": 9.0}, "faults": {"name": "dropout", "rate": 0.4}},
    ],
    ids=str,
)
def test_without_noise_all_that_can_be_summed_is_as_with_single_uploads(changes):
    both = [fl.run(BASE.with_(rounds=3, medium=medium, **changes)) for medium in ("orthogonal", FREE)]
    assert len({one.summary.model_sha256 for one in both}) == 1
    accepted = [[[(ue.ue, ue.accepted, ue.reason) for ue in one.ues] for one in run.records] for run in both]
    assert accepted[0] == accepted[1]


@pytest.mark.parametrize("ues", [2, 7])
def test_a_round_takes_the_same_time_however_many_send(ues):
    medium = {"name": "over_the_air", "subcarriers": 10, "spacing_khz": 0.5, "least_gain": 1e-6}
    run = fl.run(BASE.with_(ues=ues, medium=medium, meters=["energy"]))
    # 4,780 numbers, 20 at a time, 2 ms each.
    airtime_s = math.ceil(NUMBERS / 20) * 2e-3
    assert [record.time_s for record in run.records] == pytest.approx([1 + airtime_s, 2 * (1 + airtime_s)])
    for record in run.records:
        assert record.meters["air_symbols"] == math.ceil(NUMBERS / 20)
        assert record.meters["transmit_energy_j"] == pytest.approx(0.5 * ues * airtime_s)
        assert all(one.delays_s == pytest.approx((airtime_s,)) and one.bits == 0 for one in record.ues)


def test_all_begin_when_the_last_has_trained():
    compute = {"name": "uniform", "low_s": 0.5, "high_s": 2.0}
    run = fl.run(
        BASE.with_(medium={**FREE, "subcarriers": 2390, "spacing_khz": 1.0}, compute=compute, meters=["energy"])
    )
    began_s = 0.0
    for record in run.records:
        assert record.time_s == pytest.approx(began_s + max(one.compute_s for one in record.ues) + 1e-3)
        assert record.meters["transmit_energy_j"] == pytest.approx(5 * 0.5 * 1e-3)
        began_s = record.time_s


def test_who_has_a_weak_channel_is_silent_and_spends_nothing_on_the_air():
    medium = OverTheAir(least_gain=0.7)
    run = fl.run(BASE.with_(rounds=4, medium=medium, meters=["energy"]))
    for version, record in enumerate(run.records):
        weak = [ue for ue in range(5) if abs(gains(3, ue, version, 1)[0]) ** 2 < 0.7]
        assert [one.ue for one in record.ues if one.reason == "silent"] == weak
        assert [one.ue for one in record.ues if one.accepted == "none"] == weak
        for one in record.ues:
            assert (one.meters["transmit_energy_j"] == 0) == (one.ue in weak)
            assert one.meters["compute_energy_j"] > 0
    assert 0 < sum(one.reason == "silent" for record in run.records for one in record.ues) < 20


def test_where_all_are_silent_the_model_stays():
    long, short = (
        fl.run(BASE.with_(rounds=n, medium={"name": "over_the_air", "least_gain": 50.0})) for n in (3, 1)
    )
    assert long.summary.model_sha256 == short.summary.model_sha256
    assert {one.reason for record in long.records for one in record.ues} == {"silent"}
    assert {record.meters["air_symbols"] for record in long.records} == {0.0}
    assert long.summary.virtual_time_s == 3.0


UNEVEN = {"compute": {"name": "uniform", "low_s": 0.5, "high_s": 2.0}, "meters": ["energy"]}


def test_who_is_not_ready_at_the_latest_is_late_and_the_others_send():
    medium = {**FREE, "latest_s": 1.2, "spacing_khz": 1.0}
    run = fl.run(BASE.with_(medium=medium, **UNEVEN))
    record = run.records[0]
    late = [one.ue for one in record.ues if one.compute_s > 1.2]
    assert 0 < len(late) < 5
    assert [one.ue for one in record.ues if one.reason == "late"] == late
    # The BS waits until the last UE has trained and reported that it is too late.
    assert record.time_s == pytest.approx(max(one.compute_s for one in record.ues))
    deadline = fl.run(BASE.with_(medium=medium, protocol={"name": "deadline", "deadline_s": 1.25}, **UNEVEN))
    assert [one.ue for one in deadline.records[0].ues if one.accepted == "none"] == late
    assert deadline.records[0].time_s == 1.25
    assert deadline.records[0].loss == record.loss


def test_a_deadline_before_the_sum_takes_nothing_and_what_arrives_at_it_is_in_time():
    protocol = {"name": "deadline", "deadline_s": 1.0}
    run = fl.run(BASE.with_(medium=FREE, protocol=protocol, **UNEVEN))
    assert {(one.accepted, one.reason) for record in run.records for one in record.ues} == {("none", "late")}
    assert {record.meters["transmit_energy_j"] for record in run.records} == {0.0}
    # Half a second on the air after a second of training: in the middle of the airtime, and exactly at its end.
    slow = {**FREE, "subcarriers": 2390, "spacing_khz": 0.002}
    for deadline_s, accepted, energy_j in ((1.5, "full", 1.25), (1.25, "none", 0.625)):
        protocol = {"name": "deadline", "deadline_s": deadline_s}
        run = fl.run(BASE.with_(medium=slow, protocol=protocol, meters=["energy"]))
        assert {one.accepted for record in run.records for one in record.ues} == {accepted}
        assert [record.time_s for record in run.records] == [deadline_s, 2 * deadline_s]
        assert [record.meters["transmit_energy_j"] for record in run.records] == [energy_j] * 2


@pytest.mark.parametrize("medium", [OverTheAir(least_gain=0.3, csi_error=0.05), UniformForcing()], ids=str)
def test_a_run_that_is_killed_goes_on_as_if_it_had_not_been(medium, tmp_path, forked):
    experiment = BASE.with_(
        rounds=4,
        medium=medium,
        faults={"name": "dropout", "rate": 0.2},
        protocol={"name": "deadline", "deadline_s": 3.0},
        **UNEVEN,
    )
    whole = fl.run(experiment)
    (tmp_path / "mine.toml").write_text(experiment.to_toml())
    child = forked.Process(target=run_and_die, args=(str(tmp_path / "mine.toml"), str(tmp_path / "run"), 2))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    resumed = fl.resume(tmp_path / "run")
    assert resumed.summary.model_sha256 == whole.summary.model_sha256
    lines = [[replace(one, wall_time_s=0.0).to_line() for one in run.records] for run in (resumed, whole)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("backend", ["vectorized"] if MODERN else ["syft"])
def test_the_noise_is_the_same_on_every_backend(backend):
    ours, other = (fl.run(BASE.with_(medium=OverTheAir(snr_db=0.0), backend=name)) for name in ("torch", backend))
    for name, tensor in ours.model.items():
        assert torch.allclose(other.model[name], tensor, rtol=1e-4, atol=1e-6)
    assert ours.records[-1].meters == pytest.approx(other.records[-1].meters, rel=1e-4)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"codec": "affine"}, "codec float32"),
        ({"aggregation": "median"}, "aggregation.name"),
        ({"aggregation": "fednova"}, "aggregation mean or plain_mean"),
        ({"aggregation": "sum_over_drawn"}, "aggregation mean or plain_mean"),
        ({"protocol": "buffered"}, "a protocol in rounds"),
        ({"protocol": "first_k"}, "all of a sum or nothing"),
        ({"protocol": "base_then_enhancement"}, "all of a sum or nothing"),
        ({"protocol": "event_triggered"}, "takes no upload again"),
        ({"algorithm": "scaffold"}, "the model alone"),
        ({"aggregation": "plain_mean", "secure": "pairwise_masks", "codec": "fixed_point"}, "codec float32"),
        ({"aggregation": "plain_mean", "privacy": {"name": "gaussian", "accounting": "none"}}, "privacy none"),
        ({"allocator": "tdma"}, "allocator equal"),
        ({"stop": Stopping(uplink_bits=1e6)}, "no bits are sent"),
        ({"loss": "fixed"}, "loss.name"),
        ({"model": {"name": "mlp", "hidden": [6], "batch_norm": True}}, "without batch norm"),
    ],
)
@pytest.mark.parametrize("medium", ["over_the_air", "uniform_forcing"])
def test_what_cannot_be_summed_on_the_air_is_refused_in_one_line(medium, changes, said):
    with pytest.raises(UserError, match=said) as refusal:
        plan(BASE.with_(medium=medium, **changes))
    assert "\n" not in str(refusal.value)


def test_a_selection_that_asks_for_rates_is_refused():
    with pytest.raises(BadField, match=r"selection\.name = 'best_channel' is not allowed: it asks for rates"):
        fl.run(BASE.with_(medium="over_the_air", selection="best_channel", ues_per_round=2))


@pytest.mark.parametrize(
    "given", [{"least_gain": 0.0}, {"least_gain": 0.0, "snr_db": math.inf, "csi_error": 0.1}, {"snr_db": math.nan}]
)
def test_a_threshold_without_which_the_power_is_infinite_is_needed(given):
    with pytest.raises(BadField):
        OverTheAir(**given)


def test_the_digital_rival_has_the_capacity_of_the_same_band():
    # Amiri, Gunduz 2020: R = s / (2 M) log2(1 + M P / (s sigma^2)); here M 4, s 2000, P / sigma^2 6000.
    bits = mac_bits(uses=2000, ues=4, energy_ratio=6000.0)
    assert bits == pytest.approx(250 * math.log2(13))
    # A band of 1 MHz has 2000 channel uses in a millisecond; alone, a UE has log2(1 + 3) Mbit/s.
    link = Link(Float32(), Constant(2.0), RealBytes(), "update", SEED)
    medium, structure = ShannonBand(bandwidth_mhz=1.0), structure_of({"w": torch.zeros(10_000)})
    state = medium.start()
    uploads = [medium.pending(link, ue, 0, 0.0, structure, 0, 0.0) for ue in range(4)]
    for upload in uploads:
        state = medium.join(state, link, upload, 0.0)
    state, _ = medium.plan(state, link, Equal(), 0.0)
    sent = [1e6 * medium.sent_mbit(state, link, upload, 1e-3) for upload in uploads]
    assert sent == pytest.approx([bits] * 4)
