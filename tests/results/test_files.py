import builtins
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fl_simu.kernel.errors import UserError
from fl_simu.results import files

HOLD = """
import sys, time
from fl_simu.results.files import alone_in
with alone_in(sys.argv[1]):
    print("in", flush=True)
    time.sleep(60)
"""

OLD, NEW = b"what was there before", b"n" * 1000


class _FullDisk:
    """A file that writes half of its input once, and then reports a full disk."""

    def __init__(self, file):
        self._file, self._writes = file, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, data):
        self._writes += 1
        if self._writes > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(bytes(data)[: len(data) // 2])


def _fill_disk(monkeypatch):
    real = builtins.open
    monkeypatch.setattr(files, "open", lambda *args, **kwargs: _FullDisk(real(*args, **kwargs)), raising=False)


def _fail(monkeypatch, name, error):
    def failing(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(files.os, name, failing)


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize(
    "break_it, expected",
    [
        (_fill_disk, UserError),
        (lambda patch: _fail(patch, "fsync", OSError(errno.EIO, "Input/output error")), UserError),
        (
            lambda patch: _fail(patch, "replace", PermissionError(errno.EACCES, "Permission denied")),
            UserError,
        ),
        (lambda patch: _fail(patch, "replace", KeyboardInterrupt()), KeyboardInterrupt),
    ],
    ids=["disk full", "fsync fails", "rename fails", "interrupted"],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, before, break_it, expected):
    target = tmp_path / "model.safetensors"
    if before is not None:
        target.write_bytes(before)
    with monkeypatch.context() as patch:
        break_it(patch)
        with pytest.raises(expected) as caught:
            files.write_atomically(target, NEW)
    if expected is UserError:
        assert str(target) in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(str(tmp_path)) == ([] if before is None else [target.name])
    assert before is None or target.read_bytes() == before
    files.write_atomically(target, NEW)
    assert target.read_bytes() == NEW


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda number: (steps.append("fsync"), fsync(number)))
    monkeypatch.setattr(files.os, "replace", lambda *names: (steps.append("replace"), replace(*names)))
    files.write_atomically(tmp_path / "file", NEW)
    assert steps == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda folder: folder / "missing" / "file", "No such file"),
        (lambda folder: folder, "folder or a device"),
        (lambda folder: "/dev/null", "folder or a device"),
    ],
)
def test_a_path_that_cannot_be_a_file_is_named_with_the_reason(tmp_path, make, reason):
    path = make(tmp_path)
    with pytest.raises(UserError, match=reason) as caught:
        files.write_atomically(path, NEW)
    assert str(path) in str(caught.value)


def test_make_folder_names_a_file_that_stands_in_the_way(tmp_path):
    assert files.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_bytes(OLD)
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="cannot write"):
            files.make_folder(path)


def test_permissions_follow_the_umask_and_links_are_followed(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    plain_mode = target.stat().st_mode
    link.symlink_to(target)
    files.write_atomically(link, NEW)
    assert link.is_symlink() and target.read_bytes() == NEW
    assert target.stat().st_mode == plain_mode


def test_a_failed_append_is_cut_off_again(tmp_path, monkeypatch):
    log = tmp_path / "rounds.jsonl"
    files.append_durably(log, b"one\n")
    with monkeypatch.context() as patch:
        _fill_disk(patch)
        with pytest.raises(UserError, match="No space left"):
            files.append_durably(log, b"two\n")
    assert log.read_bytes() == b"one\n"
    files.append_durably(log, b"two\n")
    assert log.read_bytes() == b"one\ntwo\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_device_that_is_really_full_is_told_in_one_line():
    with pytest.raises(UserError, match="cannot write /dev/full: No space left"):
        files.append_durably("/dev/full", b"x")


def test_json_is_valid_whatever_the_numbers(tmp_path):
    value = {"loss": float("nan"), "deep": [{"delay_s": float("inf")}, 0.1], "name": "Zürich", "none": None}
    files.write_json(tmp_path / "summary.json", value)

    def refuse(word):
        raise AssertionError(word)

    back = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert back == {"loss": None, "deep": [{"delay_s": None}, 0.1], "name": "Zürich", "none": None}


def test_one_process_at_a_time_in_a_folder(tmp_path):
    refused = pytest.raises(UserError, match="is in use by another process")
    with files.alone_in(tmp_path), refused, files.alone_in(tmp_path):
        pass
    with files.alone_in(tmp_path):
        pass
    with pytest.raises(UserError, match="cannot open"), files.alone_in(tmp_path / "missing"):
        pass


def test_a_killed_process_holds_no_folder(tmp_path):
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=path), stdout=subprocess.PIPE) as holding:
        assert holding.stdout.readline() == b"in\n"
        with pytest.raises(UserError, match="is in use"), files.alone_in(tmp_path):
            pass
        holding.send_signal(signal.SIGKILL)
    with files.alone_in(tmp_path):
        pass
