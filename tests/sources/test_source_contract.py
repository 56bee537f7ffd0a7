"""What every source promises, on a miniature of its layout; and that every source is in the union."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import anylead.sources
from anylead.config import from_plain, to_plain
from anylead.errors import RecordFileError
from anylead.record import Record
from anylead.sources import SOURCES, AnySource, Source
from anylead.sources.cinc2020 import Cinc2020
from anylead.sources.cinc2021 import Cinc2021
from anylead.sources.ecg_id import EcgId
from anylead.sources.files import Files
from anylead.sources.ludb import Ludb
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.synthetic import Synthetic
from fake_trees import write_cinc2020, write_cinc2021, write_ecg_id, write_ludb, write_ptb_xl

CASES = {
    "ptb-xl": (PtbXl(), write_ptb_xl),
    "ptb-xl at 100 Hz": (PtbXl(sampling_rate_hz=100), write_ptb_xl),
    "cinc2021": (Cinc2021(), write_cinc2021),
    "cinc2020": (Cinc2020(), write_cinc2020),
    "ludb": (Ludb(), write_ludb),
    "ecg-id": (EcgId(), write_ecg_id),
    "files": (Files(), write_cinc2021),
    "synthetic": (Synthetic(patients=3), lambda root: root),
}


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request, tmp_path_factory):
    source, write = CASES[request.param]
    root = write(tmp_path_factory.mktemp("tree"))
    return source, root, source.scan(root)


def test_every_file_that_defines_a_source_is_in_the_union():
    defined = set()
    for path in Path(anylead.sources.__file__).parent.glob("*.py"):
        module = import_module(
            f"anylead.sources.{path.stem}" if path.stem != "__init__" else "anylead.sources"
        )
        defined |= {
            value
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, Source) and not inspect.isabstract(value)
        }
    assert defined == set(get_args(AnySource))
    assert set(SOURCES.values()) == defined
    assert all(SOURCES[source.name] is source for source in defined)


def test_every_source_has_a_case():
    assert {type(source) for source, _ in CASES.values()} == set(SOURCES.values())


def test_facts_are_stated(case):
    source, _, _ = case
    for fact in ("name", "title", "licence", "citation"):
        assert getattr(source, fact).strip(), fact
    assert source.patient_ids in ("known", "unknown")
    assert source.url.startswith("https://") or source.name in ("files", "synthetic")


def test_options_go_to_plain_values_and_back(case):
    source, _, _ = case
    assert from_plain(type(source), to_plain(source)) == source


def test_scans_are_stable_and_ids_unique(case):
    source, root, refs = case
    assert len(refs) > 2
    assert list(source.scan(root)) == list(refs)
    assert len({ref.record_id for ref in refs}) == len(refs)
    assert all(":" in ref.patient_id for ref in refs)


def test_a_record_is_what_its_reference_says(case):
    source, _, refs = case
    for ref in (refs[0], refs[-1]):
        record = source.load(ref)
        assert isinstance(record, Record)
        for name in ("record_id", "patient_id", "recorded_at", "age_years", "sex"):
            assert getattr(record, name) == getattr(ref, name)
        assert 0.05 < np.nanmax(np.abs(record.signal)) < 20


def test_labels_are_sorted_snomed_codes(case):
    source, _, refs = case
    labels = [source.labels(ref) for ref in refs]
    for found in labels:
        assert list(found.codes) == sorted(set(found.codes))
        assert all(code.isdecimal() and len(code) >= 6 for code in found.codes)
    # Any folder may hold some labels; only what is published as labelled is labelled throughout.
    assert any(found.codes for found in labels) == (source.labelled or source.name == "files")


def test_scanning_reads_no_signal(case):
    source, root, refs = case
    if source.name == "synthetic":
        return
    data = [path for path in root.rglob("*") if path.suffix in (".dat", ".mat")]
    moved = [path.rename(path.with_suffix(".gone")) for path in data]
    try:
        assert list(source.scan(root)) == list(refs)
        with pytest.raises(RecordFileError, match="cannot be read"):
            source.load(refs[0])
    finally:
        for path, original in zip(moved, data, strict=True):
            path.rename(original)


def test_a_broken_header_spoils_its_own_record_only(case):
    source, root, refs = case
    if source.name == "synthetic":
        return
    header = refs[1].path.with_name(f"{refs[1].path.name}.hea")
    content = header.read_bytes()
    header.write_bytes(b"\x00\xff")
    try:
        again = source.scan(root)
        assert [ref.record_id for ref in again] == [ref.record_id for ref in refs]
        assert source.load(again[0]).samples
        with pytest.raises(RecordFileError, match="not a WFDB header"):
            source.load(again[1])
    finally:
        header.write_bytes(content)


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"synthetic"}))
def test_another_folder_is_refused(name, tmp_path):
    with pytest.raises(RecordFileError, match="give the folder of"):
        SOURCES[name]().scan(tmp_path)
    with pytest.raises(RecordFileError, match="give the folder of"):
        SOURCES[name]().scan(tmp_path / "absent")
