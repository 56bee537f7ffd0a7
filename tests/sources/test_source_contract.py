"""What every source promises, on a miniature of its layout; and that every source is in the union."""

import inspect
import re
from functools import partial
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
from anylead.sources.chapman_csv import ChapmanCsv
from anylead.sources.cinc2020 import Cinc2020
from anylead.sources.cinc2021 import Cinc2021
from anylead.sources.code_15 import Code15
from anylead.sources.cpsc2018 import Cpsc2018
from anylead.sources.ecg_arrhythmia import EcgArrhythmia
from anylead.sources.ecg_id import EcgId
from anylead.sources.files import Files
from anylead.sources.georgia import Georgia
from anylead.sources.heartprint import Heartprint
from anylead.sources.incartdb import Incartdb
from anylead.sources.ludb import Ludb
from anylead.sources.mimic_iv_ecg import MimicIvEcg
from anylead.sources.mitdb import Mitdb
from anylead.sources.mixed import Mixed, MixedPart
from anylead.sources.ningbo_csv import NingboCsv
from anylead.sources.ptb_xl import PtbXl
from anylead.sources.ptbdb import Ptbdb
from anylead.sources.sph import Sph
from anylead.sources.synthetic import Synthetic
from fake_trees import (
    write_challenge_database,
    write_chapman_csv,
    write_cinc2020,
    write_cinc2021,
    write_code_15,
    write_ecg_arrhythmia,
    write_ecg_id,
    write_heartprint,
    write_incartdb,
    write_ludb,
    write_mimic_iv_ecg,
    write_mitdb,
    write_ningbo_csv,
    write_ptb_xl,
    write_ptbdb,
    write_sph,
)


def write_two(root: Path) -> Path:
    write_ptb_xl(root / "ptb-xl")
    write_ludb(root / "ludb")
    return root


TWO = Mixed(
    parts=(
        MixedPart(source="ptb-xl", path=Path("ptb-xl"), options={"sampling_rate_hz": 100}),
        MixedPart(source="ludb", path=Path("ludb"), name="lobachevsky"),
    )
)

CASES = {
    "ptb-xl": (PtbXl(), write_ptb_xl),
    "ptb-xl at 100 Hz": (PtbXl(sampling_rate_hz=100), write_ptb_xl),
    "cinc2021": (Cinc2021(), write_cinc2021),
    "cinc2020": (Cinc2020(), write_cinc2020),
    "cpsc-2018": (Cpsc2018(), partial(write_challenge_database, database="cpsc_2018")),
    "georgia": (Georgia(), partial(write_challenge_database, database="georgia")),
    "georgia without g1": (Georgia(), partial(write_challenge_database, database="georgia", groups=False)),
    "ecg-arrhythmia": (EcgArrhythmia(), write_ecg_arrhythmia),
    "chapman-csv": (ChapmanCsv(), write_chapman_csv),
    "chapman-csv denoised": (ChapmanCsv(denoised=True), write_chapman_csv),
    "ningbo-csv": (NingboCsv(), write_ningbo_csv),
    "ptbdb": (Ptbdb(), write_ptbdb),
    "incartdb": (Incartdb(), write_incartdb),
    "mitdb": (Mitdb(), write_mitdb),
    "mimic-iv-ecg": (MimicIvEcg(), write_mimic_iv_ecg),
    "code-15": (Code15(), write_code_15),
    "sph": (Sph(), write_sph),
    "ludb": (Ludb(), write_ludb),
    "ecg-id": (EcgId(), write_ecg_id),
    "heartprint": (Heartprint(), write_heartprint),
    "files": (Files(), write_cinc2021),
    "synthetic": (Synthetic(patients=3), lambda root: root),
    "mixed": (TWO, write_two),
}

WITHOUT_FILES = {"synthetic"}
IN_HDF5 = {"code-15", "sph"}
IN_TEXT = {"chapman-csv", "ningbo-csv", "heartprint"}
DATA = {".dat", ".mat", ".xyz", ".h5", ".hdf5"}
PARTLY_LABELLED = {"files", "ptbdb"}
"""Any folder may hold some labels, and ptbdb tells why patients were admitted, which may be a finding."""


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
    assert source.url.startswith("https://") or source.name in ("files", "synthetic", "mixed")


def test_a_published_data_set_states_its_size_and_how_its_layout_is_known(case):
    source, _, _ = case
    facts = source.facts
    if source.url:
        assert facts.size
        assert facts.leads
        assert "Hz" in facts.rate
        assert (facts.layout_known_from == "documentation") == facts.layout_page.startswith("https://")
        assert facts.layout_known_from != "unverified"


def test_the_documented_table_lists_every_source():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name, source in SOURCES.items():
        (row,) = re.findall(rf"^\| \[?`{name}`.*$", page, re.M)
        facts = source.facts
        assert all(
            part in row for part in (source.url, facts.size, facts.leads, facts.rate, facts.layout_page)
        )
        assert ("**no**" in row) == (bool(source.url) and source.patient_ids == "unknown")


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
    assert any(found.codes for found in labels) == (source.labelled or source.name in PARTLY_LABELLED)


def test_scanning_reads_no_signal(case, tmp_path_factory):
    source, root, refs = case
    if source.name in WITHOUT_FILES:
        return
    if source.name == "heartprint":  # whose files are found, not listed in a table
        return
    data = [path for path in root.rglob("*") if path.suffix in DATA]
    if source.name in IN_TEXT:
        data = [ref.path for ref in refs]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = [path.rename(elsewhere / f"{number}") for number, path in enumerate(data)]
    try:
        assert list(source.scan(root)) == list(refs)
        with pytest.raises(RecordFileError, match=r"cannot be read|there is no such file"):
            source.load(refs[0])
    finally:
        for path, original in zip(moved, data, strict=True):
            path.rename(original)


def test_a_broken_header_spoils_its_own_record_only(case):
    source, root, refs = case
    if source.name in WITHOUT_FILES | IN_HDF5 | IN_TEXT:
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
