"""CSV, TSV, Parquet and NPY. Independent: pandas and numpy write them, and the csv module by other rules."""

import json
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from anylead.errors import RecordFileError
from anylead.formats import read
from anylead.formats.writers import write as write_record
from anylead.leads import STANDARD_12
from fake_trees import fake_ecg

SAID = {"sampling_rate_hz": 500, "unit": "mV"}


@pytest.fixture
def ecg():
    return fake_ecg(np.random.default_rng(0), seconds=1)


@pytest.fixture
def frame(ecg):
    return pd.DataFrame(ecg.T, columns=list(STANDARD_12))


def describe(path, **said):
    path.with_suffix(".json").write_text(json.dumps(said))
    return path


WRITERS = {
    "comma.csv": lambda frame, path: frame.to_csv(path, index=False),
    "index.csv": lambda frame, path: frame.to_csv(path),
    "semicolon.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";"),
    "decimal_comma.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=","),
    "signature.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig"),
    "tab.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "plain.parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "index.parquet": lambda frame, path: frame.set_index(np.arange(len(frame)) * 2).to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_with_lead_names_and_a_sidecar(tmp_path, frame, ecg, name):
    path = describe(tmp_path / name, **SAID)
    WRITERS[name](frame, path)
    record = read(path)
    assert (record.leads, record.sampling_rate_hz, record.flags) == (STANDARD_12, 500.0, ())
    np.testing.assert_allclose(record.signal, ecg, atol=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_leads_are_chosen_by_name_and_what_is_given_goes_before_the_sidecar(tmp_path, frame, ecg, suffix):
    path = describe(tmp_path / f"r.{suffix}", **SAID, leads="V1")
    WRITERS["comma.csv" if suffix == "csv" else "plain.parquet"](frame * 1000, path)
    record = read(path, fs=250, unit="uV", leads="V2,AVR")
    assert (record.leads, record.sampling_rate_hz) == (("V2", "aVR"), 250.0)
    assert "left_out:V1" in record.flags
    np.testing.assert_allclose(record.signal, ecg[[7, 3]], atol=1e-6)


def test_a_table_without_names(tmp_path, frame, ecg):
    frame.iloc[:, :2].to_csv(tmp_path / "r.csv", index=False, header=False)
    record = read(tmp_path / "r.csv", fs=500, unit="mV", leads=["DI", "MLII"])
    assert record.leads == ("I", "II")
    np.testing.assert_allclose(record.signal, ecg[:2], atol=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_empty_cell_is_a_missing_sample(tmp_path, frame, suffix):
    frame.iloc[3:5, 1] = np.nan
    WRITERS["comma.csv" if suffix == "csv" else "plain.parquet"](frame, tmp_path / f"r.{suffix}")
    signal = read(tmp_path / f"r.{suffix}", fs=500, unit="mV").signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[1, 3], [1, 4]]


def test_whole_numbers_first_and_fractions_a_megabyte_later(tmp_path):
    values = np.concatenate([np.zeros(600_000), [0.5]])
    pd.Series(values).astype(str).str.removesuffix(".0").to_csv(tmp_path / "r.csv", index=False, header=["I"])
    assert read(tmp_path / "r.csv", fs=500, unit="mV").signal[0, -1] == 0.5


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
def test_an_array(tmp_path, ecg, dtype):
    np.save(tmp_path / "r.npy", np.round(ecg * 1000).astype(dtype))
    describe(tmp_path / "r.npy", sampling_rate_hz=500, unit="uV", leads=list(STANDARD_12))
    np.testing.assert_allclose(read(tmp_path / "r.npy").signal, ecg, atol=1e-6)


def test_an_array_of_one_lead(tmp_path, ecg):
    np.save(tmp_path / "r.npy", ecg[0])
    assert read(tmp_path / "r.npy", fs=500, unit="mV", leads="I").signal.shape == (1, 500)


class TestRefused:
    def test_neither_rate_nor_unit(self, tmp_path, frame):
        frame.to_csv(tmp_path / "r.csv")
        with pytest.raises(
            RecordFileError,
            match=r"nothing says the sampling_rate_hz \(fs=\) and the unit \(unit=\); write it into r\.json",
        ):
            read(tmp_path / "r.csv")
        with pytest.raises(RecordFileError, match=r"nothing says the unit \(unit=\); write it"):
            read(tmp_path / "r.csv", fs=500)

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            (
                '{"sampling_rate_hz": "fast", "unit": "mV"}',
                "the sampling rate is 'fast'; give a number of Hz",
            ),
            ('{"sampling_rate_hz": 5e9, "unit": "mV"}', r"the sampling rate is 5e\+09 Hz; rates from 50"),
            ('{"sampling_rate_hz": 500, "unit": "mmHg"}', "the unit is 'mmHg'; accepted units are mV"),
            ('{"sampling_rate_hz": 500, "unit": "mV", "leads": 7}', "the leads are 7; give a list of names"),
            (
                '{"sampling_rate_hz": 500, "unit": "mV", "leads": ["I", "DI"]}',
                "lead I is named more than once",
            ),
            ("[500]", "an object is needed, such as"),
            ("{500", "this is no JSON that can be read"),
        ],
    )
    def test_a_sidecar_that_says_nonsense(self, tmp_path, frame, said, message):
        frame.to_csv(tmp_path / "r.csv")
        (tmp_path / "r.json").write_text(said)
        with pytest.raises(RecordFileError, match=message):
            read(tmp_path / "r.csv")

    def test_a_lead_that_is_no_column(self, tmp_path, frame):
        frame.to_csv(tmp_path / "r.csv")
        with pytest.raises(
            RecordFileError, match=r"lead V9 is not among the columns 'I', 'II', .*; name others"
        ):
            read(tmp_path / "r.csv", fs=500, unit="mV", leads=["V9"])

    def test_only_columns_that_count(self, tmp_path):
        (tmp_path / "r.csv").write_text("time,sample\n0,1\n")
        with pytest.raises(RecordFileError, match=r"no column is a lead; give one column a lead"):
            read(tmp_path / "r.csv", fs=500, unit="mV")

    def test_two_columns_of_one_name(self, tmp_path):
        (tmp_path / "r.csv").write_text("I,I\n0,1\n")
        with pytest.raises(
            RecordFileError, match=r"two columns are called the same in 'I', 'I'; name each once"
        ):
            read(tmp_path / "r.csv", fs=500, unit="mV")

    def test_two_columns_of_one_lead(self, tmp_path):
        (tmp_path / "r.csv").write_text("I,DI\n0,1\n")
        with pytest.raises(RecordFileError, match=r"lead I is named more than once"):
            read(tmp_path / "r.csv", fs=500, unit="mV")

    def test_no_names_anywhere(self, tmp_path, ecg):
        np.savetxt(tmp_path / "r.csv", ecg, delimiter=",")
        with pytest.raises(
            RecordFileError,
            match=r"names no leads, there are 500 columns and 12 given; .*is the table transposed",
        ):
            read(tmp_path / "r.csv", fs=500, unit="mV", leads=STANDARD_12)

    @pytest.mark.parametrize("content", [b"\n\n", b"\0\0\0,\0", b"\xff\xfe1,2"])
    def test_what_is_no_text(self, tmp_path, content):
        (tmp_path / "r.csv").write_bytes(content)
        with pytest.raises(RecordFileError, match=r"this is no table of text|this is no UTF-8 text"):
            read(tmp_path / "r.csv", fs=500, unit="mV", leads="I,II")

    @pytest.mark.parametrize("content", ["I,II\n1,2\n3\n", "I,II\n1,two\n"])
    def test_a_row_that_is_none(self, tmp_path, content):
        (tmp_path / "r.csv").write_text(content)
        with pytest.raises(
            RecordFileError, match=r"the table cannot be read .*; every row needs 2 cells, and"
        ):
            read(tmp_path / "r.csv", fs=500, unit="mV")

    def test_names_and_no_row(self, tmp_path):
        (tmp_path / "r.csv").write_text("I,II\n")
        with pytest.raises(RecordFileError, match=r"there are no samples|cannot be read"):
            read(tmp_path / "r.csv", fs=500, unit="mV")

    def test_stored_integers_taken_for_millivolts(self, tmp_path, frame):
        (frame * 1000).to_csv(tmp_path / "r.csv", index=False)
        with pytest.raises(RecordFileError, match=r"are these microvolts or stored integers"):
            read(tmp_path / "r.csv", fs=500, unit="mV")

    def test_a_column_of_words(self, tmp_path, frame):
        frame.assign(beat="N").to_parquet(tmp_path / "r.parquet")
        with pytest.raises(
            RecordFileError, match=r"the columns cannot be read as numbers \(.*write them again"
        ):
            read(tmp_path / "r.parquet", fs=500, unit="mV")
        assert read(tmp_path / "r.parquet", fs=500, unit="mV", leads="I").leads == ("I",)

    def test_an_array_without_names(self, tmp_path, ecg):
        np.save(tmp_path / "r.npy", ecg)
        with pytest.raises(
            RecordFileError, match=r"nothing says the leads \(leads=\); write them into r\.json"
        ):
            read(tmp_path / "r.npy", fs=500, unit="mV")

    def test_a_transposed_array(self, tmp_path, ecg):
        np.save(tmp_path / "r.npy", ecg.T)
        with pytest.raises(RecordFileError, match=r"is it transposed"):
            read(tmp_path / "r.npy", fs=500, unit="mV", leads=STANDARD_12)

    def test_an_array_of_truths(self, tmp_path):
        np.save(tmp_path / "r.npy", np.ones((1, 100), bool))
        with pytest.raises(RecordFileError, match=r"the values are of type bool; numbers are needed"):
            read(tmp_path / "r.npy", fs=500, unit="mV", leads="I")

    def test_objects(self, tmp_path):
        np.save(tmp_path / "r.npy", np.array([{"a": 1}]), allow_pickle=True)
        with pytest.raises(RecordFileError, match=r"numbers are read, at least one"):
            read(tmp_path / "r.npy", fs=500, unit="mV", leads="I")

    @pytest.mark.parametrize("keep", [7, 60, -1])
    def test_cut_off(self, tmp_path, ecg, keep):
        path = tmp_path / "r.npy"
        np.save(path, ecg)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(RecordFileError, match=r"all of them must be there|the array cannot be read"):
            read(path, fs=500, unit="mV", leads=STANDARD_12)

    def test_an_announcement_of_more_than_there_is(self, tmp_path):
        with (tmp_path / "r.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f8", "fortran_order": False, "shape": (12, 10**12)}
            )
        with pytest.raises(RecordFileError, match=r"all of them must be there"):
            read(tmp_path / "r.npy", fs=500, unit="mV", leads=STANDARD_12)


ABOUT = {"patient_id": "P-7", "recorded_at": "2025-03-04T09:15:00", "age_years": 45, "sex": "F"}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy"])
def test_a_sidecar_says_whose_recording_it_is(tmp_path, frame, ecg, suffix):
    path = describe(tmp_path / f"r.{suffix}", **SAID, **ABOUT, leads=list(STANDARD_12))
    if suffix == "npy":
        np.save(path, ecg)
    else:
        WRITERS["comma.csv" if suffix == "csv" else "plain.parquet"](frame, path)
    record = read(path)
    assert (record.patient_id, record.age_years, record.sex) == ("P-7", 45.0, "F")
    assert record.recorded_at == datetime(2025, 3, 4, 9, 15)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_of_the_patient_comes_back(tmp_path, record, suffix):
    about = {"patient_id": "P-7", "recorded_at": datetime(2025, 3, 4, 9), "age_years": 45.5, "sex": "M"}
    back = read(write_record(replace(record, **about), tmp_path / f"r{suffix}"))
    assert {name: getattr(back, name) for name in about} == about


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"patient_id": 7}, "patient_id is 7; give a text, such as P-7"),
        ({"patient_id": " "}, "patient_id is ' '; give a text"),
        ({"recorded_at": "yesterday"}, "recorded_at is 'yesterday'; give a date and time, such as 2025-"),
        ({"age_years": "old"}, "age_years is 'old'; give a number of years from 0 to 150"),
        ({"age_years": -1}, "age_years is -1; give a number of years"),
        ({"age_years": True}, "age_years is True; give a number of years"),
        ({"sex": "female"}, "sex is 'female'; give F or M"),
        ({"sex": ["F"]}, "sex is .'F'.; give F or M"),
    ],
)
def test_what_a_sidecar_says_of_the_patient_must_be_understood(tmp_path, frame, wrong, message):
    path = describe(tmp_path / "r.csv", **SAID, **wrong)
    WRITERS["comma.csv"](frame, path)
    with pytest.raises(RecordFileError, match=rf"r\.json: {message}"):
        read(path)


def test_what_is_null_in_a_sidecar_is_not_known(tmp_path, frame):
    path = describe(tmp_path / "r.csv", **SAID, **dict.fromkeys(ABOUT))
    WRITERS["comma.csv"](frame, path)
    assert read(path).patient_id is None
