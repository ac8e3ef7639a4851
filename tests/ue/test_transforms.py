"""Transforms: clipping as torch clips gradients, a trigger's bounds, and what a chain keeps."""

import math

import pytest
import torch

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import difference
from fl_simu.ue.training import Key
from fl_simu.ue.transforms import Clip, ErrorFeedback, GaussianNoise, Movement
from fl_simu.ue.transforms.base import Chain, Context

DRAWS = torch.Generator().manual_seed(0)
START = {"w": torch.randn(5, 3, generator=DRAWS), "b": torch.randn(4, generator=DRAWS), "n": torch.tensor(3)}
TRAINED = {"w": START["w"] + 0.3, "b": START["b"] - 0.2, "n": torch.tensor(7)}
UPDATE = difference(TRAINED, START)
CONTEXT = Context(Key(1, 0, 0), START, TRAINED, 10)


@pytest.mark.parametrize("norm", [0.1, 1.0, 1.24, 5.0])
def test_clip_is_what_torch_does_to_gradients(norm):
    clipped, _ = Clip(norm).apply(UPDATE, CONTEXT, None)
    leaves = [torch.zeros_like(UPDATE[name], requires_grad=True) for name in ("w", "b")]
    for leaf, name in zip(leaves, ("w", "b")):
        leaf.grad = UPDATE[name].clone()
    torch.nn.utils.clip_grad_norm_(leaves, norm)
    for leaf, name in zip(leaves, ("w", "b")):
        assert torch.allclose(clipped[name], leaf.grad, rtol=1e-5)
    assert clipped["n"] is UPDATE["n"] and list(clipped) == list(UPDATE)
    length = math.sqrt(sum(float(UPDATE[name].double().pow(2).sum()) for name in ("w", "b")))
    assert (clipped is UPDATE) == (length <= norm)


def test_what_is_not_finite_stays_so_and_is_refused_later():
    spoilt = {**UPDATE, "b": UPDATE["b"] * math.nan}
    assert Clip(0.1).apply(spoilt, CONTEXT, None)[0] is spoilt


def test_gaussian_noise_is_normal_anew_for_each_ue_and_round_and_leaves_counters_alone():
    """The quantiles of a million numbers are those of the normal distribution, within five standard errors."""
    update = {"w": torch.ones(1000, 1000), "n": torch.tensor(7)}
    drawn = {}
    for key in (Key(1, 0, 0), Key(1, 1, 0), Key(1, 0, 1), Key(2, 0, 0)):
        noisy, _ = GaussianNoise(std=0.5).apply(update, CONTEXT._replace(key=key), None)
        again, _ = GaussianNoise(std=0.5).apply(update, CONTEXT._replace(key=key), None)
        assert torch.equal(noisy["w"], again["w"]) and noisy["n"] is update["n"]
        drawn[key] = ((noisy["w"].double() - 1) / 0.5).flatten()
    for share, z in ((0.0228, -1.999), (0.1587, -0.9998), (0.5, 0.0), (0.8413, 0.9998), (0.9772, 1.999)):
        below = (drawn[Key(1, 0, 0)] <= z).double().mean().item()
        assert below == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 1e6)), z
    first, *others = drawn.values()
    for other in others:
        assert abs((first * other).mean().item()) < 5e-3
    # All draws are from one stream: neighbours are independent too.
    assert abs((first[1:] * first[:-1]).mean().item()) < 5e-3


def test_a_trigger_is_silent_up_to_its_threshold_and_speaks_at_first():
    moved = math.sqrt(15 * 0.3**2 + 4 * 0.2**2)
    for threshold, silent in ((moved * 1.001, True), (moved * 0.999, False)):
        assert Movement(threshold).silent(CONTEXT, START) is silent
        assert not Movement(threshold).silent(CONTEXT, None)
    update, memory = Movement(1.0).apply(UPDATE, CONTEXT, None)
    assert update is UPDATE and torch.equal(memory["w"], TRAINED["w"]) and memory["w"] is not TRAINED["w"]
    assert not Movement(0.0).silent(CONTEXT._replace(trained={**TRAINED, "b": TRAINED["b"] * math.nan}), START)


def test_a_chain_hands_each_its_own_memory():
    chain = Chain((Movement(1.0), ErrorFeedback(), Clip(0.5)))
    sent, memories = chain.apply(UPDATE, CONTEXT, ())
    decoded = {**sent, "w": sent["w"] * 0.75}
    after = chain.settled(memories, sent, decoded)
    assert torch.equal(after[1]["w"], sent["w"] - decoded["w"]) and set(after[1]) == {"w", "b"}
    again, _ = chain.apply(UPDATE, CONTEXT, after)
    fed = {name: UPDATE[name] + after[1][name] for name in ("w", "b")}
    wanted, _ = Clip(0.5).apply({**UPDATE, **fed}, CONTEXT, None)
    assert all(torch.equal(again[name], wanted[name]) for name in wanted)
    assert chain.silent(CONTEXT._replace(trained=TRAINED), after)


@pytest.mark.parametrize("make", [lambda: Clip(0.0), lambda: Clip(math.inf), lambda: Movement(-1.0)])
def test_bounds(make):
    with pytest.raises(BadField):
        make()
