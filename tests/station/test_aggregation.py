import numpy as np
import pytest
import torch
from torch import nn

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import params_of
from fl_simu.station.aggregation.fednova import FedNova
from fl_simu.station.aggregation.means import Mean, PlainMean, RunningPairwise, SumOverDrawn
from fl_simu.station.aggregation.mixing import Mixing

CURRENT = {"w": torch.tensor([100.0, 200.0])}
SAMPLES = (10, 20, 70)


def updates(params, samples=SAMPLES, weights=(1.0, 1.0, 1.0)):
    return [Update(ue, 0, samples[ue], one, weights[ue]) for ue, one in enumerate(params)]


def random_params(seed):
    generator = np.random.RandomState(seed)
    return [{"w": torch.from_numpy(generator.randn(4, 3).astype(np.float32))} for _ in range(3)]


def test_mean_is_the_average_weighted_by_samples():
    params = random_params(0)
    stacked = np.stack([one["w"].numpy() for one in params]).astype(np.float64)
    result = Mean().combine(params[0], iter(updates(params)), 3)["w"]
    assert result.numpy() == pytest.approx(np.average(stacked, axis=0, weights=SAMPLES), abs=1e-7)
    staleness = updates(params, weights=(1.0, 0.5, 0.1))
    result = Mean().combine(params[0], iter(staleness), 3)["w"]
    assert result.numpy() == pytest.approx(np.average(stacked, axis=0, weights=(10, 10, 7)), abs=1e-7)


def test_plain_mean_is_what_syft_calls_federated_averaging():
    utils = pytest.importorskip("syft.frameworks.torch.fl.utils", reason="needs syft 0.2.4 (legacy stack)")
    models = [nn.Linear(3, 2) for _ in range(3)]
    params = [params_of(model) for model in models]
    # It adds the others to the first model in place.
    wanted = params_of(utils.federated_avg(dict(enumerate(models))))
    result = PlainMean().combine(wanted, iter(updates(params)), 3)
    for name in wanted:
        assert result[name].tolist() == [pytest.approx(row, abs=1e-6) for row in wanted[name].tolist()]


def test_running_pairwise_gives_the_last_model_half():
    # Unit vectors show each model's weight: 1/8 for the global model, then 1/8, 1/4, 1/2.
    rows = torch.eye(4)
    params = [{"w": row} for row in rows[1:]]
    result = RunningPairwise().combine({"w": rows[0]}, iter(updates(params)), 3)["w"]
    assert result.tolist() == [0.125, 0.125, 0.25, 0.5]


def test_sum_over_drawn_shrinks_with_every_rejected_ue():
    params = [{"w": torch.tensor([8.0])}] * 3
    rule = SumOverDrawn()
    assert rule.combine({"w": torch.tensor([5.0])}, iter(updates(params)), 4)["w"].tolist() == [6.0]
    assert rule.combine({"w": torch.tensor([5.0])}, iter([]), 4)["w"].tolist() == [0.0]


@pytest.mark.parametrize("rule", [Mean(), PlainMean(), RunningPairwise()])
def test_without_updates_the_model_stays(rule):
    assert rule.combine(CURRENT, iter([]), 3)["w"].tolist() == [100.0, 200.0]


def test_integer_buffers_are_rounded_to_the_nearest():
    params = [{"n": torch.tensor(count)} for count in (1, 2, 2)]
    result = PlainMean().combine({"n": torch.tensor(0)}, iter(updates(params)), 3)["n"]
    assert result.dtype == torch.int64
    assert int(result) == 2


def test_fednova_is_the_papers_sum_and_the_mean_where_all_make_equally_many_steps():
    """tau_eff sum p d / tau with p = 0.1, 0.2, 0.7 and tau = 1, 4, 10; integers are those of `mean`."""
    params = [{**one, "n": torch.tensor(count)} for one, count in zip(random_params(0), (1, 2, 2))]
    current = {"w": torch.ones(4, 3), "n": torch.tensor(0)}
    steps = [Update(ue, 0, SAMPLES[ue], one, 1.0, tau) for ue, (one, tau) in enumerate(zip(params, (1, 4, 10)))]
    result = FedNova().combine(current, iter(steps), 3)
    moves = [(one["w"].double() - 1).numpy() for one in params]
    normalised = 0.1 * moves[0] + 0.2 * moves[1] / 4 + 0.7 * moves[2] / 10
    assert result["w"].numpy() == pytest.approx(1 + (0.1 * 1 + 0.2 * 4 + 0.7 * 10) * normalised, abs=1e-6)
    assert int(result["n"]) == 2
    equal = [Update(ue, 0, SAMPLES[ue], one, 1.0, 7) for ue, one in enumerate(params)]
    plain = Mean().combine(current, iter(equal), 3)
    assert all(torch.equal(one, plain[name]) for name, one in FedNova().combine(current, iter(equal), 3).items())


def test_mixing_is_the_recursion_of_fedasync_and_favours_none_of_several():
    """w = 0.4 w + 0.6 x, then with half the weight 0.7 w + 0.3 x; at once 0.28 w and twice as much of x0 as x1."""
    current = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(4)}
    updates = [
        Update(0, 0, 5, {"w": torch.tensor([3.0, 0.0]), "n": torch.tensor(9)}),
        Update(1, 0, 50, {"w": torch.tensor([-1.0, 1.0]), "n": torch.tensor(0)}, 0.5),
    ]
    mixed = current
    for update in updates:
        mixed = Mixing(0.6).combine(mixed, iter([update]), 1)
    first = [0.4 * 1 + 0.6 * 3, 0.4 * 2]
    assert mixed["w"].tolist() == pytest.approx([0.7 * first[0] - 0.3, 0.7 * first[1] + 0.3])
    assert mixed["n"] == round(0.7 * round(0.4 * 4 + 0.6 * 9))
    together = Mixing(0.6).combine(current, iter(updates), 2)
    assert together["w"].tolist() == pytest.approx([0.28 + 0.48 * 3 - 0.24, 0.56 + 0.24])
    assert Mixing(1.0).combine(current, iter(updates[:1]), 2)["w"].tolist() == [3.0, 0.0]
    assert Mixing().combine(current, iter(()), 2) is current
