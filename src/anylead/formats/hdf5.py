"""HDF5 in the layout of CODE-15 %: ``tracings`` (exams, 4096, 12) at 400 Hz and ``exam_id`` (exams,).

Every tracing is filled with zeros on both sides to 4096 samples; these are cut. The corpus' page gives its
leads as DI, DII, DIII, AVR, AVL, AVF, V1-V6, and the page of the test set that preceded it as DI, DII, DIII,
AVL, AVF, AVR, V1-V6; since aVR, aVL and aVF follow from I and II, the signal itself tells which it is.

Source: https://zenodo.org/records/4916206, the description of ``exams_part{i}.hdf5``; Ribeiro et al. 2020
(10.1038/s41467-020-15432-4), data availability, for the earlier order and the scale.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import Format, check_values, missing_package, to_float32
from anylead.leads import FROM_I_AND_II, STANDARD_12
from anylead.record import Record

SAMPLING_RATE_HZ = 400.0
EARLIER_ORDER = ("I", "II", "III", "aVL", "aVF", "aVR", *STANDARD_12[6:])
"""Order of the leads in the test set of 2020."""

_CLEARLY = 0.1
"""How much smaller the misfit of the earlier order must be to be believed."""
_MARK = b"\x89HDF\r\n\x1a\n"


def recognises(head: bytes, path: Path) -> bool:
    """Says whether a file begins as HDF5 does."""
    return head.startswith(_MARK)


def list_exams(path: Path) -> tuple[str, ...]:
    """Returns the ids of the exams of a file, each once.

    Raises:
        RecordFileError: If the layout is another one than that of CODE-15 %.
        ConfigError: If h5py is not installed.
    """
    with _opened(path) as file:
        exams, _ = _datasets(path, file)
    return tuple(dict.fromkeys(exams.astype(str).tolist()))


def read_hdf5(path: Path, *, item: str | None = None) -> Record:
    """Reads one exam of an HDF5 file in the layout of CODE-15 %.

    A file in the lead order of the earlier test set is flagged ``lead_order:aVL,aVF,aVR``.

    Args:
        path: The file.
        item: The ``exam_id``, needed where the file holds several exams.

    Raises:
        RecordFileError: If the layout is another one, or the exam is not there, ambiguous or all zeros.
        ConfigError: If h5py is not installed.
    """
    with _opened(path) as file:
        exams, tracings = _datasets(path, file)
        row = _row(path, exams, item)
        values = np.asarray(tracings[row], dtype=np.float32)
        exam = str(int(exams[row]))
    return _record(path, exam, values)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a file; whatever h5py stumbles over inside is one error."""
    try:
        import h5py
    except ImportError as error:
        raise missing_package(path, "HDF5", "h5py") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError, MemoryError) as error:
        if isinstance(error, RecordFileError):
            raise
        raise RecordFileError(
            f"{path}: h5py cannot decode the file ({type(error).__name__}: {error}); copy it again."
        ) from error


def _datasets(path: Path, file: Any) -> tuple[np.ndarray, Any]:
    """Returns the ids of the exams and the tracings, still on disk."""
    exams, tracings = file.get("exam_id"), file.get("tracings")
    shapes: list[tuple[int, ...]] = [getattr(dataset, "shape", None) or () for dataset in (exams, tracings)]
    if not (len(shapes[0]) == 1 and len(shapes[1]) == 3 and shapes[1][2] == len(STANDARD_12)):
        held = ", ".join(map(repr, sorted(file)[:10])) or "nothing"
        raise RecordFileError(
            f"{path}: the file holds {held}; the layout of CODE-15 % is "
            "read: tracings (exams, samples, 12) and exam_id (exams,)."
        )
    if shapes[0][0] != shapes[1][0] or not prod(shapes[1]) or tracings.dtype.kind not in "fiu":
        raise RecordFileError(
            f"{path}: exam_id has shape {shapes[0]} and tracings {shapes[1]} of {tracings.dtype}; "
            "one number per exam, sample and lead is needed."
        )
    for dataset in (exams, tracings):
        if dataset.file != file or dataset.is_virtual or dataset.external:
            raise RecordFileError(f"{path}: {dataset.name} lies in another file; copy it into this one.")
        check_values(path, prod(dataset.chunks or (1,)))  # a chunk is unpacked as a whole
    check_values(path, shapes[0][0])
    check_values(path, prod(shapes[1][1:]))
    return exams[:], tracings


def _row(path: Path, exams: np.ndarray, item: str | None) -> int:
    if item is None and exams.size == 1:
        return 0
    some = ", ".join(str(exam) for exam in exams[:3])
    if item is None:
        raise RecordFileError(
            f"{path}: the file holds {exams.size} exams ({some}, ...); name one, as in {path}::{exams[0]}."
        )
    rows = np.flatnonzero(exams.astype(str) == item)
    if rows.size != 1:
        raise RecordFileError(
            f"{path}: exam {item} is there {rows.size} times; give one that is there once, such as {some}."
        )
    return int(rows[0])


def _record(path: Path, exam: str, values: Float32[np.ndarray, "samples leads"]) -> Record:
    present = np.flatnonzero((values != 0).any(axis=1))
    if not present.size:
        raise RecordFileError(f"{path}: exam {exam} is all zeros; leave it out.")
    signal = to_float32(values[present[0] : present[-1] + 1].T)
    earlier = _misfit(signal, EARLIER_ORDER) < _CLEARLY * _misfit(signal, STANDARD_12)
    leads = EARLIER_ORDER if earlier else STANDARD_12
    try:
        return Record(
            signal=signal,
            leads=leads,
            sampling_rate_hz=SAMPLING_RATE_HZ,
            record_id=exam,
            flags=("lead_order:aVL,aVF,aVR",) if earlier else (),
        ).select(STANDARD_12)
    except InputError as error:
        raise RecordFileError(f"{path}: {error}") from error


def _misfit(signal: Float32[np.ndarray, "leads samples"], order: tuple[str, ...]) -> float:
    """Returns the square error of aVR, aVL and aVF against what I and II make of them."""
    values = np.nan_to_num(signal.astype(np.float64))
    errors = [
        np.mean((values[order.index(lead)] - a * values[0] - b * values[1]) ** 2)
        for lead, (a, b) in FROM_I_AND_II.items()
        if lead.startswith("aV")
    ]
    return float(np.sum(errors))


FORMAT = Format(
    name="HDF5 as CODE-15 % has it (.hdf5)",
    recognises=recognises,
    read=read_hdf5,
    takes=("item",),
    items=list_exams,
)
