"""Writing WFDB: a text header (``.hea``) beside one data file (``.dat``) of 16-bit integers, format 16.

The `wfdb` package writes as well (`wrsamp`), at 76 recordings of ten seconds and twelve leads in a second on
one core; a benchmark has a million of them under its conditions, and this is some twenty times as fast. The
package serves the tests as the second reader.

Source: WFDB header and signal file formats, https://physionet.org/physiotools/wag/.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from anylead.errors import InputError
from anylead.provenance import atomic_path
from anylead.record import Record

COUNTS_PER_MV = 1000.0
"""One count is 1 µV wherever the lead stays within ±32.767 mV."""
MAXIMUM_COUNT = 32767
MISSING = -32768
"""What format 16 stores for a missing sample."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SEXES = {"F": "Female", "M": "Male"}


def write_wfdb(record: Record, path: Path, *, comments: Sequence[str] = ()) -> None:
    """Writes a recording as ``<path>.hea`` and ``<path>.dat``, the header last.

    Args:
        record: Missing samples are stored as the format's marker, infinite ones as missing.
        path: Without suffix; its name is the record's in the header.
        comments: Lines for the end of the header, without ``#``.

    Raises:
        InputError: If the name has other characters than letters, digits, ``_`` and ``-``, or a comment has
            several lines.
        FileError: If the disk refuses; the file that failed is not there then.
    """
    header, data = encode_wfdb(record, path.name, comments=comments)
    with atomic_path(path.with_name(f"{path.name}.dat")) as temporary:
        temporary.write_bytes(data)
    with atomic_path(path.with_name(f"{path.name}.hea")) as temporary:
        temporary.write_bytes(header)


def encode_wfdb(record: Record, name: str, *, comments: Sequence[str] = ()) -> tuple[bytes, bytes]:
    """Returns the content of a header and of its data file, which must be called ``<name>.dat``.

    Arguments and errors are those of `write_wfdb`.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"wfdb: the record name {name!r} is not one WFDB can read; use letters, digits, _ and - only."
        )
    several = [comment for comment in comments if len(comment.splitlines()) > 1]
    if several:
        raise InputError(f"wfdb: the comment {several[0]!r} has several lines; give one comment a line.")
    counts, gains = stored_integers(record)
    when = "" if record.recorded_at is None else record.recorded_at.strftime("%H:%M:%S %d/%m/%Y")
    lines = [f"{name} {len(record.leads)} {record.sampling_rate_hz:.12g} {record.samples} {when}".rstrip()]
    sums = counts.sum(axis=1, dtype=np.int64).astype(np.int16)  # the checksum wraps at 16 bits
    lines += [
        f"{name}.dat 16 {gain:.12g}(0)/mV 16 0 {counts[row, 0]} {sums[row]} 0 {lead}"
        for row, (lead, gain) in enumerate(zip(record.leads, gains, strict=True))
    ]
    if record.age_years is not None:
        lines.append(f"#Age: {record.age_years:g}")
    if record.sex in _SEXES:
        lines.append(f"#Sex: {_SEXES[record.sex]}")
    lines += [f"#{comment}" for comment in comments]
    data = np.ascontiguousarray(counts.T).astype("<i2").tobytes()
    return ("\n".join(lines) + "\n").encode(), data


def stored_integers(record: Record) -> tuple[Int16[np.ndarray, "leads samples"], list[float]]:
    """Returns the stored integers, `MISSING` among them, and how many make a millivolt in each lead."""
    present = np.isfinite(record.signal)
    values = np.where(present, record.signal, 0).astype(np.float64)
    peaks = np.abs(values).max(axis=1)
    # What is divided by is the gain as the header spells it.
    gains = [float(f"{min(COUNTS_PER_MV, MAXIMUM_COUNT / max(peak, 1e-9)):.12g}") for peak in peaks]
    scaled = np.rint(values * np.array(gains)[:, None]).clip(-MAXIMUM_COUNT, MAXIMUM_COUNT)
    return np.where(present, scaled, MISSING).astype(np.int16), gains
