"""Damaged files of every format: either a Record that holds what a Record promises or one of our errors.

Bytes of valid files are changed, cut out and doubled. `ANYLEAD_FUZZ_CASES` sets how many cases a format has.
"""

import contextlib
import gzip
import io
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest

from anylead.errors import AnyleadError
from anylead.formats import FORMATS, list_items, read
from anylead.leads import STANDARD_12
from fake_trees import fake_ecg, write_wfdb

CASES = int(os.environ.get("ANYLEAD_FUZZ_CASES", "40"))
SAID = json.dumps({"sampling_rate_hz": 500, "unit": "mV", "leads": list(STANDARD_12)}).encode()
ECG = fake_ecg(np.random.default_rng(0), seconds=0.4)
FRAME = pd.DataFrame(ECG.T, columns=list(STANDARD_12))


def saved(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def edf(writer, signal):
    edfio = pytest.importorskip("edfio")
    signals = [
        getattr(edfio, signal)(row, 500, label=lead, physical_dimension="mV", physical_range=(-8, 8))
        for lead, row in zip(STANDARD_12, ECG, strict=True)
    ]
    annotations = [edfio.EdfAnnotation(0.1, None, "beat")]
    return getattr(edfio, writer)(signals, data_record_duration=0.1, annotations=annotations).to_bytes()


def hdf5(file):
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "w") as opened:
        opened.create_dataset("tracings", data=ECG.T[None], chunks=(1, 100, 12), compression="gzip")
        opened["exam_id"] = [1]


def zipped(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("r.csv", FRAME.to_csv())
        archive.writestr("r.json", SAID)


def wfdb(folder):
    write_wfdb(folder / "r", ECG)
    return {"r.hea": (folder / "r.hea").read_bytes(), "r.dat": (folder / "r.dat").read_bytes()}


def wfdb_segments(folder):
    write_wfdb(folder / "a", ECG[:1, :100], ["I"])
    write_wfdb(folder / "b", ECG[:2, 100:], ["I", "II"])
    (folder / "r.hea").write_text("r/3 2 500 300\na 100\n~ 100\nb 100\n")
    return {name: (folder / name).read_bytes() for name in ("r.hea", "a.hea", "a.dat", "b.hea", "b.dat")}


# Name of what is read -> the files, the first of which is that one.
FILES = {
    "edf": lambda folder: {"r.edf": edf("Edf", "EdfSignal")},
    "bdf": lambda folder: {"r.bdf": edf("Bdf", "BdfSignal")},
    "hdf5": lambda folder: {"r.hdf5": saved(hdf5)},
    "parquet": lambda folder: {"r.parquet": saved(FRAME.to_parquet), "r.json": SAID},
    "npy": lambda folder: {"r.npy": saved(lambda file: np.save(file, ECG)), "r.json": SAID},
    "delimited": lambda folder: {"r.csv": FRAME.to_csv().encode(), "r.json": SAID},
    "wfdb": wfdb,
    "wfdb segments": wfdb_segments,
    "gzip": lambda folder: {"r.csv.gz": gzip.compress(FRAME.to_csv().encode()), "r.json": SAID},
    "zip": lambda folder: {"r.zip": saved(zipped)},
}


def damaged(content, rng):
    """Returns a file with some bytes changed, most of them near its beginning, a piece cut out or doubled."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 8)):
        reach = len(damaged) if rng.random() < 0.3 else min(len(damaged), 4000)
        at = int(rng.integers(max(reach, 1)))
        kind = rng.integers(5)
        if kind == 0:
            del damaged[at : at + int(rng.integers(1, 200))]
        elif kind == 1:
            damaged[at:at] = damaged[at : at + int(rng.integers(1, 200))]
        elif kind == 2:
            damaged[at : at + 1] = bytes(rng.choice(list(b"0123456789-+.~/e \n\x00\xff"), 1).astype(np.uint8))
        else:
            damaged[at : at + 1] = bytes([int(rng.integers(256))])
    return bytes(damaged)


def read_or_error(path):
    try:
        return read(path)
    except AnyleadError as error:
        return error


def check(record):
    assert record.signal.dtype == np.float32
    assert record.signal.shape == (len(record.leads), record.samples)
    assert not np.isinf(record.signal).any()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_a_record_or_one_of_our_errors(tmp_path, name):
    rng = np.random.default_rng(0)
    files = FILES[name](tmp_path)
    first = tmp_path / next(iter(files))
    for case in range(CASES):
        hit = list(files)[int(rng.integers(len(files)))] if case else None
        for file, content in files.items():
            (tmp_path / file).write_bytes(damaged(content, rng) if file == hit else content)
        with contextlib.suppress(AnyleadError):
            list_items(first)
        outcome = read_or_error(first)
        if isinstance(outcome, AnyleadError):
            assert case, f"the undamaged file is refused: {outcome}"
            assert "\n" not in str(outcome)
        else:
            check(outcome)


def test_every_format_is_damaged():
    modules = {known.read.__module__.rpartition(".")[2] for known in FORMATS}
    clinical = {"aecg", "dicom", "ishne", "muse", "philips", "scp"}  # by test_clinical_fuzz
    assert modules <= set(FILES) | clinical
