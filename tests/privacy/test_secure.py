"""Secure aggregation: sums for every set of lost UEs, uniform uploads, the paper's traffic, complete runs."""

import itertools

import numpy as np
import pytest
import torch

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import structure_of
from fl_simu.kernel.randomness import stream
from fl_simu.privacy.secure import PairwiseMasks
from fl_simu.radio.codecs.fixed_point import FixedPoint
from fl_simu.ue.training import initial_params

UES, WIDTH = (0, 1, 2, 3, 4, 5), 11


@pytest.mark.parametrize("threshold", [0.51, 0.66, 1.0])
def test_a_masked_sum_is_the_plain_one_for_every_set_of_lost_ues_above_the_threshold(threshold):
    """At least 4, 4 and 6 of six UEs: the integers above 3.06 and 3.96, and 6 itself."""
    secure, least = PairwiseMasks(threshold=threshold), {0.51: 4, 0.66: 4, 1.0: 6}[threshold]
    codes = stream(3, "test").integers(0, 2**8, (6, 40)).astype(np.uint32)
    sealed = [secure.seal(codes[ue], WIDTH, 7, ue, 2, UES) for ue in UES]
    opened = 0
    for count in range(1, 7):
        for kept in itertools.combinations(UES, count):
            found = secure.open({ue: sealed[ue] for ue in kept}, WIDTH, 7, 2, UES)
            if count < least:
                assert found is None
                continue
            assert found.tolist() == codes[list(kept)].astype(int).sum(axis=0).tolist(), kept
            opened += 1
    assert opened == {4: 15 + 6 + 1, 6: 1}[least]


def test_what_is_sent_is_uniform_whatever_the_codes_are():
    """A chi-squared statistic with 15 degrees of freedom exceeds 44.3 once in 10,000 times."""
    elements = 16000
    for codes in (np.zeros(elements, np.uint32), np.full(elements, 11, np.uint32)):
        for ue in (0, 3):
            sent = PairwiseMasks().seal(codes, 4, 1, ue, 0, UES)
            counts = np.bincount(sent, minlength=16)
            assert len(counts) == 16 and ((counts - elements / 16) ** 2).sum() / (elements / 16) < 44.3
            again = PairwiseMasks().seal(codes, 4, 1, ue, 1, UES)
            # Another round has other masks: 1/16 of the codes coincide, within five standard deviations.
            assert abs((again == sent).mean() - 1 / 16) < 5 * np.sqrt(15 / 256 / elements)


@pytest.mark.parametrize("ues", [2, 16, 100])
def test_the_traffic_is_that_of_the_paper(ues):
    """Section 7.1: 2 n a_K + (5 n - 4) a_S + n bits besides the codes, in both directions together."""
    secure = PairwiseMasks(key_bits=200, share_bits=300)
    assert secure.uplink_bits(ues) + secure.downlink_bits(ues) == 2 * ues * 200 + (5 * ues - 4) * 300 + ues


def test_fixed_point_rounds_without_bias_and_cuts_off_at_its_limit():
    """A step of L / 127 and 30,000 draws; five deviations of a mean of Bernoulli draws."""
    codec, step = FixedPoint(bits=8, limit=0.5), 0.5 / 127
    params = {"w": torch.full((30000,), 10.3 * step), "far": torch.tensor([9.0, -9.0, 0.0])}
    found = codec.decode(codec.encode(params, stream(1, "test")), structure_of(params))
    assert found["far"].tolist() == pytest.approx([0.5, -0.5, 0.0])
    assert sorted(set((found["w"] / step).round().int().tolist())) == [10, 11]
    assert abs(float(found["w"].mean()) / step - 10.3) < 5 * np.sqrt(0.3 * 0.7 / 30000)
    nearest = FixedPoint(bits=8, limit=0.5, at_random=False)
    there = nearest.decode(nearest.encode(params, stream(1, "test")), structure_of(params))
    assert there["w"].tolist() == pytest.approx([10 * step] * 30000)


BASE = {
    **{"rounds": 3, "ues": 6, "seed": 4, "payload": "update", "backend": "torch", "aggregation": "plain_mean"},
    "data": {"name": "digits", "train_samples": 120, "test_samples": 40},
    "model": {"name": "mlp", "hidden": [6]},
    "codec": {"name": "fixed_point", "bits": 12, "limit": 0.5},
    "channel": {"name": "uniform", "low_mbps": 0.5, "high_mbps": 2.0},
    "downlink": {"name": "constant", "rate_mbps": 4.0},
}
# On average two UEs drop out in a round, and the BS receives nothing from them.
LOSSY = {
    "faults": {"name": "dropout", "rate": 0.3},
    "protocol": {"name": "deadline", "deadline_s": 4.0},
    "secure": {"name": "pairwise_masks", "threshold": 0.51},
}
PARAMETERS = 784 * 6 + 6 + 6 * 10 + 10


def run(folder=None, observers=(), **changes):
    return fl.run(fl.Experiment.parse({**BASE, **changes}), folder, observers)


class Stop(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 2:
            coordinator.stop()


def test_a_run_ends_with_the_model_of_one_without_masks_and_pays_for_keys_shares_and_room():
    plain, masked = run(), run(secure="pairwise_masks")
    for name, tensor in plain.model.items():
        # The same sum of codes; without masks each update is rounded to float32 before the mean.
        assert torch.allclose(tensor, masked.model[name], rtol=0, atol=1e-6), name
    # Three bits more per code for a sum of six, in whole bytes of eight codes.
    more = 3 * 8 * -(-PARAMETERS // 8) + 2 * 256 + (3 * 6 - 2) * 256
    assert masked.summary.uplink_bits - plain.summary.uplink_bits == 3 * 6 * more
    down = 2 * 5 * 512 + 6
    assert masked.summary.downlink_bits - plain.summary.downlink_bits == 3 * 6 * down
    assert masked.summary.virtual_time_s > plain.summary.virtual_time_s


def test_those_who_drop_out_are_recovered_and_too_few_leave_the_model_as_it_is():
    found = run(**LOSSY, rounds=8)
    taken = [sum(one.accepted == "full" for one in record.ues) for record in found.records]
    without = run(**{**LOSSY, "secure": "none"}, rounds=8)
    answered = [sum(one.accepted == "full" for one in record.ues) for record in without.records]
    assert set(taken) & {4, 5} and 0 in taken
    assert taken == [count if count >= 4 else 0 for count in answered]
    sealed = [record for record, count in zip(found.records, taken) if not count]
    assert all({one.reason for one in record.ues} <= {"sealed", "dropped out"} for record in sealed)
    accuracies = [record.accuracy for record in found.records]
    assert all(accuracies[at] == accuracies[at - 1] for at, count in enumerate(taken) if at and not count)


def test_it_goes_on_from_a_checkpoint_and_with_error_feedback(tmp_path):
    changes = {**LOSSY, "error_feedback": True, "rounds": 5}
    whole = run(**changes)
    run(tmp_path / "run", [Stop()], **changes)
    assert fl.resume(tmp_path / "run").summary.model_sha256 == whole.summary.model_sha256
    assert whole.summary.model_sha256 != run(**{**changes, "error_feedback": False}).summary.model_sha256


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"codec": "affine"}, "it needs codec fixed_point"),
        ({"payload": "weights"}, 'it needs payload = "update"'),
        ({"aggregation": "median"}, "it needs aggregation plain_mean"),
        ({"algorithm": "scaffold"}, "it needs an algorithm that sends the model alone"),
        ({"protocol": {"name": "buffered", "k": 2}}, "it needs a protocol in rounds"),
        ({"model": {"name": "mlp", "batch_norm": True}}, "travels as it is"),
        ({"ues_per_round": 1}, "the sum of one UE's codes hides nothing"),
        ({"codec": {"name": "fixed_point", "bits": 24}, "ues": 600, "partition": "independent"}, "at most 22"),
    ],
)
def test_what_needs_or_tells_single_updates_is_refused(changes, told):
    with pytest.raises(UserError, match=told):
        run(**{"secure": "pairwise_masks", **changes})


def test_noise_of_each_ue_under_masks_adds_up_to_that_of_the_mechanism():
    """Without training the mean of six is noise of z C / 6, and rounding of a sixth of a step^2 each."""
    z, clip, step = 3.0, 0.2, 0.5 / (2**11 - 1)
    found = run(
        rounds=1,
        optimizer={"name": "sgd", "lr": 1e-12},
        secure="pairwise_masks",
        privacy={"name": "gaussian", "at": "ue_sum", "accounting": "none", "noise_multiplier": z, "clip": clip},
        codec={"name": "fixed_point", "bits": 12, "limit": 0.5 * 6},
    )
    initial = initial_params(lambda: found.experiment.model.build((1, 28, 28), 10), 4)
    moved = torch.cat([(tensor - initial[name]).view(-1) for name, tensor in found.model.items()]).double()
    wanted = ((z * clip / 6) ** 2 + (6 * step) ** 2 / 6 / 6) ** 0.5
    # The deviation of a sample variance of n normal numbers is its sqrt(2 / n).
    assert abs(float(moved.pow(2).mean()) / wanted**2 - 1) < 5 * (2 / len(moved)) ** 0.5


@pytest.mark.parametrize(
    ("privacy", "told"),
    [
        ({"name": "gaussian", "clip": 0.1}, "it needs that the BS hears single updates"),
        (
            {"name": "gaussian", "at": "ue_sum", "accounting": "none", "clip": 1e-4, "noise_multiplier": 0.5},
            "whose step is at most 1 / 2 of a UE's noise",
        ),
    ],
)
def test_privacy_that_masks_would_break_is_refused(privacy, told):
    with pytest.raises(UserError, match=told):
        run(secure="pairwise_masks", privacy=privacy)
