import itertools

import numpy as np
import pytest
import torch

from fl_simu.attacks.leakage.image_measures import best_order, found_labels, likeness, mean_squared_error
from fl_simu.kernel.errors import UserError

pytest.importorskip("skimage")


def images(count, seed, shape=(3, 9, 8)):
    return torch.from_numpy(np.random.RandomState(seed).rand(count, *shape).astype(np.float32))


def test_the_best_order_by_trying_all():
    truth, made = images(4, 1), images(4, 1)[[2, 0, 3, 1]] + 0.3 * images(4, 2)
    true, other = truth.double().numpy(), made.double().numpy()
    errors = {order: np.mean((true - other[list(order)]) ** 2) for order in itertools.permutations(range(4))}
    assert tuple(best_order(truth, made)) == min(errors, key=errors.get)
    assert mean_squared_error(truth, made) == pytest.approx(min(errors.values()))


def test_labels_are_compared_beside_their_images():
    truth, made = images(3, 1), images(3, 1)[[2, 0, 1]]
    targets = torch.eye(3)[[2, 0, 0]]
    assert found_labels(truth, torch.tensor([0, 1, 2]), made, targets) == 2


def test_measures_by_another_library_and_by_hand():
    from skimage.metrics import peak_signal_noise_ratio

    truth, made = images(1, 1), images(1, 2)
    found, x, y = likeness(truth, made), truth[0].double().numpy(), made[0].double().numpy()
    assert found.psnr_db == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1.0))
    # Wang et al. 2004: 7x7 windows at every position where one fits, sample variances.
    c1, c2, values = 0.01**2, 0.03**2, []
    for channel, row, column in itertools.product(range(3), range(3), range(2)):
        a, b = (one[channel, row : row + 7, column : column + 7].ravel() for one in (x, y))
        covariance = np.cov(a, b)
        luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
        values.append(luminance * (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2))
    assert found.ssim == pytest.approx(np.mean(values))


def test_the_same_images():
    assert likeness(images(2, 1), images(2, 1)[[1, 0]]) == (0.0, float("inf"), pytest.approx(1.0))


def test_an_image_too_small_for_ssim():
    with pytest.raises(UserError, match="6x8 are too small"):
        likeness(images(1, 1, (1, 6, 8)), images(1, 2, (1, 6, 8)))
