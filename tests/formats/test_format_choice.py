"""What `anylead.read` promises of every format, and that every format of the folder is in the tuple."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import anylead.formats
from anylead.errors import RecordFileError
from anylead.formats import FORMATS, read
from fake_trees import fake_ecg, write_wfdb

PARTS = {"__init__", "base", "description", "table", "unpack", "wfdb_header", "wfdb_segments", "wfdb_writer"}
PARTS |= {"wfdb_format16", "channels", "clinical_xml", "decoding", "ecgdatakit_record"}
PARTS |= {"writers", "delimited_writer", "dicom_writer", "edf_writer", "parquet_writer", "sidecar", "folder"}
"""Files of the folder that are no format of their own."""


@pytest.fixture
def wfdb_record(tmp_path):
    return write_wfdb(tmp_path / "r", fake_ecg(np.random.default_rng(0), seconds=1))


def test_every_format_is_in_the_tuple():
    files = {path.stem for path in Path(anylead.formats.__file__).parent.glob("*.py")} - PARTS
    modules = {import_module(f"anylead.formats.{name}").FORMAT for name in files}
    assert modules == set(FORMATS)


def test_the_error_for_unknown_content_names_every_format(tmp_path):
    (tmp_path / "r.bin").write_bytes(b"nothing known")
    with pytest.raises(RecordFileError, match="the content is of no known format; read are") as error:
        read(tmp_path / "r.bin")
    assert all(known.name in str(error.value) for known in FORMATS)


@pytest.mark.parametrize("given", [{"fs": 500}, {"unit": "mV"}, {"leads": "I"}])
def test_what_a_file_says_itself_is_not_to_be_given(wfdb_record, given):
    with pytest.raises(RecordFileError, match=f"{next(iter(given))} was given, and a file of WFDB .* itself"):
        read(wfdb_record, **given)


def test_an_item_of_a_file_that_holds_one_recording_is_refused(wfdb_record):
    with pytest.raises(RecordFileError, match="item was given, and a file of WFDB"):
        read(f"{wfdb_record}::3")


def test_two_colons_in_the_name_of_a_file_are_its_own(tmp_path):
    (tmp_path / "a::b.bin").write_bytes(b"nothing known")
    with pytest.raises(RecordFileError, match=r"a::b.bin: the content is of no known format"):
        read(tmp_path / "a::b.bin")


def test_a_name_that_no_file_can_have_is_one_sentence():
    with pytest.raises(RecordFileError, match=r"there is no such file|cannot be read"):
        read("a\0b")


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "r.edf"
    path.write_bytes(b"x")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RecordFileError, match=r"the file cannot be read \(Permission denied\); give one"):
        read(path)
