"""The global model on the downlink: one copy for many UEs, and through a codec."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import fl_simu as fl
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import sha256, structure_of
from fl_simu.kernel.randomness import briefly
from fl_simu.loop.assemble import assemble
from fl_simu.loop.plan import load_data, plan
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.downlink import Slowest

# Number of parameters of the model, and the size of a copy in Mbit.
WEIGHTS = 7850
COPY_MBIT = 32 * WEIGHTS / 1e6
BASE = fl.Experiment(
    seed=4,
    rounds=3,
    ues=3,
    backend={"name": "torch", "exact": True},
    data={"name": "digits", "train_samples": 120, "test_samples": 50},
    model="logistic_regression",
    optimizer={"name": "sgd", "lr": 0.1},
    channel={"name": "constant", "rate_mbps": 10 * COPY_MBIT},
)


@dataclass(frozen=True)
class RateOfUe(Channel):
    """UE i has the i-th rate, in copies per second."""

    rates: tuple

    def pieces(self, seed, ue, round, start_s):
        yield COPY_MBIT * self.rates[ue], math.inf


@dataclass(frozen=True)
class Exponential(Channel):
    """An exponentially distributed rate of mean 1 for each UE and version."""

    def pieces(self, seed, ue, round, start_s):
        yield float(-np.log1p(-briefly(seed, "channel", ue, round).random())), math.inf


@dataclass(frozen=True)
class Steps(Channel):
    """UE 0 has 3 Mbit/s until second 1, then 1; UE 1 has 2 until 2.5, then 5."""

    def pieces(self, seed, ue, round, start_s):
        first, until_s, then = ((3.0, 1.0, 1.0), (2.0, 2.5, 5.0))[ue]
        if start_s < until_s:
            yield first, until_s
        yield then, math.inf


@dataclass(frozen=True)
class AsItIs(Float32):
    """Lossless, but not the codec that the loop skips."""


@pytest.mark.parametrize("ues", [1, 2, 5, 20])
def test_the_slowest_of_exponential_rates_has_a_mean_of_mean_over_n(ues):
    slowest = Slowest(Exponential(), tuple(range(ues)))
    rates = [next(slowest.pieces(7, 0, version, 0.0))[0] for version in range(4000)]
    assert np.mean(rates) == pytest.approx(1 / ues, rel=5 / math.sqrt(4000))


def test_the_slowest_is_whoever_is_slowest_at_the_moment():
    slowest = Slowest(Steps(), (0, 1))
    assert list(slowest.pieces(1, 0, 0, 0.0)) == [(2.0, 1.0), (1.0, 2.5), (1.0, math.inf)]
    assert list(slowest.pieces(1, 0, 0, 1.5)) == [(1.0, 2.5), (1.0, math.inf)]
    assert slowest.arrivals_s(1, 0, 0, 0.0, [3.0]) == (2.0,)
    assert slowest.carried_mbit(1, 0, 0, 0.5, 1.5) == 1.5


def test_one_copy_reaches_all_when_the_slowest_has_it_and_is_charged_once():
    down = BASE.with_(downlink=RateOfUe((1.0, 2.0, 0.25)))
    alone, together = (fl.run(down.with_(cast=cast)).records for cast in ("unicast", "multicast"))
    for record in together:
        assert [one.download_s for one in record.ues] == pytest.approx([4.0] * 3)
        assert record.downlink_bits == 32 * WEIGHTS
    assert [one.download_s for one in alone[0].ues] == pytest.approx([1.0, 0.5, 4.0])
    assert alone[0].downlink_bits == 3 * 32 * WEIGHTS
    # A second of training, and a tenth of a second of sending.
    assert [record.time_s for record in together] == pytest.approx([5.1, 10.2, 15.3])
    assert [record.accuracy for record in together] == [record.accuracy for record in alone]


def test_a_copy_that_a_deadline_cuts_off_is_charged_as_far_as_it_got():
    cut = BASE.with_(rounds=2, protocol={"name": "deadline", "deadline_s": 1.0}, cast="multicast")
    record, _ = fl.run(cut.with_(downlink=RateOfUe((1.0, 2.0, 0.25)))).records
    assert [one.reason for one in record.ues] == ["late"] * 3
    assert record.downlink_bits == 8 * WEIGHTS
    record, _ = fl.run(cut.with_(downlink=RateOfUe((1.0, 2.0, 0.0)))).records
    assert ([one.reason for one in record.ues], record.downlink_bits) == (["not reached"] * 3, 0)


def test_a_copy_whose_ues_are_settled_in_different_rounds_is_charged_once():
    """At first all three UEs get the model together; later each gets it alone when its upload has arrived."""
    apart = BASE.with_(
        rounds=5, protocol={"name": "buffered", "k": 1}, cast="multicast", downlink=RateOfUe((1.0, 1.0, 1.0))
    )
    apart = apart.with_(channel=RateOfUe((10.0, 2.0, 1.0)))
    records = fl.run(apart).records
    assert [[one.ue for one in record.ues] for record in records] == [[0], [1], [2], [0], [1]]
    assert [record.downlink_bits for record in records] == [32 * WEIGHTS, 0, 0, 32 * WEIGHTS, 32 * WEIGHTS]


@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold"])
@pytest.mark.parametrize("protocol", ["wait_for_all", {"name": "buffered", "k": 2}])
def test_through_a_codec_that_loses_nothing_it_is_the_same_run(algorithm, protocol):
    down = BASE.with_(algorithm=algorithm, protocol=protocol, payload="update")
    down = down.with_(downlink={"name": "uniform", "low_mbps": 1.0, "high_mbps": 2.0})
    runs = [fl.run(down.with_(downlink_codec=codec)) for codec in ("float32", AsItIs())]
    told = [
        [(one.time_s, one.accuracy, one.loss, one.uplink_bits, one.downlink_bits, one.ues) for one in run.records]
        for run in runs
    ]
    assert told[0] == told[1]
    assert runs[0].summary.model_sha256 == runs[1].summary.model_sha256


def lossy(model, codec):
    return codec.decode(codec.encode(model, None), structure_of(model))


class Decoding(fl.Observer):
    """Records the model of each round, and replaces it by the decoded one."""

    def __init__(self, codec=None):
        self.codec, self.hashes = codec, []

    def aggregated(self, record, coordinator):
        self.hashes.append(sha256(coordinator.model))
        if self.codec:
            coordinator.state.model = lossy(coordinator.state.model, self.codec)


@pytest.mark.parametrize("backend", ["torch", "syft", *(["vectorized"] if MODERN else [])])
@pytest.mark.parametrize("payload", ["weights", "update"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"server": "fedadam", "transforms": ["clip"]},
        {"algorithm": "scaffold", "downlink": {"name": "constant", "rate_mbps": 1.0}, "cast": "multicast"},
        {"local_layers": ("*bias",), "selection": "round_robin", "ues_per_round": 2},
    ],
    ids=str,
)
def test_a_codec_on_the_way_down_is_training_from_what_it_leaves(backend, payload, more):
    codec = Affine(3, (2,))
    experiment = BASE.with_(
        backend={"name": backend, **({"exact": True} if backend == "torch" else {})}, payload=payload, **more
    )
    found, wanted = Decoding(), Decoding(codec)
    fl.run(experiment.with_(downlink_codec=codec), observers=[found])
    planned = plan(experiment)
    coordinator = assemble(planned, load_data(planned), [wanted])
    coordinator.state.model = lossy(coordinator.state.model, codec)
    coordinator.run()
    planned.backend.close()
    assert found.hashes == wanted.hashes and len(set(found.hashes)) == 3


def test_the_difference_that_is_sent_is_from_what_the_ue_started_from():
    """The BS's copy plus this difference gives the UE's weights again."""
    rough = BASE.with_(downlink_codec=Affine(3))
    weights, update = (fl.run(rough.with_(payload=payload)).model for payload in ("weights", "update"))
    assert all(torch.allclose(weights[name], update[name], atol=1e-6) for name in weights)
    assert not torch.allclose(weights["1.weight"], fl.run(BASE).model["1.weight"], atol=1e-3)


def test_rounding_at_random_is_drawn_anew_for_each_model_and_alike_again():
    rough = BASE.with_(downlink_codec={"name": "stochastic", "base_bits": 2})
    first, again, other = (fl.run(one) for one in (rough, rough, rough.with_(seed=5)))
    assert first.summary.model_sha256 == again.summary.model_sha256 != other.summary.model_sha256


def test_a_copy_has_the_bits_of_its_codec_and_what_goes_beside_it_as_it_is():
    down = BASE.with_(rounds=1, ues=2, downlink=RateOfUe((1.0, 1.0)), downlink_codec=Affine(8))
    (plain,) = fl.run(down).records
    layers = Affine(8).layer_bytes(structure_of(fl.run(down).model))
    assert plain.downlink_bits == 2 * 8 * sum(layers)
    assert plain.ues[0].download_s == pytest.approx(8 * sum(layers) / (32 * WEIGHTS))
    (beside,) = fl.run(down.with_(algorithm="scaffold")).records
    assert beside.downlink_bits == plain.downlink_bits + 2 * 32 * WEIGHTS
    (free,) = fl.run(down.with_(downlink="free")).records
    assert (free.downlink_bits, free.accuracy) == (0, plain.accuracy)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"cast": "multicast"}, "cast.name = 'multicast' is not allowed: the downlink is free"),
        (
            {"cast": "multicast", "downlink": "notes_walk", "delay": "rate_at_start"},
            "the rate of downlink notes_walk may fall below 0",
        ),
        ({"downlink_codec": "affin"}, "downlink_codec.name = 'affin' is not known: did you mean 'affine'?"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, words):
    with pytest.raises(fl.UserError) as told:
        plan(fl.Experiment.parse({**BASE.to_plain(), **changes}))
    assert words in str(told.value)


def test_a_cast_that_forgets_a_ue_is_refused():
    @dataclass(frozen=True)
    class Forgets(type(BASE.cast)):
        def groups(self, ues):
            return [ues[1:]]

    with pytest.raises(fl.UserError, match="every UE in a group"):
        fl.run(BASE.with_(downlink=RateOfUe((1.0, 1.0, 1.0)), cast=Forgets()))


def test_the_codec_of_the_downlink_must_carry_the_model_too():
    doubles = tuple(spec._replace(dtype=torch.float64) for spec in structure_of(fl.run(BASE).model))
    with pytest.raises(fl.UserError, match=r"downlink_codec.name = 'affine' is not allowed: it carries"):
        replace(plan(BASE).link, codec=Affine(4)).check(doubles, "downlink_codec")
