"""gzip and zip. Independent: Python's gzip and zipfile pack, also what they would not unpack themselves."""

import gzip
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from anylead.errors import RecordFileError
from anylead.formats import read, unpack
from anylead.leads import STANDARD_12
from fake_trees import fake_ecg, write_wfdb

SAID = {"sampling_rate_hz": 500, "unit": "mV"}


@pytest.fixture
def ecg():
    return fake_ecg(np.random.default_rng(0), seconds=1)


@pytest.fixture
def table(ecg):
    return pd.DataFrame(ecg.T, columns=list(STANDARD_12)).to_csv(index=False).encode()


def pack(path, members, **how):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, **how)
    return path


@pytest.fixture
def tree(tmp_path, ecg):
    """A zip of two WFDB records in a folder, the second of two segments."""
    folder = tmp_path / "tree"
    folder.mkdir()
    write_wfdb(folder / "a", ecg, layout="mat")
    write_wfdb(folder / "b0", ecg[:1, :200], ["I"])
    write_wfdb(folder / "b1", ecg[:1, 200:], ["I"])
    (folder / "b.hea").write_text("b/2 1 500 500\nb0 200\nb1 300\n")
    return pack(tmp_path / "z.zip", {f"deep/{file.name}": file.read_bytes() for file in folder.iterdir()})


def test_gzip_with_the_sidecar_beside_it(tmp_path, table, ecg):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(table))
    (tmp_path / "r.json").write_text(json.dumps(SAID))
    record = read(path)
    assert record.record_id == "r"
    np.testing.assert_allclose(record.signal, ecg, atol=1e-6)


def test_gzip_is_known_by_its_content(tmp_path, ecg):
    buffer = io.BytesIO()
    np.save(buffer, ecg)
    (tmp_path / "r.npy").write_bytes(gzip.compress(buffer.getvalue()))
    np.testing.assert_allclose(read(tmp_path / "r.npy", leads=STANDARD_12, fs=500, unit="mV").signal, ecg)


def test_a_zip_of_one_recording_needs_no_name(tmp_path, table, ecg):
    path = pack(
        tmp_path / "z.zip", {"in/r.csv": table, "in/r.json": json.dumps(SAID), "__MACOSX/._r.csv": b"?"}
    )
    record = read(path)
    assert record.record_id == "r"
    np.testing.assert_allclose(record.signal, ecg, atol=1e-6)


def test_numpys_own_zip(tmp_path, ecg):
    np.savez(tmp_path / "r.npz", ecg=ecg)
    record = read(tmp_path / "r.npz", fs=500, unit="mV", leads=STANDARD_12)
    np.testing.assert_allclose(record.signal, ecg, atol=1e-6)


@pytest.mark.parametrize("member", ["deep/a", "deep/a.hea", "deep/a.mat"])
def test_a_wfdb_record_of_a_zip_by_any_of_its_names(tree, ecg, member):
    np.testing.assert_allclose(read(f"{tree}::{member}").signal, ecg, atol=1e-6)


def test_segments_of_a_zip_are_found(tree, ecg):
    np.testing.assert_allclose(read(f"{tree}::deep/b").signal, ecg[:1], atol=1e-6)


def test_an_exam_of_a_member(tmp_path, ecg):
    h5py = pytest.importorskip("h5py")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["tracings"], file["exam_id"] = np.stack([ecg.T + 1, ecg.T + 2]), [1, 2]
    path = pack(tmp_path / "z.zip", {"part.hdf5": buffer.getvalue()})
    np.testing.assert_allclose(read(f"{path}::part.hdf5::2").signal, ecg + 2, atol=1e-6)


class TestRefused:
    def test_an_error_names_the_archive_and_the_member(self, tmp_path):
        path = pack(tmp_path / "z.zip", {"in/r.csv": b"I\n1\n"})
        with pytest.raises(RecordFileError, match=rf"^{path}::r\.csv: nothing says .* into r\.json"):
            read(path)

    def test_several_recordings_and_no_name(self, tree):
        with pytest.raises(
            RecordFileError, match=r"the archive holds 4 recordings \(.*\); name one, as in z.zip"
        ):
            read(tree)

    def test_no_recording(self, tmp_path):
        with pytest.raises(RecordFileError, match=r"the archive holds 0 recordings \(none\); name one"):
            read(pack(tmp_path / "z.zip", {}))

    def test_no_such_member(self, tree):
        with pytest.raises(RecordFileError, match=r"there is no member deep/c; it holds 'deep/"):
            read(f"{tree}::deep/c")

    @pytest.mark.parametrize("name", ["../r.csv", "/r.csv", "in/../../r.csv", "..\\r.csv", "C:/r.csv"])
    def test_a_path_outside_the_archive(self, tmp_path, table, name):
        with pytest.raises(RecordFileError, match=r"lies outside the archive; do not trust it"):
            read(pack(tmp_path / "z.zip", {name: table}))

    def test_a_link(self, tmp_path):
        info = zipfile.ZipInfo("r.csv")
        info.external_attr = 0o120777 << 16
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
            archive.writestr(info, "/etc/hostname")
        with pytest.raises(RecordFileError, match=r"member 'r\.csv' is a link; pack the file itself"):
            read(tmp_path / "z.zip")

    def test_an_encrypted_member(self, tmp_path, table):
        path = pack(tmp_path / "z.zip", {"r.csv": table})
        content = bytearray(path.read_bytes())
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
        with pytest.raises(
            RecordFileError, match=r"member 'r\.csv' is encrypted; unpack it with its password"
        ):
            read(path)

    @pytest.mark.parametrize("name", ["r.csv.gz", "r.zip"])
    def test_a_bomb(self, tmp_path, monkeypatch, name):
        monkeypatch.setattr(unpack, "FREE_BYTES", 10_000)
        zeros = b"0," * 500_000
        if name.endswith(".zip"):
            pack(tmp_path / name, {"r.csv": zeros})
        else:
            (tmp_path / name).write_bytes(gzip.compress(zeros))
        with pytest.raises(RecordFileError, match=r"larger than \d+ bytes, the most that is unpacked for a"):
            read(tmp_path / name)

    def test_a_bomb_stops_at_the_bound(self, tmp_path, monkeypatch):
        """The limit is on what is written, not on what the archive says of itself."""
        monkeypatch.setattr(unpack, "FREE_BYTES", 10_000)
        monkeypatch.setattr(unpack, "_CHUNK_BYTES", 1000)
        source, target = io.BytesIO(b"0" * 10**6), tmp_path / "out"
        with pytest.raises(RecordFileError, match=r"larger than 10000 bytes"):
            unpack._copy(source.read, target, tmp_path, limit=10_000)
        assert target.stat().st_size <= 10_000

    def test_an_archive_in_an_archive(self, tmp_path, table):
        path = pack(tmp_path / "z.zip", {"r.csv.gz": gzip.compress(table)})
        with pytest.raises(RecordFileError, match=r"z\.zip::r\.csv\.gz: this is an archive in an archive"):
            read(path)

    @pytest.mark.parametrize("name", ["r.csv.gz", "r.zip"])
    def test_a_broken_archive(self, tmp_path, table, name):
        packed = (
            gzip.compress(table) if name.endswith("gz") else pack(tmp_path / name, {"r": table}).read_bytes()
        )
        (tmp_path / name).write_bytes(packed[:-30])
        with pytest.raises(RecordFileError, match=r"the archive cannot be unpacked \(.*\); pack it again"):
            read(tmp_path / name)
