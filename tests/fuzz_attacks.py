"""Files that are made to do harm: what each tries, and which sentence has to refuse it."""

import gzip
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anylead.formats import read
from anylead.formats.aecg import read_aecg
from anylead.formats.muse import read_muse
from anylead.record import Record
from clinical_files import aecg, dicom_group, ishne, muse, scp, some_counts, write_dicom
from fuzz_cases import SAID, zipped

COUNTS = some_counts(samples=30)
HUGE = 10**12
"""Samples that a header announces, or the largest number that its field can hold."""

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10))
_ZEROS = bytes(2**20)


def _text(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "r.xml").write_text(text, encoding="utf-8")
        return folder / "r.xml"

    return write


def _zip_bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "r.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("r.csv", _ZEROS * 200)
    return folder / "r.zip"


def _gzip_bomb(folder: Path) -> Path:
    with gzip.open(folder / "r.csv.gz", "wb") as file:
        for _ in range(200):
            file.write(_ZEROS)
    return folder / "r.csv.gz"


def _outside(folder: Path) -> Path:
    (folder / "r.zip").write_bytes(zipped({"../../r.csv": b"I\n1\n"}))
    return folder / "r.zip"


def _link(folder: Path) -> Path:
    info = zipfile.ZipInfo("r.csv")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "r.zip", "w") as archive:
        archive.writestr(info, "/etc/hostname")
    return folder / "r.zip"


def _wfdb(folder: Path) -> Path:
    (folder / "r.dat").write_bytes(bytes(1000))
    (folder / "r.hea").write_text(f"r 1 500 {HUGE}\nr.dat 16 200/mV 16 0 0 0 0 I\n")
    return folder / "r.hea"


def _edf(folder: Path) -> Path:
    """Announces 99,999,999 blocks of 99,999,999 samples: the fields are eight characters wide."""
    widths = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
    start = ("0", "X X X X", "Startdate X X X X", "01.01.25", "00.00.00", "512", "", "99999999", "1", "1")
    signal = ("I", "", "mV", "-8", "8", "-32768", "32767", "", "99999999", "")
    fields = [*zip(start, widths, strict=True), *zip(signal, (16, 80, 8, 8, 8, 8, 8, 80, 8, 32), strict=True)]
    header = "".join(text.ljust(width) for text, width in fields)
    (folder / "r.edf").write_bytes(header.encode("ascii") + bytes(1000))
    return folder / "r.edf"


def _dicom(folder: Path) -> Path:
    group = dicom_group(COUNTS)
    group.NumberOfWaveformSamples = 2**32 - 1
    return write_dicom(folder / "r.dcm", group)


def _scp(folder: Path) -> Path:
    (folder / "r.scp").write_bytes(scp(COUNTS, huffman=True, ends={"V6": 2**32 - 1}))
    return folder / "r.scp"


def _hdf5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "r.hdf5", "w") as file:
        file.create_dataset("tracings", (1, HUGE, 12), "f4", chunks=(1, 4096, 12))
        file["exam_id"] = [1]
    return folder / "r.hdf5"


def _npy(folder: Path) -> Path:
    with (folder / "r.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (12, HUGE)}
        )
        file.write(bytes(1000))
    (folder / "r.json").write_bytes(SAID)
    return folder / "r.npy"


def _objects(folder: Path) -> Path:
    """An array of Python objects: to read it is to run what its maker wrote."""
    np.save(folder / "r.npy", np.array([_Harm()], dtype=object), allow_pickle=True)
    (folder / "r.json").write_text(json.dumps({"sampling_rate_hz": 500, "unit": "mV", "leads": ["I"]}))
    return folder / "r.npy"


class _Harm:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("harmed",)


def _ishne(folder: Path) -> Path:
    """Announces more samples than the file has; the length that the file has is what counts."""
    content = bytearray(ishne(COUNTS))
    content[14:18] = struct.pack("<i", 2**31 - 1)
    (folder / "r.ecg").write_bytes(content[:530])
    return folder / "r.ecg"


_DECLARES = r"declares entities or a document type"

Reader = Callable[[Path], Record]

ATTACKS: dict[str, tuple[Callable[[Path], Path], Reader, str]] = {
    "XML: internal entities": (
        _text(aecg(COUNTS, before='<!DOCTYPE a [<!ENTITY a "b">]>')),
        read_aecg,
        _DECLARES,
    ),
    "XML: entity that names a file": (
        _text(aecg(COUNTS, before='<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]>')),
        read_aecg,
        _DECLARES,
    ),
    "XML: external DTD": (
        _text(aecg(COUNTS, before='<!DOCTYPE AnnotatedECG SYSTEM "http://127.0.0.1/a.dtd">')),
        read_aecg,
        _DECLARES,
    ),
    "XML: billion laughs": (
        _text(muse(COUNTS, doctype=f"<!DOCTYPE RestingECG [{LAUGHS}]>")),
        read_muse,
        _DECLARES,
    ),
    "zip: bomb of 200 MiB": (_zip_bomb, read, r"the most that is unpacked"),
    "gzip: bomb of 200 MiB": (_gzip_bomb, read, r"the most that is unpacked"),
    "zip: path outside the archive": (_outside, read, r"lies outside the archive"),
    "zip: link": (_link, read, r"is a link"),
    "NPY: array of Python objects": (_objects, read, r"r\.npy"),
    "WFDB: header of 10^12 samples": (_wfdb, read, r"r\.hea|r\.dat"),
    "EDF: header of 10^16 samples": (_edf, read, r"r\.edf"),
    "DICOM: header of 4 * 10^9 samples": (_dicom, read, r"announces"),
    "SCP-ECG: header of 4 * 10^9 samples": (_scp, read, r"announce"),
    "HDF5: header of 10^12 samples": (_hdf5, read, r"announces"),
    "NPY: header of 10^12 samples": (_npy, read, r"r\.npy"),
    "ISHNE: header of 2 * 10^9 samples": (_ishne, read, r"r\.ecg"),
}
"""What it tries -> writes the file into a folder, what reads it, the sentence (a pattern) that refuses it.

XML whose declaration hides its root element is of no known format to `read`; here the reader itself is asked.
"""
