"""Damaged hospital files: a record that is one, or one of our errors; nothing else, nothing unbounded.

`ANYLEAD_FUZZ_CASES` sets how many cases a kind of file has; see `test_fuzz`.
"""

import os
import tracemalloc
import warnings

import pytest

from anylead.errors import AnyleadError
from anylead.formats import FORMATS, read
from fuzz_cases import CLINICAL, FILES, check, write_case

pytest.importorskip("ecgdatakit")
pytest.importorskip("pydicom")

CASES = int(os.environ.get("ANYLEAD_FUZZ_CASES", "25"))
MAXIMUM_BYTES = 64 * 2**20
"""Of files of some 10 kB; the record of one is 2 kB."""


def refused(reading, path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(reading(path))
    except AnyleadError as error:
        return error
    return None


@pytest.mark.parametrize("name", CLINICAL)
def test_damage_gives_a_record_or_one_of_our_errors(tmp_path, name):
    files = FILES[name](tmp_path)
    (file, content), *_ = files.items()
    reader = next(known for known in FORMATS if known.recognises(content[:4096], tmp_path / file))
    refusals = []
    tracemalloc.start()
    try:
        for case in range(CASES):
            path = write_case(tmp_path, name, files, 7, case)
            for reading in (read, reader.read):  # the second also where damage hid the format
                refusal = refused(reading, path)
                assert case or refusal is None, f"the undamaged file is refused: {refusal}"
                refusals += [str(refusal)] if refusal else []
        assert tracemalloc.get_traced_memory()[1] < MAXIMUM_BYTES
    finally:
        tracemalloc.stop()
    assert refusals
    assert all(str(path) in refusal and len(refusal) < 1000 for refusal in refusals)
