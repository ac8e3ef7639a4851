import bz2
import gzip
import itertools
import lzma
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.radio.channels.recordings import read
from fl_simu.radio.channels.trace import Trace
from fl_simu.radio.delays import RateAtStart

# Times in s and rates in Mbit/s of the recording that all the texts below contain.
TIMES, RATES = [0.0, 1.0, 2.0, 3.0], [5.0, 6.0, 7.5, 4.0]
PLAIN = "0 5\n1 6\n2 7.5\n3 4\n"


def name_of(value):
    """The name of a case: its first characters, except for gzip, whose header holds a time."""
    return "gzip" if value[:2] == b"\x1f\x8b" else repr(value[:30])


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip().encode(),
        b"  0\t 5\n1\t\t6\n\n 2   7.5\n3 4   \n\n",
        b"# LTE, Oslo\n0 5 # start\n% matlab\n1 6\n2 7.5\n3 4\n",
        b"0.0e0 5.0E+00\n1e0 6\n2 7.5\n3 4\n",
        b"10 5\n11 6\n12 7.5\n13 4\n",
        b"time,mbps\n0,5\n1,6\n2,7.5\n3,4\n",
        b"time mbps\n0 5\n1 6\n2 7.5\n3 4\n",
        b"0, 5\n1, 6\n2, 7.5\n3, 4\n",
        b"0;5\n1;6\n2;7,5\n3;4\n",
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        "# Gerät\n".encode("latin-1") + PLAIN.encode(),
        gzip.compress(PLAIN.encode()),
        bz2.compress(PLAIN.encode()),
        lzma.compress(PLAIN.encode()),
    ],
    ids=name_of,
)
def test_a_recording_in_any_dress_whose_meaning_is_plain(tmp_path, data):
    path = tmp_path / "recording"
    path.write_bytes(data)
    (course,) = read(str(path)).courses
    assert (course.times_s.tolist(), course.rates_mbps.tolist(), course.length_s) == (TIMES, RATES, 4.0)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "no line holds numbers"),
        (b"time rate\n", "no line holds numbers"),
        (b"1 2 3\n4 5 6\n", "line 1 is '1 2 3'"),
        (b",time,mbps\n0,0.0,0.022\n1,0.0,0.073\n", "line 2 is '0,0.0,0.022'"),
        (b"2019-12-16 11:49:59 5\n2019-12-16 11:50:00 6\n", "line 1 is '2019-12-16 11:49:59 5'"),
        (b"0 1,500.5\n1 2,000\n", "line 1 is '0 1,500.5'"),
        (b"0 5\n1\n2 7.5\n", "line 2 is '1'"),
        (b"0 5\n1 x" + 100 * b"y" + b"\n2 7.5\n", "line 2 is '1 xyyy"),
        (b"0 5\n1 nan\n2 7\n", "line 2 has nan"),
        (b"0 5\n1 inf\n2 7\n", "line 2 has inf"),
        (b"0 5\nnan 6\n2 7\n", "line 2 has nan"),
        (b"0 5\n1 -1\n2 7\n", "line 2 has -1"),
        (b"0 5\n2 6\n1 7\n", "line 3 has 1: times never fall"),
        (b"5\n3\n", "line 2 has 3"),
        (b"-1\n2\n", "line 1 has -1"),
        (b"1\nnan\n", "line 2 has nan"),
        (b"1453121790686\n1453121790690\n", "line 1 has 1453121790686"),
        (b"9223372036854775808\n", "line 1 has 9.22337203685478e+18: times are ms"),
        (b"0\n0\n0\n", "longer than 0 ms"),
        (b"0\n5e-324\n", "1 ms at least"),
        (b"0 5\n", "two times that differ"),
        (b"3 5\n3 6\n", "two times that differ"),
        (b"0 0\n1 0\n", "its rates are 0"),
        (b"0 1e-300\n1 1e-300\n", "its rates are 0, or below 1e-06"),
        (b"0.000 22571.7\n1.001 13448.1\n", "line 1 has 22571.7: are rates in Mbit/s?"),
        (b"39287 22.5\n40288 13.4\n41289 30.7\n", "are its times in s?"),
        (b"0 5\n1e-300 6\n2e-300 7\n", "shorter than a millisecond"),
        (b"0 5\n1e15 6\n", "longer than 1e+09 s"),
        (gzip.compress(PLAIN.encode())[:-9], "cannot be read"),
        (b"BZh9broken", "cannot be read"),
        (b"\xfd7zXZ\x00broken", "cannot be read"),
        (gzip.compress(bytes(2**25 + 1)), "more than 32 MiB"),
    ],
    ids=name_of,
)
def test_what_is_no_trace_is_refused_in_one_line_that_says_why(tmp_path, data, words):
    path = tmp_path / "broken.trace"
    path.write_bytes(data)
    with pytest.raises(UserError) as told:
        Trace(str(path))
    message = str(told.value)
    assert f"{path} is no trace: " in message and words in message
    assert "\n" not in message and len(message) - len(str(path)) < 200


@pytest.mark.parametrize("path", ["missing", "a\0b", "x" * 5000, "\udcff", "/dev/null"])
def test_a_path_that_leads_nowhere_is_refused(path):
    with pytest.raises(BadField, match="a file or a folder that exists"):
        Trace(path)


def test_a_folder_is_walked_and_what_is_no_recording_is_left_out_with_a_line(tmp_path, capsys):
    for name in ("b/driving", "a/static", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"0 {ord(name[0])}\n1 1\n")
    (tmp_path / "README").write_text("These recordings are of a phone network.\n")
    (tmp_path / "Makefile.am").write_text("data_FILES = README \\\n\tdriving\n")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1\0")
    (tmp_path / "d").write_text("")
    channel = Trace(str(tmp_path), offset="none")
    first = [next(channel.pieces(1, ue, 0, 0.0))[0] for ue in range(4)]
    assert sorted(first[:3]) == [97.0, 98.0, 99.0] and first[3] == first[0]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and ".DS_Store, Makefile.am, README and 1 more" in lines[0]


def test_a_folder_with_a_damaged_recording_or_none_is_refused(tmp_path):
    for text, words in (
        ("0 5\n1 nan\n", "damaged is no trace: line 2 has nan"),
        ("# 0 5", "no recording in that"),
    ):
        folder = tmp_path / words[:5]
        folder.mkdir()
        (folder / "damaged").write_text(text)
        with pytest.raises(UserError, match=words):
            Trace(str(folder))


def packets(tmp_path, text):
    path = tmp_path / "packets"
    path.write_text(text)
    return Trace(str(path), offset="none")


@pytest.mark.parametrize(
    "text, mbps",
    [("1\n", 12.0), ("1", 12.0), ("5\n", 2.4), (60 * "1\n", 720.0), ("4\n8", 3.0), ("0\n" + 59 * "1\n", 720)],
)
def test_a_mahimahi_file_means_the_rate_that_its_readme_says(tmp_path, text, mbps):
    channel = packets(tmp_path, text)
    assert channel.arrivals_s(1, 0, 0, 0.0, [10 * mbps])[0] == pytest.approx(10.0, abs=1e-6)
    assert channel.carried_mbit(1, 0, 0, 0.0, 10.0) == pytest.approx(10 * mbps, abs=0.013)
    # size / rate, with the rate at the start, for any start.
    for start_s in (0.0, 0.0004, 7.77):
        (arrival,) = RateAtStart().arrivals_s(channel, 1, 0, 0, start_s, [mbps])
        assert arrival - start_s == pytest.approx(1.0, rel=1e-9)


def test_an_upload_that_is_cut_off_has_sent_the_packets_that_were_carried(tmp_path):
    channel = packets(tmp_path, "4\n8")
    carried = [
        channel.carried_mbit(1, 0, 0, 0.0, end_s) * 1e6 for end_s in (0.0, 0.0039, 0.004, 0.05, 0.0519, 0.052)
    ]
    # An opportunity to send 12,000 bits every 4 ms.
    assert carried == pytest.approx([0, 0, 12_000, 144_000, 144_000, 156_000])
    # An upload can use an opportunity at its exact start.
    assert channel.carried_mbit(1, 0, 0, 0.048, 0.05) * 1e6 == pytest.approx(12_000)


def test_every_millisecond_of_many_loops_has_its_chances_whatever_floats_make_of_it(tmp_path):
    channel = packets(tmp_path, "0\n1\n1\n3\n")
    carried = [channel.carried_mbit(1, 0, 0, 0.0, ms / 1000) / 0.012 for ms in range(1, 3000)]
    assert carried == pytest.approx([1 + 4 * (ms // 3) + (0, 2, 2)[ms % 3] for ms in range(1, 3000)])


def test_the_last_second_of_a_recording_may_be_a_part_of_one(tmp_path):
    # A packet every 2 ms, 6 Mbit/s, for 2.5 s.
    channel = packets(tmp_path, "\n".join(str(2 * number) for number in range(1, 1251)))
    rates = [rate for rate, _ in itertools.islice(channel.pieces(1, 0, 0, 0.0), 6)]
    assert rates == pytest.approx([6.0] * 6, rel=0.01)


def test_an_upload_that_takes_very_many_loops_of_its_recording(tmp_path):
    path = tmp_path / "slow"
    # 3e-3 Mbit per loop of 3 s, nothing in its second second.
    path.write_text("0 0.001\n1 0\n2 0.002\n")
    channel = Trace(str(path), offset="none")
    load = 3e-3 * 1_000_000
    # The last bit of a million loops is sent at their end; half a second later, 1e-3 x 0.5 s more has been sent.
    arrivals = channel.arrivals_s(1, 0, 0, 0.0, [load, 0.0005, 0.0015])
    assert arrivals == pytest.approx([3e6, 3e6 + 0.5, 3e6 + 2.5], abs=1e-5)
    assert channel.arrivals_s(1, 0, 0, 1.5, [load])[0] == pytest.approx(3e6 + 1.0, abs=1e-5)
    assert math.isfinite(channel.arrivals_s(1, 0, 0, 0.0, [1e9])[0])


# Five measurements each, of 1, 2, 0, 4 and 3 Mbit (125,000 bytes are 1 Mbit), unless lines are left out.
GHENT = """\
1453121790686 39287 51.0386 3.7333 125000 1000
1453121791687 40288 51.0387 3.7334 250000 1001
1453121792688 41289 51.0388 3.7335 0 1001
1453121793687 42288 51.0389 3.7336 500000 999
1453121794686 43287 51.0390 3.7337 375000 999
"""
HSDPA = """\
1289406399 549692 59.8506 10.7800 125000 1020
1289406400 550700 59.8507 10.7801 250000 1008
1289406401 551700 59.8508 10.7802 0 1000
1289406401 551700 59.8508 10.7802 0 0
1289406410 20762 59.8509 10.7803 500000 1001
1289406411 21770 59.8510 10.7804 375000 1008
"""
IRISH = """\
Timestamp,Longitude,Latitude,NetworkMode,DL_bitrate,UL_bitrate,State
2019.11.28_23.59.58,-8.4,51.9,5G,1000,10,D
2019.11.28_23.59.59,-8.4,51.9,5G,2000,20,D
2019.11.29_00.00.00,-8.4,51.9,5G,0,0,I
2019.11.29_00.00.01,-8.4,51.9,5G,4000,40,D
2019.11.29_00.00.02,-8.4,51.9,LTE,3000,30,D
"""
LUMOS = """\
run_num,seq_num,abstractSignalStr,latitude,longitude,nrStatus,Throughput,mobility_mode
1,1,2,44.97,-93.26,CONNECTED,1,walking
1,2,2,44.97,-93.26,CONNECTED,2,walking
1,3,1,44.97,-93.26,NOT_RESTRICTED,0,walking
1,4,,44.97,-93.26,CONNECTED,4,walking
1,5,2,44.97,-93.26,CONNECTED,3,walking
"""
POST = """\
unit_id,dtime,target,address,fetch_time,bytes_total,bytes_sec,bytes_sec_interval,warmup_time,warmup_bytes,sequence,\
threads,successes,failures
386,2019-09-01 00:10:30,sp1.samknows.com,10.0.0.1,1000000,125000,125000,125000,3000000,99,0,3,1,0
386,2019-09-01 06:10:30,sp1.samknows.com,10.0.0.1,2000000,250000,125000,125000,3000000,99,0,3,1,0
386,2019-09-01 12:10:30,sp1.samknows.com,10.0.0.1,0,0,0,0,0,0,0,3,0,1
386,2019-09-01 18:10:30,sp1.samknows.com,10.0.0.1,5000000,250000,50000,50000,3000000,99,0,3,1,0
386,2019-09-01 18:10:30,sp1.samknows.com,10.0.0.1,10000000,500000,50000,50000,3000000,99,1,3,1,0
386,2019-09-02 00:10:30,sp1.samknows.com,10.0.0.1,500000,375000,750000,750000,3000000,99,0,3,1,0
"""
WEB = """\
"unit_id","dtime","target","address","fetch_time","bytes_total","bytes_sec","objects","threads"
"386","2019-09-01 00:00:10","http://edition.cnn.com/a%20b","10.0.0.1",1000000,125000,125000,9,3
"386","2019-09-01 00:00:10","http://www.facebook.com/#","10.0.0.2",500000,250000,500000,9,3
"386","2019-09-01 01:00:10","http://www.amazon.com","10.0.0.3",0,0,NULL,0,3
"386","2019-09-01 02:00:10","http://www.amazon.com","10.0.0.3",4000000,500000,125000,9,3
"386","2019-09-01 03:00:10","http://www.amazon.com","10.0.0.3",1000000,375000,375000,9,3
"""
PENSIEVE = "0.0\t1\n1.0\t2\n2.0\t0\n3.0\t4\n4.0\t3\n"


def written(tmp_path, text, name="recording"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def mbit(course):
    """The load that one loop of a recording of rates carries."""
    return sum(course.rates_mbps * [end - begin for begin, end in zip(course.times_s, ends(course))])


def ends(course):
    return [*course.times_s[1:], course.length_s]


@pytest.mark.parametrize(
    "text, direction, lengths_s, total_mbit, told",
    [
        (GHENT, "down", [1.0, 1.001, 1.001, 0.999, 0.999], 10.0, ""),
        (HSDPA, "any", [1.02, 1.008, 1.0, 1.001, 1.008], 10.0, "lines of 0 ms (1)"),
        (IRISH, "down", [1, 1, 1, 1, 1], 10.0, ""),
        (IRISH, "up", [1, 1, 1, 1, 1], 0.1, ""),
        (LUMOS, "any", [1, 1, 1, 1, 1], 10.0, ""),
        (POST, "up", [1, 2, 10, 0.5], 10.0, "tests without bytes (1), lines of tests that go on (1)"),
        (WEB, "down", [1, 0.5, 4, 1], 10.0, "tests without bytes (1)"),
        (PENSIEVE, "any", [1, 1, 1, 1, 1], 10.0, ""),
    ],
    ids=("Ghent", "HSDPA", "Irish down", "Irish up", "Lumos5G", "FCC post", "FCC web", "Pensieve"),
)
def test_of_each_format_as_many_bits_are_carried_as_bytes_were_measured(
    tmp_path, capsys, text, direction, lengths_s, total_mbit, told
):
    path = written(tmp_path, text)
    channel = Trace(path, offset="none", direction=direction)
    course, _ = channel.course(1, 0)
    assert [end - begin for begin, end in zip(course.times_s, ends(course))] == pytest.approx(lengths_s)
    assert course.length_s == pytest.approx(sum(lengths_s)) and mbit(course) == pytest.approx(total_mbit)
    assert channel.carried_mbit(1, 0, 0, 0.0, 3 * course.length_s) == pytest.approx(3 * total_mbit)
    # The first measurement has a tenth of the bits, and the last bit is sent at the end.
    loads = [total_mbit / 10, 0.9 * total_mbit]
    assert channel.arrivals_s(1, 0, 0, 0.0, loads) == pytest.approx([lengths_s[0], course.length_s])
    assert capsys.readouterr().err == (f"{path}: left out: {told}\n" if told else "")


@pytest.mark.parametrize(
    "text, direction, words",
    [
        (GHENT, "up", "a log of Ghent 4G or HSDPA Norway: it has only down"),
        (LUMOS, "up", "a Lumos5G log: it has only down"),
        (WEB, "up", "FCC web tests: it has only down"),
        (IRISH, "any", "an Irish 4G or 5G log: up or down, as it holds both"),
        (PENSIEVE, "sideways", "one of any, up, down"),
    ],
)
def test_a_direction_that_a_file_has_not_is_refused(tmp_path, text, direction, words):
    path = written(tmp_path, text)
    with pytest.raises(BadField) as told:
        Trace(path, direction=direction)
    message = str(told.value)
    assert message.startswith(f"direction = '{direction}' is not allowed: ") and message.endswith(words)
    # Next to others in a folder it is refused too, not skipped.
    with pytest.raises(BadField):
        Trace(str(tmp_path), direction=direction)


@pytest.mark.parametrize("direction", ["any", "up", "down"])
@pytest.mark.parametrize("text", [PENSIEVE, "1\n2\n", POST])
def test_a_file_that_does_not_say_its_direction_is_taken_as_being_of_any(tmp_path, text, direction):
    Trace(written(tmp_path, text), direction=direction)


def test_seconds_that_are_missing_repeated_or_set_right_are_left_out_and_counted(tmp_path, capsys):
    lines = ("00,5000", "00,7000", "01,-", "03,2000", "02,9000", "04,1000", "04,")
    rows = "".join(f"2019.12.16_11.49.{line},3000\n" for line in lines)
    path = written(tmp_path, "Timestamp,UL_bitrate,DL_bitrate\n" + rows)
    (course,) = read(path, "up").courses
    # The last rate of second 0 also covers the missing second; the line of second 2 comes after second 3.
    assert (course.times_s.tolist(), course.rates_mbps.tolist(), course.length_s) == ([0, 3, 4], [7, 2, 1], 5)
    Trace(path, direction="up")
    assert capsys.readouterr().err == (
        f"{path}: left out: lines without a rate (2), lines of a repeated second (2)\n"
    )


def test_runs_and_households_are_recordings_of_their_own_and_dealt_to_the_ues(tmp_path, capsys):
    text = "run_num,seq_num,Throughput\n1,1,8\n1,2,4\n2,1,0\n2,2,nan\n2,1,6\n2,2,6\n3,1,3\n"
    path = written(tmp_path, text, "runs.csv")
    channel = Trace(path, offset="none")
    first = {next(channel.pieces(1, ue, 0, 0.0)) for ue in range(3)}
    assert first == {(8.0, 1.0), (6.0, 1.0), (3.0, math.inf)}
    assert capsys.readouterr().err == (
        f"{path}: left out: lines without a rate (1), recordings without any rate above 0 (1)\n"
    )
    # Lines of two households may be mixed.
    units = "".join(f"{unit},day {day},a,1000000,{unit * day}\n" for day in (1, 2) for unit in (125000, 250000))
    text = "unit_id,dtime,target,fetch_time,bytes_sec\n" + units
    courses = read(written(tmp_path, text, "units.csv")).courses
    assert [course.rates_mbps.tolist() for course in courses] == [[1.0, 2.0], [2.0, 4.0]]
    assert sorted({Trace(str(tmp_path), offset="none").course(1, ue)[0].length_s for ue in range(5)}) == [1, 2]


@pytest.mark.parametrize(
    "text, words",
    [
        (GHENT.replace("1453121792688", "1453121790000"), "line 3 has 1453121790000: times never fall"),
        (GHENT.replace("500000 999", "500000 -999"), "line 4 has -999: a number of ms"),
        (GHENT.replace("500000 999", "500000000000 999"), "line 4 has 4004004.004"),
        (GHENT.replace("500000 999", "500000"), "line 4 is '1453121793687"),
        (GHENT.replace("500000 999", "1e308 1e-308"), "line 4 has inf: a rate is"),
        (GHENT.replace("500000 999", "1e308 1e308"), "line 4 has 1e+305: a measurement lasts 1e+09 s at most"),
        ("1 2 3 4 5 6\n2 3 4 5 6 7\n", "line 1 has six numbers, the first of which is no time since 1970"),
        (IRISH.replace("4000,40", "4000,x"), "line 5 has 'x' for ul_bitrate: no number"),
        (IRISH.replace("4000,40", "4000,-40"), "line 5 has -40: ul_bitrate is"),
        (IRISH.replace("4000,40", "4000,inf"), "line 5 has inf: ul_bitrate is"),
        (IRISH.replace("4000,40", "4000,2e7"), "line 5 has 20000: a rate is 10,000 Mbit/s at most"),
        (IRISH.replace("4000,40", "4000"), "line 5 has 6 columns, and the header has 7"),
        (IRISH.replace("29_00.00.01", "29"), "line 5 has '2019.11.29' for timestamp: %Y.%m.%d_"),
        (IRISH.replace("29_00.00.01", "28_23.00.01"), "line 5 has 1574982001: it is 3,599 s before a line above"),
        (IRISH.splitlines()[0] + "\n", "nothing below its header"),
        ("Timestamp,DL_bitrate,UL_bitrate\n2019.11.28_23.59.58,,-\n", "its rates are 0"),
        (IRISH.replace("-8.4", "\0" + "9" * 200_000), "line 2"),
    ],
    ids=name_of,
)
def test_a_log_that_is_damaged_is_refused_with_its_line(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(UserError) as told:
        Trace(path, direction="down" if text[0] == "1" else "up")
    message = str(told.value)
    assert message.startswith(f"{path} is no trace: ") and words in message
    assert "\n" not in message and len(message) - len(path) < 200


MEASURED = st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 10**8)), min_size=1, max_size=30).map(
    lambda rows: [(1000, 125_000), *rows]
)


@given(MEASURED, st.sampled_from(["Ghent", "Irish", "Lumos5G", "FCC web", "FCC post"]), st.booleans())
def test_all_bytes_of_a_good_file_of_any_format_are_carried(tmp_path_factory, measured, form, semicolons):
    """Each measurement is (ms, bytes a second); Irish and Lumos5G logs have one each second."""
    seconds = form in ("Irish", "Lumos5G")
    rows = [(1000 if seconds else ms, rate) for ms, rate in measured]
    lines, passed = [], 0
    for place, (ms, rate) in enumerate(rows):
        passed += ms
        minute, second = divmod(place, 60)
        lines.append(
            {
                "Ghent": f"{1453121790686 + passed} {passed} 51.0 3.7 {rate * ms / 1000!r} {ms}",
                "Irish": f"2019.11.28_07.{minute:02}.{second:02},{rate * 0.008!r},-",
                "Lumos5G": f"7,{place + 1},{rate * 8e-6!r}",
                "FCC web": f"9,{place},a,{ms * 1000},{rate}",
                "FCC post": f"9,{place},a,{ms * 1000},{rate},0",
            }[form]
        )
    header = {
        "Ghent": "",
        "Irish": "Timestamp,UL_bitrate,DL_bitrate\n",
        "Lumos5G": "run_num,seq_num,Throughput\n",
        "FCC web": "unit_id,dtime,target,fetch_time,bytes_sec\n",
        "FCC post": "unit_id,dtime,target,fetch_time,bytes_sec,warmup_time\n",
    }[form]
    text = header + "\n".join(lines)
    if semicolons and header and form != "Irish":
        text = text.replace(",", ";").replace(".", ",")
    path = written(tmp_path_factory.mktemp("good"), text)
    (course,) = read(path, "up" if form in ("Irish", "FCC post") else "down").courses
    assert mbit(course) == pytest.approx(sum(8e-6 * rate * ms / 1000 for ms, rate in rows), rel=1e-9)
