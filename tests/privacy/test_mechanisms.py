"""Privacy mechanisms on updates and models: bounds, noise, the clipping norm, and complete runs."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import distance, sha256
from fl_simu.kernel.randomness import stream
from fl_simu.loop.assemble import assemble
from fl_simu.loop.plan import load_data, plan
from fl_simu.loop.resuming import restore, snapshot
from fl_simu.privacy import AdaptiveClipping, Gaussian
from fl_simu.privacy.accounting import gaussian_epsilon
from fl_simu.privacy.base import Release
from fl_simu.privacy.noise import NoisyClip, clipped
from fl_simu.ue.training import Key
from fl_simu.ue.transforms.base import Chain, Context

FLAT = {"a": torch.zeros(300, 200), "b": torch.zeros(40_000)}


def released(mechanism, norms, version=0, ues=20, drawn=10, combined=FLAT, state=None):
    """The released version of a model of zeros."""
    round = Release(3, version, ues, drawn, FLAT, norms, tuple(norms))
    return mechanism.release(mechanism.start() if state is None else state, round, combined)


def flat(params):
    return torch.cat([one.reshape(-1) for one in params.values()]).double().numpy()


def require_normal(noise, std):
    """Mean and variance within five standard errors, and a Kolmogorov-Smirnov test."""
    many = len(noise)
    assert abs(noise.mean()) < 5 * std / math.sqrt(many)
    assert abs(noise.var() / std**2 - 1) < 5 * math.sqrt(2 / many)
    assert kstest(noise / std, "norm").pvalue > 1e-4


def test_the_bs_adds_normal_noise_of_z_c_to_the_sum():
    mechanism = Gaussian(0.8, clip=2.5)
    _, model, numbers = released(mechanism, dict.fromkeys(range(5), 1.0))
    require_normal(flat(model), 0.8 * 2.5 / 5)
    assert not numbers


def test_the_noise_of_rounds_and_tensors_is_independent():
    norms, many = {0: 1.0}, 40_000
    noise = [flat(released(Gaussian(1.0), norms, version)[1]) for version in (0, 1)]
    pairs = [(noise[0], noise[1]), (noise[0][:many], noise[0][60_000:])]
    for one, other in pairs:
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(len(one))
    assert np.array_equal(noise[0], flat(released(Gaussian(1.0), norms)[1]))


@pytest.mark.parametrize("at, share", [("ue", 1.0), ("ue_sum", 1 / math.sqrt(10))])
def test_ues_clip_and_add_their_noise(at, share):
    chain = Chain(Gaussian(0.5, accounting="none", clip=2.0, at=at).transforms(10))
    update = {"a": torch.full((300, 200), 3.0), "b": torch.full((40_000,), -3.0)}
    length = 3.0 * math.sqrt(100_000)
    sent = [
        flat(chain.apply(update, Context(Key(1, ue, round), FLAT, update, 5), ())[0]) - flat(update) * 2.0 / length
        for ue, round in ((0, 0), (1, 0), (0, 1))
    ]
    for noise in sent:
        require_normal(noise, 0.5 * 2.0 * share)
    for at, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(sent[at], sent[other])[0, 1]) < 5 / math.sqrt(100_000)


def test_noise_of_privacy_is_another_one_than_that_of_the_transform():
    context, update = Context(Key(1, 0, 0), FLAT, FLAT, 5), dict(FLAT)
    own, _ = NoisyClip(1.0, 1.0).apply(update, context, None)
    other, _ = fl.transforms.GaussianNoise(1.0).apply(update, context, None)
    assert abs(np.corrcoef(flat(own), flat(other))[0, 1]) < 5 / math.sqrt(100_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_update_is_longer_than_the_clipping_norm(dtype):
    start = {"w": torch.tensor([1.0, -1.0], dtype=dtype)}
    largest = torch.finfo(dtype).max
    for moved in ([3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [largest, largest / 2], [-largest, largest]):
        update = Update(0, 0, 5, {"w": start["w"] + torch.tensor(moved, dtype=dtype)})
        bounded, length = clipped(update, start, 1.0)
        assert distance(bounded.params, start) <= 1 + 1e-6
        assert length == pytest.approx(float(np.linalg.norm(np.array(moved, np.longdouble)))) or length > 1e100
    short, _ = clipped(Update(0, 0, 5, {"w": start["w"] + torch.tensor([3.0, 4.0], dtype=dtype)}), start, 1.0)
    assert torch.allclose(short.params["w"] - start["w"], torch.tensor([0.6, 0.8], dtype=dtype), atol=1e-6)


def test_adaptive_clipping_is_algorithm_1_of_andrew_et_al():
    mechanism = AdaptiveClipping(0.5, quantile=0.6, clip_lr=0.3)
    norms = {0: 0.05, 1: 0.1, 2: 0.2, 3: 5.0}
    state, model, numbers = released(mechanism, norms, version=4)
    count = 2 + 10 / 20 * stream(3, "privacy count", round=4).standard_normal()
    assert state.clip == pytest.approx(0.1 * math.exp(-0.3 * (count / 4 - 0.6)), rel=1e-12)
    # z_delta = (0.5^-2 - 1)^(-1/2)
    require_normal(flat(model), 0.1 / math.sqrt(3) / 4)
    assert numbers == {"clip_norm": 0.1}


def test_the_clipping_norm_comes_to_the_quantile_of_the_norms():
    """Norms whose 0.8 quantile is 8; without much noise on the count."""
    mechanism = AdaptiveClipping(0.01, quantile=0.8, initial_clip=1e-3, count_noise=0.01)
    norms, state, found = {ue: (ue + 0.5) / 10 for ue in range(100)}, None, []
    for version in range(300):
        round = Release(3, version, 100, 100, {"a": torch.zeros(1)}, norms, ())
        state, _, _ = mechanism.release(state or mechanism.start(), round, {"a": torch.zeros(1)})
        found.append(state.clip)
    assert np.mean(found[-50:]) == pytest.approx(8.0, rel=0.02)


@pytest.mark.parametrize("mechanism", [Gaussian(1.0, 1e-5, "none"), AdaptiveClipping(0.5, 1e-5, "none")])
def test_a_round_in_which_nothing_is_taken_releases_nothing(mechanism):
    state, model, numbers = released(mechanism, {})
    assert model is FLAT and state == mechanism.start() and numbers["epsilon"] == 0.0


def test_fewer_shares_of_noise_protect_less():
    mechanism = Gaussian(2.0, 1e-5, "none", at="ue_sum")
    _, model, numbers = released(mechanism, dict.fromkeys(range(5), 0.0))
    assert model is FLAT
    assert numbers["epsilon"] == gaussian_epsilon(1 / (2.0 * math.sqrt(5 / 10)), 1e-5)


BASE = fl.Experiment(
    **{"data": "digits", "model": "mlp", "backend": "torch", "rounds": 4, "ues": 6, "ues_per_round": 3},
    aggregation="plain_mean",
)


def test_the_private_rounds_of_a_run_are_the_papers():
    """A run by hand: each update clipped to C, their mean, noise of z C / m."""
    seen = []

    class Models(fl.Observer):
        def aggregated(self, record, coordinator):
            seen.append(coordinator.model)

    plainly = BASE.with_(rounds=1, seed=5)
    fl.run(plainly.with_(privacy=Gaussian(0.01, 1e-5, "none", 0.3)), observers=[Models()])
    fl.run(plainly.with_(transforms=[fl.transforms.Clip(0.3)]), observers=[Models()])
    noise = stream(5, "privacy").standard_normal
    for name, tensor in seen[1].items():
        wanted = tensor.numpy() + 0.01 * 0.3 / 3 * noise(tuple(tensor.shape))
        assert np.allclose(seen[0][name].numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "privacy",
    [Gaussian(0.1, 1e-5, "none"), Gaussian(0.1, 1e-5, "none", at="ue"), AdaptiveClipping(0.1, 1e-5, "none")],
)
def test_columns_travel_to_summary_and_frame(privacy, tmp_path):
    run = fl.run(BASE.with_(privacy=privacy), tmp_path)
    told = run.summary.facts["meters"]
    last = run.records[-1].meters
    assert set(last) == set(privacy.columns) == set(told)
    assert all(entry["value"] == last[name] for name, entry in told.items())
    assert np.all(np.diff([record.meters["epsilon"] for record in run.records]) >= 0)
    (line,) = run.plot("accuracy", over="epsilon").axes[0].lines
    assert line.get_xdata() == pytest.approx([record.meters["epsilon"] for record in run.records])
    assert fl.load(run.folder).records == run.records


@pytest.mark.parametrize("attack", ["sign_flip", "gaussian_noise"])
def test_a_malicious_ue_moves_the_model_by_the_clipping_norm_at_most(attack):
    """One of 3 UEs is malicious: replacing it by another sender moves the model by at most 2 C / 3."""
    models = []

    class Models(fl.Observer):
        def aggregated(self, record, coordinator):
            models.append(coordinator.model)

    private = BASE.with_(rounds=1, ues=3, ues_per_round=3, privacy=Gaussian(0.01, clip=0.2))
    option = {"scale": 1e6} if attack == "sign_flip" else {"deviation": 1e6}
    for hostile in ("none", {"name": attack, "malicious": 1, **option}):
        fl.run(private.with_(attack=hostile), observers=[Models()])
    # Both have the same noise.
    moved = distance(*models)
    assert 0.01 < moved <= 2 * 0.2 / 3 * (1 + 1e-4)
    models.clear()
    for hostile in ("none", {"name": attack, "malicious": 1, **option}):
        fl.run(private.with_(attack=hostile, privacy="none"), observers=[Models()])
    assert distance(*models) > 100


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"aggregation": "mean"}, "plain_mean"),
        ({"algorithm": "scaffold"}, "an algorithm that sends the model alone"),
        ({"protocol": {"name": "buffered", "k": 2}}, "takes no update twice"),
        ({"protocol": {"name": "event_triggered", "threshold": 0.5, "absent": "last"}}, "takes no update twice"),
        ({"protocol": {"name": "event_triggered", "threshold": 0.5, "absent": "out"}}, "silent"),
        ({"transforms": [{"name": "movement", "threshold": 0.1}]}, "silent"),
        ({"selection": "round_robin"}, "accounting"),
        ({"model": {"name": "mlp", "batch_norm": True}}, "batch norm"),
        ({"privacy": Gaussian(accounting="none", at="ue_sum"), "codec": "affine"}, "codec float32"),
        (
            {
                "privacy": Gaussian(accounting="none", at="ue_sum"),
                "payload": "update",
                "error_feedback": True,
            },
            "error feedback",
        ),
        ({"privacy": Gaussian(accounting="none", at="ue"), "codec": "affine", "bits": "feddq"}, "bits fixed"),
        ({"privacy": AdaptiveClipping()}, "below 0.3"),
    ],
)
def test_what_would_not_be_protected_is_refused_in_one_line(changes, said):
    with pytest.raises(UserError, match=said) as refusal:
        plan(BASE.with_(**{"privacy": Gaussian(), **changes}))
    assert str(refusal.value).startswith("privacy.") and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "privacy",
    [
        {"name": "adaptive_clipping", "noise_multiplier": 0.2, "delta": 1e-5, "accounting": "none"},
        {"name": "gaussian", "at": "ue", "delta": 1e-5, "accounting": "none"},
        {"name": "gaussian", "at": "ue_sum", "delta": 1e-5, "accounting": "none"},
    ],
    ids=lambda one: f"{one['name']} {one.get('at', '')}",
)
def test_a_run_that_goes_on_after_a_checkpoint_is_the_same_run(privacy):
    """Compares models, the clipping norm and epsilon; some uploads are late."""
    late = {"protocol": {"name": "first_k", "k": 2}}
    planned = plan(BASE.with_(privacy=privacy, **late, codec="float32", rounds=6))
    data = load_data(planned)

    class Checkpoints(fl.Observer):
        def __init__(self):
            self.records, self.taken = [], []

        def aggregated(self, record, coordinator):
            self.records.append(record)
            self.taken.append(snapshot(coordinator, "me"))

    whole = Checkpoints()
    first = assemble(planned, data, [whole])
    first.run()
    taken = [sum(outcome.accepted == "full" for outcome in record.ues) for record in whole.records]
    assert taken == [2] * 6
    rest = Checkpoints()
    coordinator = assemble(planned, data, [rest])
    restore(coordinator, whole.taken[2])
    coordinator.run()
    assert [record.meters for record in rest.records] == [record.meters for record in whole.records[3:]]
    assert sha256(coordinator.model) == sha256(first.model)


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e308])
def test_what_has_no_length_counts_as_nothing(number):
    update = {"w": torch.full((4,), number, dtype=torch.float64), "n": torch.tensor(3)}
    context = Context(Key(1, 0, 0), update, update, 5)
    (own,) = Gaussian(1.0, None, "none", 0.5, "ue").transforms(1)
    sent, _ = own.apply(update, context, None)
    assert torch.equal(sent["w"], own.apply({"w": torch.zeros(4, dtype=torch.float64)}, context, None)[0]["w"])
    assert sent["n"] == 3 and bool(torch.isfinite(sent["w"]).all())
