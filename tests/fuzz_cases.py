"""Damaged files of every format, made from valid ones: what the fuzz tests and `benchmarks/fuzz.py` read.

A case is told by its kind of file, a seed and a number, so that one can be made again alone.
"""

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from anylead.leads import STANDARD_12
from anylead.record import Record
from clinical_files import aecg, dicom_group, ishne, muse, philips, scp, some_counts, write_dicom
from fake_trees import fake_ecg, write_wfdb

Files = dict[str, bytes]
"""Name -> content of the files of one recording, the first of which is the one that is read."""

SAID = json.dumps({"sampling_rate_hz": 500, "unit": "mV", "leads": list(STANDARD_12)}).encode()
ECG = fake_ecg(np.random.default_rng(0), seconds=0.4)
FRAME = pd.DataFrame(ECG.T, columns=list(STANDARD_12))
COUNTS = some_counts(samples=30)


def _edf(writer: str, signal: str) -> bytes:
    import edfio

    signals = [
        getattr(edfio, signal)(row, 500, label=lead, physical_dimension="mV", physical_range=(-8, 8))
        for lead, row in zip(STANDARD_12, ECG, strict=True)
    ]
    annotations = [edfio.EdfAnnotation(0.1, None, "beat")]
    return getattr(edfio, writer)(signals, data_record_duration=0.1, annotations=annotations).to_bytes()


def _hdf5() -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("tracings", data=ECG.T[None], chunks=(1, 100, 12), compression="gzip")
        file["exam_id"] = [1]
    return buffer.getvalue()


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Packs files as zip, the same bytes at any time of day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _csv() -> bytes:
    return FRAME.to_csv().encode()


def _wfdb(folder: Path) -> Files:
    write_wfdb(folder / "r", ECG)
    return {name: (folder / name).read_bytes() for name in ("r.hea", "r.dat")}


def _wfdb_segments(folder: Path) -> Files:
    write_wfdb(folder / "a", ECG[:1, :100], ["I"])
    write_wfdb(folder / "b", ECG[:2, 100:], ["I", "II"])
    (folder / "r.hea").write_text("r/3 2 500 300\na 100\n~ 100\nb 100\n")
    return {name: (folder / name).read_bytes() for name in ("r.hea", "a.hea", "a.dat", "b.hea", "b.dat")}


def _dicom(folder: Path) -> bytes:
    return write_dicom(folder / "valid.dcm", dicom_group(COUNTS, padding=-7)).read_bytes()


FILES: dict[str, Callable[[Path], Files]] = {
    "edf": lambda folder: {"r.edf": _edf("Edf", "EdfSignal")},
    "bdf": lambda folder: {"r.bdf": _edf("Bdf", "BdfSignal")},
    "hdf5": lambda folder: {"r.hdf5": _hdf5()},
    "parquet": lambda folder: {"r.parquet": _saved(FRAME.to_parquet), "r.json": SAID},
    "npy": lambda folder: {"r.npy": _saved(lambda file: np.save(file, ECG)), "r.json": SAID},
    "delimited": lambda folder: {"r.csv": _csv(), "r.json": SAID},
    "wfdb": _wfdb,
    "wfdb segments": _wfdb_segments,
    "aecg": lambda folder: {"r.bin": aecg(COUNTS).encode()},
    "muse": lambda folder: {"r.bin": muse(COUNTS).encode()},
    "philips": lambda folder: {"r.bin": philips(COUNTS, compressed=False).encode()},
    "philips compressed": lambda folder: {"r.bin": philips(COUNTS, compressed=True).encode()},
    "dicom": lambda folder: {"r.bin": _dicom(folder)},
    "ishne": lambda folder: {"r.bin": ishne(COUNTS)},
    "scp": lambda folder: {"r.bin": scp(COUNTS)},
    "scp compressed": lambda folder: {"r.bin": scp(COUNTS, huffman=True)},
    "gzip of delimited": lambda folder: {"r.csv": _csv()},
    "gzip of dicom": lambda folder: {"r.dcm": _dicom(folder)},
    "zip of delimited": lambda folder: {"r.csv": _csv(), "r.json": SAID},
    "zip of wfdb": _wfdb,
}
"""Kind of file -> writes a valid one, with a folder to write in; `PACKED` says which are packed then."""


def _gzipped(files: Files) -> Files:
    ((name, content),) = files.items()
    return {f"{name}.gz": gzip.compress(content, mtime=0), "r.json": SAID}


PACKED: dict[str, Callable[[Files], Files]] = {
    "gzip of delimited": _gzipped,
    "gzip of dicom": _gzipped,
    "zip of delimited": lambda files: {"r.zip": zipped(files)},
    "zip of wfdb": lambda files: {"r.zip": zipped(files)},
}
"""Kind of file -> packs it; half of the cases are damaged before, and half after."""

CLINICAL = ("aecg", "muse", "philips", "philips compressed", "dicom", "ishne", "scp", "scp compressed")
NEEDS = {"edf": "edfio", "bdf": "edfio", "hdf5": "h5py", "dicom": "pydicom", "gzip of dicom": "pydicom"}
"""Kind of file -> the package without which it is neither written nor read."""
NEEDS |= {name: "ecgdatakit" for name in CLINICAL if name != "dicom"}

_NUMBERS = [b"0", b"-1", b"1e300", b"999999999999", b"nan", b"inf", b"", b"0.5", b"1e-320"]
"""What stands in place of a number in text."""
_WORDS = [b"", b"I", b"nan", b"mV", b"../../r", b"\xff\xfe\x00", b"A" * 300, "\u03bcV\u00e9".encode()]
"""What stands in place of a word in text."""
_HUGE = [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"9999", b"99999999", b"\xff" * 8]
_HUGE += [(10**12).to_bytes(8, "little"), (10**12).to_bytes(8, "big")]
"""What stands in place of a size in a header."""
_CHARACTERS = b"0123456789-+.~/e \n\x00\xff"


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Returns a file with one fault or up to seven, most near its beginning, and one in ten cut off."""
    data = bytearray(content)
    for _ in range(random.integers(2, 8) if random.random() < 0.4 else 1):
        reach = len(data) if random.random() < 0.3 else min(len(data), 4000)
        at, kind = int(random.integers(max(reach, 1))), random.integers(8)
        length = int(random.integers(1, 200))
        if kind == 0:
            del data[at : at + length]
        elif kind == 1:
            data[at:at] = data[at : at + length]
        elif kind == 2:
            data[at : at + 1] = _CHARACTERS[(which := random.integers(len(_CHARACTERS))) : which + 1]
        elif kind == 3:
            huge = _HUGE[random.integers(len(_HUGE))]
            data[at : at + len(huge)] = huge
        elif kind == 4:
            _replace(data, rb"-?[0-9][0-9.]*", at, _NUMBERS, random)
        elif kind == 5:
            _replace(data, rb"[A-Za-z]{2,}", at, _WORDS, random)
        else:
            data[at : at + 1] = bytes([random.integers(256)])
    return bytes(data[: int(random.integers(len(data) + 1))] if random.random() < 0.1 else data)


def _replace(
    data: bytearray, pattern: bytes, at: int, others: list[bytes], random: np.random.Generator
) -> None:
    if found := re.compile(pattern).search(data, at):
        data[found.start() : found.end()] = others[random.integers(len(others))]


def write_case(folder: Path, name: str, files: Files, seed: int, case: int) -> Path:
    """Writes the files of one case, one of them damaged, none in case 0; returns the one to read."""
    random = np.random.default_rng([seed, zlib.crc32(name.encode()), case])
    pack = PACKED.get(name, dict)
    if random.random() < 0.5:
        files = pack(_one_damaged(files, random) if case else files)
    else:
        files = _one_damaged(pack(files), random) if case else pack(files)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder / next(iter(files))


def _one_damaged(files: Files, random: np.random.Generator) -> Files:
    hit = list(files)[random.integers(len(files))]
    return {**files, hit: damaged(files[hit], random)}


def check(record: Record) -> None:
    """Raises AssertionError where a record is none."""
    assert record.signal.dtype == np.float32
    assert record.signal.shape == (len(record.leads), record.samples)
    assert record.signal.size > 0
    assert len(set(record.leads)) == len(record.leads)
    assert not np.isinf(record.signal).any()
