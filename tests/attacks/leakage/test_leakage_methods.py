"""The BS's observation of an upload, and the methods that reconstruct images from it."""

import numpy as np
import pytest
import torch
from torch import nn

from fl_simu.attacks.leakage.attempts import ENOUGH_MSE, attack, draw, watch
from fl_simu.attacks.leakage.methods import METHODS, Dlg, Idlg, InvertingGradients, one_hot
from fl_simu.attacks.leakage.observation import (
    Guess,
    Observation,
    label_of,
    observe,
    soft_cross_entropy,
    upload,
)
from fl_simu.backends.torch_loop import TorchLoop
from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import params_of
from fl_simu.kernel.randomness import stream
from fl_simu.models import DlgLeNet
from fl_simu.privacy import Gaussian
from fl_simu.radio.codecs import Affine, Float16, Float32
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task
from fl_simu.ue.transforms import Clip
from fl_simu.ue.transforms.base import Chain

SHAPE, CLASSES = (1, 8, 8), 10


def make_net():
    return DlgLeNet().build(SHAPE, CLASSES)


def training(steps=1, lr=0.1, images=1):
    return LocalTraining(make_net, DlgLeNet.loss, Sgd(lr=lr), steps, images)


def case(
    seed=0, images=1, codec=None, layers=None, steps=1, make=make_net, shape=SHAPE, classes=CLASSES, chain=None
):
    """The BS's observation of a UE with random images; the images, the labels and a start."""
    module, starts = draw(make, seed, 1, (images, *shape), classes)
    draws = stream(seed, "case")
    truth = torch.from_numpy(draws.random((images, *shape)).astype(np.float32))
    labels = torch.from_numpy(draws.integers(0, classes, images))
    codec, chain, key = codec or Float32(), chain or Chain(), Key(seed, 0, 0)
    seen = observe(training(steps), module, truth, labels, classes, codec, layers, draws, chain, key)
    return seen, truth, labels, starts[0]


@pytest.mark.parametrize("steps, images", [(1, 1), (1, 4), (3, 1), (3, 4)])
def test_the_truth_explains_what_was_sent(steps, images):
    seen, truth, labels, start = case(steps=steps, images=images)
    targets = nn.functional.one_hot(labels, CLASSES).float()
    for ours, sent in zip(seen.simulated(truth, targets), seen.gradient):
        # An update is a difference of float32 weights below 1, divided by the learning rate.
        np.testing.assert_allclose(ours.detach(), sent, rtol=1e-4, atol=1e-5)
    assert seen.squared_distance(truth, targets) < 1e-8 < seen.squared_distance(start.images, targets)


@pytest.mark.parametrize("steps", [1, 3])
def test_what_leaks_of_a_clipped_and_noised_upload(steps):
    """The squared error is that of the noise: std^2 chi^2(n) for n numbers, within five standard deviations."""
    plain, truth, labels, _ = case(steps=steps)
    targets = nn.functional.one_hot(labels, CLASSES).float()
    scale = 1.0 if steps == 1 else 0.1
    norm = scale * float(torch.cat([one.reshape(-1) for one in plain.gradient]).norm())
    many = sum(one.numel() for one in plain.gradient)
    # The clipping norm is not reached.
    noisy, *_ = case(steps=steps, chain=Chain(Gaussian(0.01, None, "none", 2 * norm, "ue").transforms(1)))
    wanted = many * (0.01 * 2 * norm / scale) ** 2
    found = noisy.squared_distance(truth, targets).item()
    assert found == pytest.approx(wanted, rel=5 * np.sqrt(2 / many))
    clipped, *_ = case(steps=steps, chain=Chain((Clip(norm / 4),)))
    for short, whole in zip(clipped.gradient, plain.gradient):
        np.testing.assert_allclose(short, whole / 4, rtol=1e-3, atol=1e-6)


def test_an_update_is_what_the_torch_backend_gives():
    module, images, labels = make_net(), torch.rand(4, *SHAPE), torch.arange(4)
    backend = TorchLoop(training(3, images=4))
    backend.place(0, Shard(images, labels, torch.arange(4)))
    backend.train([Task(Key(0, 0, 0), params_of(module), {})])
    trained, before = backend.get(0).params, params_of(module)
    for name, update in upload(training(3), module, images, labels).items():
        # The backend uses the four images in another order.
        np.testing.assert_allclose(update, trained[name] - before[name], rtol=1e-4, atol=1e-6)


def test_a_gradient_is_that_of_the_published_code():
    module, images, labels = make_net(), torch.rand(1, *SHAPE), torch.tensor([3])
    output = module(images)
    loss = torch.mean(torch.sum(-one_hot(3, CLASSES) * nn.functional.log_softmax(output, dim=-1), 1))
    published = torch.autograd.grad(loss, list(module.parameters()))
    assert soft_cross_entropy(output, one_hot(3, CLASSES)).item() == pytest.approx(loss.item())
    for one, other in zip(upload(training(), module, images, labels).values(), published):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_derivative_of_the_distance_by_finite_differences(steps):
    seen, _, _, start = case(steps=steps)
    double = Observation(
        seen.module.double(), tuple(one.double() for one in seen.gradient), SHAPE, CLASSES, 1, steps, 0.1
    )
    images, logits = (one.double().requires_grad_() for one in start)

    def distance(images, logits):
        return double.squared_distance(images, torch.softmax(logits, dim=1))

    assert torch.autograd.gradcheck(distance, (images, logits), eps=1e-6, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("codec, steps", [(Float32(), 1), (Affine(8), 1), (Float32(), 4)], ids=str)
def test_the_label_is_read_of_every_single_image(codec, steps):
    found = []
    for seed in range(100):
        seen, _, labels, _ = case(seed, codec=codec, steps=steps, classes=CLASSES)
        found.append(label_of(seen) == labels.item())
    assert found.count(True) == 100


def test_the_label_is_read_without_a_bias():
    make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES, bias=False))  # noqa: E731
    for seed in range(20):
        seen, _, labels, _ = case(seed, make=make)
        assert label_of(seen) == labels.item()


def test_one_label_only():
    with pytest.raises(BadField, match="batch_size"):
        label_of(case(images=2)[0])


def test_all_layers_of_2_and_2_bits_tell_what_4_bits_tell_and_the_base_tells_less():
    whole, exact = case(codec=Affine(4))[0], case()[0]
    both, base = case(codec=Affine(2, (2,)))[0], case(codec=Affine(2, (2,)), layers=1)[0]
    assert all(torch.equal(one, other) for one, other in zip(both.gradient, whole.gradient))

    def error(seen):
        return sum((one - other).abs().max().item() for one, other in zip(seen.gradient, exact.gradient))

    assert error(base) > 2 * error(both) > 2 * error(case(codec=Float16())[0]) > 0


@pytest.mark.parametrize("layers", [0, 3])
def test_no_more_layers_than_there_are(layers):
    with pytest.raises(BadField, match="layers"):
        case(codec=Affine(2, (2,)), layers=layers)


@pytest.mark.parametrize("method, steps", [(Dlg(), 1), (Idlg(), 1), (Dlg(), 3)])
def test_an_image_comes_back(method, steps):
    seen, truth, labels, start = case(seed=1, steps=steps)
    found = attack(seen, method, [start], truth)
    assert found.success and found.ended == "succeeded" and found.mses[-1] < ENOUGH_MSE
    assert found.last.targets.argmax() == labels.item()
    assert found.losses[-1] < 1e-3 < 0.5 < found.losses[0]


def test_two_images_come_back():
    seen, truth, _, start = case(seed=1, images=2)
    assert attack(seen, Dlg(), [start], truth).success


def test_inverting_gradients_comes_near_and_stays_within_the_range():
    seen, truth, _, start = case(seed=1)
    found = attack(seen, InvertingGradients(iterations=400, total_variation=0.0), [start], truth)
    assert found.last.images.min() >= 0 and found.last.images.max() <= 1
    assert found.mses[-1] < 0.02 < 0.1 < found.mses[0] and found.losses[-1] < 0.01 * found.losses[0]
    assert [round(InvertingGradients(iterations=8).decay(at), 6) for at in range(8)] == [
        1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001,
    ]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_method_yields_its_start_and_a_guess_an_iteration(name):
    seen, _, _, start = case()
    guesses = list(METHODS[name](iterations=3).guesses(seen, start))
    assert len(guesses) == 4
    expected = start.images.clamp(0, 1) if name == "inverting_gradients" else start.images
    assert torch.equal(guesses[0].images, expected)
    again = list(METHODS[name](iterations=3).guesses(seen, start))
    assert [one.loss for one in again] == [one.loss for one in guesses]


def guess(loss, pixel):
    return Guess(loss, torch.full((1, 1, 7, 7), pixel), one_hot(0, 2))


TRUTH = torch.zeros(1, 1, 7, 7)


@pytest.mark.parametrize(
    "later, ended, length",
    [
        ([guess(2.0, 0.5), guess(1.0, 0.005), guess(0.5, 9.0)], "succeeded", 3),
        ([guess(2.0, 0.5), guess(float("nan"), 0.4)], "diverged", 2),
        ([guess(2.0, 0.5), guess(1.0, float("inf"))], "diverged", 2),
        ([guess(2.0, 0.5), guess(2.0, 0.5), guess(1.0, 0.0)], "stood still", 2),
        ([guess(2.0, 0.5), guess(1.0, 0.02)], "iterations", 3),
    ],
)
def test_how_an_attempt_ends(later, ended, length):
    found = watch(iter([guess(3.0, 1.0), *later]), TRUTH)
    assert (found.ended, len(found.losses), len(found.mses)) == (ended, length, length)
    assert found.mses[:2] == [1.0, 0.25]
    assert found.success == (found.mses[-1] < 1e-3 and ended != "diverged")
    assert sorted(found.kept) == list(range(length))


def test_the_attempt_with_the_smallest_loss_of_its_own_counts():
    class Fake:
        def guesses(self, seen, start):
            return iter(start)

    starts = [
        [guess(9.0, 1.0), guess(2.0, 0.1)],
        [guess(9.0, 1.0), guess(1.0, 0.7)],
        [guess(0.5, 1.0), guess(float("nan"), 0.1)],
    ]
    assert attack(None, Fake(), starts, TRUTH).losses == [9.0, 1.0]


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Dlg(iterations=0), "iterations"),
        (lambda: Idlg(restarts=0), "restarts"),
        (lambda: InvertingGradients(lr=0.0), "lr"),
        (lambda: InvertingGradients(total_variation=float("nan")), "total_variation"),
    ],
)
def test_arguments_are_checked(make, field):
    with pytest.raises(BadField, match=field):
        make()
