"""Jobs in worker processes: the error messages of failed ones."""

import os
import signal

import pytest

from fl_simu.kernel.errors import UserError
from fl_simu.studies.pool import TRACEBACK, run_all


def work(job):
    if job == "bug":
        return {}["no such key"]
    if job == "mistake":
        raise UserError("lr = 2 is not allowed")
    if job == "memory":
        raise MemoryError("Unable to allocate 8 TiB")
    if job == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "crash":
        os.kill(os.getpid(), signal.SIGUSR1)
    if job == "exit":
        os._exit(3)
    return f"done {job}"


@pytest.mark.parametrize(
    "job, told",
    [
        ("mistake", "lr = 2 is not allowed"),
        ("memory", "out of memory: Unable to allocate 8 TiB"),
        ("kill", "a worker process was killed (out of memory?); the same command goes on"),
        ("crash", f"a worker process was ended by signal {int(signal.SIGUSR1)}; the same command goes on"),
        ("exit", "a worker process ended with status 3; the same command goes on"),
    ],
)
def test_what_ends_a_job_is_told_as_what_it_is(tmp_path, job, told):
    with pytest.raises(UserError) as raised:
        run_all([job], 1, work, print, tmp_path)
    assert str(raised.value) == told
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_told_as_one_and_its_traceback_kept(tmp_path):
    folder, said = tmp_path / "out", []
    with pytest.raises(UserError) as raised:
        run_all(["a", "bug", "b"], 1, work, said.append, folder)
    assert str(raised.value) == f"a job failed: KeyError: 'no such key'; {folder / TRACEBACK} tells where"
    assert 'return {}["no such key"]' in (folder / TRACEBACK).read_text()
    assert said == ["[1 of 3] done a"]
