import bz2
import gzip
import itertools
import lzma
import math

import pytest

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.radio.channels.recordings import read_recording
from fl_simu.radio.channels.trace import Trace
from fl_simu.radio.delays import RateAtStart

# Times in s and rates in Mbit/s of the recording that all the texts below write down.
TIMES, RATES = [0.0, 1.0, 2.0, 3.0], [5.0, 6.0, 7.5, 4.0]
PLAIN = "0 5\n1 6\n2 7.5\n3 4\n"


def name_of(value):
    """Of a case: how it begins, but for gzip, which writes down when it was."""
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
    course = read_recording(str(path))
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
    # size / rate, with the rate at the start, wherever that is.
    for start_s in (0.0, 0.0004, 7.77):
        (arrival,) = RateAtStart().arrivals_s(channel, 1, 0, 0, start_s, [mbps])
        assert arrival - start_s == pytest.approx(1.0, rel=1e-9)


def test_an_upload_that_is_cut_off_has_sent_the_packets_that_were_carried(tmp_path):
    channel = packets(tmp_path, "4\n8")
    carried = [
        channel.carried_mbit(1, 0, 0, 0.0, end_s) * 1e6 for end_s in (0.0, 0.0039, 0.004, 0.05, 0.0519, 0.052)
    ]
    # A chance of 12,000 bits every 4 ms.
    assert carried == pytest.approx([0, 0, 12_000, 144_000, 144_000, 156_000])
    # A chance at the very start of an upload is its own.
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
    # 3e-3 Mbit a loop of 3 s, nothing in its second second.
    path.write_text("0 0.001\n1 0\n2 0.002\n")
    channel = Trace(str(path), offset="none")
    load = 3e-3 * 1_000_000
    # The last bit of a million loops is carried at their end; half a second later as much as 1e-3 x 0.5 s more.
    arrivals = channel.arrivals_s(1, 0, 0, 0.0, [load, 0.0005, 0.0015])
    assert arrivals == pytest.approx([3e6, 3e6 + 0.5, 3e6 + 2.5], abs=1e-5)
    assert channel.arrivals_s(1, 0, 0, 1.5, [load])[0] == pytest.approx(3e6 + 1.0, abs=1e-5)
    assert math.isfinite(channel.arrivals_s(1, 0, 0, 0.0, [1e9])[0])
