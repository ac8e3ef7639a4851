import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.results import files
from fl_simu.results.closing_table import closing_table, readable_bits
from fl_simu.results.records import RoundLog, RoundRecord, UeOutcome, summarise

# The time of an fsync is not a property of the code.
on_a_busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

any_float = st.floats()
outcomes = st.builds(
    UeOutcome,
    ue=st.integers(0, 10**4),
    compute_s=any_float,
    delays_s=st.lists(any_float, max_size=3).map(tuple),
    bits=st.integers(0, 2**60),
    accepted=st.sampled_from(["full", "base", "none"]),
    reason=st.text(),
    download_s=any_float,
)


@st.composite
def records(draw):
    ues = tuple(draw(st.lists(outcomes, max_size=3)))
    time_s, accuracy, loss, wall_time_s = (draw(any_float) for _ in range(4))
    bits = sum(one.bits for one in ues)
    downlink_bits = draw(st.integers(0, 2**60))
    return RoundRecord(draw(st.integers(0, 10**6)), time_s, accuracy, loss, bits, ues, wall_time_s, downlink_bits)


def _flat(record):
    """All values of a record, as text that shows every bit; all values that are not finite are equal."""
    ues = [
        [one.ue, one.compute_s, *one.delays_s, one.bits, one.accepted, one.reason, one.download_s]
        for one in record.ues
    ]
    numbers = [record.round, record.time_s, record.accuracy, record.loss]
    values = sum(ues, [*numbers, record.uplink_bits, record.wall_time_s, record.downlink_bits])
    return ["lost" if isinstance(v, float) and not math.isfinite(v) else repr(v) for v in values]


def _refuse(word):
    raise AssertionError("not JSON: " + word)


@on_a_busy_machine
@given(records())
def test_a_record_survives_its_line(record):
    line = record.to_line()
    assert "\n" not in line
    json.loads(line, parse_constant=_refuse)
    back = RoundRecord.from_line(line)
    assert _flat(back) == _flat(record)
    assert back.to_line() == line


@on_a_busy_machine
@given(st.lists(records(), min_size=1, max_size=4), st.data())
def test_a_log_cut_at_any_byte_keeps_its_whole_lines_and_grows_on(tmp_path_factory, kept, data):
    log = RoundLog(tmp_path_factory.mktemp("log") / "rounds.jsonl")
    for record in kept:
        log.append(record)
    content = log.path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    log.path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert [_flat(one) for one in log.read()] == [_flat(one) for one in kept[:whole]]
    for record in kept[whole:]:
        log.append(record)
    assert log.path.read_bytes() == content


def _record(number, verdicts="f", bits=8, accuracy=0.5):
    words = {"f": "full", "b": "base", "n": "none"}
    ues = tuple(UeOutcome(ue, 1.0, (0.5, 1.0), bits, words[one]) for ue, one in enumerate(verdicts))
    return RoundRecord(number, 2.0 * number, accuracy, 1.0 - accuracy, bits * len(ues), ues, 0.25)


def test_measures_of_an_attack_come_back_and_stand_only_where_there_are_any():
    plain = _record(1)
    assert "attack" not in json.loads(plain.to_line())
    measures = {"wanted": [3], "predicted": [1], "confidence": [0.1], "distances": [1.5, math.nan], "spread": None}
    record = replace(plain, attack=measures)
    assert RoundRecord.from_line(record.to_line()).attack == {**measures, "distances": [1.5, None]}
    assert replace(RoundRecord.from_line(record.to_line()), attack=None) == plain


def test_scalars_of_other_libraries_become_plain_numbers():
    ues = (UeOutcome(np.int64(1), np.float32(0.5), (np.float64(0.1),), np.int64(8), "full"),)
    record = RoundRecord(np.int64(1), np.float64(0.1), np.float32(0.5), np.float32("nan"), np.int64(8), ues, 0.0)
    value = json.loads(record.to_line(), parse_constant=_refuse)
    assert (value["time_s"], value["accuracy"], value["loss"]) == (0.1, 0.5, None)
    assert value["ues"][0]["delays_s"] == [0.1]


def test_truncate_keeps_the_first_records_byte_for_byte(tmp_path):
    log = RoundLog(tmp_path / "rounds.jsonl")
    assert log.read() == []
    for number in (1, 2, 3):
        log.append(_record(number))
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines) + lines[0][:40])
    log.truncate(3)
    assert log.path.read_bytes() == b"".join(lines)
    log.truncate(1)
    assert log.read() == [_record(1)]
    with pytest.raises(UserError, match="holds 1 rounds, fewer than the 2"):
        log.truncate(2)
    log.truncate(0)
    assert log.read() == []


def test_truncate_that_fails_loses_nothing(tmp_path, monkeypatch):
    log = RoundLog(tmp_path / "rounds.jsonl")
    for number in (1, 2):
        log.append(_record(number))

    def failing(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", failing)
    with pytest.raises(UserError, match="No space left"):
        log.truncate(1)
    assert log.read() == [_record(1), _record(2)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: b"\x00" * len(line),
        lambda line: line[:-5],
        lambda line: b"[]",
        lambda line: line.replace(b'"accuracy"', b'"accurady"'),
        lambda line: line.replace(b'"uplink_bits": 8', b'"uplink_bits": 9'),
        lambda line: line.replace(b'"round": 2', b'"round": 2.5'),
        lambda line: line.replace(b'"full"', b'"most"'),
    ],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path, damage):
    log = RoundLog(tmp_path / "rounds.jsonl")
    lines = [_record(number).to_line().encode() for number in (1, 2, 3)]
    assert damage(lines[1]) != lines[1]
    lines[1] = damage(lines[1])
    log.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(UserError, match=r"rounds\.jsonl, line 2"):
        log.read()
    log.truncate(1)
    assert log.read() == [_record(1)]


def test_a_record_that_contradicts_itself_is_refused():
    with pytest.raises(BadField, match="uplink_bits = 7"):
        RoundRecord(1, 0.0, 0.0, 0.0, 7, (UeOutcome(0, 0.0, (), 8, "none"),), 0.0)
    with pytest.raises(BadField, match="accepted = 'half'"):
        UeOutcome(0, 0.0, (), 8, "half")


def test_the_summary_counts_as_a_person_would(tmp_path):
    rounds = [_record(1, "fffb", 1000, 0.5), _record(2, "fbnn", 1000, 0.75), _record(3, "nnnf", 500, 0.9125)]
    summary = summarise(rounds, "default", "torch", "modern", 7, 4, "abc", dataset="digits")
    summary.write(tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "name": "default",
        "backend": "torch",
        "stack": "modern",
        "seed": 7,
        "rounds": 3,
        "ues": 4,
        "final_accuracy": 0.9125,
        "final_loss": 1 - 0.9125,
        "virtual_time_s": 6.0,
        "wall_time_s": 0.75,
        "uplink_bits": 10000,
        "downlink_bits": 0,
        "accepted_full": 5,
        "accepted_base": 2,
        "rejected": 5,
        "model_sha256": "abc",
        "dataset": "digits",
    }
    assert closing_table(summary).splitlines() == [
        "rounds         3",
        "test accuracy  91.25 %",
        "virtual time   6.00 s",
        "bits sent      10.0 kbit",
        "accepted full  5 of 12 (42 %)",
        "accepted base  2 of 12 (17 %)",
        "rejected       5 of 12 (42 %)",
    ]


def test_a_run_without_rounds_has_a_summary_too(tmp_path):
    summary = summarise([], "default", "torch", "modern", 0, 4, "abc", wall_time_s=1.5)
    summary.write(tmp_path / "summary.json")
    back = json.loads((tmp_path / "summary.json").read_text(), parse_constant=_refuse)
    assert (back["final_accuracy"], back["rounds"], back["wall_time_s"]) == (None, 0, 1.5)
    assert "not measured" in closing_table(summary) and "nan" not in closing_table(summary)


@on_a_busy_machine
@given(st.integers(0, 10**17))
def test_readable_bits_are_right_to_three_digits(bits):
    amount, unit = readable_bits(bits).split()
    scale = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9, "Tbit": 10**12}[unit]
    assert float(amount) * scale == pytest.approx(bits, rel=0.0051)
    assert float(amount) < 1000 or unit == "Tbit"
