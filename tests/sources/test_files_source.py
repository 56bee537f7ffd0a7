"""A plain folder: ids by path, labels from Dx or from a table."""

import gzip
import logging
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import RecordFileError
from anylead.preparation import Preparation
from anylead.sources.base import RecordRef
from anylead.sources.files import Files
from anylead.sources.wfdb_tree import find_headers, header_or_none
from anylead.store import SplitConfig, Store, write_store
from anylead.store.listing import listing_fingerprint
from every_format import OF_P7, RECORDINGS, REFUSED, write_every_format
from fake_trees import fake_ecg, write_cinc2021, write_wfdb


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "clinic"
    write_wfdb(root / "a2", fake_ecg(rng), comments=["# Dx: 426783006, Other"], when="10:00:00 02/03/2020")
    write_wfdb(root / "a10", fake_ecg(rng), layout="mat")
    write_wfdb(root / "sub" / "b", fake_ecg(rng), comments=["#Age: 33", "#Sex: Male"])
    return root


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8-sig")
        return Files(labels_csv=path)

    return write


def test_ids_are_paths_in_natural_order(folder):
    refs = Files().scan(folder)
    assert [ref.record_id for ref in refs] == ["a2", "a10", "sub/b"]
    assert [ref.patient_id for ref in refs] == ["files:clinic/a2", "files:clinic/a10", "files:clinic/sub/b"]
    assert refs[0].recorded_at.isoformat() == "2020-03-02T10:00:00"
    assert (refs[2].age_years, refs[2].sex) == (33.0, "M")


def test_labels_come_from_the_comment(folder):
    source = Files()
    found = [source.labels(ref) for ref in source.scan(folder)]
    assert [labels.codes for labels in found] == [("426783006",), (), ()]
    assert found[0].unknown == ("Other",)


def test_labels_and_patients_come_from_a_table(folder, table):
    source = table("record_id,labels,patient_id\na2,164889003;39732003|odd,7\nsub/b,,7\n")
    refs = source.scan(folder)
    assert [ref.patient_id for ref in refs] == ["files:7", "files:clinic/a10", "files:7"]
    found = [source.labels(ref) for ref in refs]
    assert [labels.codes for labels in found] == [("164889003", "39732003"), (), ()]
    assert found[0].unknown == ("odd",)


def test_a_table_may_leave_patients_out(folder, table):
    refs = table("record_id,labels\na2,164889003\n").scan(folder)
    assert refs[0].patient_id == "files:clinic/a2"


def test_rows_without_a_recording_are_reported(folder, table, caplog):
    with caplog.at_level(logging.WARNING):
        table("record_id,labels\na2,164889003\ngone,1\n").scan(folder)
    assert "names 1 recordings that are not there, such as gone" in caplog.text


def test_an_absent_label_file_is_refused(folder, tmp_path):
    with pytest.raises(RecordFileError, match=r"labels\.csv: the label file cannot be read \(No such file"):
        Files(labels_csv=tmp_path / "labels.csv").scan(folder)


def test_a_table_without_its_columns_is_refused(folder, table):
    with pytest.raises(RecordFileError, match="the label file has no column labels; give the columns"):
        table("record_id,diagnosis\na2,1\n").scan(folder)
    with pytest.raises(RecordFileError, match="the label file has no column record_id, labels"):
        table("").scan(folder)


def test_a_table_of_other_recordings_is_refused(folder, table):
    with pytest.raises(RecordFileError, match="names none of the 3 recordings; its record_id must be a path"):
        table("record_id,labels\na2.hea,1\n").scan(folder)


def test_segments_are_not_recordings_of_their_own(tmp_path):
    """Read twice, and as two patients, a recording would be on both sides of a split."""
    ecg = fake_ecg(np.random.default_rng(0), seconds=2)
    for name, start in (("a", 0), ("b", 500)):
        write_wfdb(tmp_path / name, ecg[:2, start : start + 500], ["I", "II"])
    (tmp_path / "whole.hea").write_text("whole/2 2 500 1000\na 500\nb 500\n")
    (ref,) = Files().scan(tmp_path)
    np.testing.assert_allclose(Files().load(ref).signal, ecg[:2], atol=1e-6)


class OnlyHeaders(Files):
    """What the source was when it knew WFDB alone."""

    def scan(self, root):
        headers = {path: header_or_none(path) for path in find_headers(root, "**/*.hea", what="WFDB")}
        parts = {path.with_name(f"{name}.hea") for path, one in headers.items() for name, _ in one.parts}
        return [
            RecordRef(
                record_id=(name := path.relative_to(root).with_suffix("").as_posix()),
                path=path.with_suffix(""),
                patient_id=f"files:{root.name}/{name}",
                recorded_at=one.recorded_at,
                age_years=one.age_years,
                sex=one.sex,
                details={"labels": one.fields.get("dx", "")},
            )
            for path, one in headers.items()
            if path not in parts
        ]


def test_a_folder_of_wfdb_gives_the_bytes_it_always_gave(tmp_path):
    root = write_cinc2021(tmp_path / "wfdb")
    stores = []
    for source in (Files(), OnlyHeaders()):
        out = tmp_path / f"store {len(stores)}"
        write_store(source, root, out, preparation=Preparation.default(), split=SplitConfig())
        kept = [out / "index.parquet", *sorted((out / "shards").glob("*.arrow"))]
        stores.append({path.name: path.read_bytes() for path in kept})
    assert len(stores[0]) == 2
    assert stores[0] == stores[1]


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return write_every_format(tmp_path_factory.mktemp("clinic"))


def test_every_format_is_found_and_what_is_no_recording_is_refused(every, caplog):
    source = Files()
    with caplog.at_level(logging.WARNING):
        refs = {ref.record_id: ref for ref in source.scan(every)}
    assert "files are not recordings, such as notes.txt" in caplog.text
    assert sorted(refs) == sorted((*RECORDINGS, *REFUSED))
    for name in RECORDINGS:
        record = source.load(refs[name])
        assert record.record_id == name
        assert len(record.leads) == (2 if name.endswith(".npy") else 12)
    for name in REFUSED:
        with pytest.raises(RecordFileError):
            source.load(refs[name])


def test_a_file_that_names_its_patient_is_of_that_patient(every):
    source = Files()
    patients = {
        ref.record_id: source.load(ref).patient_id
        for ref in source.scan(every)
        if ref.record_id in (*OF_P7, "cart.edf", "exams.hdf5::11")
    }
    assert {patients[name] for name in OF_P7} == {"files:P-7"}
    assert patients["exams.hdf5::11"] == f"files:{every.name}/exams.hdf5::11"
    assert source.patient_known("cart.edf", "files:P-7")
    assert not source.patient_known("exams.hdf5::11", patients["exams.hdf5::11"])


def test_a_store_says_whose_patients_are_not_known(every, tmp_path):
    split = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
    done = write_store(Files(), every, tmp_path / "s", preparation=Preparation.default(), split=split)
    assert (done.prepared, done.rejected) == (len(RECORDINGS), len(REFUSED))
    store = Store.open(tmp_path / "s")
    unknown = sum(not patient.startswith("files:P-") for patient in store.column("patient_id"))
    assert not store.manifest.patients_known
    assert store.manifest.counts["patients_unknown"] == unknown == done.patients_unknown
    assert f"the patients of {unknown} recordings are not known, so these are split by rec" in done.line()
    splits = zip(store.column("record_id"), store.column("split"), strict=True)
    assert len({split for name, split in splits if name in OF_P7}) == 1
    again = write_store(Files(), every, tmp_path / "s", preparation=Preparation.default(), split=split)
    assert again.line() == f"already {done.line()}"


def test_where_every_patient_is_named_all_are_known(folder, table, tmp_path):
    source = table("record_id,labels,patient_id\na2,,1\na10,,2\nsub/b,,2\n")
    done = write_store(source, folder, tmp_path / "s", preparation=Preparation.default(), split=SplitConfig())
    assert done.line() == "prepared 3, rejected 0"
    assert Store.open(tmp_path / "s").manifest.patients_known


def test_tables_may_be_told_what_they_do_not_say(tmp_path):
    ecg = fake_ecg(np.random.default_rng(0), seconds=1)
    np.save(tmp_path / "x.npy", ecg[:2] * 1000)
    write_wfdb(tmp_path / "w", ecg)
    source = Files(fs=500.0, unit="uV", leads=("I", "II"))
    wfdb, array = sorted(source.scan(tmp_path), key=lambda ref: ref.record_id)
    np.testing.assert_allclose(source.load(array).signal, ecg[:2], atol=1e-6)
    assert len(source.load(wfdb).leads) == 12


def test_a_store_in_the_folder_and_the_label_file_are_no_recordings(folder, tmp_path):
    labels = folder / "labels.csv"
    labels.write_text("record_id,labels\na2,164889003\n")
    for name in ("store.json", "index.parquet"):
        (folder / "store").mkdir(exist_ok=True)
        (folder / "store" / name).write_text("{}")
    names = [ref.record_id for ref in Files(labels_csv=labels).scan(folder)]
    assert names == ["a2", "a10", "sub/b"]


def test_a_folder_that_may_not_be_read_is_refused_and_not_lost(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RecordFileError, match=r"sub: the folder cannot be read \(Permission denied\); ask"):
        Files().scan(folder)
    with pytest.raises(RecordFileError, match=r"sub: cannot be read \(Permission denied\); ask for the"):
        listing_fingerprint(folder)


def test_a_folder_without_any_recording_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(RecordFileError, match="there is no recording of a known format in it"):
        Files().scan(tmp_path)
    with pytest.raises(RecordFileError, match="there is no such folder; give the folder of the rec"):
        Files().scan(tmp_path / "none")


def test_a_damaged_member_of_a_zip_spoils_no_other(every, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.hdf5", (every / "exams.hdf5").read_bytes()[:2000])
        archive.write(every / "cart.edf", "b.edf")
    damaged, whole = Files().scan(tmp_path)
    assert (damaged.record_id, whole.record_id) == ("x.zip::a.hdf5", "x.zip::b.edf")
    assert Files().load(whole).samples == 1500
    with pytest.raises(RecordFileError, match="h5py cannot decode the file"):
        Files().load(damaged)


def test_an_archive_that_cannot_be_opened_is_one_rejected_file(every, tmp_path):
    content = (every / "packed" / "some.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(content[: len(content) // 2])
    (ref,) = Files().scan(tmp_path)
    with pytest.raises(RecordFileError, match="the archive cannot be unpacked"):
        Files().load(ref)


def test_exams_in_gzip_are_named_one_by_one(every, tmp_path):
    (tmp_path / "x.hdf5.gz").write_bytes(gzip.compress((every / "exams.hdf5").read_bytes()))
    refs = Files().scan(tmp_path)
    assert [ref.record_id for ref in refs] == ["x.hdf5.gz::11", "x.hdf5.gz::22"]
    assert all(len(Files().load(ref).leads) == 12 for ref in refs)


def test_an_exam_that_is_there_twice_spoils_no_other(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = np.ones((3, 4096, 12), "f4"), np.array([1, 2, 2])
    first, twice = Files().scan(tmp_path)
    assert Files().load(first).samples == 4096
    with pytest.raises(RecordFileError, match="exam 2 is there 2 times"):
        Files().load(twice)
