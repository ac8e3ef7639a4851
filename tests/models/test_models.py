import numpy as np
import pytest
import torch
from torch import nn

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.models import MODELS, DlgLeNet, LeNet, Mlp, MnistCnn


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_notes_cnn_has_the_notes_number_of_parameters():
    assert count(MnistCnn().build((1, 28, 28), 10)) == 1_199_882


def test_the_cnn_of_pfl_research_has_its_layers():
    module = MODELS["pfl_cnn"]().build((3, 32, 32), 10)
    assert count(module) == 1_626_442
    layers = [layer for layer in module if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Dropout))]
    assert [layer.p if isinstance(layer, nn.Dropout) else tuple(layer.weight.shape) for layer in layers] == [
        *((32, 3, 3, 3), (64, 32, 3, 3), 0.25),
        *((128, 64 * 14 * 14), 0.5, (10, 128)),
    ]


def test_lenet_has_the_widths_of_the_notes():
    widths = [
        (layer.weight.shape[1], layer.weight.shape[0])
        for layer in LeNet().build((3, 32, 32), 10).modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    assert widths == [(3, 6), (6, 16), (400, 120), (120, 84), (84, 100)]


# Weights and biases by layer; a convolution without padding and with stride s turns n into (n - k) // s + 1.
LENS = {
    "a": (64 * 25 + 64) + (64 * 64 * 25 + 64) + (64 * 20 * 20 * 128 + 128) + (128 * 10 + 10),
    "b": (64 * 64 + 64) + (128 * 64 * 36 + 128) + (128 * 128 * 25 + 128) + (128 * 10 + 10),
    "c": (128 * 9 + 128) + (64 * 128 * 9 + 64) + (64 * 24 * 24 * 128 + 128) + (128 * 10 + 10),
    "d": (784 * 300 + 300) + 3 * (300 * 300 + 300) + (300 * 10 + 10),
    "e": (784 * 100 + 100) + (100 * 100 + 100) + (100 * 10 + 10),
    "f": (32 * 25 + 32) + (64 * 32 * 25 + 64) + (64 * 4 * 4 * 512 + 512) + (512 * 10 + 10),
    "g": (32 * 25 + 32)
    + (32 * 32 * 25 + 32)
    + (64 * 32 * 9 + 64)
    + (64 * 64 * 9 + 64)
    + (64 * 7 * 7 * 512 + 512)
    + 2 * 512
    + (512 * 10 + 10),
}


@pytest.mark.parametrize("letter", LENS)
def test_the_poisoning_papers_models_have_its_layers(letter):
    model = MODELS["lens_" + letter]
    module = model().build((1, 28, 28), 10)
    assert count(module) == LENS[letter]
    assert f"{LENS[letter]:,} parameters" in model.__doc__.splitlines()[0]
    dropouts = [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]
    wanted = {"a": [0.25, 0.5], "b": [0.2, 0.5], "c": [0.25, 0.5], "d": [0.5] * 4, "g": [0.25, 0.25, 0.5]}
    assert dropouts == wanted.get(letter, [])


def test_leafs_cnn_has_its_layers():
    module = MODELS["leaf_cnn"]().build((1, 28, 28), 62)
    parameters = (32 * 25 + 32) + (64 * 32 * 25 + 64) + (7 * 7 * 64 * 2048 + 2048) + (2048 * 62 + 62)
    assert count(module) == parameters == 6_603_710
    assert f"{parameters:,} parameters" in MODELS["leaf_cnn"].__doc__.splitlines()[0]


def test_leafs_lstm_has_its_layers():
    """Each of a layer's four gates weighs its input and its last output, and has one bias more than LEAF's."""
    leaf = 80 * 8 + 4 * 256 * (8 + 256 + 1) + 4 * 256 * (256 + 256 + 1) + (256 * 80 + 80)
    module = MODELS["leaf_lstm"]().build((1, 1, 80), 80)
    assert count(module) == leaf + 2 * 4 * 256 == 819_920
    assert "819,920 parameters" in MODELS["leaf_lstm"].__doc__.splitlines()[0]


def test_leafs_lstm_step_by_step():
    """Hochreiter and Schmidhuber's cell with a forget gate, in float64; torch's order of gates is i, f, g, o."""
    torch.manual_seed(3)
    module, draws = MODELS["leaf_lstm"]().build((1, 1, 80), 80), np.random.RandomState(1)
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in module.state_dict().items()}
    places = draws.randint(80, size=(3, 80))
    steps = weights["embedding.weight"][places]
    for layer in range(2):
        into, kept, *biases = (
            weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h, c, outputs = np.zeros((3, 256)), np.zeros((3, 256)), []
        for step in range(80):
            gates = steps[:, step] @ into.T + h @ kept.T + sum(biases)
            i, f, g, o = np.split(gates, 4, axis=1)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            outputs.append(h)
        steps = np.stack(outputs, axis=1)
    wanted = steps[:, -1] @ weights["fc.weight"].T + weights["fc.bias"]
    images = torch.from_numpy(places.astype(np.float32)).view(3, 1, 1, 80)
    with torch.no_grad():
        assert module(images).numpy() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("wrong", [-1.0, 80.0, 0.5, float("nan")])
def test_what_is_no_character_is_refused(wrong):
    module, images = MODELS["leaf_lstm"]().build((1, 1, 80), 80), torch.zeros(2, 1, 1, 80)
    images[1, 0, 0, 3] = wrong
    with pytest.raises(UserError, match="leaf_lstm takes whole numbers from 0 to 79 in place of pixels"):
        module(images)


def test_model_d_begins_as_he_says():
    torch.manual_seed(0)
    hidden = [
        layer for layer in MODELS["lens_d"]().build((1, 28, 28), 10).modules() if isinstance(layer, nn.Linear)
    ]
    for layer in hidden[:-1]:
        inputs, numbers = layer.weight.shape[1], layer.weight.numel()
        # Five standard errors of a standard deviation.
        wanted = (2 / inputs) ** 0.5
        assert float(layer.weight.std()) == pytest.approx(wanted, rel=5 / (2 * numbers) ** 0.5)
        assert float(layer.bias.abs().max()) == 0.0


def test_the_cnn_is_the_notes_code():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(1, 32, 3, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 1), nn.ReLU())
            self.fc = nn.Sequential(nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, 10))

        def forward(self, x):
            x = nn.functional.max_pool2d(self.conv(x), 2).view(-1, 64 * 12 * 12)
            return nn.functional.log_softmax(self.fc(x), dim=1)

    ours, theirs, images = MnistCnn().build((1, 28, 28), 10), Net(), torch.randn(3, 1, 28, 28)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours(images), theirs(images))


def test_the_net_for_leakage_is_the_notes_code_and_draws_as_published():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            act = nn.Sigmoid
            self.body = nn.Sequential(
                nn.Conv2d(3, 12, kernel_size=5, padding=5 // 2, stride=2),
                act(),
                nn.Conv2d(12, 12, kernel_size=5, padding=5 // 2, stride=2),
                act(),
                nn.Conv2d(12, 12, kernel_size=5, padding=5 // 2, stride=1),
                act(),
            )
            self.fc = nn.Sequential(nn.Linear(768, 100))

        def forward(self, x):
            out = self.body(x)
            return self.fc(out.view(out.size(0), -1))

    def weights_init(m):
        for name in ("weight", "bias"):
            if hasattr(m, name):
                getattr(m, name).data.uniform_(-0.5, 0.5)

    theirs, images = Net(), torch.rand(2, 3, 32, 32)
    torch.manual_seed(1234)
    theirs.apply(weights_init)
    next_of_theirs = torch.randn(20)
    torch.manual_seed(1234)
    ours = DlgLeNet().build((3, 32, 32), 100)
    assert torch.equal(ours(images), theirs(images))
    assert torch.equal(torch.randn(20), next_of_theirs)


def test_dropout_only_works_in_training():
    module, images = MnistCnn(dropout=0.5).build((1, 28, 28), 10), torch.randn(2, 1, 28, 28)
    assert not torch.equal(module(images), module(images))
    module.eval()
    assert torch.equal(module(images), module(images))


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: MnistCnn(dropout=1.0), "dropout"),
        (lambda: Mlp(hidden=(0,)), "hidden"),
        (lambda: LeNet(outputs=1), "outputs"),
        (lambda: DlgLeNet(bound=0.0), "bound"),
        (lambda: LeNet(outputs=10).build((3, 32, 32), 100), "outputs"),
    ],
)
def test_arguments_are_checked(make, field):
    with pytest.raises(BadField, match=field):
        make()
