"""Averages of two models: when and why they are bad. On digits, in plain torch."""

import pytest
import torch

from fl_simu.data.datasets import Digits
from fl_simu.experiment import Experiment
from fl_simu.kernel.parameters import sha256
from fl_simu.loop.assemble import assemble
from fl_simu.loop.plan import load_data, plan
from fl_simu.studies import script
from fl_simu.ue.optimizers import Sgd

# Several tests share these results.
pytestmark = pytest.mark.xdist_group("mnist_parallel")

experiment = script.load("mnist_parallel")

ROUNDS = 4
LARGE = Sgd(lr=0.05, momentum=0.9)

# The last arm, run by fl_simu from a config.
FEDAVG = """
name = "fedavg"
seed = 1
rounds = 2
ues = 2
backend = { name = "torch", exact = true }
data = { name = "digits", train_samples = 100, test_samples = 50 }
model = { name = "mnist_cnn" }
optimizer = { name = "sgd", lr = 0.05, momentum = 0.9 }
codec = { name = "float32" }
protocol = { name = "wait_for_all" }
aggregation = { name = "mean" }
payload = "weights"

[training]
batch_size = 16
"""


@pytest.fixture(scope="module")
def findings():
    torch.set_num_threads(1)
    return experiment.find(experiment.Site(Digits(640, 200).load(), LARGE, 16), ROUNDS, lambda line: None)


@pytest.mark.experiments
def test_the_average_of_two_starts_is_far_below_the_better_and_that_of_fedavg_is_not(findings):
    lost = {}
    for name in (experiment.PUZZLE, experiment.FEDAVG):
        rounds = findings.outcomes[name].rounds[-2:]
        lost[name] = sum(max(one.alice, one.bob) - one.average for one in rounds) / len(rounds)
    assert lost[experiment.PUZZLE] > 0.15
    assert lost[experiment.FEDAVG] < 0.05


@pytest.mark.experiments
def test_halfway_between_two_orders_of_the_same_units_it_is_as_bad(findings):
    line = findings.between[experiment.REORDERED]
    assert line[0] == line[-1] and line[len(line) // 2] < line[0] - 0.15
    alice = findings.outcomes[experiment.PUZZLE].alice
    other = experiment.reordered(alice, 7)
    module, images = experiment.MODEL.build((1, 28, 28), 10), torch.randn(8, 1, 28, 28)
    outputs = []
    for params in (alice, other):
        module.load_state_dict(params)
        outputs.append(module.eval()(images).detach())
    assert all(not torch.equal(alice[name], other[name]) for name in alice if name != "fc.2.bias")
    assert torch.allclose(*outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.experiments
def test_arms_share_what_they_have_in_common(findings):
    """Where the average is kept, Alice is independent of Bob, and all returned models are equal."""
    arms = findings.outcomes
    assert sha256(arms[experiment.PUZZLE].alice) == sha256(arms[experiment.ONE_START].alice)
    assert arms[experiment.SENT_BACK].rounds[0] == arms[experiment.PUZZLE].rounds[0]
    assert arms[experiment.FEDAVG].rounds[0] == arms[experiment.ONE_START].rounds[0]


def test_fedavg_is_what_a_config_gives_bit_for_bit(tmp_path):
    path = tmp_path / "fedavg.toml"
    path.write_text(FEDAVG)
    planned = plan(Experiment.read(path))
    coordinator = assemble(planned, load_data(planned))
    coordinator.run()
    site = experiment.Site(Digits(100, 50).load(), LARGE, 16)
    ours = experiment.play(experiment.ARMS[experiment.FEDAVG], site, 2)
    assert sha256(ours.average) == sha256(coordinator.model)
