"""The numbers in the charts of a page, compared one by one with the records that they come from."""

import json
import math

import numpy as np
import pytest

from fl_simu.kernel.columns import Column
from fl_simu.kernel.errors import UserError
from fl_simu.results.charts import MAX_GROUPS, Charted, charts
from fl_simu.results.records import ACCEPTED, RoundLog, RoundRecord, UeOutcome
from fl_simu.results.uploads import read_uploads, thresholds_of

NAN, INF = math.nan, math.inf


def record(at, ues=(), accuracy=0.5, **more):
    bits = sum(one.bits for one in ues)
    return RoundRecord(at, 2.0 * at, accuracy, 1.5, bits, tuple(ues), 0.1, **more)


RECORDS = [
    record(1, [UeOutcome(0, 1.0, (0.1, 0.2), 7, "full"),
               UeOutcome(4, 1.0, (0.1, INF), 5, "base", meters={"e": 1.0})]),
    record(2, [], accuracy=NAN, downlink_bits=3),
    # No delay, one layer, and a time that is null in the file, which the fast reader cannot handle.
    record(3, [UeOutcome(1, NAN, (), 0, "none", "dropped out"), UeOutcome(2, 1.0, (0.3,), 1, "full")]),
    record(4, [UeOutcome(2, 1.0, (0.4, 0.5, 0.6), 9, "base")], meters={"e": 2.0},
           attack={"wanted": [1], "predicted": [2], "confidence": [0.5], "distances": [], "spread": None}),
]  # fmt: skip


def log_of(folder, records):
    file = folder / "rounds.jsonl"
    file.write_text("".join(one.to_line() + "\n" for one in records))
    return RoundLog(file)


def test_uploads_are_those_of_the_records(tmp_path):
    rounds, uploads = read_uploads(log_of(tmp_path, RECORDS))
    wanted = [(one, ue) for one in RECORDS for ue in one.ues]
    for read, one in zip(rounds, RECORDS):
        for name, value in read._asdict().items():
            np.testing.assert_equal(value, getattr(one, name))
    assert len(rounds) == len(RECORDS)
    assert uploads.round.tolist() == [one.round for one, _ in wanted] == [1, 1, 3, 3, 4]
    assert uploads.place.tolist() == [-0.5, 0.5, -0.5, 0.5, 0.0]
    assert uploads.ue.tolist() == [ue.ue for _, ue in wanted]
    assert [ACCEPTED[at] for at in uploads.kind] == [ue.accepted for _, ue in wanted]
    np.testing.assert_equal(uploads.base_s, [0.1, 0.1, NAN, NAN, 0.4])
    np.testing.assert_equal(uploads.complete_s, [0.2, NAN, NAN, 0.3, 0.6])


DAMAGE = {
    "no time": ('"time_s": 2.0', '"time": 2.0'),
    "a text": ('"accuracy": 0.5', '"accuracy": "0.5"'),
    "a sum": ('"uplink_bits": 12', '"uplink_bits": 13'),
    "bits": ('"bits": 7', '"bits": -7'),
    "a fraction": ('"ue": 4', '"ue": 4.5'),
    "a truth": ('"ue": 4', '"ue": true'),
    "huge": ('"ue": 4', f'"ue": {2**64}'),
    "a verdict": ('"accepted": "base"', '"accepted": "half"'),
    "a delay": ("0.1, null", '0.1, "late"'),
    "delays": ("[0.1, null]", "0.1"),
    "a reason": ('"reason": ""', '"reason": 3'),
    "uploads": ('"ues": [', '"ues": [3, '),
    "a meter": ('"wall_time_s": 0.1', '"wall_time_s": 0.1, "meters": {"e": "1"}'),
    "an attack": ('"wall_time_s": 0.1', '"wall_time_s": 0.1, "attack": 3'),
}


@pytest.mark.parametrize("old, new", DAMAGE.values(), ids=DAMAGE)
def test_what_is_no_record_is_refused_in_the_quick_way_too(old, new, tmp_path):
    log = log_of(tmp_path, RECORDS)
    whole = log.path.read_text()
    log.path.write_text(whole.replace(old, new, 1))
    assert log.path.read_text() != whole
    for read in (RoundLog.read, read_uploads):
        with pytest.raises(UserError, match="line 1: not a record of a round"):
            read(log)


@pytest.mark.parametrize("told", [3, [], {"wait": "1"}, {"wait": True}])
def test_thresholds_of_another_form_are_one_line(told):
    with pytest.raises(UserError, match="damaged at thresholds_s"):
        thresholds_of({"thresholds_s": told})


def charted(folder, records, ues=3, columns=None, thresholds_s=None):
    return Charted(*read_uploads(log_of(folder, records)), ues, columns or {}, thresholds_s or {})


def test_curves_are_thinned_among_the_rounds_that_have_a_value(tmp_path):
    energy = Column("J", "energy", "sum", axis=True)
    records = [
        record(at, accuracy=at / 10_000 if at % 3 == 0 else NAN, meters={"e": 0.5}) for at in range(1, 10_001)
    ]
    told = charts({"one": charted(tmp_path, records, columns={"e": energy})})
    (run,) = told["runs"]
    assert [one["label"] for one in told["x"]] == [
        "round", "virtual time [s]", "sent over the uplink, all UEs [bit]", "energy [J]"
    ]  # fmt: skip
    by = {name: part for part in run["curves"] for name in part["measures"]}
    key = told["x"][-1]["key"]
    # 3,333 rounds were evaluated, and all have energy and a loss; the last one is always kept.
    evaluated = [*range(3, 10_000, 12)] + [9999] * (9999 not in range(3, 10_000, 12))
    accuracy = by["accuracy"]
    assert (accuracy["every"], accuracy["of"], accuracy["drawn"]) == (4, 3333, len(evaluated))
    assert accuracy["values"]["round"] == evaluated
    assert accuracy["values"]["accuracy"] == pytest.approx([at / 100 for at in evaluated])
    assert accuracy["values"][key] == [at / 2 for at in evaluated]
    assert by[key] == by["loss"] and (by[key]["every"], by[key]["of"]) == (10, 10_000)
    assert by[key]["values"]["time_s"] == [2 * at for at in [*range(1, 10_000, 10), 10_000]]
    assert run["uploads"] is None


def test_many_ues_are_drawn_in_groups_whose_percentiles_are_of_all_uploads(tmp_path):
    draws, ues, verdicts = np.random.RandomState(3), 250, ("full", "base", "none")
    seen = [(at, ue) for at in range(1, 41) for ue in draws.permutation(ues)[:50].tolist()]
    delays = {pair: float(draws.lognormal() * (1 + pair[1])) if draws.uniform() > 0.1 else INF for pair in seen}
    kinds = {pair: verdicts[draws.randint(3)] for pair in seen}
    records = [
        record(at, [UeOutcome(ue, 1.0, (delays[at, ue],), 1, kinds[at, ue]) for one, ue in seen if one == at])
        for at in range(1, 41)
    ]
    (run,) = charts({"one": charted(tmp_path, records, ues, thresholds_s={"wait": 0.5, "never": INF})})["runs"]
    assert run["thresholds"] == [{"label": "wait", "delay_s": 0.5}]
    (layer,) = run["uploads"]["layers"]
    assert layer["name"] == "complete upload" and layer["marks"] is None
    missing = sum(math.isinf(delay_s) for delay_s in delays.values())
    assert layer["note"].startswith(f"{missing} of 2000 uploads never arrived as far. No marks: {2000 - missing} ")

    by_round = layer["round"]
    assert (by_round["at"], by_round["note"]) == ([*range(1, 41)], "")
    for at, levels in zip(by_round["at"], zip(*by_round["levels"])):
        arrived = [delays[pair] for pair in seen if pair[0] == at and math.isfinite(delays[pair])]
        assert levels == pytest.approx(np.percentile(arrived, (10, 25, 50, 75, 90)), rel=1e-6)

    by_ue = layer["ue"]
    arrived = {ue: sorted(delays[pair] for pair in seen if pair[1] == ue) for ue in range(ues)}
    arrived = {ue: [delay_s for delay_s in found if math.isfinite(delay_s)] for ue, found in arrived.items()}
    order = sorted((found[(len(found) - 1) // 2], ue) for ue, found in arrived.items() if found)
    parts = np.array_split([ue for _, ue in order], MAX_GROUPS)
    assert by_ue["note"].startswith(f"{len(order)} UEs, drawn in 100 groups of 2 or 3")
    assert by_ue["names"] == ["UEs " + ", ".join(map(str, part)) for part in parts]
    for part, levels in zip(parts, zip(*by_ue["levels"])):
        together = [delay_s for ue in part.tolist() for delay_s in arrived[ue]]
        assert levels == pytest.approx(np.percentile(together, (10, 25, 50, 75, 90)), rel=1e-6)

    shares = run["uploads"]["shares"]["ue"]
    counted = {
        kind: [sum(kinds[pair] == kind for pair in seen if pair[1] == ue) for ue in range(ues)]
        for kind in verdicts
    }
    ranked = sorted(range(ues), key=lambda ue: (-counted["full"][ue], -counted["base"][ue], ue))
    for kind in verdicts:
        means = [np.mean([counted[kind][ue] for ue in part]) for part in np.array_split(ranked, MAX_GROUPS)]
        assert shares[kind] == pytest.approx(means, rel=1e-6)
    assert (
        shares["note"]
        == "250 UEs, drawn in 100 groups of 2 or 3, those accepted most often first. Bars are means."
    )


def test_few_uploads_are_marks_and_a_ue_that_never_sent_has_a_place(tmp_path):
    (run,) = charts({"one": charted(tmp_path, RECORDS, ues=6)})["runs"]
    shares = run["uploads"]["shares"]["ue"]
    assert shares["names"] == [f"UE {ue}" for ue in range(6)] and shares["at"] == [*range(6)]
    assert [shares[kind] for kind in ACCEPTED] == [[1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
    complete, base = run["uploads"]["layers"]
    assert (complete["name"], base["name"]) == ("complete upload", "base layer")
    assert complete["marks"]["full"]["delay_s"] == [0.2, 0.3]
    assert complete["marks"]["base"]["names"] == ["UE 2, round 4"]
    assert base["round"]["levels"][2] == [0.1, None, None, 0.4]
    # The JSON parser of a browser accepts no NaN.
    assert json.loads(json.dumps(run, allow_nan=False)) == run
