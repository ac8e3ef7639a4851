"""Local algorithms, compared with closed forms and with an explicit loop."""

from functools import partial

import pytest
import torch
from torch import nn

import fl_simu as fl
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.backends.vectorized import Vectorized
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import distance, params_of
from fl_simu.models import Mlp
from fl_simu.ue.algorithms import FedAvg, FedProx
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task

SPECS = {"torch": Torch(exact=True), "syft": Syft(), "vectorized": Vectorized()}
SHAPE = (1, 4, 4)


@pytest.fixture(params=sorted(SPECS))
def spec(request):
    if request.param == "vectorized" and not MODERN:
        pytest.skip("torch.func needs the modern stack")
    return SPECS[request.param]


def shard(samples, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(samples, *SHAPE, generator=generator)
    return Shard(images, torch.randint(0, 3, (samples,), generator=generator), torch.arange(samples))


def trained(spec, algorithm, module, data, **options):
    """The model of one UE after a round."""
    local = LocalTraining(lambda: module(), shape=SHAPE, algorithm=algorithm, fast=spec.fast, **options)
    backend = spec.build(local)
    backend.place(0, data)
    torch.manual_seed(2)
    start = params_of(module())
    backend.train([Task(Key(1, 0, 0), start, {})])
    after = backend.get(0).params
    backend.close()
    return start, after


class Weight(nn.Module):
    """One linear map without bias, whose loss below is a quadratic of curvature 3 in each weight."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 3, bias=False)

    def forward(self, x):
        return self.layer.weight.sum() * 0 + x.view(-1, 16).sum() * 0 + self.layer.weight.view(1, -1)


def quadratic(output, labels):
    return 1.5 * ((output - 1) ** 2).sum()


@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_on_a_quadratic_fedprox_goes_where_it_must(mu):
    """Curvature 3, optimum 1: w - w* contracts by 1 - lr (3 + mu) per step, with w* = (3 + mu w0) / (3 + mu)."""
    lr, steps = 0.1, 5
    options = {"loss": quadratic, "optimizer": Sgd(lr=lr), "batch_size": 1}
    start, after = trained(SPECS["torch"], FedProx(mu), Weight, shard(steps), **options)
    w0, w = start["layer.weight"].double(), after["layer.weight"].double()
    optimum = (3 + mu * w0) / (3 + mu)
    assert torch.allclose(w - optimum, (1 - lr * (3 + mu)) ** steps * (w0 - optimum), atol=1e-6)


def test_fedprox_is_the_plain_loop_with_a_proximal_term_in_the_loss(spec):
    data, make = shard(20), partial(Mlp((6,)).build, SHAPE, 3)
    options = {"loss": nn.functional.cross_entropy, "optimizer": Sgd(lr=0.1, momentum=0.5), "batch_size": 8}
    start, after = trained(spec, FedProx(0.7), make, data, epochs=2, **options)
    local = LocalTraining(make, nn.functional.cross_entropy, Sgd(lr=0.1), epochs=2, batch_size=8)
    module = make()
    module.load_state_dict(start)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.5)
    for images, labels in local.batches(Key(1, 0, 0), data):
        optimizer.zero_grad()
        near = sum(((one - start[name]) ** 2).sum() for name, one in module.named_parameters())
        (nn.functional.cross_entropy(module(images), labels) + 0.35 * near).backward()
        optimizer.step()
    expected = params_of(module)
    zero = {name: torch.zeros_like(one) for name, one in expected.items()}
    assert distance(after, expected) <= 1e-5 * distance(expected, zero)
    _, plain = trained(spec, FedAvg(), make, data, epochs=2, **options)
    assert distance(after, plain) > 1e-2 * distance(expected, zero)


def test_a_run_with_mu_0_is_fedavg_bit_for_bit():
    values = {
        **{"rounds": 2, "ues": 3, "backend": "torch", "model": "mlp", "training": {"batch_size": 8}},
        "data": {"name": "digits", "train_samples": 90, "test_samples": 20},
    }
    hashes = {
        str(algorithm): fl.run(fl.Experiment.parse(dict(values, algorithm=algorithm))).summary.model_sha256
        for algorithm in ("fedavg", {"name": "fedprox", "mu": 0.0}, {"name": "fedprox", "mu": 0.5})
    }
    first, zero, other = hashes.values()
    assert first == zero != other
