import builtins
import errno
import json
import os

import numpy as np
import pytest

from fl_simu.kernel.errors import UserError
from fl_simu.results import files
from fl_simu.results.checkpoints import LARGE_BYTES, Checkpoint, Checkpoints, read_tensors, write_tensors

ARRAYS = {
    "matrix": np.array([[1.5, -0.0, np.inf], [np.nan, 1e-40, -2.5]], np.float32),
    "double": np.array([1 / 3]),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
    "bytes": np.frombuffer(b"\x00\xffab", np.uint8),
    "small": np.array([-1, 2], np.int32),
}
PLAIN = {"now_s": {"float": (0.1).hex()}, "events": [], "names": {"tuple": ["w", "b"]}, "none": None}


def checkpoint(round, **arrays):
    return Checkpoint(round, {"experiment": "abc"}, "records", PLAIN, arrays or ARRAYS)


def require_same(one, other):
    assert one[:4] == other[:4]
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        twin = other.arrays[name]
        assert (twin.dtype, twin.shape, twin.tobytes()) == (array.dtype, array.shape, array.tobytes())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoint"


def test_what_is_written_comes_back(folder):
    Checkpoints(folder).write(checkpoint(3))

    found, passed_over = Checkpoints(folder).newest()

    require_same(checkpoint(3), found)
    assert passed_over == []


def test_without_arrays(folder):
    written = Checkpoint(1, {}, "x", None, {})
    Checkpoints(folder).write(written)
    assert Checkpoints(folder).newest() == (written, [])


@pytest.mark.parametrize("make", [True, False])
def test_none_there(folder, make):
    if make:
        folder.mkdir()
        (folder / "round-x.json").write_text("{}")
    assert Checkpoints(folder).newest() == (None, [])


def test_only_the_newest_two_are_kept(folder):
    checkpoints = Checkpoints(folder)
    for round in (8, 9, 10, 11):
        checkpoints.write(checkpoint(round))
    assert names(folder) == [
        "round-000010.json",
        "round-000010.safetensors",
        "round-000011.json",
        "round-000011.safetensors",
    ]
    require_same(checkpoint(11), checkpoints.newest()[0])


def large(number):
    return np.full(LARGE_BYTES // 8, float(number))


def sizes(folder):
    return {path.name[6:12]: path.stat().st_size for path in sorted(folder.glob("*.safetensors"))}


def test_a_large_tensor_is_written_once_and_kept_as_long_as_it_is_needed(folder):
    checkpoints = Checkpoints(folder)
    # One model per round; the slowest UE still has the one of round 2.
    for round in range(1, 7):
        held = {f"model of {old}": large(old) for old in {2, round} if old <= round}
        checkpoints.write(checkpoint(round, small=np.array([round]), **held))
        # Another object, as after a resume, finds everything.
        require_same(checkpoint(round, small=np.array([round]), **held), Checkpoints(folder).newest()[0])
    assert list(sizes(folder)) == ["000002", "000005", "000006"]
    assert sizes(folder)["000006"] < LARGE_BYTES + 1000
    # A resumed object removes nothing that is needed, and then writes all files itself.
    other = Checkpoints(folder)
    other.write(checkpoint(7, **{"model of 2": large(2)}))
    assert list(sizes(folder)) == ["000002", "000006", "000007"]
    other.write(checkpoint(8, **{"model of 2": large(2)}))
    assert list(sizes(folder)) == ["000007", "000008"]
    assert sizes(folder)["000008"] < 1000


def test_files_that_hold_much_that_nobody_needs_are_not_kept(folder):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1, **{str(number): large(number) for number in range(5)}))
    checkpoints.write(checkpoint(2, **{str(number): large(number) for number in range(3)}))
    assert sizes(folder)["000002"] < 1000
    checkpoints.write(checkpoint(3, **{str(number): large(number) for number in range(2)}))
    assert sizes(folder)["000003"] > 2 * LARGE_BYTES


def test_damage_in_the_file_of_an_earlier_round_is_detected(folder):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1, w=large(1)))
    checkpoints.write(checkpoint(2, w=large(1)))
    path = folder / "round-000001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    assert checkpoints.newest()[0] is None
    path.unlink()
    found, passed_over = checkpoints.newest()
    assert found is None and ["round-000001.safetensors is missing" in line for line in passed_over] == [True] * 2


def test_rounds_are_ordered_as_numbers(folder):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(999999))
    checkpoints.write(checkpoint(1000000))
    assert checkpoints.newest()[0].round == 1000000


def test_a_round_written_again_replaces_the_first(folder):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1))
    again = checkpoint(1, other=np.ones(2))
    checkpoints.write(again)
    require_same(again, checkpoints.newest()[0])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_every_flipped_byte_is_detected(folder, suffix):
    checkpoints = Checkpoints(folder)
    before = checkpoint(1)
    checkpoints.write(before)
    checkpoints.write(checkpoint(2, w=np.arange(8, dtype=np.float32)))
    path = folder / ("round-000002" + suffix)
    whole = path.read_bytes()
    assert len(whole) < 1000

    for at in range(len(whole)):
        for bit in (0, 7):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
            found, passed_over = checkpoints.newest()
            assert (found.round, len(passed_over)) == (1, 1), f"bit {bit} of byte {at}: {whole[at : at + 1]!r}"


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_detected(folder, suffix, part):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1))
    checkpoints.write(checkpoint(2))
    path = folder / ("round-000002" + suffix)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])

    found, passed_over = checkpoints.newest()

    require_same(checkpoint(1), found)
    assert len(passed_over) == 1
    assert "round 2" in passed_over[0]


@pytest.mark.parametrize(
    "suffix, told", [(".json", []), (".safetensors", ["round-000002.safetensors is missing"])]
)
def test_a_missing_file_is_detected(folder, suffix, told):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1))
    checkpoints.write(checkpoint(2))
    (folder / ("round-000002" + suffix)).unlink()

    found, passed_over = checkpoints.newest()

    assert found.round == 1
    assert [word in line for word, line in zip(told, passed_over)] == [True] * len(told)
    assert len(passed_over) == len(told)


@pytest.mark.parametrize("head", [b"", b"[]", b"3", b"null", b'{"body": 3}', b"\xff\xfe", b"{}"])
def test_another_json_is_detected(folder, head):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1))
    (folder / "round-000001.json").write_bytes(head)
    found, passed_over = checkpoints.newest()
    assert found is None
    assert len(passed_over) == 1
    assert "round 1" in passed_over[0]


def test_files_of_two_rounds_do_not_make_one_checkpoint(folder):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1, w=np.ones(2)))
    checkpoints.write(checkpoint(2, w=np.zeros(2)))
    (folder / "round-000002.safetensors").write_bytes((folder / "round-000001.safetensors").read_bytes())
    assert checkpoints.newest()[0].round == 1


def test_a_leftover_of_a_crash_is_overwritten(folder):
    folder.mkdir()
    (folder / "round-000001.safetensors").write_bytes(b"half")
    Checkpoints(folder).write(checkpoint(1))
    require_same(checkpoint(1), Checkpoints(folder).newest()[0])


@pytest.mark.parametrize("failing", [1, 2])
def test_a_full_disk_leaves_the_one_before(folder, monkeypatch, failing):
    checkpoints = Checkpoints(folder)
    checkpoints.write(checkpoint(1))
    real, opened = builtins.open, []

    def open_until_full(path, mode="r", **others):
        if "x" in mode:
            opened.append(path)
            if len(opened) == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, mode, **others)

    monkeypatch.setattr(files, "open", open_until_full, raising=False)
    with pytest.raises(UserError, match="No space left"):
        checkpoints.write(checkpoint(2))
    monkeypatch.undo()

    found, passed_over = checkpoints.newest()
    require_same(checkpoint(1), found)
    assert passed_over == []
    checkpoints.write(checkpoint(2))
    assert checkpoints.newest()[0].round == 2


def test_the_json_names_the_checksums(folder):
    Checkpoints(folder).write(checkpoint(1))
    head = json.loads((folder / "round-000001.json").read_text())
    assert set(head) == {"tensors_sha256", "body_sha256", "body"}


def test_tensors_alone(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, ARRAYS)
    require_same(Checkpoint(0, {}, "", None, ARRAYS), Checkpoint(0, {}, "", None, read_tensors(path)))


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_no_tensors(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors is no valid safetensors file"):
        read_tensors(path)


def test_missing_tensors(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*model\.safetensors: No such file"):
        read_tensors(tmp_path / "model.safetensors")
