"""Recordings under every condition on disk: what is there, for whom, and what an interruption leaves."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb

import anylead
from anylead.config import from_plain
from anylead.errors import ConfigError, FileError
from anylead.evaluation.conditions import FAMILIES, condition, standard_conditions
from anylead.preparation import Preparation
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store
from anylead.workflows.conditions import ConditionsConfig, write_conditions
from anylead.workflows.selection import Selection

SOME = ("clean", "lead-set-2", "leads-I,V2", "noise-muscle-6dB", "rate-250Hz", "duration-5s", "duration-30s")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stores") / "store"
    split = SplitConfig(test_fraction=0.4, valid_fraction=0.2)
    source = Synthetic(patients=5, sessions=1)
    write_store(source, None, out, preparation=Preparation.default(), split=split)
    return out


@pytest.fixture(scope="module")
def config(store, tmp_path_factory) -> ConditionsConfig:
    return ConditionsConfig(stores=(store,), out=tmp_path_factory.mktemp("out"), conditions=SOME, seed=3)


@pytest.fixture(scope="module")
def written(config):
    return write_conditions(config)


def table(out: Path) -> list[dict]:
    return pq.read_table(out / "conditions.parquet").to_pylist()


def test_every_row_is_the_record_under_its_condition(written, config, store):
    stored = Store.open(store)
    source = stored.column("source")[0]
    by_id = {f"{source}/{name}": row for row, name in enumerate(stored.column("record_id"))}
    for row in table(written.out):
        expected = condition(row["condition"]).apply(stored.record(by_id[row["record_id"]]), seed=config.seed)
        ours = anylead.read(written.out / row["path"])
        theirs = wfdb.rdrecord(str(written.out / row["path"]))
        assert ours.leads == expected.leads
        assert (ours.sampling_rate_hz, theirs.fs) == (expected.sampling_rate_hz,) * 2
        np.testing.assert_allclose(ours.signal, expected.signal, atol=0.51e-3)
        np.testing.assert_allclose(theirs.p_signal.T, expected.signal, atol=0.51e-3)
        assert f"record_id: {row['record_id']}" in theirs.comments
        one = condition(row["condition"])
        assert (row["family"], row["kind"], row["level"]) == (one.family, one.kind, one.level)


def test_all_splits_have_clean_recordings_and_lead_sets_the_others_are_of_the_test_split(written, store):
    stores = (Store.open(store),)
    ids = {split: set(Selection.of(stores, split).record_ids) for split in ("train", "valid", "test")}
    assert all(ids.values())
    rows = table(written.out)
    for name in SOME:
        found = {
            split: {row["record_id"] for row in rows if (row["condition"], row["split"]) == (name, split)}
            for split in ids
        }
        if name == "duration-30s":
            assert not any(found.values())
        elif name in ("clean", "lead-set-2", "leads-I,V2"):
            assert found == ids
        else:
            assert found == {"train": set(), "valid": set(), "test": ids["test"]}


def test_a_recording_has_the_same_file_name_in_every_condition(written):
    names = {}
    for row in table(written.out):
        names.setdefault(row["record_id"], set()).add(Path(row["path"]).name)
    assert {len(found) for found in names.values()} == {1}
    assert len(set.union(*names.values())) == len(names) == 5


def test_what_does_not_apply_is_counted_and_said(written):
    counts = {one.name: (one.written, one.not_applicable, one.kept) for one in written.counts}
    tested = counts["noise-muscle-6dB"][0]
    assert counts["clean"] == (5, 0, False)
    assert counts["duration-30s"] == (0, tested, False)
    assert f"duration-30s: does not apply to {tested} of {tested} recordings" in written.lines()


def test_the_readme_says_how_to_hand_embeddings_back(written):
    text = (written.out / "README.txt").read_text()
    for needed in ("record_id", "condition", "embedding", "anylead evaluate embeddings", *SOME):
        assert needed in text
    assert max(map(len, text.splitlines())) <= 112
    assert "invented" in text.lower() or "synthetic" in text.lower()  # the source and its licence


def test_the_table_lists_what_is_on_disk(written):
    files = {p.relative_to(written.out).with_suffix("").as_posix() for p in written.out.glob("*/*.hea")}
    assert files == {row["path"] for row in table(written.out)}
    assert files == {
        p.relative_to(written.out).with_suffix("").as_posix() for p in written.out.glob("*/*.dat")
    }
    assert not list(written.out.glob(".*"))


def content(out: Path) -> dict[str, bytes]:
    return {
        p.relative_to(out).as_posix(): p.read_bytes()
        for p in sorted(out.rglob("*"))
        if p.suffix in (".hea", ".dat")
    }


def test_processes_change_nothing(written, config, tmp_path):
    other = write_conditions(replace(config, out=tmp_path, jobs=2))
    assert content(tmp_path) == content(written.out)
    assert other.counts == written.counts


def test_after_an_interruption_the_rest_is_made_and_the_finished_stays(
    written, config, tmp_path, monkeypatch
):
    def fail(path, data, original=Path.write_bytes):
        if "noise" in str(path) and path.name.startswith("test-000001"):
            raise OSError(28, "No space left on device")
        return original(path, data)

    interrupted = replace(config, out=tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_bytes", fail)
        with pytest.raises(FileError, match=r"noise-muscle-6dB: could not be written \(No space left"):
            write_conditions(interrupted)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clean", "lead-set-2", "leads-I,V2"]
    before = os.stat(tmp_path / "clean" / "test-000000.dat").st_mtime_ns
    summary = write_conditions(interrupted)
    assert [one.name for one in summary.counts if one.kept] == ["clean", "lead-set-2", "leads-I,V2"]
    assert "3 conditions were there already and stay as they are" in summary.lines()
    assert os.stat(tmp_path / "clean" / "test-000000.dat").st_mtime_ns == before
    assert content(tmp_path) == content(written.out)


def test_a_later_call_adds_conditions_to_the_table(config, tmp_path):
    write_conditions(replace(config, out=tmp_path, conditions=("drop-I", "clean")))
    write_conditions(replace(config, out=tmp_path, conditions=("gain-x2",)))
    assert list(dict.fromkeys(row["condition"] for row in table(tmp_path))) == ["clean", "drop-I", "gain-x2"]


@pytest.mark.parametrize("change", [{"seed": 4}, {"splits": ("test",)}])
def test_a_folder_of_something_else_is_not_mixed_with(config, tmp_path, change):
    first = replace(config, out=tmp_path, conditions=("lead-set-2",))
    write_conditions(first)
    with pytest.raises(FileError, match=r"lead-set-2: was written from other stores, for other splits or"):
        write_conditions(replace(first, conditions=("clean",), **change))


def test_a_folder_in_the_way_is_left_alone(config, tmp_path):
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="clean: this is no finished condition of ours"):
        write_conditions(replace(config, out=tmp_path, conditions=("clean",)))
    assert (tmp_path / "clean" / "mine.txt").read_text() == "mine"


def test_without_a_recording_nothing_is_written(tmp_path):
    source = Synthetic(patients=3, sessions=1)
    split = SplitConfig(test_fraction=0.0, valid_fraction=0.0)
    write_store(source, None, tmp_path / "store", preparation=Preparation.default(), split=split)
    config = ConditionsConfig(stores=(tmp_path / "store",), out=tmp_path / "out", conditions=("clean",))
    config = replace(config, splits=("test",))
    with pytest.raises(ConfigError, match="the stores have no recording in test"):
        write_conditions(config)
    assert not (tmp_path / "out").exists()


def test_families_choose_conditions():
    plain = {"stores": ["s"], "out": "o", "families": ["noise", "clean"], "conditions": ["clean"]}
    chosen = from_plain(ConditionsConfig, plain).chosen
    assert [one.family for one in chosen] == ["noise"] * 24 + ["clean"]


def test_without_a_choice_everything_is_written():
    config = ConditionsConfig(stores=(Path("s"),), out=Path("o"))
    assert set(standard_conditions()) < set(config.chosen)
    assert {one.family for one in config.chosen} == set(FAMILIES)
    sizes = [len(one.leads) for one in config.chosen if one.family == "lead_subset"]
    assert {size: sizes.count(size) for size in (1, 6, 12)} == {1: 12, 6: 5, 12: 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stores": ()}, "got no store"),
        ({"splits": ()}, "got no split"),
        ({"jobs": 0}, "jobs is 0"),
        ({"conditions": ("what",)}, "no condition 'what'"),
        ({"families": ("what",)}, "no family 'what'"),
        (
            {"splits": ("train",)},
            "noise-muscle-6dB is written for the test split only, and the splits are train",
        ),
    ],
)
def test_a_mistake_is_said_before_anything_is_opened(change, message):
    given = {"stores": (Path("s"),), "out": Path("o"), "conditions": ("noise-muscle-6dB",)}
    with pytest.raises(ConfigError, match=message):
        ConditionsConfig(**given | change)


def test_an_unknown_split_is_told_what_there_is():
    with pytest.raises(ConfigError, match="got 'testing'; accepted are train, valid, test"):
        from_plain(ConditionsConfig, {"stores": ["s"], "out": "o", "splits": ["testing"]})
