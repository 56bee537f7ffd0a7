"""The commonest WFDB record is decoded by us: equal to the `wfdb` package to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anylead.formats.wfdb import read_wfdb
from anylead.formats.wfdb_format16 import is_plain, read_format_16
from anylead.formats.wfdb_header import read_header

GAINS = ["1000", "200/mV", "1000.5(12)/mV", "4.88e2(-300)/mV", "1000(0)/uV", "0.5(7)/mV"]


def write(path: Path, counts: np.ndarray, gains: list[str], zeros: list[str], *, offset: int = 0) -> Path:
    """Writes a record, its header by hand: signals x samples of integers, and what each line says."""
    samples = counts.shape[1]
    file = "r.dat" if offset == 0 else "r.mat"
    (path / file).write_bytes(b"\1" * offset + counts.T.astype("<i2").tobytes())
    storage = "16" if offset == 0 else f"16+{offset}"
    lines = [f"r {len(counts)} 500 {samples}"]
    lines += [
        f"{file} {storage} {gain} 16 {zero} 0 0 0 L{row}"
        for row, (gain, zero) in enumerate(zip(gains, zeros, strict=True))
    ]
    (path / "r.hea").write_text("\n".join(lines) + "\n")
    return path / "r.hea"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    lines=st.lists(
        st.tuples(st.sampled_from(GAINS), st.sampled_from(["0", "5", "-40"])), min_size=1, max_size=4
    ),
    samples=st.integers(1, 50),
    seed=st.integers(0, 9),
    offset=st.sampled_from([0, 24]),
)
def test_it_equals_wfdb_whatever_the_header_says(tmp_path, lines, samples, seed, offset):
    counts = np.random.default_rng(seed).integers(-32768, 32767, (len(lines), samples))
    counts[0, 0] = -32768  # missing
    header = read_header(write(tmp_path, counts, *map(list, zip(*lines, strict=True)), offset=offset))
    assert is_plain(header, calibrated=False)
    expected = wfdb.rdrecord(str(tmp_path / "r")).p_signal.T
    np.testing.assert_array_equal(read_format_16(header), expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 16 1000", " 212 1000"),
        (" 16 1000", " 16x2 1000"),
        (" 16 1000", " 16:3 1000"),
        (" 16 1000", " 16 0"),
        ("r 1 500 8", "r 1 500"),
    ],
)
def test_everything_else_is_left_to_wfdb(tmp_path, old, new):
    path = write(tmp_path, np.zeros((1, 8)), ["1000"], ["0"])
    path.write_text(path.read_text().replace(old, new))
    assert not is_plain(read_header(path), calibrated=False)


def test_a_signal_that_lags_is_read_as_wfdb_reads_it(tmp_path):
    counts = np.arange(20).reshape(2, 10)
    path = write(tmp_path, counts, ["1000", "1000"], ["0", "0"])
    path.write_text(path.read_text().replace(" 16 1000 16 0 0 0 0 L1", " 16:2 1000 16 0 0 0 0 L1"))
    np.testing.assert_allclose(read_wfdb(path).signal[1, :8], np.arange(12, 20) / 1000, rtol=1e-6)


@pytest.mark.real
def test_every_real_file_of_the_kind_equals_wfdb(real_data):
    headers = [read_header(path) for path in sorted(real_data.glob("**/*.hea"))]
    plain = [header for header in headers if not header.parts and is_plain(header, calibrated=False)]
    assert len(plain) > 0.9 * len(headers)
    for header in plain:
        expected = wfdb.rdrecord(str(header.path.with_suffix(""))).p_signal.T
        np.testing.assert_array_equal(read_format_16(header), expected, err_msg=header.path.stem)
