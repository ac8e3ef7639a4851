"""Operations on pointers: the worker gets the same values as plain torch here, and returns a pointer."""

import pytest
import torch
import torch.nn.functional as F
from pointer_suite import count, fetch, printed, same
from torch import nn


def inputs():
    torch.manual_seed(7)
    return {
        "x": torch.tensor([[0.5, 1.5, 2.5], [3.0, 1.0, 0.25]]),
        "y": torch.tensor([[2.0, 1.0, 0.5], [1.0, 4.0, 0.25]]),
        "v": torch.tensor([1.0, 2.0, 3.0]),
        "z": torch.tensor([[-1.0, 0.5, -0.25], [2.0, -3.0, 0.0]]),
        "u": torch.tensor([[0.1, 0.5, 0.25], [0.9, 0.3, 0.75]]),
        "i": torch.tensor([[1, 2, 3], [4, 5, 6]]),
        "k": torch.tensor([2, 0]),
        "b": torch.tensor([[True, False, True], [False, False, True]]),
        "s": torch.randn(2, 3, 3),
        "image": torch.randn(2, 3, 8, 8),
        "series": torch.randn(2, 3, 9),
        "kernel": torch.randn(4, 3, 3, 3),
        "kernel1d": torch.randn(4, 3, 3),
        "bias": torch.randn(4),
        "weight": torch.randn(4, 3),
        "table": torch.randn(5, 4),
    }


# Operators, methods, functions of torch, and functions of torch.nn.functional that models use.
OPERATORS = """
x + y | x - y | x * y | x / y | x ** 2 | -x | abs(z) | x + 1 | 1 + x | x - 1 | 2 - x | x * 2 | 2 * x
x / 2 | 2 / x
x + v | v * x | x @ y.t() | x % 2 | x // 1 | x == y | x > y | x >= y | x < y | x <= y | x > 1 | x == 1
x[0] | x[1] | x[0:1] | x[:, 1] | x[0][1] | x[0, 1] | x[-1] | x[:, 0:2] | i[0] | i + i | i * 2 | b & b
"""
METHODS = """
x.add(y) | x.add(y, alpha=2) | x.sub(y) | x.mul(y) | x.div(y) | x.pow(2) | x.neg() | z.abs() | x.sqrt()
x.exp()
x.log() | x.sin() | x.cos() | x.tanh() | x.sigmoid() | z.relu() | z.sign() | x.floor() | x.ceil() | x.round()
x.reciprocal() | x.rsqrt() | z.clamp(-1, 1) | z.clamp(min=0) | x.sum() | x.sum(0) | x.sum(1, keepdim=True)
x.mean()
x.mean(1) | x.std() | x.var() | x.prod() | x.max() | x.min() | x.argmax() | x.argmax(1) | x.argmin(dim=0)
x.norm()
x.norm(2) | x.norm(1) | x.cumsum(0) | x.t() | x.transpose(0, 1) | x.view(-1) | x.view(3, 2) | x.view(-1, 2)
x.reshape(3, 2) | x.flatten() | s.flatten(1) | x.unsqueeze(0) | x.unsqueeze(-1) | x.squeeze()
x.expand(2, 2, 3)
x.repeat(2, 1) | x.contiguous() | x.permute(1, 0) | x.narrow(1, 0, 2) | x.float() | x.double() | x.long()
x.type(torch.float64) | x.to(torch.float64) | x.to('cpu') | x.detach() | x.eq(y) | x.eq(1) | x.ne(y)
x.gt(y) | x.ge(y) | x.lt(y) | x.le(y) | x.mm(y.t()) | x.matmul(v) | s.bmm(s) | x.mv(v) | v.dot(v) | v.ger(v)
x.gather(1, i[:, 0:1] * 0) | x.index_select(0, k * 0) | x.masked_fill(b, 9.0) | x.masked_select(b)
x.fill_(3.0)
x.addcmul(x, y) | x.addcdiv(x, y) | x.softmax(1) | x.log_softmax(dim=1) | x.view_as(y) | x.expand_as(y)
x.triu()
x.diag() | x.var(1) | x.std(1) | x.lerp(y, 0.5) | x.fmod(2) | x.abs().max() | b.sum() | b.all()
b.any() | x.data | x.data + 1 | x.eq(x).sum() | i.float().mean() | x.type_as(x) | x.zero_() | x.clone() + 0
"""
FUNCTIONS = """
torch.add(x, y) | torch.sub(x, y) | torch.mul(x, y) | torch.div(x, y) | torch.pow(x, 2) | torch.neg(x)
torch.abs(z)
torch.exp(x) | torch.log(x) | torch.sqrt(x) | torch.tanh(x) | torch.sigmoid(x) | torch.relu(z)
torch.clamp(z, -1, 1)
torch.sum(x) | torch.sum(x, 1) | torch.sum(x, dim=0) | torch.mean(x) | torch.mean(x, dim=1) | torch.std(x)
torch.max(x) | torch.min(x) | torch.max(x, 1) | torch.min(x, 0) | torch.argmax(x, dim=1)
torch.mm(x, y.t()) | torch.matmul(x, v) | torch.bmm(s, s) | torch.dot(v, v) | torch.t(x)
torch.transpose(x, 0, 1)
torch.cat([x, y]) | torch.cat((x, y), 1) | torch.cat([x, y], dim=0) | torch.stack([x, y])
torch.stack((x, y), dim=1)
torch.split(x, 1) | torch.chunk(x, 2) | torch.unbind(x, 0) | torch.squeeze(x) | torch.unsqueeze(x, 0)
torch.reshape(x, (3, 2)) | torch.flatten(s, 1) | torch.eq(x, y) | torch.gt(x, y) | torch.where(b, x, y)
torch.softmax(x, 1) | torch.log_softmax(x, dim=1) | torch.zeros_like(x) | torch.ones_like(x) | torch.clone(x)
torch.cumsum(x, 0) | torch.sort(x, 1) | torch.topk(v, 2) | torch.ger(v, v) | torch.addmm(x, x, s[0])
torch.sign(z)
torch.index_select(x, 0, k * 0) | torch.gather(x, 1, i * 0) | torch.masked_select(x, b) | torch.diag(v)
torch.var(x)
torch.full_like(x, 2.0) | torch.detach(x) | torch.square(x) if hasattr(torch, 'square') else x * x
"""
FUNCTIONAL = """
F.relu(z) | F.leaky_relu(z) | F.elu(z) | F.selu(z) | F.softplus(z) | F.relu6(z) | F.hardtanh(z)
F.logsigmoid(z)
F.softmax(x, dim=1) | F.log_softmax(x, dim=1) | F.sigmoid(z) | F.tanh(z) | F.linear(x, weight) | F.softsign(z)
F.linear(x, weight, bias) | F.conv2d(image, kernel) | F.conv2d(image, kernel, bias, stride=2, padding=1)
F.conv1d(series, kernel1d) | F.max_pool2d(image, 2) | F.max_pool2d(image, 2, 2)
F.max_pool2d(image, kernel_size=3)
F.avg_pool2d(image, 2) | F.max_pool1d(series, 3) | F.adaptive_avg_pool2d(image, 1)
F.adaptive_avg_pool2d(image, (2, 2))
F.dropout(x, 0.5, training=False) | F.dropout2d(image, 0.5, training=False) | F.pad(x, (1, 1)) | F.gelu(z)
F.nll_loss(x.log_softmax(1), k) | F.nll_loss(x.log_softmax(1), k, reduction='sum') | F.cross_entropy(x, k)
F.cross_entropy(x, k, reduction='sum') | F.mse_loss(x, y) | F.mse_loss(x, y, reduction='sum') | F.l1_loss(x, y)
F.smooth_l1_loss(x, y) | F.binary_cross_entropy(u, b.float()) | F.binary_cross_entropy_with_logits(z, b.float())
F.kl_div(x.log_softmax(1), u) | F.cosine_similarity(x, y) | F.normalize(x) | F.one_hot(k)
F.embedding(k, table)
F.poisson_nll_loss(z, x) | F.hinge_embedding_loss(x, z.sign()) | F.layer_norm(x, (3,))
F.pairwise_distance(x, y)
"""
NUMBERS = """
len(x) | x.dim() | x.shape | x.numel() | x.nelement() | float(x.sum()) | bool(x.sum() > 0) | x.shape[0] | len(v)
isinstance(x, torch.Tensor) | x.is_wrapper != x.is_wrapper
"""


def cases(*texts):
    return [case.strip() for text in texts for line in text.strip().splitlines() for case in line.split("|")]


def evaluate(case, tensors):
    return eval(case, {"torch": torch, "F": F}, dict(tensors))


@pytest.mark.parametrize("case", cases(OPERATORS.replace("b & b", "b.__and__(b)"), METHODS, FUNCTIONS, FUNCTIONAL))
def test_operation(case, bob):
    expected = evaluate(case, inputs())
    pointers = {name: tensor.send(bob) for name, tensor in inputs().items()}
    found = evaluate(case, pointers)
    for pointer in found if isinstance(found, (tuple, list)) else [found]:
        text = printed(pointer)
        assert text.startswith("(Wrapper)>[PointerTensor | me:# -> bob:#]")
        assert str(type(pointer)) == "<class 'torch.Tensor'>" and pointer.location is bob
    if isinstance(expected, torch.Tensor):
        assert found.shape == expected.shape
    assert same(fetch(found), expected)


@pytest.mark.parametrize("case", cases(NUMBERS))
def test_number(case, bob):
    pointers = {name: tensor.send(bob) for name, tensor in inputs().items()}
    assert evaluate(case, pointers) == evaluate(case, inputs())


IN_PLACE = """
p.add_(1) | p.sub_(1) | p.mul_(2) | p.div_(2) | p.add_(q) | p.mul_(q) | p.zero_() | p.fill_(2.0)
p.clamp_(0, 1)
p.sqrt_() | p.exp_() | p.neg_() | p.abs_() | p.copy_(q) | p.add_(q, alpha=2) | p.addcmul_(q, q)
p.addcdiv_(q, q)
p.detach_() | p.sigmoid_() | p.tanh_() | p.relu_() | p.pow_(2) | p.unsqueeze_(0) | p.t_() | p.floor_()
p.__iadd__(q) | p.__isub__(q) | p.__imul__(q) | p.__itruediv__(q)
"""


@pytest.mark.parametrize("case", cases(IN_PLACE))
def test_in_place(case, bob):
    here = {"p": inputs()["x"], "q": inputs()["y"]}
    evaluate(case, here)
    there = {"p": inputs()["x"].send(bob), "q": inputs()["y"].send(bob)}
    pointer = there["p"]
    assert evaluate(case, there) is pointer
    assert same(fetch(pointer), here["p"])


def test_assigning_to_an_index_changes_the_tensor_there(bob):
    pointer = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).send(bob)
    pointer[0] = 5
    assert pointer.get().tolist() == [[5, 5], [3, 4]]


@pytest.mark.parametrize(
    "build",
    [
        "nn.ReLU()", "nn.LeakyReLU(0.2)", "nn.Sigmoid()", "nn.Tanh()", "nn.Softmax(1)", "nn.LogSoftmax(dim=1)",
        "nn.Linear(3, 4)", "nn.Linear(3, 4, bias=False)",
        "nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))",
        "nn.ELU()", "nn.Softplus()", "nn.Dropout(0.5).eval()", "nn.LayerNorm(3)", "nn.Hardtanh()", "nn.SELU()",
    ],
)  # fmt: skip
def test_layer(build, bob):
    torch.manual_seed(5)
    layer = eval(build, {"nn": torch.nn})
    expected = layer(inputs()["x"])
    found = layer.send(bob)(inputs()["x"].send(bob))
    assert same(found.get().data, expected.data)


@pytest.mark.parametrize(
    "build",
    [
        "nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 2, 3, stride=2, padding=1)", "nn.AvgPool2d(2)",
        "nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))",
        "nn.Conv2d(3, 4, 3, bias=False)", "nn.ConvTranspose2d(3, 2, 3)", "nn.Dropout2d(0.5).eval()",
    ],
)  # fmt: skip
def test_layer_of_images(build, bob):
    torch.manual_seed(5)
    layer = eval(build, {"nn": torch.nn})
    expected = layer(inputs()["image"])
    found = layer.send(bob)(inputs()["image"].send(bob))
    assert same(found.get().data, expected.data)


@pytest.mark.parametrize(
    "loss", ["nn.MSELoss()", "nn.L1Loss()", "nn.SmoothL1Loss()", "nn.MSELoss(reduction='sum')", "nn.KLDivLoss()"]
)
def test_loss(loss, bob):
    criterion = eval(loss, {"nn": torch.nn})
    x, u = inputs()["x"], inputs()["u"]
    assert same(criterion(x.send(bob), u.send(bob)).get(), criterion(x, u))


@pytest.mark.parametrize("loss", ["nn.CrossEntropyLoss()", "nn.NLLLoss()", "nn.CrossEntropyLoss(reduction='sum')"])
def test_loss_of_classes(loss, bob):
    criterion = eval(loss, {"nn": torch.nn})
    x, k = inputs()["x"], inputs()["k"]
    assert same(criterion(x.send(bob), k.send(bob)).get(), criterion(x, k))


# Names in capitals are at the worker.
ALONG = """
F.cross_entropy(X, K, weight=v) | F.nll_loss(X.log_softmax(1), K, weight=v)
F.binary_cross_entropy(U, B.float(), weight=y) | F.binary_cross_entropy_with_logits(Z, B.float(), pos_weight=v)
F.linear(X, WEIGHT, bias=bias) | X.add(other=y) | torch.add(X, other=y) | X.gather(1, index=i * 0)
X.index_select(0, index=k * 0) | X.expand_as(other=y) | X.lerp(end=y, weight=0.5)
"""


@pytest.mark.parametrize("case", cases(ALONG))
def test_keyword_tensors_that_are_here_go_along(case, bob):
    tensors = inputs()
    capitals = {name.upper(): tensor for name, tensor in tensors.items()}
    expected = evaluate(case, {**tensors, **capitals})
    there = {name: tensor.send(bob) for name, tensor in capitals.items()}
    assert same(fetch(evaluate(case, {**tensors, **there})), expected)


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])), nn.NLLLoss(torch.tensor([1.0, 2.0, 3.0])),
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0, 1.0, 2.0])),
        nn.BCELoss(weight=torch.tensor([3.0, 1.0, 2.0])),
    ],
    ids=repr,
)  # fmt: skip
def test_a_criterion_whose_weights_are_here(criterion, bob):
    x, u, k = inputs()["x"], inputs()["u"], inputs()["k"]
    pair = (u, inputs()["b"].float()) if "BCE" in repr(criterion) else (x, k)
    expected = criterion(*pair)
    assert same(criterion(*[one.send(bob) for one in pair]).get(), expected)


def test_what_goes_along_is_a_copy(bob):
    bias = torch.zeros(4, requires_grad=True)
    pointers = [inputs()[name].send(bob) for name in ("x", "weight")]
    F.linear(*pointers, bias=bias).sum().backward()
    assert bias.grad is None and count(bob) == 2


def test_a_keyword_pointer_does_not_take_what_is_before_along(sy, bob):
    with pytest.raises(sy.exceptions.TensorsNotCollocatedException):
        F.linear(inputs()["x"], weight=inputs()["weight"].send(bob))


@pytest.mark.parametrize("shift", [1, -2, torch.tensor([1]), torch.tensor(-1)])
def test_rolled_by_a_number_or_a_tensor(shift, bob):
    x = torch.tensor([1.0, 2.0, 3.0])
    expected = torch.roll(x, int(shift))
    assert torch.equal(torch.roll(x, shift), expected)
    there = shift.send(bob) if isinstance(shift, torch.Tensor) else shift
    assert torch.equal(torch.roll(x.send(bob), there).get(), expected)
    assert torch.equal(torch.roll(x.send(bob), there, dims=0).get(), expected)
