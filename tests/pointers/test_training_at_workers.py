"""Training at a worker on its own data: data sets by key, TrainConfig, `fit`, `evaluate`."""

import pytest
import torch
from pointer_suite import count, printed
from torch import nn


@torch.jit.script
def squared(pred, target):
    return ((target - pred) ** 2).mean()


@torch.jit.script
def summed(pred, target):
    return pred.sum() - target.sum()


def data():
    torch.manual_seed(0)
    return torch.randn(6, 2), torch.randn(6, 1)


def model():
    torch.manual_seed(1)
    return nn.Linear(2, 1)


@pytest.fixture
def worker(sy, hook):
    """A worker with a new name and a data set: of two objects for one worker, only the first gets sent objects."""
    worker = sy.VirtualWorker(hook, id=f"w{sy.ID_PROVIDER.pop()}")
    worker.add_dataset(sy.BaseDataset(*data()), key="rows")
    return worker


def configured(sy, worker, **options):
    traced = torch.jit.trace(model(), torch.zeros(1, 2))
    config = sy.TrainConfig(model=traced, loss_fn=squared, shuffle=False, **options)
    assert config.send(worker) is config
    return config


def test_data_sets_by_key(sy, worker):
    assert list(worker.datasets) == ["rows"] and len(worker.datasets["rows"]) == 6
    with pytest.raises(ValueError, match="Key rows already exists"):
        worker.add_dataset(sy.BaseDataset(*data()), "rows")
    assert worker.remove_dataset("rows") is worker.remove_dataset("rows") is None and worker.datasets == {}


def test_without_a_config(sy, hook):
    worker = sy.VirtualWorker(hook, id="not told")
    for action in (worker.fit, worker.evaluate):
        with pytest.raises(ValueError, match="needs TrainConfig"):
            action("rows")


@pytest.mark.parametrize(
    ("name", "arguments", "epochs", "most", "steps"),
    [
        ("SGD", {"lr": 0.1}, 2, -1, [0, 2, 4] * 2),
        ("SGD", {"lr": 0.1, "momentum": 0.9}, 1, -1, [0, 2, 4]),
        ("Adam", {"lr": 0.05, "weight_decay": 0.01}, 1, 2, [0, 2]),
        ("SGD", {"lr": 0.1}, 3, 2, [0, 2, 0, 0]),
    ],
)
def test_fit_trains_as_plain_torch(name, arguments, epochs, most, steps, sy, worker):
    here = model()
    optimizer = getattr(torch.optim, name)(here.parameters(), **arguments)
    x, y = data()
    config = configured(
        sy, worker, batch_size=2, epochs=epochs, max_nr_batches=most, optimizer=name, optimizer_args=arguments
    )
    # A second call continues with the same optimiser.
    for _ in range(2):
        for start in steps:
            optimizer.zero_grad()
            loss = squared(here(x[start : start + 2]), y[start : start + 2])
            loss.backward()
            optimizer.step()
        assert torch.allclose(worker.fit(dataset_key="rows"), loss, rtol=1e-5)
    trained = dict(config.model_ptr.get().obj.named_parameters())
    for parameter, expected in here.named_parameters():
        assert torch.allclose(trained[parameter], expected, rtol=1e-5)
    assert torch.equal(config.model(x), model()(x)), "a copy of the model went there"


def test_what_lies_at_the_worker(sy, worker):
    config = configured(sy, worker)
    assert count(worker) == 2 and config.location is None
    assert printed(config) == "<TrainConfig id:# owner:me epochs: 1 batch_size: 32 optimizer_args: {'lr': 0.1}>"
    assert printed(config.model_ptr) == f"[CallablePointer | me:# -> {worker.id}:#]"
    config.get_model()
    with pytest.raises(sy.exceptions.ObjectNotFoundError):
        worker.fit("rows")


def test_mistakes(sy, worker):
    config = configured(sy, worker, optimizer="Nope")
    with pytest.raises(ValueError, match="Dataset columns unknown"):
        worker.fit("columns")
    with pytest.raises(ValueError, match="Unknown optimizer: Nope"):
        worker.fit("rows")
    assert config.model_ptr.location is worker


def test_evaluate(sy, worker):
    torch.manual_seed(2)
    classifier, x, classes = nn.Linear(2, 3), torch.randn(5, 2), torch.tensor([0, 1, 2, 2, 1])
    worker.add_dataset(sy.BaseDataset(x, classes), "classes")
    traced = torch.jit.trace(classifier, torch.zeros(1, 2))
    config = sy.TrainConfig(traced, summed, batch_size=2, shuffle=False)
    config.send(worker)
    found = worker.evaluate("classes", return_histograms=True, nr_bins=3)
    output = classifier(x)
    predicted = output.argmax(1)
    assert found["loss"] == pytest.approx((output.sum() - classes.sum()).item() / 5, rel=1e-5)
    assert (found["nr_correct_predictions"], found["nr_predictions"]) == (int((predicted == classes).sum()), 5)
    assert found["histogram_target"].tolist() == [1, 2, 2]
    assert found["histogram_predictions"].tolist() == torch.histc(predicted.float(), 3, 0, 3).tolist()
    assert list(worker.evaluate("classes", return_raw_accuracy=False)) == ["loss"]
