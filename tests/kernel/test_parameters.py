import hashlib
import json

import torch
from torch import nn

from fl_simu.kernel.parameters import (
    all_finite,
    difference,
    from_arrays,
    largest_difference,
    params_of,
    sha256,
    structure_of,
    to_arrays,
    total,
)


def test_params_are_copies_with_buffers_in_the_order_of_the_state_dict():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    params = params_of(module)
    assert list(params) == list(module.state_dict())
    assert "1.num_batches_tracked" in params
    params["0.weight"].zero_()
    assert module[0].weight.abs().sum() > 0


def test_sha256_is_over_names_shapes_dtypes_and_little_endian_bytes():
    params = {"b": torch.tensor([1.0, -2.0]), "a": torch.tensor(3)}
    parts = [
        json.dumps(["a", [], "<i8"]).encode() + b"\n" + (3).to_bytes(8, "little"),
        json.dumps(["b", [2], "<f4"]).encode() + b"\n" + bytes.fromhex("0000803f000000c0"),
    ]
    assert sha256(params) == hashlib.sha256(b"".join(parts)).hexdigest()
    assert sha256({"a": params["a"], "b": params["b"]}) == sha256(params)
    changed = [
        {**params, "b": torch.tensor([1.0, 2.0])},
        {**params, "b": torch.tensor([[1.0, -2.0]])},
        {**params, "b": torch.tensor([1.0, -2.0]).double()},
        {"a": params["a"], "c": params["b"]},
    ]
    assert sha256(params) not in {sha256(other) for other in changed}


def test_arrays_and_back_keep_every_shape_and_dtype():
    params = {
        "matrix": torch.arange(6.0).view(2, 3).t(),
        "scalar": torch.tensor(4),
        "empty": torch.zeros(0, 3),
        "flags": torch.tensor([True, False]),
    }
    back = from_arrays(to_arrays(params))
    assert structure_of(back) == structure_of(params)
    assert all(torch.equal(back[name], params[name]) for name in params)


def test_differences():
    one, other = {"w": torch.tensor([1.0, 5.0])}, {"w": torch.tensor([2.0, 2.0])}
    assert largest_difference(one, other) == 3.0
    assert torch.equal(total(difference(one, other), other)["w"], one["w"])
    assert all_finite(one)
    assert not all_finite({"w": torch.tensor([1.0, float("nan")])})
    assert not all_finite({"w": torch.tensor([1.0, float("inf")])})
