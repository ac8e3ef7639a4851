"""The comparison with other frameworks' algorithms: fl_simu solves its problem, and a gap is reported."""

import math
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.children import ChildFailed
from benchmarks.peers.agreement import ours, problem
from benchmarks.peers.agreement.__main__ import TOLERANCE, main, relative, report
from benchmarks.peers.agreement.cases import CASES, DRAWN
from fl_simu.kernel.parameters import largest_difference


@pytest.fixture(scope="module")
def given():
    return problem.make()


def plain_loop(given):
    """Federated averaging from the problem alone, in float64."""
    model, models = {name: tensor.double() for name, tensor in given.initial.items()}, []
    for round in range(given.rounds):
        total, weight = {name: torch.zeros_like(tensor) for name, tensor in model.items()}, 0
        for ue in given.drawn(round, DRAWN):
            module = problem.module().double()
            module.load_state_dict(model)
            for images, labels in given.batches(ue, round):
                module.zero_grad()
                problem.MODEL.loss(module(images.double()), labels).backward()
                for parameter in module.parameters():
                    parameter.data -= problem.LR * parameter.grad
            weight += problem.SAMPLES[ue]
            for name, tensor in module.state_dict().items():
                total[name] += tensor * problem.SAMPLES[ue]
        model = {name: tensor / weight for name, tensor in total.items()}
        models.append({name: tensor.float() for name, tensor in model.items()})
    return models


def test_the_problem_is_what_fl_simu_runs(given):
    mine, loop = ours.run(given, DRAWN, {}), plain_loop(given)
    assert [relative(one, other) <= TOLERANCE for one, other in zip(mine, loop)] == [True] * given.rounds
    assert relative(mine[-1], given.initial) > 0.1
    # One UE trains in several rounds, so that its memory matters, and no round has all UEs.
    assert DRAWN < given.ues < DRAWN * given.rounds


def test_a_file_holds_the_problem_and_its_models(given, tmp_path):
    problem.write(tmp_path / "problem.npz", given)
    there = problem.read(tmp_path / "problem.npz")
    assert all(torch.equal(getattr(there, name), getattr(given, name)) for name in problem.ARRAYS)
    assert largest_difference(there.initial, given.initial) == 0
    models = [[given.initial, {name: one + 1 for name, one in given.initial.items()}], [given.initial]]
    problem.write_models(tmp_path / "models.npz", models)
    back = problem.read_models(tmp_path / "models.npz")
    assert [len(rounds) for rounds in back] == [2, 1]
    for wanted, found in zip(models, back):
        assert [largest_difference(one, other) for one, other in zip(wanted, found)] == [0] * len(wanted)


def test_a_gap_in_any_round_ends_the_command_with_1(given, capsys):
    """The largest weight is the reference; a gap from a framework's different definition does not count."""
    agreeing, known = (next(case for case in CASES if bool(case.differs) == differs) for differs in (False, True))
    for case, share, status in ((agreeing, 0.5, 0), (agreeing, 2.0, 1), (agreeing, math.nan, 1), (known, 2e5, 0)):
        models = ours.run(given, case.drawn, case.parts)
        largest = max(float(one.abs().max()) for one in models[1].values())
        models[1] = {name: one.clone() for name, one in models[1].items()}
        next(iter(models[1].values())).view(-1)[0] += share * TOLERANCE * largest
        assert report({case: models}) == status
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.endswith(f"{case.name}, {case.framework}" if status else "none")


def test_what_is_not_installed_does_not_agree(tmp_path, capsys):
    assert main(["--peers-python", str(tmp_path / "python")]) == 1
    assert "is missing" in capsys.readouterr().err


def test_a_framework_that_fails_is_named_and_the_others_are_compared(monkeypatch, capsys):
    def answer_of(command):
        if command[3] == "flower":
            raise ChildFailed("ModuleNotFoundError: No module named 'flwr'")
        cases = [case for case in CASES if case.framework == command[3]]
        problem.write_models(
            Path(command[-1]), [ours.run(problem.make(), case.drawn, case.parts) for case in cases]
        )
        return {"version": command[3]}

    monkeypatch.setattr("benchmarks.peers.agreement.__main__.answer_of", answer_of)
    assert main(["--peers-python", sys.executable]) == 1
    said = capsys.readouterr()
    assert said.err == "flower: ModuleNotFoundError: No module named 'flwr'\n"
    assert "scaffold, pfl " in said.out and "fedadam" not in said.out and said.out.endswith("apart: none\n")
