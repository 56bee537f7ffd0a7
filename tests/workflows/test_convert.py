import csv
import os
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from anylead.cli import main
from anylead.errors import ConfigError, FileError, LeadError
from anylead.formats import read
from anylead.formats.writers import write
from anylead.record import Record
from anylead.workflows.convert import ConvertConfig, convert, convert_folder
from anylead.workflows.deidentify import deidentify, shift_days
from anylead.workflows.info import info

KEY = b"0123456789abcdef"


def record(**changes) -> Record:
    about = {
        "patient_id": "Jane Doe",
        "recorded_at": datetime(2025, 3, 4, 9, 15),
        "age_years": 95.0,
        "sex": "F",
    }
    signal = np.random.default_rng(1).normal(0, 1, (3, 500)).astype(np.float32)
    return Record(
        **({"signal": signal, "leads": ("I", "II", "V2"), "sampling_rate_hz": 250.0} | about | changes)
    )


@pytest.fixture
def folder(tmp_path):
    """Two recordings in WFDB and CSV, one of them in a subfolder, and a text."""
    where = tmp_path / "in"
    write(record(), where / "a b" / "one.hea")
    write(record(), where / "two.csv")
    (where / "README.txt").write_text("about")
    (where / ".cache").mkdir()
    (where / ".cache" / "three.csv").write_text("hidden")
    return where


def test_one_file_with_leads_by_name(folder, tmp_path):
    out = convert(folder / "two.csv", tmp_path / "x.hea", ConvertConfig(leads=("V2", "I")))
    back = read(out)
    assert back.leads == ("V2", "I")
    np.testing.assert_allclose(back.signal, record().select(["V2", "I"]).signal, atol=1e-3)
    assert read(convert(out, tmp_path / "y", ConvertConfig(to="csv", leads=("I",)))).leads == ("I",)


def test_a_lead_that_is_not_recorded_is_refused(folder, tmp_path):
    with pytest.raises(LeadError, match="lead V6 is not recorded"):
        convert(folder / "a b" / "one.hea", tmp_path / "x.csv", ConvertConfig(leads=("V6",)))


def test_an_array_is_told_what_it_does_not_say(tmp_path):
    np.save(tmp_path / "x.npy", record().signal * 1000)
    told = ConvertConfig(fs=250.0, unit="uV", leads=("I", "II", "V2"))
    back = read(convert(tmp_path / "x.npy", tmp_path / "x.parquet", told))
    np.testing.assert_allclose(back.signal, record().signal, atol=1e-6)


def test_a_folder_and_what_it_rejects(folder, tmp_path):
    done = convert_folder(folder, tmp_path / "out", ConvertConfig(to="edf"))
    assert (done.converted, done.rejected) == (2, 1)
    assert done.line().endswith(f"converted 2, rejected 1 (see {tmp_path / 'out' / 'rejected.csv'})")
    for name in ("a b/one.edf", "two.edf"):
        np.testing.assert_allclose(read(tmp_path / "out" / name).signal, record().signal, atol=1e-3)
    rows = list(csv.DictReader((tmp_path / "out" / "rejected.csv").open()))
    assert [row["path"] for row in rows] == ["README.txt"]
    assert "content is of no known format" in rows[0]["reason"]


def test_two_recordings_of_one_name_are_not_lost_silently(folder, tmp_path):
    write(record(), folder / "two.edf")
    done = convert_folder(folder, tmp_path / "out", ConvertConfig(to="dicom"))
    assert (done.converted, done.rejected) == (2, 2)
    assert "there is such a file" in (tmp_path / "out" / "rejected.csv").read_text()


def test_the_same_call_again_goes_on_where_it_stopped(folder, tmp_path):
    out, config = tmp_path / "out", ConvertConfig(to="edf")
    write(replace(record(), record_id="a b/one.hea"), out / "a b" / "one.edf")
    before = (out / "a b" / "one.edf").stat().st_mtime_ns
    (folder / "README.txt").unlink()
    done = convert_folder(folder, out, config)
    assert done.line() == f"{out}: converted 2 (1 of them before), rejected 0"
    assert (out / "a b" / "one.edf").stat().st_mtime_ns == before
    assert convert_folder(folder, out, config).before == 2


def test_what_two_recordings_are_called_is_refused_again(folder, tmp_path):
    write(record(), folder / "two.edf")
    first = convert_folder(folder, tmp_path / "out", ConvertConfig(to="dicom"))
    again = convert_folder(folder, tmp_path / "out", ConvertConfig(to="dicom"))
    assert (again.converted, again.rejected, again.before) == (first.converted, first.rejected, 2)


def test_another_recording_in_the_place_of_one_is_left_and_told(folder, tmp_path):
    out = tmp_path / "out"
    write(replace(record(), signal=record().signal * 2), out / "two.csv")
    done = convert_folder(folder, out, ConvertConfig(to="csv"))
    assert (done.converted, done.rejected) == (1, 2)
    assert "there is such a file, and it holds another recording" in (out / "rejected.csv").read_text()
    np.testing.assert_array_equal(read(out / "two.csv").signal, record().signal * 2)


def test_a_list_of_what_is_rejected_no_more_goes(folder, tmp_path):
    config = ConvertConfig(to="csv")
    assert convert_folder(folder, tmp_path / "out", config).rejected == 1
    (folder / "README.txt").unlink()
    assert convert_folder(folder, tmp_path / "out", config).list_of_rejected is None
    assert not (tmp_path / "out" / "rejected.csv").exists()


def test_a_folder_of_something_else_is_left_alone(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("")
    with pytest.raises(FileError, match=r"there is something already \(thesis\.docx\); name an empty"):
        convert_folder(folder, tmp_path / "out", ConvertConfig(to="edf"))


def test_segments_belong_to_their_record(tmp_path):
    where = tmp_path / "in"
    for name in ("s1", "s2"):
        write(record(recorded_at=None), where / f"{name}.hea")
    (where / "all.hea").write_text("all/2 3 250 1000\ns1 500\ns2 500\n")
    done = convert_folder(where, tmp_path / "out", ConvertConfig(to="csv"))
    assert (done.converted, done.rejected, read(tmp_path / "out" / "all.csv").samples) == (1, 0, 1000)


def test_a_folder_needs_a_format_files_and_an_empty_place(folder, tmp_path):
    with pytest.raises(ConfigError, match="this is a folder; say the format with --to"):
        convert_folder(folder, tmp_path / "out", ConvertConfig())
    with pytest.raises(FileError, match="there is something already"):
        convert_folder(folder, folder, ConvertConfig(to="edf"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="the folder holds no file"):
        convert_folder(tmp_path / "empty", tmp_path / "out", ConvertConfig(to="edf"))


def test_deidentified_recordings_keep_distances_and_lose_names():
    first, later = record(flags=("group_left_out:Jane",)), record(recorded_at=datetime(2025, 3, 14, 9, 15))
    a, b = deidentify(first, KEY), deidentify(later, KEY)
    assert (b.recorded_at - a.recorded_at).days == 10
    days = (first.recorded_at - a.recorded_at).days
    assert 365 <= days <= 3650
    assert days == shift_days(KEY, "patient Jane Doe")
    assert a.patient_id == b.patient_id
    assert len(a.patient_id) == 16
    assert (a.age_years, a.sex, a.flags) == (90.0, "F", ())
    np.testing.assert_array_equal(a.signal, first.signal)
    assert deidentify(first, KEY[::-1]).patient_id != a.patient_id
    assert deidentify(record(patient_id=None), KEY).patient_id is None


def test_a_short_key_is_refused():
    with pytest.raises(ConfigError, match="the key has 5 bytes; give at least 16"):
        ConvertConfig(key=b"short")


def test_no_byte_of_a_deidentified_folder_names_the_patient(tmp_path):
    where = tmp_path / "in"
    for number, to in enumerate(("edf", "dicom")):
        write(record(patient_id="JaneDoe"), where / f"JaneDoe-{number}", to=to)
    (where / "JaneDoe.txt").write_text("JaneDoe")
    for to in ("wfdb", "edf", "csv", "parquet", "dicom"):
        out = tmp_path / to
        done = convert_folder(where, out, ConvertConfig(to=to, key=KEY))
        assert (done.converted, done.rejected) == (2, 1)
        assert done.list_of_rejected == tmp_path / f"{to}-rejected.csv"
        written = [path for path in out.rglob("*") if path.is_file()]
        for path in written:
            held = path.name.encode() + path.read_bytes()
            assert all(text not in held for text in (b"JaneDoe", b"20250304", b"2025-03", b"04/03/2025"))


def test_the_command(folder, tmp_path, monkeypatch, capsys):
    source, out = str(folder / "a b" / "one.hea"), tmp_path / "x.dcm"
    assert main(["convert", source, str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert main(["convert", source, str(out)]) == 1
    assert "there is such a file" in capsys.readouterr().err
    assert main(["convert", str(folder), str(tmp_path / "all"), "--to", "csv"]) == 1
    assert "converted 2, rejected 1" in capsys.readouterr().out


def test_the_key_of_the_command(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ANYLEAD_KEY", raising=False)
    start = ["convert", str(folder / "a b" / "one.hea"), str(tmp_path / "x.dcm")]
    key = tmp_path / "key"
    assert main([*start, "--deidentify"]) == 2
    assert "--deidentify needs a secret key; give --key FILE or set ANYLEAD_KEY" in capsys.readouterr().err
    assert main([*start, "--key", str(key)]) == 2
    assert "--key is for --deidentify" in capsys.readouterr().err
    assert main([*start, "--deidentify", "--key", str(key)]) == 1
    assert "the key cannot be read" in capsys.readouterr().err
    key.write_bytes(KEY + b"\n")
    assert main([*start, "--deidentify", "--key", str(key)]) == 0
    monkeypatch.setenv("ANYLEAD_KEY", KEY.decode())
    assert main([*start[:2], str(tmp_path / "y.dcm"), "--deidentify"]) == 0
    assert read(tmp_path / "x.dcm").recorded_at == read(tmp_path / "y.dcm").recorded_at < datetime(2024, 3, 5)


def test_info_of_a_file(tmp_path):
    signal = record().signal.copy()
    signal[0] = 0.5
    signal[1, 100:200] = 5.0
    signal[2, :50] = np.nan
    facts = info(write(record(signal=signal), tmp_path / "x.dcm"))
    assert (facts["format"], facts["unit_as_stored"]) == ("DICOM ECG (.dcm)", "mV")
    assert facts["quality"] == ["flat:I", "saturated:II", "missing:V2"]
    assert (facts["patient_id"], facts["age_years"], facts["sex"]) == ("Jane Doe", 95.0, "F")


def test_info_of_a_table_that_is_described(tmp_path):
    np.save(tmp_path / "x.npy", record().signal * 1000)
    facts = info(tmp_path / "x.npy", fs=250, unit="uV", leads=("I", "II", "V2"))
    assert (facts["unit_as_stored"], facts["sampling_rate_hz"]) == ("uV", 250.0)
    assert os.listdir(tmp_path) == ["x.npy"]
