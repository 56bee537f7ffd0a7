"""One folder with a recording in every format that is read, and with what is none.

All but DICOM are written by another hand than the one that reads them: `clinical_files`, `fake_trees`,
pandas, numpy, h5py, edfio, Python's gzip and zipfile.

Import as ``from every_format import write_every_format``.
"""

import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import edfio
import h5py
import numpy as np
import pandas as pd

from anylead.formats.writers import write
from anylead.leads import STANDARD_12
from anylead.record import Record
from clinical_files import aecg, ishne, muse, philips, scp
from fake_trees import fake_ecg, write_wfdb

SECONDS = 3.0
SAID = {"sampling_rate_hz": 500, "unit": "mV"}

RECORDINGS = (
    "bio.bdf",
    "cart.dcm",
    "cart.edf",
    "exams.hdf5::11",
    "exams.hdf5::22",
    "hospital/aecg.xml",
    "hospital/holter.ecg",
    "hospital/muse.xml",
    "hospital/philips.xml",
    "hospital/record.scp",
    "packed/some.zip::inner.h5::33",
    "packed/some.zip::inner.h5::44",
    "packed/some.zip::ward/a.hea",
    "packed/some.zip::ward/b.edf",
    "packed/table.csv.gz",
    "tables/array.npy",
    "tables/columns.parquet",
    "tables/watch.csv",
    "wfdb/one",
    "wfdb/whole",
)
"""Ids of the recordings as the source ``files`` gives them."""
REFUSED = ("broken.edf", "notes.txt", "packed/some.zip::README.md", "wfdb/one.atr")
"""Ids of what is no recording, or a broken one."""
OF_P7 = (*(name for name in RECORDINGS if name.startswith("hospital/")), "tables/watch.csv")
"""Those whose file names the patient P-7."""


def write_every_format(root: Path, *, seed: int = 0) -> Path:
    """Writes the folder; another seed, other recordings."""
    ecgs = _ecgs(seed)
    for name in ("hospital", "packed", "tables", "wfdb"):
        (root / name).mkdir(parents=True)
    _write_signal_files(root, ecgs)
    _write_hospital_files(root / "hospital", ecgs)
    _write_tables(root / "tables", ecgs)
    _write_packed(root / "packed", ecgs)
    (root / "notes.txt").write_text("what was done")
    (root / "broken.edf").write_bytes((root / "cart.edf").read_bytes()[:3000])
    return root


def _ecgs(seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    while True:
        yield fake_ecg(rng, seconds=SECONDS)


def _write_signal_files(root: Path, ecgs: Iterator[np.ndarray]) -> None:
    write_wfdb(root / "wfdb" / "one", next(ecgs), comments=["# Dx: 426783006"])
    (root / "wfdb" / "one.atr").write_bytes(b"\x00\x04annotation")
    ecg = next(ecgs)
    for name, start in (("s1", 0), ("s2", 750)):
        write_wfdb(root / "wfdb" / name, ecg[:, start : start + 750])
    (root / "wfdb" / "whole.hea").write_text("whole/2 12 500 1500\ns1 750\ns2 750\n")
    _write_edf(root / "cart.edf", next(ecgs))
    _write_bdf(root / "bio.bdf", next(ecgs))
    _write_exams(root / "exams.hdf5", [11, 22], ecgs)
    write(
        Record(signal=next(ecgs).astype("f4"), leads=STANDARD_12, sampling_rate_hz=500.0), root / "cart.dcm"
    )


def _write_edf(path: Path, ecg: np.ndarray) -> None:
    signals = [
        edfio.EdfSignal(row, 500, label=lead, physical_dimension="mV", physical_range=(-8.0, 8.0))
        for lead, row in zip(STANDARD_12, ecg, strict=True)
    ]
    edfio.Edf(signals).write(path)


def _write_bdf(path: Path, ecg: np.ndarray) -> None:
    """Writes blocks of a second of 24-bit integers, from the specification of BioSemi."""
    count, seconds = len(ecg), ecg.shape[1] // 500
    fixed = [("X X X X", 80), ("", 80), ("01.02.19", 8), ("03.04.05", 8), (256 * (count + 1), 8), ("", 44)]
    fixed += [(seconds, 8), (1, 8), (count, 4)]
    columns = [(STANDARD_12, 16), ("", 80), ("mV", 8), (-8, 8), (8, 8), (-8388608, 8), (8388607, 8), ("", 80)]
    columns += [(500, 8), ("", 32)]
    head = b"\xffBIOSEMI" + b"".join(str(text).ljust(width).encode() for text, width in fixed)
    for value, width in columns:
        cells = value if isinstance(value, tuple) else [value] * count
        head += b"".join(str(cell).ljust(width).encode() for cell in cells)
    stored = np.round((ecg + 8) / 16 * (2**24 - 1) - 2**23).astype("<i4")
    blocks = stored.reshape(count, seconds, 500).transpose(1, 0, 2)
    path.write_bytes(head + np.ascontiguousarray(blocks).view(np.uint8).reshape(-1, 4)[:, :3].tobytes())


def _write_exams(path: Path, ids: list[int], ecgs: Iterator[np.ndarray]) -> None:
    tracings = np.zeros((len(ids), 4096, 12), np.float32)
    for row in range(len(ids)):
        tracings[row, 1000:2500] = next(ecgs).T + 1e-4
    with h5py.File(path, "w") as file:
        file["tracings"], file["exam_id"] = tracings, np.array(ids)


def _write_hospital_files(folder: Path, ecgs: Iterator[np.ndarray]) -> None:
    def counts(microvolts: float) -> dict[str, np.ndarray]:
        rows = np.round(next(ecgs) * 1000 / microvolts).astype(int)
        return dict(zip(STANDARD_12, rows, strict=True))

    (folder / "aecg.xml").write_text(aecg(counts(2.5)))
    (folder / "muse.xml").write_text(muse(counts(4.88)))
    (folder / "philips.xml").write_text(philips(counts(5.0), compressed=True))
    (folder / "holter.ecg").write_bytes(ishne(counts(2.5)))
    (folder / "record.scp").write_bytes(scp(counts(2.5)))


def _write_tables(folder: Path, ecgs: Iterator[np.ndarray]) -> None:
    _frame(next(ecgs)).to_csv(folder / "watch.csv", index=False)
    (folder / "watch.json").write_text(json.dumps({**SAID, "patient_id": "P-7", "age_years": 45, "sex": "F"}))
    _frame(next(ecgs)).to_parquet(folder / "columns.parquet", index=False)
    (folder / "columns.json").write_text(json.dumps({**SAID, "patient_id": "P-8"}))
    np.save(folder / "array.npy", next(ecgs)[:2])
    (folder / "array.json").write_text(json.dumps({**SAID, "leads": ["I", "II"]}))


def _write_packed(folder: Path, ecgs: Iterator[np.ndarray]) -> None:
    (folder / "table.csv.gz").write_bytes(gzip.compress(_frame(next(ecgs)).to_csv(index=False).encode()))
    (folder / "table.json").write_text(json.dumps(SAID))
    inside = folder / "inside"
    write_wfdb(inside / "a", next(ecgs))
    _write_edf(inside / "b.edf", next(ecgs))
    _write_exams(inside / "inner.h5", [33, 44], ecgs)
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        for name in ("a.hea", "a.dat", "b.edf"):
            archive.write(inside / name, f"ward/{name}")
        archive.write(inside / "inner.h5", "inner.h5")
        archive.writestr("README.md", "about")
    for path in inside.iterdir():
        path.unlink()
    inside.rmdir()


def _frame(ecg: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(ecg.T, columns=list(STANDARD_12))
