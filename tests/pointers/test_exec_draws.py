"""Random numbers of torch 1.4 for a seed, by `exec`; torch 1.4 itself is the oracle, on the legacy stack."""

import torch
from torch.utils.data import RandomSampler

from fl_simu.kernel.installation import MODERN

# Checksums of all bytes of initial weights, and of the draws after them. Normal draws are compared to four digits,
# since their rounding depends on the processor.
WEIGHTS = """
import zlib
import torch
from torch import nn

def checksum(*tensors):
    return zlib.crc32(b"".join(tensor.detach().numpy().tobytes() for tensor in tensors))

LAYERS = (
    lambda: nn.Linear(784, 30), lambda: nn.Conv1d(3, 4, 5), lambda: nn.Conv2d(1, 20, 5), lambda: nn.RNN(4, 5),
    lambda: nn.ConvTranspose2d(3, 4, 3), lambda: nn.LSTM(4, 5, 2), lambda: nn.GRUCell(4, 5),
    lambda: nn.Bilinear(3, 4, 5), lambda: nn.MultiheadAttention(8, 2), lambda: nn.TransformerEncoderLayer(8, 2),
)
for layer in LAYERS:
    torch.manual_seed(1)
    print(checksum(*layer().parameters(), torch.rand(20)))
for name in ("xavier_uniform_", "kaiming_uniform_", "uniform_"):
    torch.manual_seed(1)
    print(checksum(getattr(nn.init, name)(torch.empty(30, 20)), torch.empty(9).uniform_(0.2, to=0.9)))
    print(checksum(torch.empty(9, dtype=torch.float64).uniform_(-0.3, 0.3)))
print("%.4f" % nn.Embedding(90, 8).weight.sum().item(), "%.4f" % torch.randn(20).prod().item())
"""
# Their values on torch 1.4.
WEIGHTS_OF_1_4 = """
411528184
1569790050
1954378569
381000932
2514109621
3042515076
391119896
746618982
4087466529
3123292797
1930603215
3730684543
1136808177
3730684543
982548557
3730684543
37.5294 0.0006
"""
ORDERS = """
import torch
from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, TensorDataset, random_split
torch.manual_seed(1)
rows = TensorDataset(torch.arange(12))
loader = DataLoader(rows, batch_size=4, shuffle=True)
for epoch in range(2):
    print([batch.tolist() for batch, in loader], torch.randint(100, (1,)).item())
print([row for row in RandomSampler(range(12), replacement=True, num_samples=33)])
print([int(row) for row in SubsetRandomSampler(range(8))], list(random_split(range(6), [3, 3])[0]))
"""
ORDERS_OF_1_4 = """
[[0, 1, 5, 4], [7, 10, 11, 9], [8, 3, 2, 6]] 43
[[6, 11, 4, 10], [3, 7, 8, 1], [5, 9, 2, 0]] 52
[5, 10, 2, 8, 3, 3, 1, 9, 11, 6, 8, 2, 9, 5, 5, 11, 3, 9, 6, 9, 5, 4, 0, 9, 4, 0, 9, 7, 11, 2, 9, 0, 10]
[7, 1, 4, 6, 5, 3, 0, 2] [4, 0, 3]
"""


def test_weights(run):
    assert run(WEIGHTS).stdout == WEIGHTS_OF_1_4.lstrip()


def test_orders(run):
    done = run(ORDERS)
    assert done.stdout == ORDERS_OF_1_4.lstrip()
    assert ("random numbers are torch 1.4's for a seed" in done.stderr) == MODERN
    assert "random numbers" not in run(ORDERS.replace("torch.manual_seed(1)", "")).stderr


def test_todays_draws(run):
    torch.manual_seed(1)
    weight, order = torch.nn.Linear(3, 2).weight, list(RandomSampler(range(12)))
    done = run(
        "import torch\ntorch.manual_seed(1)\nprint(torch.nn.Linear(3, 2).weight.tolist())\n"
        "print(list(torch.utils.data.RandomSampler(range(12))))",
        options=("--todays-draws",),
    )
    assert done.stdout == f"{weight.tolist()}\n{order}\n" and done.stderr == ""


OPTIMIZERS = """
import sys
import torch
from torch.optim import SGD, Adam, AdamW, Adagrad, RMSprop, LBFGS

class Own(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)

for kind in (SGD, Adam, AdamW, Adagrad, RMSprop, LBFGS, Own):
    weights = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    optimizer = kind([weights], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for step in range(4):
        def closure():
            optimizer.zero_grad()
            loss = (weights ** 4).sum()
            loss.backward()
            return loss
        if kind is LBFGS:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        schedule.step()
    optimizer.load_state_dict(optimizer.state_dict())
    print(kind.__name__, " ".join("%.4f" % weight for weight in weights.tolist()))
assert "torch._dynamo" not in sys.modules
"""


def test_optimizers_without_the_compiler(run_anew):
    done = run_anew(OPTIMIZERS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "SGD 0.4079 -0.5029 -0.4984",
        "Adam 0.2903 -0.7833 1.7811",
        "AdamW 0.2894 -0.7813 1.7769",
        "Adagrad 0.3486 -0.8328 1.8254",
        "RMSprop 0.1989 0.0000 0.8588",
        "LBFGS 0.1670 -0.2560 0.4645",
        "Own 0.4079 -0.5029 -0.4984",
    ]
