"""Server optimisers, compared with torch's own optimisers on the same gradient."""

import pytest
import torch

import fl_simu as fl
from fl_simu.kernel.installation import MODERN
from fl_simu.station.server import FedAdagrad, FedAdam, FedAvgM, FedYogi, Replace

SMALL = {
    "rounds": 4,
    "ues": 4,
    "backend": "torch",
    "data": {"name": "digits", "train_samples": 160, "test_samples": 40},
    "model": "logistic_regression",
}


def models(count):
    generator = torch.Generator().manual_seed(2)
    return [
        {
            "w": torch.randn(3, 4, generator=generator),
            "b": torch.randn(4, generator=generator),
            "n": torch.tensor(i),
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("lr, momentum", [(1.0, 0.9), (0.3, 0.5), (0.7, 0.0)])
def test_fedavgm_is_torch_s_sgd_on_the_turned_mean_update(lr, momentum):
    server = FedAvgM(lr, momentum)
    current, *combined = models(5)
    parameters = {name: current[name].clone().requires_grad_() for name in ("w", "b")}
    sgd = torch.optim.SGD(parameters.values(), lr=lr, momentum=momentum)
    state = server.start(current)
    for version, target in enumerate(combined):
        for name, parameter in parameters.items():
            parameter.grad = parameter.detach() - target[name]
        sgd.step()
        state, current = server.step(state, current, target, version)
        assert all(torch.equal(current[name], parameters[name].detach()) for name in parameters)
        assert torch.equal(current["n"], target["n"])


def stepped(server, optimizer, warm=()):
    """The server's models and torch's, over four rounds of the same updates."""
    current, *combined = models(5)
    parameters = {name: current[name].clone().requires_grad_() for name in ("w", "b")}
    torchs = optimizer(list(parameters.values()))
    for parameter in warm and parameters.values():
        torchs.state[parameter].update({name: make(parameter) for name, make in warm})
    state = server.start(current)
    for version, target in enumerate(combined):
        for name, parameter in parameters.items():
            parameter.grad = parameter.detach() - target[name]
        torchs.step()
        state, current = server.step(state, current, target, version)
        assert torch.equal(current["n"], target["n"])
        for name, parameter in parameters.items():
            assert torch.allclose(current[name], parameter.detach(), rtol=1e-5, atol=1e-6)


def test_fedadagrad_is_torch_s_adagrad():
    """With eps = tau and an accumulator that starts at tau^2."""
    stepped(
        FedAdagrad(lr=0.3, tau=0.1),
        lambda parameters: torch.optim.Adagrad(parameters, lr=0.3, initial_accumulator_value=0.01, eps=0.1),
    )


def test_fedadam_is_torch_s_adam_where_its_bias_correction_is_over():
    """After ten million steps of torch from the moments 0 and tau^2."""
    late = torch.tensor(1e7) if MODERN else 10**7
    warm = (
        ("step", lambda one: late.clone() if MODERN else late),
        ("exp_avg", lambda one: torch.zeros_like(one)),
        ("exp_avg_sq", lambda one: torch.full_like(one, 0.04)),
    )
    stepped(
        FedAdam(lr=0.2, beta_1=0.8, beta_2=0.95, tau=0.2),
        lambda parameters: torch.optim.Adam(parameters, lr=0.2, betas=(0.8, 0.95), eps=0.2),
        warm,
    )


def test_fedyogi_by_hand():
    """beta_2 = 0.75, updates 2 and 1: v = 0.25 grows by a quarter of 4 to 1.25, then falls by a quarter of 1."""
    server, current = FedYogi(lr=1.0, beta_1=0.0, beta_2=0.75, tau=0.5), {"w": torch.tensor([1.0])}
    state, first = server.step(server.start(current), current, {"w": torch.tensor([3.0])}, 0)
    assert first["w"].item() == pytest.approx(1 + 2 / (1.25**0.5 + 0.5))
    state, second = server.step(state, first, {"w": first["w"] + 1}, 1)
    assert state["v/w"].item() == pytest.approx(1.0)
    assert second["w"].item() == pytest.approx(first["w"].item() + 1 / 1.5)


def test_rate_1_without_momentum_replaces_the_model_exactly():
    current, combined = models(2)
    for server in (Replace(), FedAvgM(1.0, 0.0)):
        _, after = server.step(server.start(current), current, combined, 0)
        assert all(torch.equal(after[name], combined[name]) for name in combined)


class StopAtTwo(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 2:
            coordinator.stop()


@pytest.mark.parametrize("rule", ["mean", "median"])
def test_a_run_with_momentum_resumes_to_the_same_model(rule, tmp_path):
    experiment = fl.Experiment.parse(dict(SMALL, aggregation=rule, server="fedavgm"))
    fl.run(experiment, tmp_path / "run", observers=[StopAtTwo()])
    whole = fl.run(experiment).summary.model_sha256
    assert fl.resume(tmp_path / "run").summary.model_sha256 == whole
    assert whole != fl.run(experiment.with_(server="replace")).summary.model_sha256
