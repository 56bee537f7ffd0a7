"""The text of WFDB headers: dates in either order, comments in either spelling, what is not a header."""

from datetime import datetime

import pytest

from anylead.errors import RecordFileError
from anylead.formats.wfdb_header import parse_age, parse_sex, parse_when, read_header


def header(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "r.hea"
    path.write_bytes(text.encode(encoding))
    return read_header(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("05-May-2020 14:50:55", datetime(2020, 5, 5, 14, 50, 55)),
        ("14:50:55 05/06/2020", datetime(2020, 6, 5, 14, 50, 55)),
        ("14:50:55.25 05/06/2020", datetime(2020, 6, 5, 14, 50, 55)),
        ("31/12/1999", datetime(1999, 12, 31)),
        ("07.12.2004", datetime(2004, 12, 7)),
        ("2020-05-06 01:02", datetime(2020, 5, 6, 1, 2)),
        ("14:50:55", None),
        ("45-May-2020", None),
        ("05-Foo-2020", None),
        ("", None),
    ],
)
def test_dates_are_read_before_and_after_the_time(text, expected):
    assert parse_when(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("56.0", 56.0), (">89", 90.0), ("NaN", None), ("", None), ("-1", None), ("300", None)],
)
def test_ages(text, expected):
    assert parse_age(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("Female", "F"), ("male", "M"), ("F\n", "F"), ("Unknown", None), ("", None)]
)
def test_sexes(text, expected):
    assert parse_sex(text) == expected


@pytest.mark.parametrize("mark", ["#", "# ", "#  "])
def test_comments_are_read_with_and_without_a_blank(tmp_path, mark):
    found = header(
        tmp_path,
        f"r 1 500 10 05-May-2020 14:50:55\nr.dat 16 1000/mV 16 0 0 0 0 I\n"
        f"{mark}Age: 50\n{mark}Sex: Female\n{mark}Dx: 1,2\n{mark}Dx: 3\n",
    )
    assert (found.age_years, found.sex, found.fields["dx"]) == (50.0, "F", "1,2")
    assert found.recorded_at == datetime(2020, 5, 5, 14, 50, 55)


def test_comments_in_angle_brackets(tmp_path):
    found = header(tmp_path, "r 0 500 10\n#<age>: 51\n#<sex>: F\n#<diagnoses>:\n#Rhythm: Sinus rhythm.\n")
    assert (found.age_years, found.sex, found.fields["rhythm"]) == (51.0, "F", "Sinus rhythm.")


def test_every_field_of_a_signal_line(tmp_path):
    found = header(tmp_path, "r 1 250/360(0) 10\nr.mat 16x2:1+24 200.5(-3)/uV 16 0 -1 2 0 ECG I filtered\n")
    (line,) = found.signals
    assert (line.file, line.format, line.samples_per_frame, line.byte_offset) == ("r.mat", 16, 2, 24)
    assert (line.gain, line.unit, line.name) == (200.5, "uV", "ECG I filtered")
    assert (found.sampling_rate_hz, found.samples, found.recorded_at) == (250.0, 10, None)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_micro_sign_survives_every_encoding(tmp_path, encoding):
    found = header(tmp_path, "r 1 500 10\nr.dat 16 1/µV 16 0 0 0 0 I\n", encoding)
    assert found.signals[0].unit == "µV"


def test_what_a_header_may_leave_out(tmp_path):
    found = header(tmp_path, "r 1\nr.dat 16\n")
    assert (found.sampling_rate_hz, found.samples) == (250.0, None)
    assert (found.signals[0].gain, found.signals[0].unit, found.signals[0].name) == (0.0, "", "")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "hello\n", "a,b,c\n1,2,3\n", "r twelve 500\n"])
def test_what_is_not_a_header_is_refused(tmp_path, text):
    with pytest.raises(RecordFileError, match=r"r\.hea: this is not a WFDB header"):
        header(tmp_path, text)


def test_binary_is_not_a_header(tmp_path):
    (tmp_path / "r.hea").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(RecordFileError, match="not a WFDB header"):
        read_header(tmp_path / "r.hea")


def test_a_header_that_is_cut_off_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match="announces 2 leads and describes 1"):
        header(tmp_path, "r 2 500 10\nr.dat 16 1000/mV 16 0 0 0 0 I\n")


def test_a_signal_line_without_a_format_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"the line 'r.dat mV' does not describe a WFDB signal"):
        header(tmp_path, "r 1 500 10\nr.dat mV\n")


def test_an_absent_header_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match="the header cannot be read"):
        read_header(tmp_path / "absent.hea")


def test_a_header_with_null_bytes_is_no_header(tmp_path):
    """Found by damaging files: no path may hold them."""
    (tmp_path / "r.hea").write_bytes(b"r 1 500 100\nr\0.dat 16 1000/mV 16 0 0 0 0 I\n")
    with pytest.raises(RecordFileError, match="this is not a WFDB header"):
        read_header(tmp_path / "r.hea")
