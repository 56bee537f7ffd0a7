"""Writers: what is written comes back within one quantum, leads by name, missing samples missing.

Independent second readers: the `wfdb` package, `ecgdatakit` (EDF, DICOM), `pydicom`'s own scaling, and
`pandas`. They share no code with our readers but the packages that parse bytes.
"""

import json
import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anylead.errors import ConfigError, FileError, InputError
from anylead.formats import edf_writer, read, stored_unit, writers
from anylead.formats.writers import WRITERS, write, writer_for
from anylead.leads import STANDARD_12, canonical_lead
from anylead.record import Record
from fake_trees import fake_ecg

pytest.importorskip("edfio")
pydicom = pytest.importorskip("pydicom")

QUANTUM_MV = 0.001
GAPS = sorted(set(WRITERS) - {"edf"})
"""Formats that can say that a sample is missing."""


def ecg(**changes) -> Record:
    signal = fake_ecg(np.random.default_rng(3), seconds=2).astype(np.float32)
    about = {
        "patient_id": "P-7",
        "recorded_at": datetime(2025, 3, 4, 9, 15, 1),
        "age_years": 45.0,
        "sex": "F",
    }
    return Record(**({"signal": signal, "leads": STANDARD_12, "sampling_rate_hz": 500.0} | about | changes))


def small(signal, leads, fs) -> Record:
    return Record(signal=np.array(signal, np.float32), leads=leads, sampling_rate_hz=float(fs))


def written(record: Record, path: Path, to: str) -> Path | str:
    """Returns the file, or why it is refused."""
    try:
        return write(record, path, to=to)
    except InputError as error:
        return str(error)


def same(record: Record, back: Record) -> None:
    assert (back.leads, back.samples) == (record.leads, record.samples)
    assert back.sampling_rate_hz == pytest.approx(record.sampling_rate_hz, rel=1e-6)
    peak = np.abs(np.nan_to_num(record.signal)).max()
    np.testing.assert_allclose(back.signal, record.signal, atol=max(QUANTUM_MV, peak / 32767))


names = (
    st.sampled_from([*STANDARD_12, "vx", "ECG 1", "aux-2", "CM5 (bipolar)", "Abl. 7"])
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
).filter(lambda name: canonical_lead(name))


@st.composite
def records(draw, plain: bool = False):
    chosen = st.sampled_from([*STANDARD_12, "vx", "ECG 1"]) if plain else names
    leads = draw(st.lists(chosen, min_size=1, max_size=4, unique_by=canonical_lead))
    samples = draw(st.integers(1, 40))
    values = st.floats(-19.875, 19.875, width=32) | (st.nothing() if plain else st.just(float("nan")))
    rows = draw(
        st.lists(
            st.lists(values, min_size=samples, max_size=samples), min_size=len(leads), max_size=len(leads)
        )
    )
    return small(
        rows,
        tuple(leads),
        draw(st.sampled_from([250.0, 500.0, 1000.0]) if plain else st.floats(50, 10_000)),
    )


@pytest.mark.parametrize("to", WRITERS)
@settings(max_examples=30, deadline=None)
@given(record=records())
def test_any_record_comes_back_or_is_refused_and_leaves_nothing(to, record):
    with TemporaryDirectory() as folder:
        made = written(record, Path(folder) / "r", to)
        if isinstance(made, str):
            assert str(Path(folder) / "r") in made
            assert os.listdir(folder) == []
        else:
            same(record, read(made))
            assert all(name.startswith("r.") for name in os.listdir(folder))


@pytest.mark.parametrize("to", WRITERS)
@settings(max_examples=20, deadline=None)
@given(record=records(plain=True))
def test_a_plain_record_is_never_refused(to, record):
    with TemporaryDirectory() as folder:
        same(record, read(write(record, Path(folder) / "r", to=to)))


@pytest.mark.parametrize("to", GAPS)
def test_missing_samples_and_a_missing_lead_stay_missing(tmp_path, to):
    record = ecg()
    record.signal[1, 7:20] = np.nan
    record.signal[4] = np.nan
    record.signal[5, 3] = np.inf
    back = read(write(record, tmp_path / "r", to=to))
    np.testing.assert_array_equal(np.isnan(back.signal), ~np.isfinite(record.signal))


@pytest.mark.parametrize(("to", "fields"), [("wfdb", 3), ("edf", 3), ("dicom", 4)])
def test_the_patient_comes_along_as_far_as_the_format_has_fields(tmp_path, to, fields):
    back = read(write(ecg(), tmp_path / "r", to=to))
    about = (back.patient_id, back.recorded_at, back.age_years, back.sex)
    known = {"wfdb": (None, 45.0), "edf": ("P-7", None), "dicom": ("P-7", 45.0)}[to]
    assert about == (known[0], datetime(2025, 3, 4, 9, 15, 1), known[1], "F")
    assert sum(value is not None for value in about) == fields


def test_wfdb_reads_what_we_write(tmp_path):
    wfdb = pytest.importorskip("wfdb")
    record = ecg()
    write(record, tmp_path / "r.hea")
    other = wfdb.rdrecord(str(tmp_path / "r"))
    assert (tuple(other.sig_name), other.fs) == (STANDARD_12, 500)
    np.testing.assert_allclose(other.p_signal.T, record.signal, atol=QUANTUM_MV)


@pytest.mark.parametrize("suffix", [".edf", ".dcm"])
def test_ecgdatakit_reads_what_we_write(tmp_path, suffix):
    kit = pytest.importorskip("ecgdatakit.parsing.parser")
    record = ecg()
    other = kit.FileParser.parse(write(record, tmp_path / f"r{suffix}"))
    by_name = {canonical_lead(lead.label): lead for lead in other.leads}
    for lead, row in zip(record.leads, record.signal, strict=True):
        assert (by_name[lead].sampling_rate, by_name[lead].units) == (500, "mV")
        np.testing.assert_allclose(by_name[lead].samples, row, atol=QUANTUM_MV)


def test_pydicom_scales_what_we_write_to_microvolts(tmp_path):
    record = ecg()
    data = pydicom.dcmread(write(record, tmp_path / "r.dcm"))
    np.testing.assert_allclose(data.waveform_array(0).T / 1000, record.signal, atol=QUANTUM_MV)
    group = data.WaveformSequence[0]
    codes = [
        channel.ChannelSourceSequence[0].CodeValue.split(":") for channel in group.ChannelDefinitionSequence
    ]
    assert [int(number) for _, number in codes] == [1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8]
    assert {c.ChannelSensitivityUnitsSequence[0].CodeValue for c in group.ChannelDefinitionSequence} == {"uV"}


@pytest.mark.parametrize(
    ("leads", "rate", "object_class"),
    [
        (STANDARD_12, 500, "12-lead ECG Waveform Storage"),
        ((*STANDARD_12[:11], "vx"), 500, "General ECG Waveform Storage"),
        (STANDARD_12, 128, "Ambulatory ECG Waveform Storage"),
    ],
)
def test_the_dicom_object_is_one_that_admits_the_recording(tmp_path, leads, rate, object_class):
    path = write(ecg(leads=leads, sampling_rate_hz=float(rate)), tmp_path / "r.dcm")
    assert pydicom.dcmread(path).SOPClassUID.name == object_class


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_pandas_reads_the_same_bits(tmp_path, to):
    record = ecg()
    record.signal[0, 5] = np.nan
    path = write(record, tmp_path / "r", to=to)
    table = pd.read_csv(path, float_precision="round_trip") if to == "csv" else pd.read_parquet(path)
    assert tuple(table.columns) == STANDARD_12
    np.testing.assert_array_equal(table.to_numpy().astype(np.float32).T, record.signal)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert (sidecar["sampling_rate_hz"], sidecar["unit"], sidecar["sex"]) == (500.0, "mV", "F")


def test_the_reader_knows_the_unit_as_stored(tmp_path):
    units = {to: stored_unit(write(ecg(), tmp_path / to / "r", to=to)) for to in WRITERS}
    assert units == {"wfdb": "mV", "edf": "uV", "csv": "mV", "parquet": "mV", "dicom": None}


def test_edf_of_a_rate_that_no_block_divides_evenly(tmp_path):
    record = small(np.random.default_rng(0).normal(0, 1, (1, 6500)), ("I",), 360)
    back = read(write(record, tmp_path / "r.edf"))
    assert (back.sampling_rate_hz, back.samples) == (360.0, 6500)


def test_edf_refuses_what_it_cannot_say(tmp_path):
    gap = small([[0, np.nan]], ("I",), 500)
    with pytest.raises(InputError, match=r"r\.edf: 1 samples are missing and EDF has no marker"):
        write(gap, tmp_path / "r.edf")
    with pytest.raises(InputError, match="EDF cannot say 257 Hz of 1 samples"):
        write(small([[0]], ("I",), 257), tmp_path / "r.edf")
    with pytest.raises(InputError, match="lead I reaches 10000 mV and EDF holds up to 9990 mV"):
        write(small([[0, 10_000]], ("I",), 500), tmp_path / "r.edf")
    with pytest.raises(InputError, match="EDF cannot hold this recording"):
        write(small([[0, 1]], ("Ableitung unter dem Arm",), 500), tmp_path / "r.edf")
    assert os.listdir(tmp_path) == []


def test_dicom_refuses_what_no_object_admits(tmp_path):
    with pytest.raises(InputError, match="no DICOM ECG object admits 1 leads at 2000 Hz"):
        write(small([[0, 1]], ("I",), 2000), tmp_path / "r.dcm")


def test_the_check_notices_every_difference(tmp_path, monkeypatch):
    record = small([[0, 1]], ("I",), 500)
    for other, message in [
        (small([[0, 1]], ("II",), 500), r"leads \['I'\] come back as \['II'\]"),
        (small([[0, 1]], ("I",), 501), "500.0 Hz come back as 501.0 Hz"),
        (small([[0, np.nan]], ("I",), 500), "not the same samples are missing"),
        (small([[0, 1.01]], ("I",), 500), r"up to 0\.0[01]\d* mV apart"),
    ]:
        monkeypatch.setattr(writers, "read", lambda path, other=other: other)
        with pytest.raises(InputError, match=rf"r\.hea: \.hea cannot hold this recording \(.*{message}"):
            write(record, tmp_path / "r.hea")


def test_a_name_that_a_table_cannot_have_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"r\.csv: \.csv cannot hold this recording"):
        write(small([[0, 1]], ("time",), 500), tmp_path / "r.csv")


def test_a_file_that_is_there_stays(tmp_path):
    (tmp_path / "r.json").write_text("mine")
    with pytest.raises(FileError, match=r"r\.json: there is such a file"):
        write(ecg(), tmp_path / "r.csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileError, match="could not be written"):
        write(ecg(), tmp_path / "taken" / "r.csv")


def test_the_name_and_the_format_must_agree(tmp_path):
    assert writer_for(tmp_path / "r.1", "edf")[1].name == "r.1.edf"
    with pytest.raises(ConfigError, match="there is no format 'scp' to write; accepted are wfdb"):
        writer_for(tmp_path / "r", "scp")
    with pytest.raises(ConfigError, match=r"the name ends in none of \.hea, \.edf"):
        writer_for(tmp_path / "r.txt")
    with pytest.raises(ConfigError, match=r"ends as edf does and csv was asked for; name it \.csv"):
        writer_for(tmp_path / "r.edf", "csv")


@pytest.mark.parametrize(("to", "package"), [("edf", "edfio"), ("dicom", "pydicom.dataset")])
def test_without_the_package_one_sentence_says_so(tmp_path, monkeypatch, to, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"is written with \w+, which is not installed"):
        write(ecg(), tmp_path / "r", to=to)


def test_a_block_is_a_size_that_edf_recommends():
    blocks = edf_writer._blocks(ecg(signal=np.zeros((12, 300_000), np.float32)), Path("r.edf"))
    assert (blocks.rate_hz, 24 * blocks.samples <= 61440) == (500, True)


def test_months_below_two_years(tmp_path):
    assert read(write(replace(ecg(), age_years=0.5), tmp_path / "r.dcm")).age_years == pytest.approx(0.5)
