"""Uploads of every kind are read, under names of ours, and nothing of them stays."""

import contextlib
import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import RecordFileError
from anylead.formats import read
from anylead.service import uploads
from anylead.service.uploads import Part, read_upload
from fuzz_cases import FILES, NEEDS, PACKED, write_case
from service_parts import csv_of, samples


def parts_of(files):
    return [Part(name=name, file=io.BytesIO(content)) for name, content in files.items()]


def zip_of(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def packed(name, folder):
    files = FILES[name](folder)
    return PACKED[name](files) if name in PACKED else files


@pytest.fixture
def spied(monkeypatch, tmp_path):
    """A temporary folder, and the names that were in it when a reader was called."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    def spy(path, **told):
        seen.extend(file.name for file in path.parent.iterdir())
        return read(path, **told)

    monkeypatch.setattr(uploads, "read", spy)
    yield seen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_read_as_the_library_reads_it(name, tmp_path, spied):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    with tempfile.TemporaryDirectory(dir=tmp_path.parent) as other:
        files = packed(name, Path(other))
        expected = read(write_case(Path(other), name, FILES[name](Path(other)), 0, 0))
        files = {f"Jane Doe/{known}": content for known, content in files.items()}
        got = read_upload(parts_of(files))
        zipped = read_upload(parts_of({"x.zip": zip_of(files)})) if name not in PACKED else got
    np.testing.assert_array_equal(got.signal, expected.signal)
    np.testing.assert_array_equal(zipped.signal, expected.signal)
    assert got.leads == expected.leads
    assert all(file.startswith("upload") for file in spied)


@pytest.mark.parametrize(
    "name",
    ["../../evil.csv", "/etc/cron.d/x.csv", "a\\..\\b.csv", "x.csv\0.sh", ".csv", "x.py", "", "é" * 300],
)
def test_a_name_decides_nothing(name, spied):
    content = csv_of(samples(2))
    with contextlib.suppress(RecordFileError):
        read_upload([Part(name=name, file=io.BytesIO(content))], fs=500.0, unit="mV")
    assert set(spied) <= {"upload", "upload.csv"}


def test_a_header_may_name_only_what_was_sent(tmp_path, spied):
    header = b"r 1 500 100\n/etc/passwd 16 200 16 0 0 0 0 I\n"
    with pytest.raises(RecordFileError, match="names a file that was not sent"):
        read_upload(parts_of({"r.hea": header}))
    with pytest.raises(RecordFileError, match="names a file that was not sent"):
        read_upload(parts_of({"x.zip": zip_of({"r.hea": header, "r.dat": b"\0" * 200})}))


def test_what_is_no_single_recording_is_refused():
    table = csv_of(samples(2))
    with pytest.raises(RecordFileError, match="these are 2 recordings"):
        read_upload(parts_of({"a.csv": table, "b.csv": table}))
    with pytest.raises(RecordFileError, match="same name"):
        read_upload(parts_of({"a/x.csv": table, "b/x.csv": table}))
    with pytest.raises(RecordFileError, match="these are 2 WFDB records"):
        read_upload(parts_of({"a.hea": b"a 0 500 100\n", "b.hea": b"b 0 500 100\n"}))
    with pytest.raises(RecordFileError, match="the zip holds 0 files"):
        read_upload(parts_of({"x.zip": zip_of({})}))
    with pytest.raises(RecordFileError, match="the WFDB header is too large"):
        read_upload(parts_of({"r.hea": b"r 1 500 100\n" + b"#" * 2**20}))


def test_archives_in_archives_and_bombs_are_refused():
    inner = zip_of({"x.csv": csv_of(samples(2))})
    for files in ({"x.csv": inner}, {"x.csv": gzip.compress(b"x")}):
        with pytest.raises(RecordFileError, match="archive in an archive"):
            read_upload(parts_of({"x.zip": zip_of(files)}))
    with pytest.raises(RecordFileError, match="archive in an archive"):
        read_upload(parts_of({"a.csv": inner, "b.json": b"{}"}))
    with pytest.raises(RecordFileError, match="larger than is accepted"):
        read_upload(parts_of({"x.zip": zip_of({"x.csv": b"0" * 5000})}), most_bytes=4000)
    with pytest.raises(RecordFileError, match="the zip cannot be unpacked"):
        read_upload(parts_of({"x.zip": inner[:40]}))


def test_a_pickle_is_not_loaded(tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RecordFileError):
        read_upload(parts_of({"x.npy": file.getvalue()}), fs=500.0, unit="mV", leads="I")


def test_messages_name_no_folder(tmp_path):
    with pytest.raises(RecordFileError) as caught:
        read_upload(parts_of({"x.edf": b"nonsense"}))
    assert tempfile.gettempdir() not in str(caught.value)
    assert "anylead-upload" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_not_faults(name, client, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    files = FILES[name](tmp_path)
    for case in range(1, 4):
        folder = tmp_path / str(case)
        folder.mkdir()
        write_case(folder, name, files, 5, case)
        sent = [("file", (file.name, file.read_bytes())) for file in sorted(folder.iterdir())]
        answer = client.post("/v1/records", files=sent)
        assert answer.status_code in (201, 413, 422), answer.text
        assert "Traceback" not in answer.text


def test_an_upload_without_a_file_or_with_odd_fields_is_refused(client):
    content = csv_of(samples(2))
    answers = [
        client.post("/v1/records", data={"fs": "500"}),
        client.post("/v1/records", content=b"x", headers={"Content-Type": "multipart/form-data"}),
        client.post("/v1/records", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}),
        client.post("/v1/records", json={}),
        client.post("/v1/records", files={"file": ("x.csv", content)}, data={"fs": "fast"}),
        client.post("/v1/records", files={"file": ("x.csv", content)}, data={"fs": "nan", "unit": "mV"}),
        client.post("/v1/records", files={"file": ("x.csv", content)}, data={"fs": "500", "unit": "kg"}),
        client.post("/v1/records", files={"file": ("x.csv", content), "unit": ("u", b"mV")}),
        client.post("/v1/records", files=[("file", ("x.csv", b""))] * 65),
    ]
    assert {answer.status_code for answer in answers} <= {400, 422}
    assert all(set(answer.json()) == {"error"} for answer in answers)
