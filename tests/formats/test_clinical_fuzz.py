"""Damaged hospital files: a record that is one, or one of our errors; nothing else, nothing unbounded.

`ANYLEAD_FUZZ_CASES` sets how many cases a format has.
"""

import os
import re
import tracemalloc
import warnings

import numpy as np
import pytest

from anylead.errors import AnyleadError
from anylead.formats import FORMATS, read
from anylead.record import Record
from clinical_files import aecg, dicom_group, ishne, muse, philips, scp, some_counts, write_dicom

pytest.importorskip("ecgdatakit")
pytest.importorskip("pydicom")

CASES = int(os.environ.get("ANYLEAD_FUZZ_CASES", "40"))
NUMBERS = [b"0", b"-1", b"1e300", b"999999999999", b"nan", b"inf", b"", b"0.5", b"1e-320"]
"""What stands in place of a number that an XML states."""
MAXIMUM_BYTES = 64 * 2**20
"""Of files of some 10 kB; the record of one is 2 kB."""


def valid(name: str, folder) -> bytes:
    counts = some_counts(samples=30)
    texts = {
        "aecg": lambda: aecg(counts),
        "muse": lambda: muse(counts),
        "philips": lambda: philips(counts, compressed=False),
        "philips compressed": lambda: philips(counts, compressed=True),
    }
    if name in texts:
        return texts[name]().encode()
    if name == "dicom":
        return write_dicom(folder / "valid.dcm", dicom_group(counts, padding=-7)).read_bytes()
    return {"ishne": ishne(counts), "scp": scp(counts), "scp compressed": scp(counts, huffman=True)}[name]


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Returns the content with bytes changed, removed, doubled or cut off, or another number."""
    data = bytearray(content)
    for _ in range(random.integers(1, 6)):
        place, kind = int(random.integers(len(data))), random.integers(6)
        if kind < 3:
            data[place] = random.integers(256)
        elif kind == 3:
            data[place : place + 4] = random.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"9999"]
            )
        elif kind == 4 and (numbers := list(re.finditer(rb'(?<=[">])-?[0-9][0-9.]*(?=["<])', data))):
            number = numbers[random.integers(len(numbers))]
            data[number.start() : number.end()] = random.choice(NUMBERS)
        elif kind == 4:
            del data[place : place + int(random.integers(1, 20))]
        else:
            data[place:place] = data[place : place + int(random.integers(1, 200))]
    return bytes(data[: int(random.integers(1, len(data)))] if random.random() < 0.1 else data)


def check(record: Record):
    assert record.signal.dtype == np.float32
    assert record.signal.size > 0
    assert not np.isinf(record.signal).any()
    assert len(set(record.leads)) == len(record.leads) == record.signal.shape[0]


@pytest.mark.parametrize(
    "name", ["aecg", "muse", "philips", "philips compressed", "dicom", "ishne", "scp", "scp compressed"]
)
def test_damage_gives_a_record_or_one_of_our_errors(tmp_path, name):
    content = valid(name, tmp_path)
    random = np.random.default_rng(7)
    path = tmp_path / "damaged.bin"
    refusals = []
    reader = next(known for known in FORMATS if known.recognises(content[:4096], path))
    tracemalloc.start()
    try:
        for _ in range(CASES):
            path.write_bytes(damaged(content, random))
            for reading in (read, reader.read):  # the second also where damage hid the format
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("error")
                        check(reading(path))
                except AnyleadError as error:
                    refusals.append(str(error))
        assert tracemalloc.get_traced_memory()[1] < MAXIMUM_BYTES
    finally:
        tracemalloc.stop()
    assert refusals
    assert all(str(path) in refusal and len(refusal) < 1000 for refusal in refusals)
