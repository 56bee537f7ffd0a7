"""Multi-segment WFDB. Independent: the segments and headers are put together by the specification, and the
`wfdb` package, which joins segments by other code, is the second reader."""

import numpy as np
import pytest
import wfdb

from anylead.errors import RecordFileError
from anylead.formats import read
from anylead.leads import STANDARD_12
from fake_trees import fake_ecg, write_wfdb

LENGTHS = (300, 200, 500)


@pytest.fixture
def ecg():
    return fake_ecg(np.random.default_rng(0), seconds=2)


def header(folder, text):
    (folder / "m.hea").write_text(text)
    return folder / "m.hea"


def fixed(folder, ecg):
    """Writes three segments of two leads."""
    starts = np.cumsum((0, *LENGTHS))
    for number, (start, length) in enumerate(zip(starts, LENGTHS, strict=False)):
        write_wfdb(folder / f"m{number}", ecg[:2, start : start + length], STANDARD_12[:2])
    lines = "".join(f"m{number} {length}\n" for number, length in enumerate(LENGTHS))
    return header(folder, f"m/3 2 500 1000 14:50:55 05/05/2020\n{lines}#Age: 61\n")


def variable(folder, ecg):
    """Writes a layout of three leads, a segment of V1 and II, a gap, and one of II."""
    (folder / "m_layout.hea").write_text(
        "m_layout 3 500 0\n" + "".join(f"~ 0 1000/mV 16 0 0 0 0 {lead}\n" for lead in ("II", "V1", "V6"))
    )
    write_wfdb(folder / "m1", ecg[[6, 1], :300], ["V1", "II"])
    write_wfdb(folder / "m2", ecg[[1], 500:], ["II"])
    return header(folder, "m/4 3 500 1000\nm_layout 0\nm1 300\n~ 200\nm2 500\n")


def test_segments_of_a_fixed_layout_are_joined(tmp_path, ecg):
    path = fixed(tmp_path, ecg)
    record = read(path)
    assert (record.record_id, record.leads, record.samples) == ("m", ("I", "II"), 1000)
    assert (record.age_years, record.recorded_at.hour) == (61, 14)
    np.testing.assert_allclose(record.signal, ecg[:2], atol=1e-6)
    second = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T
    np.testing.assert_allclose(record.signal, second, atol=1e-6)


def test_a_variable_layout_has_nan_where_a_lead_was_not_recorded(tmp_path, ecg):
    path = variable(tmp_path, ecg)
    record = read(path)
    assert record.leads == ("II", "V1")  # V6 of the layout is in no segment
    second = wfdb.rdrecord(str(path.with_suffix("")))
    np.testing.assert_allclose(record.signal, second.p_signal.T[:2], atol=1e-6)
    assert np.isnan(record.signal[0, 300:500]).all()
    assert np.isnan(record.signal[1, 300:]).all()
    np.testing.assert_allclose(record.signal[0, 500:], ecg[1, 500:], atol=1e-6)


def test_segments_may_differ_in_unit_and_gain(tmp_path, ecg):
    write_wfdb(tmp_path / "m0", ecg[:1, :500], ["I"], units="mV")
    write_wfdb(tmp_path / "m1", ecg[:1, 500:] * 1000, ["I"], gains=1.0, units="uV")
    record = read(header(tmp_path, "m/2 1 500 1000\nm0 500\nm1 500\n"))
    np.testing.assert_allclose(record.signal, ecg[:1], atol=1e-6)


class TestRefused:
    def test_a_segment_that_is_not_there(self, tmp_path, ecg):
        path = fixed(tmp_path, ecg)
        (tmp_path / "m1.hea").unlink()
        with pytest.raises(RecordFileError, match=r"m1\.hea: the header cannot be read"):
            read(path)

    def test_a_segment_of_another_length(self, tmp_path, ecg):
        path = fixed(tmp_path, ecg)
        write_wfdb(tmp_path / "m1", ecg[:2, :100], STANDARD_12[:2])
        with pytest.raises(RecordFileError, match="segment m1 has 100 samples and the header promises 200"):
            read(path)

    def test_a_segment_of_another_rate(self, tmp_path, ecg):
        path = fixed(tmp_path, ecg)
        write_wfdb(tmp_path / "m1", ecg[:2, :200], STANDARD_12[:2], fs=250)
        with pytest.raises(RecordFileError, match=r"500 Hz and its segments have \[250.0, 500.0\]; one rate"):
            read(path)

    def test_a_header_of_no_rate(self, tmp_path, ecg):
        """Found by damaging files: a division by zero."""
        fixed(tmp_path, ecg)
        with pytest.raises(RecordFileError, match=r"the header has 0 Hz and its segments have \[500.0\]"):
            read(header(tmp_path, "m/1 2 0 300\nm0 300\n"))

    def test_a_rate_so_low_that_no_length_can_be_told(self, tmp_path, ecg):
        fixed(tmp_path, ecg)
        text = (tmp_path / "m.hea").read_text().replace(" 500 ", " 5e-320 ", 1)
        with pytest.raises(RecordFileError, match="one rate is read: read the segments one by one"):
            read(header(tmp_path, text))

    def test_a_segment_of_segments(self, tmp_path, ecg):
        fixed(tmp_path, ecg)
        with pytest.raises(RecordFileError, match="a segment has 1 segments of its own; segments of one are"):
            read(header(tmp_path, "m/1 2 500 1000\nm 1000\n"))

    def test_a_segment_in_another_folder(self, tmp_path):
        with pytest.raises(
            RecordFileError, match=r"the segment '\.\./m' is in another folder; put it beside"
        ):
            read(header(tmp_path, "m/1 2 500 1000\n../m 1000\n"))

    @pytest.mark.parametrize("text", ["m/3 2 500 1000\nm0 300\nm1 200\n", "m/2 2 500 1000\nm0 300\nm1 200\n"])
    def test_a_header_that_contradicts_itself(self, tmp_path, ecg, text):
        fixed(tmp_path, ecg)
        with pytest.raises(RecordFileError, match="of 1000 samples in all and describes 2 of 500; is it cut"):
            read(header(tmp_path, text))

    @pytest.mark.parametrize("line", ["m0", "m0 many"])
    def test_a_line_that_is_none(self, tmp_path, line):
        with pytest.raises(RecordFileError, match=f"the segment line '{line}' is not: name, samples"):
            read(header(tmp_path, f"m/1 2 500 1000\n{line}\n"))

    def test_gaps_only(self, tmp_path):
        with pytest.raises(RecordFileError, match="every segment is a gap, so there is no ECG"):
            read(header(tmp_path, "m/1 2 500 1000\n~ 1000\n"))

    def test_a_gap_that_fits_no_memory(self, tmp_path, ecg):
        fixed(tmp_path, ecg)
        with pytest.raises(RecordFileError, match="the file announces 2000000000000 values; up to"):
            read(header(tmp_path, f"m/2 2 500 {10**12 + 300}\nm0 300\n~ {10**12}\n"))

    def test_a_compressed_length_that_fits_no_memory(self, tmp_path, ecg):
        write_wfdb(tmp_path / "m0", ecg[:1], ["I"])
        text = (
            (tmp_path / "m0.hea")
            .read_text()
            .replace(" 1000\n", f" {10**12}\n", 1)
            .replace(" 16 ", " 516 ", 1)
        )
        (tmp_path / "m0.hea").write_text(text)
        with pytest.raises(RecordFileError, match="the file announces 1000000000000 values; up to"):
            read(tmp_path / "m0")
