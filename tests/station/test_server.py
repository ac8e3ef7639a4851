"""Server optimisers, compared with torch's own optimisers on the same gradient."""

import pytest
import torch

import fl_simu as fl
from fl_simu.station.server import FedAvgM, Replace

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
