"""Bugs of 0.2.4: its behaviour, which `strict()` shares, and the behaviour of fl_simu.pointers."""

import io
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from pointer_suite import count, printed
from torch import nn

import fl_simu.pointers
from fl_simu.kernel.installation import syft_installed

ours_only = pytest.mark.skipif(syft_installed(), reason="fl_simu.pointers runs on torch 2.5 or newer")


@pytest.fixture
def as_in_0_2_4():
    fl_simu.pointers.strict()
    yield
    fl_simu.pointers.strict(False)


def tensor():
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def batch_norm(bob):
    """Output and running mean of a batch norm at a worker."""
    layer = nn.BatchNorm1d(2).send(bob)
    output = layer(tensor().send(bob)).get()
    layer.get()
    return output.tolist(), layer.running_mean.tolist()


@pytest.mark.usefixtures("as_in_0_2_4")
class TestAsIn024:
    def test_batch_norm_is_skipped(self, bob):
        assert batch_norm(bob) == (tensor().tolist(), [0, 0])

    def test_size(self, bob):
        assert tensor().send(bob).size() == torch.Size([0])
        assert tensor().send(bob).size(0) == 0

    def test_masks(self, bob):
        pointer = tensor().send(bob)
        with pytest.raises(IndexError):
            pointer[pointer > 2]

    @pytest.mark.parametrize("layer", [nn.LSTM(2, 3), nn.GRU(2, 3)], ids=["LSTM", "GRU"])
    def test_recurrent_layers(self, layer, bob):
        layer.send(bob)
        with pytest.raises(IndexError):
            layer(torch.ones(4, 1, 2).send(bob))
        layer.get()

    @pytest.mark.parametrize("layer", [nn.RNNCell(2, 3), nn.LSTMCell(2, 3), nn.GRUCell(2, 3)], ids=repr)
    def test_recurrent_cells(self, layer, bob):
        layer.send(bob)
        with pytest.raises((IndexError, RuntimeError, TypeError)):
            layer(torch.ones(4, 2).send(bob))
        layer.get()

    def test_adagrad_built_before(self, bob):
        model = nn.Linear(2, 1)
        optimizer = torch.optim.Adagrad(model.parameters())
        model.send(bob)
        model(tensor().send(bob)).sum().backward()
        with pytest.raises(RuntimeError):
            optimizer.step()

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("Adam", {}),
            ("Adam", {"amsgrad": True}),
            ("AdamW", {}),
            ("SGD", {"momentum": 0.9}),
            ("RMSprop", {}),
            ("Adadelta", {}),
        ],
    )
    def test_an_optimizer_shared_by_two_workers(self, name, options, bob, alice):
        model = nn.Linear(2, 1)
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.1, **options)
        with pytest.raises(TypeError):
            for worker in (bob, alice):
                model.send(worker)
                model(tensor().send(worker)).sum().backward()
                optimizer.step()
                model.get()
        assert model.location is alice

    @pytest.mark.parametrize(("name", "options"), [("Adam", {}), ("SGD", {"momentum": 0.9})])
    def test_an_optimizer_that_began_here(self, name, options, bob):
        model = nn.Linear(2, 1)
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.1, **options)
        model(tensor()).sum().backward()
        optimizer.step()
        model.send(bob)
        with pytest.raises(RuntimeError):
            optimizer.step()

    def test_what_an_optimizer_remembers_is_saved_without_values(self, bob):
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        model.send(bob)
        model(tensor().send(bob)).sum().backward()
        optimizer.step()
        model.get()
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        assert [value["momentum_buffer"].numel() for value in torch.load(file)["state"].values()] == [0, 0]

    def test_set_does_nothing_there(self, bob):
        pointer = tensor().send(bob)
        pointer.set_(torch.zeros(2).send(bob))
        assert bob[pointer.id_at_location].tolist() == [[1, 2], [3, 4]]

    def test_clone_of_a_gradient_is_its_tensor(self, bob):
        pointer = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
        (pointer * pointer).sum().backward()
        assert pointer.grad.clone().get().tolist() == [1, 2]


@ours_only
class TestInstead:
    def test_batch_norm(self, bob):
        here = nn.BatchNorm1d(2)
        expected = here(tensor())
        output, mean = batch_norm(bob)
        assert output == expected.tolist() and mean == here.running_mean.tolist()

    @pytest.mark.parametrize("momentum", [0.1, None])
    def test_a_model_with_batch_norm_trains(self, momentum, bob):
        results = []
        for place in (None, bob):
            torch.manual_seed(0)
            model = nn.Sequential(
                nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, momentum=momentum), nn.ReLU(), nn.Flatten()
            )
            images = torch.randn(4, 1, 5, 5)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            if place is not None:
                model, images = model.send(place), images.send(place)
            for _ in range(3):
                optimizer.zero_grad()
                model(images).pow(2).mean().backward()
                optimizer.step()
            results.append(model.state_dict() if place is None else model.get().state_dict())
        assert results[0].keys() == results[1].keys()
        for name, value in results[0].items():
            assert torch.allclose(results[1][name], value, rtol=1e-5) and results[1][name].dtype == value.dtype

    def test_size(self, bob):
        pointer = tensor().send(bob)
        assert pointer.size() == torch.Size([2, 2]) and pointer.size(1) == 2
        assert pointer.view(pointer.size(0), -1).get().tolist() == [[1, 2], [3, 4]]

    def test_masks(self, bob):
        pointer = tensor().send(bob)
        assert pointer[pointer > 2].get().tolist() == [3, 4]

    @pytest.mark.parametrize(
        "layer",
        [
            nn.LSTM(2, 3), nn.GRU(2, 3), nn.RNN(2, 3), nn.LSTM(2, 3, num_layers=2),
            nn.GRU(2, 3, bidirectional=True),
            nn.LSTMCell(2, 3), nn.GRUCell(2, 3), nn.RNNCell(2, 3), nn.LSTM(2, 3, batch_first=True),
        ],
        ids=repr,
    )  # fmt: skip
    def test_recurrent_layers(self, layer, bob):
        x = torch.ones(4, 2) if "Cell" in repr(layer) else torch.rand(4, 1, 2)

        def loss_of(x):
            output = layer(x)
            while isinstance(output, tuple):
                output = output[0]
            return output.pow(2).sum()

        loss = loss_of(x)
        loss.backward()
        gradients = [parameter.grad.clone() for parameter in layer.parameters()]
        layer.zero_grad()
        layer.send(bob)
        there = loss_of(x.send(bob))
        there.backward()
        layer.get()
        assert torch.allclose(there.get(), loss)
        assert all(torch.allclose(one.grad, other) for one, other in zip(layer.parameters(), gradients))

    @pytest.mark.parametrize("resident", [True, False])
    def test_adagrad(self, resident, bob, alice):
        results = []
        for there in (False, True):
            torch.manual_seed(0)
            model = nn.Linear(2, 1)
            optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)
            for step in range(4):
                worker = alice if step % 2 and not resident else bob
                if there and (step == 0 or not resident):
                    model.send(worker)
                x = tensor().send(worker) if there else tensor()
                optimizer.zero_grad()
                model(x).pow(2).sum().backward()
                optimizer.step()
                if there and (step == 3 or not resident):
                    model.get()
            results.append(model.weight)
        assert torch.allclose(*results)

    def test_set_and_the_average_of_remote_models(self, sy, bob):
        models = {name: nn.Linear(2, 1).send(bob) for name in "ab"}
        with torch.no_grad():
            models["a"].weight.fill_(1)
            models["b"].weight.fill_(2)
        assert sy.utils.federated_avg(models).get().weight.tolist() == [[1.5, 1.5]]

    def test_clone_of_a_gradient(self, bob):
        pointer = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
        (pointer * pointer).sum().backward()
        assert pointer.grad.clone().get().tolist() == [2, 4] and count(bob) == 1

    def test_a_gradient_is_where_its_tensor_is(self, bob, alice):
        """0.2.4's pointer knows of none after `move`, though it moved along."""
        pointer = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
        (pointer * 2).sum().backward()
        assert pointer.grad.location is bob
        pointer.move(alice)
        (pointer * 3).sum().backward()
        assert pointer.grad.location is alice and pointer.grad.copy().get().tolist() == [5, 5]
        pointer.grad.zero_()
        assert pointer.get().grad.tolist() == [0, 0] and (count(bob), count(alice)) == (0, 0)

    def test_a_tensor_moves_to_where_it_is(self, bob):
        pointer = torch.tensor([1.0, 2.0]).send(bob)
        assert pointer.move(bob) is pointer and pointer.get().tolist() == [1, 2] and count(bob) == 0

    @pytest.mark.parametrize(
        "call", ["F.mse_loss(x, target=y)", "F.mse_loss(input=x, target=y)", "nn.L1Loss()(x, y)"]
    )
    def test_pointers_by_keyword(self, call, bob):
        names = {"F": F, "nn": nn}
        found = eval(call, dict(names, x=tensor().send(bob), y=(tensor() * 2).send(bob)))
        assert found.get() == eval(call, dict(names, x=tensor(), y=tensor() * 2))

    @pytest.mark.parametrize(
        "case",
        [
            "x != y", "torch.norm(x)", "x.max(1)", "x.min(0)", "x.sort(1)", "~(x > 1)", "x.half()", "x.T",
            "x.int()",
            "torch.einsum('ij,kj->ik', x, y)", "F.max_pool2d(x[None, None], 2)",
            "nn.MaxPool2d(2)(x[None, None])",
            "nn.Flatten()(x[None])", "nn.AdaptiveAvgPool2d(1)(x[None])", "x[[1, 0]]", "x[:, None]", "x[..., 0]",
        ],
    )  # fmt: skip
    def test_operations_that_fail_in_0_2_4(self, case, bob):
        names = {"torch": torch, "F": F, "nn": nn}
        expected = eval(case, dict(names, x=tensor(), y=tensor() * 2))
        found = eval(case, dict(names, x=tensor().send(bob), y=(tensor() * 2).send(bob)))
        pairs = zip(found, expected) if isinstance(expected, tuple) else [(found, expected)]
        for pointer, value in pairs:
            assert printed(pointer) == "(Wrapper)>[PointerTensor | me:# -> bob:#]"
            assert torch.equal(pointer.get(), value)

    def test_arguments_of_an_earlier_call_are_forgotten(self, bob):
        x, weight, bias = tensor().send(bob), tensor().send(bob), torch.ones(2).send(bob)
        plain = F.linear(x, weight).get()
        assert torch.equal(F.linear(x, weight, bias).get(), plain + 1)

    def test_properties(self, bob):
        pointer = torch.tensor([1, 2]).send(bob)
        assert pointer.dtype == torch.int64 and not pointer.requires_grad and pointer.grad is None
        assert [one.get().item() for one in pointer] == [1, 2] and int(pointer[0]) == 1

    def test_amsgrad_keeps_its_maximum(self, bob):
        results = []
        for there in (False, True):
            torch.manual_seed(0)
            model = nn.Linear(2, 1)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.1, amsgrad=True)
            x = tensor()
            if there:
                model.send(bob)
                x = x.send(bob)
            for factor in (1, 10, 0.1, 0.1):
                optimizer.zero_grad()
                (model(x).pow(2).sum() * factor).backward()
                optimizer.step()
            results.append((model.get() if there else model).weight)
        assert torch.allclose(*results)

    @pytest.mark.parametrize("name", ["Adamax", "NAdam", "RAdam", "ASGD", "Rprop", "Adagrad", "Adadelta"])
    def test_other_optimizers(self, name, bob):
        results = []
        for there in (False, True):
            torch.manual_seed(0)
            model = nn.Linear(2, 1)
            optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.01)
            x = tensor()
            if there:
                model.send(bob)
                x = x.send(bob)
            for _ in range(4):
                optimizer.zero_grad()
                model(x).pow(2).sum().backward()
                optimizer.step()
            results.append((model.get() if there else model).weight)
        assert torch.allclose(*results)

    def test_a_model_sent_on_while_it_is_away(self, bob, alice):
        model = nn.Linear(2, 1)
        before = model.weight.tolist()
        model.send(bob).send(alice)
        assert model.location is alice
        assert model.get().location is bob
        assert model.get().weight.tolist() == before

    @pytest.mark.parametrize("name", ["SGD", "Adam"])
    def test_an_optimizers_memory_is_saved_with_its_values(self, name, bob):
        results = []
        for there in (False, True):
            torch.manual_seed(0)
            model = nn.Linear(2, 1)
            options = {"momentum": 0.9} if name == "SGD" else {}
            optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.1, **options)
            x = tensor()
            if there:
                model.send(bob)
                x = x.send(bob)
            for _ in range(2):
                optimizer.zero_grad()
                model(x).sum().backward()
                optimizer.step()
            if there:
                model.get()
            file = io.BytesIO()
            torch.save(optimizer.state_dict(), file)
            file.seek(0)
            results.append(torch.load(file)["state"])
        for index, remembered in results[0].items():
            for key, value in remembered.items():
                assert torch.allclose(results[1][index][key], value)

    @pytest.mark.parametrize(
        "model", [nn.Linear(2, 1), nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 3), nn.ReLU())]
    )
    def test_torchscript_beside_a_hook(self, model):
        model.eval()
        assert torch.equal(torch.jit.script(model)(tensor()), model(tensor()))

    def test_buffers_that_are_no_batch_norms_need_no_word(self, bob, capsys):
        weight = torch.tensor([1.0, 3.0])
        criterion = nn.CrossEntropyLoss(weight=weight).send(bob)
        labels = torch.tensor([0, 1])
        expected = F.cross_entropy(tensor(), labels, torch.tensor([1.0, 3.0]))
        assert criterion(tensor().send(bob), labels.send(bob)).get() == expected
        assert "batch norm" not in capsys.readouterr().err

    def test_nothing_remote_is_saved_by_mistake(self, bob, tmp_path):
        with pytest.raises(TypeError, match=r"call \.get\(\) first"):
            torch.save(nn.Linear(2, 1).send(bob).state_dict(), str(tmp_path / "model.pt"))


@ours_only
def test_each_difference_is_told_once():
    code = """
import torch, fl_simu.pointers as sy
hook = sy.TorchHook(torch)
bob = sy.VirtualWorker(hook, id="bob")
for _ in range(2):
    torch.ones(2).send(bob).size()
    torch.nn.BatchNorm1d(2).send(bob)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines() == [
        "fl_simu.pointers: ptr.size() is the size at the worker; 0.2.4 gives torch.Size([0])",
        "fl_simu.pointers: batch norm works at the worker, and buffers travel with the model; 0.2.4 skips both",
    ]


@ours_only
@pytest.mark.parametrize(
    "use",
    [
        "sy.Plan()", "sy.func2plan()", "sy.Protocol()",
        "sy.PublicGridNetwork(bob)",
        "sy.create_sandbox(globals())", "sy.CRTPrecisionTensor()", "sy.keygen()",
        "sy.frameworks.torch.linalg.EncryptedLinearRegression()",
        "sy.grid.authentication.credential.Credential()",
        "torch.ones(2).encrypt(1)", "torch.ones(2).send(bob).private_tensor()",
        "torch.optim.SGD([torch.ones(1)], 0.1).fix_precision()", "sy.serde.serialize(1)", "sy.Plan.build",
    ],
)  # fmt: skip
def test_what_is_not_covered_says_so_when_used(use, sy, bob):
    with pytest.raises(NotImplementedError, match=r"is not covered by fl_simu\.pointers"):
        eval(use, {"sy": sy, "bob": bob, "torch": torch, "nn": nn})


@ours_only
@pytest.mark.parametrize(
    ("use", "about"),
    [
        ("sy.LoggingTensor()", "tensors that print each operation"),
        ("sy.generic.pointers.callable_pointer.create_callable_pointer()", "pointers to functions at a worker"),
        ("sy.generic.string.String('a')", "strings at a worker"),
        ("sy.KerasHook()", "Keras models"),
        ("sy.serde.serialize(1)", "messages between workers"),
        ("sy.frameworks.torch.dp.pate.perform_analysis()", "PATE"),
        ("sy.keygen()", "encryption beyond the sums of shared secrets"),
    ],
)
def test_what_is_not_covered_says_what_it_is_about(use, about, sy):
    with pytest.raises(NotImplementedError, match=rf"is not covered by fl_simu\.pointers: {about}"):
        eval(use, {"sy": sy})


def added(x):
    return torch.relu(torch.add(x, torch.tensor([1.0])))


@ours_only
def test_torchscript_finds_functions_of_torch_after_a_hook(hook):
    assert torch.native_add and torch.native_tensor
    assert torch.jit.script(added)(torch.ones(1)).tolist() == [2]


@ours_only
def test_names_that_nobody_has(sy):
    with pytest.raises(AttributeError):
        _ = sy.no_such_name
    with pytest.raises(AttributeError):
        _ = sy.version.no_such_name


@pytest.mark.skipif(not syft_installed(), reason="real syft stands in for it")
def test_the_old_torch_is_refused():
    code = "import torch, fl_simu.pointers as sy; sy.TorchHook(torch)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs torch 2.5 or newer" in done.stderr
