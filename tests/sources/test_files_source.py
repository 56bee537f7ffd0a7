"""A plain folder: ids by path, labels from Dx or from a table."""

import logging

import numpy as np
import pytest

from anylead.errors import RecordFileError
from anylead.sources.files import Files
from fake_trees import fake_ecg, write_wfdb


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
