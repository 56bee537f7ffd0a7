"""Damaged files of every format: either a Record that holds what a Record promises or one of our errors.

Bytes of valid files are changed, cut out and doubled, sizes and texts replaced. `ANYLEAD_FUZZ_CASES` sets how
many cases a kind of file has; the default is about 500 in all. `benchmarks/fuzz.py` reads 20,000 and more.
"""

import os

import pytest

from anylead.errors import AnyleadError, RecordFileError
from anylead.formats import FORMATS, read
from fuzz_attacks import ATTACKS
from fuzz_cases import CLINICAL, FILES, NEEDS, check, write_case

CASES = int(os.environ.get("ANYLEAD_FUZZ_CASES", "25"))


def refused(path):
    try:
        check(read(path))
    except AnyleadError as error:
        return error
    return None


@pytest.mark.parametrize("name", [name for name in FILES if name not in CLINICAL])
def test_a_damaged_file_is_a_record_or_one_of_our_errors(tmp_path, name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    files = FILES[name](tmp_path)
    for case in range(CASES):
        refusal = refused(write_case(tmp_path, name, files, 0, case))
        assert case or refusal is None, f"the undamaged file is refused: {refusal}"
        assert "\n" not in str(refusal)


def test_every_format_is_damaged():
    modules = {known.read.__module__.rpartition(".")[2] for known in FORMATS}
    assert modules <= set(FILES)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_made_to_do_harm_is_refused(tmp_path, monkeypatch, name):
    for package in ("pydicom", "ecgdatakit", "edfio", "h5py"):
        pytest.importorskip(package)
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    write, reader, sentence = ATTACKS[name]
    path = write(tmp_path / "in")
    with pytest.raises(RecordFileError):
        read(path)
    with pytest.raises(RecordFileError, match=sentence) as refusal:
        reader(path)
    assert "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
