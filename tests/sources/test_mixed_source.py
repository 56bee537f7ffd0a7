"""Several data sets as one: what each part says stays, and nothing of a part is lost."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import ConfigError, RecordFileError, StoreError
from anylead.preparation import Preparation
from anylead.sources.mixed import Mixed, MixedPart
from anylead.sources.ptb_xl import PtbXl
from anylead.store import SplitConfig, Store, write_store
from fake_trees import fake_ecg, write_ecg_id, write_ptb_xl, write_wfdb

SPLIT = SplitConfig(test_fraction=0.3, valid_fraction=0.2)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixed")
    write_ptb_xl(root / "ptb-xl", seconds=2)
    write_ecg_id(root / "ecg-id")
    rng = np.random.default_rng(7)
    write_wfdb(root / "ward" / "a", fake_ecg(rng, seconds=2), comments=["# Dx: 426783006"])
    write_wfdb(root / "ward" / "b", fake_ecg(rng, seconds=2))
    (root / "parts.yaml").write_text(
        "parts:\n"
        "  - {source: ptb-xl, path: ptb-xl, sampling_rate_hz: 100}\n"
        "  - {source: ecg-id, path: ecg-id}\n"
        "  - {source: files, path: ward, name: ward}\n"
        "  - {source: synthetic, patients: 2, sessions: 1, duration_s: 2}\n"
    )
    return root


def prepared(source, root, out):
    done = write_store(source, root, out, preparation=Preparation.default(), split=SPLIT)
    return done, Store.open(out)


def test_a_store_of_several_data_sets_says_of_each_what_it_says_alone(place, tmp_path):
    mixed = Mixed.read(place / "parts.yaml")
    done, store = prepared(mixed, place, tmp_path / "s")
    _, alone = prepared(PtbXl(sampling_rate_hz=100), place / "ptb-xl", tmp_path / "alone")
    assert done.rejected == 0
    rows = {row["record_id"]: row for row in store.index.to_pylist()}
    assert {name.partition("/")[0] for name in rows} == {"ptb-xl", "ecg-id", "ward", "synthetic"}
    for row in alone.index.to_pylist():
        other = rows[f"ptb-xl/{row['record_id']}"]
        for name in set(row) - {"record_id", "split", "shard", "row"}:
            assert other[name] == row[name], name
    assert rows["ward/a"]["source"] == "files"
    assert (rows["ward/a"]["labelled"], rows["ward/b"]["labelled"]) == (True, False)
    assert not any(row["labelled"] for name, row in rows.items() if name.startswith("ecg-id/"))
    assert all(row["labelled"] for name, row in rows.items() if name.startswith("ptb-xl/"))
    assert rows["ptb-xl/1"]["fold"] == 1
    assert store.manifest.counts["patients_unknown"] == 2
    assert "the patients of 2 recordings are not known" in done.line()
    for said in (store.manifest.licence, store.manifest.citation):
        assert all(f"{name}: " in said for name in ("ptb-xl", "ecg-id", "files", "synthetic"))
    assert "ODC-By" in store.manifest.licence


def test_the_patients_are_known_only_if_those_of_all_parts_are(place):
    parts = Mixed.read(place / "parts.yaml").parts
    assert Mixed(parts=parts).patient_ids == "unknown"
    assert Mixed(parts=parts[:2]).patient_ids == "known"
    assert (Mixed(parts=parts[:1]).labelled, Mixed(parts=parts[:2]).labelled) == (True, False)


def test_a_recording_that_stands_in_two_parts_is_of_one_person(tmp_path):
    ecg = fake_ecg(np.random.default_rng(0), seconds=2)
    for name in ("east", "west"):
        write_wfdb(tmp_path / name / f"in-the-{name}", ecg)
        write_wfdb(tmp_path / name / "other", fake_ecg(np.random.default_rng(len(name) * 7), seconds=2))
    write_wfdb(tmp_path / "west" / "third", fake_ecg(np.random.default_rng(9), seconds=2))
    mixed = Mixed(
        parts=tuple(MixedPart(source="files", path=Path(name), name=name) for name in ("east", "west"))
    )
    _, store = prepared(mixed, tmp_path, tmp_path / "s")
    split = dict(zip(store.column("record_id"), store.column("split"), strict=True))
    assert split["east/in-the-east"] == split["west/in-the-west"]
    assert store.manifest.counts["patients_linked_by_identical_recordings"] >= 1


def test_the_checksums_of_a_part_are_checked(tmp_path):
    root = write_ptb_xl(tmp_path / "p", patients=2, records_per_patient=1, seconds=1)
    files = [path for path in root.rglob("*") if path.is_file()]
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(root)}" for path in files]
    (root / "SHA256SUMS.txt").write_text("\n".join(sums))
    data = root / "records500" / "00000" / "00001_hr.dat"
    data.write_bytes(data.read_bytes()[::-1])
    mixed = Mixed(parts=(MixedPart(source="ptb-xl", path=Path("p")),))
    done, store = prepared(mixed, tmp_path, tmp_path / "s")
    assert (done.rejected, store.column("record_id")) == (1, ["ptb-xl/2"])
    assert "its SHA-256 is" in (tmp_path / "s" / "rejected.csv").read_text()
    (root / "ptbxl_database.csv").write_text("changed")
    with pytest.raises(RecordFileError, match=r"ptbxl_database\.csv: its SHA-256 is"):
        mixed.scan(tmp_path)


def test_a_change_in_any_part_is_another_store(place, tmp_path):
    write_wfdb(tmp_path / "a" / "one", fake_ecg(np.random.default_rng(0), seconds=2))
    write_wfdb(tmp_path / "b" / "two", fake_ecg(np.random.default_rng(1), seconds=2))
    mixed = Mixed(parts=tuple(MixedPart(source="files", path=Path(name), name=name) for name in "ab"))
    prepared(mixed, tmp_path, tmp_path / "s")
    assert prepared(mixed, tmp_path, tmp_path / "s")[0].already
    write_wfdb(tmp_path / "b" / "three", fake_ecg(np.random.default_rng(2), seconds=2))
    with pytest.raises(StoreError, match="made with other files"):
        prepared(mixed, tmp_path, tmp_path / "s")


def test_paths_among_the_options_go_from_the_file_and_a_changed_table_is_another_store(place, tmp_path):
    table = place / "labels.csv"
    table.write_text("record_id,labels,patient_id\na,426783006,p1\n")
    (place / "told.yaml").write_text("parts: [{source: files, path: ward, labels_csv: labels.csv}]")
    mixed = Mixed.read(place / "told.yaml")
    _, store = prepared(mixed, place, tmp_path / "s")
    assert dict(zip(store.column("record_id"), store.column("patient_id"), strict=True)) == {
        "files/a": "files:p1",
        "files/b": "files:ward/b",
    }
    table.write_text(table.read_text().replace("p1", "p2"))
    with pytest.raises(StoreError, match="made with other files"):
        prepared(mixed, place, tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: [{source: files}]", "mixed: part files has no path; give the folder of its recordings"),
        ("parts: ptb-xl", "a list 'parts' is needed, each with source, path and the options"),
        ("parts: [{path: x}]", "a list 'parts' is needed"),
        ("parts: [{source: ptbxl, path: x}]", "there is no source 'ptbxl' for a part; accepted are"),
        ("parts: [{source: mixed}]", "there is no source 'mixed' for a part"),
        ("parts: [{source: ludb, databases: [a]}]", "mixed: part ludb: unknown name databases"),
        ("parts: [{source: ludb}, {source: ludb}]", "'ludb' cannot name a part; give every part a name of"),
        ("parts: [{source: ludb, name: a/b}]", "'a/b' cannot name a part"),
    ],
)
def test_parts_that_cannot_be_understood_are_refused(tmp_path, text, message):
    (tmp_path / "parts.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        Mixed.read(tmp_path / "parts.yaml")


def test_a_part_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(RecordFileError, match=r"none: there is no such folder; give that of the part ward"):
        Mixed(parts=(MixedPart(source="files", path=Path("none"), name="ward"),)).scan(tmp_path)


def test_no_part_is_refused(tmp_path):
    with pytest.raises(
        RecordFileError, match="there are no parts; name the sources and give the folder of each"
    ):
        Mixed().scan(tmp_path)
