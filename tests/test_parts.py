"""User-defined parts: found by name, module or file, checked like ours, and picklable to another process."""

import pickle
import sys
import textwrap

import pytest

from fl_simu.kernel.errors import UserError
from fl_simu.parts import KINDS, own_files
from fl_simu.radio.codecs.base import Codec

KIND = KINDS["codec"]

MINE = """
from dataclasses import dataclass

from fl_simu.radio.codecs.base import Codec
from fl_simu.radio.codecs.float32 import Float32


@dataclass(frozen=True)
class Mine(Float32):
    'Mine.'

    width: int = 3


class Melting(Codec):
    pass


class Other:
    pass
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "codecs.py").write_text(MINE)
    return tmp_path


def test_a_class_of_a_file_is_found_relative_to_the_folder(folder):
    cls = KIND.find("codecs.py:Mine", folder)
    assert issubclass(cls, Codec) and cls(width=5).width == 5
    assert KIND.find("codecs.py:Mine", folder) is cls
    assert KIND.find(KIND.name_of(cls())) is cls


def test_a_class_of_a_module_and_a_row_are_found_by_name():
    assert KIND.find("fl_simu.radio.codecs.top_k:TopK") is KIND.find("top_k")
    assert KIND.name_of(KIND.find("top_k")()) == "top_k"


def test_who_has_not_imported_the_file_does_so_to_unpickle(folder):
    part = KIND.find("codecs.py:Mine", folder)(width=7)
    pickled = pickle.dumps(part)
    del sys.modules[type(part).__module__]
    assert repr(pickle.loads(pickled)) == "Mine(width=7)"


def test_a_changed_file_is_imported_anew(folder):
    before = KIND.find("codecs.py:Mine", folder)
    (folder / "codecs.py").write_text(MINE.replace("width: int = 3", "width: int = 4"))
    after = KIND.find("codecs.py:Mine", folder)
    assert (before().width, after().width) == (3, 4)


def test_what_is_kept_of_files_is_their_text_and_nothing_is_imported(folder):
    (folder / "codecs.py").write_text("raise SystemExit")
    (kept,) = own_files(["float32", "codecs.py:Mine", "codecs.py:Other", "json:JSONDecoder"], folder)
    assert (kept.path, kept.text) == (folder / "codecs.py", "raise SystemExit")
    # echo -n 'raise SystemExit' | sha256sum
    assert kept.sha256 == "3c66a0c62f39423a8d71a3414d4fb4481688f4c83d4da724c9c3fcd192013084"


@pytest.mark.parametrize(
    "reference, line",
    [
        ("affin", "codec.name = 'affin' is not known: did you mean 'affine'?"),
        ("codecs.Mine", 'one of your own is named by its file or module, as "mine.py:Name"'),
        ("codecs.py:Min", "codec.name = 'codecs.py:Min' is not known: did you mean 'Mine'?"),
        ("codecs.py:Other", "not a frozen dataclass that subclasses fl_simu.radio.codecs.base.Codec"),
        ("codecs.py:Melting", "it is not frozen"),
        ("fl_simu.radio.codecs.base:Codec", "it is not frozen"),
        ("missing.py:Mine", "missing.py: No such file or directory"),
        ("no_such_module:Mine", "it cannot be imported (ModuleNotFoundError: No module named 'no_such_module')"),
        ("broken.py:Mine", "broken.py, line 3: ZeroDivisionError: division by zero"),
        ("wrong.py:Mine", "wrong.py, line 2: SyntaxError: invalid syntax"),
    ],
)
def test_a_mistake_is_one_line(folder, reference, line):
    (folder / "broken.py").write_text("x = 0\n\ny = 1 / x\n")
    (folder / "wrong.py").write_text("x = 0\ny = = 1\n")
    with pytest.raises(UserError) as caught:
        KIND.find(reference, folder)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_an_installed_package_offers_parts_by_entry_points(folder, monkeypatch):
    (folder / "their_codecs.py").write_text(MINE)
    (folder / "theirs-1.0.dist-info").mkdir()
    (folder / "theirs-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n"
    )
    offer = textwrap.dedent("""\
        [fl_simu.parts]
        codec.theirs = their_codecs:Mine
        channel.theirs = their_codecs:Other
        """)
    (folder / "theirs-1.0.dist-info" / "entry_points.txt").write_text(offer)
    monkeypatch.syspath_prepend(str(folder))
    assert KIND.offered() == ["theirs"] and "their_codecs" not in sys.modules
    assert KIND.find("theirs")().width == 3
