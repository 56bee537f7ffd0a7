"""Making a store: idempotent, quarantining, refusing, parallel."""

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import FileError, StoreError
from anylead.preparation import DropAbsentLeads, FillGaps, Preparation
from anylead.store import SplitConfig, Store, write_store
from array_source import ArraySource

OPTIONS = {
    "preparation": Preparation(steps=(FillGaps(),)),
    "split": SplitConfig(test_fraction=0.3, valid_fraction=0.2),
    "shard_records": 5,
}


def contents(store: Path) -> dict[str, bytes]:
    """Returns what decides the content of a store; the manifest holds the time it was made."""
    files = [
        p for p in sorted(store.rglob("*")) if p.is_file() and p.name not in ("store.json", "index.arrow")
    ]
    return {str(p.relative_to(store)): p.read_bytes() for p in files}


def test_the_same_command_again_does_nothing(tmp_path):
    source = ArraySource(journal=str(tmp_path / "journal"), broken=(4,))
    first = write_store(source, None, tmp_path / "s", **OPTIONS)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")}
    loads = (tmp_path / "journal").read_text()
    again = write_store(source, None, tmp_path / "s", **OPTIONS)
    assert (tmp_path / "journal").read_text() == loads
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")} == before
    assert first.line() == "prepared 11, rejected 1 (see rejected.csv)"
    assert again.line() == "already prepared 11, rejected 1 (see rejected.csv)"


def test_processes_change_nothing(tmp_path):
    source = ArraySource(broken=(2,))
    write_store(source, None, tmp_path / "one", **OPTIONS)
    write_store(source, None, tmp_path / "two", jobs=2, **OPTIONS)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_what_fails_to_read_is_quarantined_with_its_reason(tmp_path):
    class Strange(ArraySource):
        def labels(self, ref):
            if ref.record_id == "r0007":
                raise KeyError("Dx")
            return super().labels(ref)

    summary = write_store(Strange(broken=(0, 3)), None, tmp_path / "s", **OPTIONS)
    assert (summary.prepared, summary.rejected) == (9, 3)
    with (tmp_path / "s" / "rejected.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["record_id"] for row in rows] == ["r0000", "r0003", "r0007"]
    assert rows[0] == {
        "record_id": "r0000",
        "path": "r0000",
        "reason": "r0000: is broken; there is nothing to do.",
    }
    assert rows[2]["reason"] == "KeyError: 'Dx'"
    assert Store.open(tmp_path / "s").column("record_id")[0] == "r0001"


def test_nothing_rejected_leaves_no_list(tmp_path):
    summary = write_store(ArraySource(), None, tmp_path / "s", **OPTIONS)
    assert summary.line() == "prepared 12, rejected 0"
    assert not (tmp_path / "s" / "rejected.csv").exists()


def test_a_step_that_refuses_quarantines(tmp_path):
    source = ArraySource(gaps=((3, 0, 5000),))
    options = {**OPTIONS, "preparation": Preparation(steps=(DropAbsentLeads(),))}
    assert write_store(source, None, tmp_path / "s", **options).rejected == 1
    assert "every sample of every lead is missing" in (tmp_path / "s" / "rejected.csv").read_text()


def test_all_rejected_makes_no_store(tmp_path):
    with pytest.raises(
        StoreError, match=r"all 12 recordings were rejected and no store was made; the first: r0000: is"
    ):
        write_store(ArraySource(broken=tuple(range(12))), None, tmp_path / "s", **OPTIONS)
    assert not (tmp_path / "s").exists()


def test_nothing_found_makes_no_store(tmp_path):
    with pytest.raises(StoreError, match="no recording of array was found; check the folder and the source"):
        write_store(ArraySource(records=0), tmp_path, tmp_path / "s", **OPTIONS)
    assert not (tmp_path / "s").exists()


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    class Twice(ArraySource):
        def scan(self, root):
            return [*super().scan(root), *super().scan(root)[:1]]

    with pytest.raises(StoreError, match="1 record ids of array occur more than once, the first is r0000"):
        write_store(Twice(), None, tmp_path / "s", **OPTIONS)
    assert not (tmp_path / "s").exists()


def test_folds_that_are_missing_leave_no_store(tmp_path):
    options = {**OPTIONS, "split": SplitConfig(use_folds=True)}
    with pytest.raises(ValueError, match="source array: 2 of 12 recordings have no recommended fold"):
        write_store(ArraySource(without_fold=2), None, tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_folds_are_used_as_recommended(tmp_path):
    options = {**OPTIONS, "split": SplitConfig(use_folds=True)}
    write_store(ArraySource(records=20), None, tmp_path / "s", **options)
    assert Store.open(tmp_path / "s").column("split") == ["train"] * 16 + ["valid"] * 2 + ["test"] * 2


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"preparation": Preparation(steps=())}, "other preparation steps"),
        ({"split": SplitConfig(seed=1)}, "other splits"),
        ({"shard_records": 6}, "another layout of the store"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_store_of_something_else_is_refused(tmp_path, change, what, finished):
    out = tmp_path / "s"
    write_store(ArraySource(), None, out, **OPTIONS)
    if not finished:
        parts = json.loads((out / "store.json").read_text())["parts"]
        (out / "preparing.json").write_text(json.dumps({"parts": parts}))
        (out / "store.json").unlink()
    before = contents(out)
    with pytest.raises(
        StoreError, match=f"holds a store made with {what} than this command asks for; give --out"
    ):
        write_store(ArraySource(), None, out, **{**OPTIONS, **change})
    assert contents(out) == before


def test_other_options_and_other_files_are_both_named(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (root / "a.dat").write_bytes(b"123")
    write_store(ArraySource(), root, tmp_path / "s", **OPTIONS)
    (root / "a.dat").write_bytes(b"1234")
    with pytest.raises(StoreError, match="made with other options of the source and other files than"):
        write_store(ArraySource(seed=1), root, tmp_path / "s", **OPTIONS)


def test_a_store_inside_the_data_does_not_count_as_data(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"123")
    write_store(ArraySource(), tmp_path, tmp_path / "stores", **OPTIONS)
    assert write_store(ArraySource(), tmp_path, tmp_path / "stores", **OPTIONS).already


def test_a_moved_copy_of_the_data_is_the_same_data(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "a.dat").write_bytes(b"123")
    write_store(ArraySource(), tmp_path / "one", tmp_path / "s", **OPTIONS)
    assert write_store(ArraySource(), tmp_path / "two", tmp_path / "s", **OPTIONS).already


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all I have")
    with pytest.raises(StoreError, match="there are other files here, and this is not a store"):
        write_store(ArraySource(), None, tmp_path, **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_progress_goes_to_standard_error_when_asked(tmp_path, capsys):
    write_store(ArraySource(), None, tmp_path / "quiet", **OPTIONS)
    assert capsys.readouterr() == ("", "")
    write_store(ArraySource(), None, tmp_path / "loud", progress=True, **OPTIONS)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "12/12" in captured.err


def test_a_full_disk_is_one_sentence_and_the_rest_continues(tmp_path):
    out = tmp_path / "s"
    # No file may grow beyond 300 kB: the first shard (600 kB) hits the limit as it would a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(
            FileError, match=r"shard-00000.arrow: could not be written \(.+\); nothing was changed"
        ) as raised:
            write_store(ArraySource(), None, out, **OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert [p.name for p in out.rglob("*") if p.is_file()] == ["preparing.json"]
    with pytest.raises(StoreError, match="did not finish"):
        Store.open(out)
    assert write_store(ArraySource(), None, out, **OPTIONS).prepared == 12


@pytest.mark.parametrize("name", ["index.parquet", "rejected.csv", "store.json"])
def test_a_disk_full_at_the_end_leaves_no_store(tmp_path, monkeypatch, name):
    real = os.replace

    def replace(source, target):
        if Path(target).name == name:
            raise OSError(28, "No space left on device")
        real(source, target)

    source = ArraySource(broken=(1,))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(FileError, match=rf"{name}: could not be written \(No space left on device\)"):
            write_store(source, None, tmp_path / "s", **OPTIONS)
    assert not list((tmp_path / "s").rglob("*.partial"))
    with pytest.raises(StoreError, match="did not finish"):
        Store.open(tmp_path / "s")
    assert write_store(source, None, tmp_path / "s", **OPTIONS).line().startswith("prepared 11, rejected 1")


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from array_source import ArraySource
from anylead.preparation import FillGaps, Preparation
from anylead.store import SplitConfig, write_store

if __name__ == "__main__":
    write_store(
        ArraySource(**{options!r}), None, Path({out!r}), preparation=Preparation(steps=(FillGaps(),)),
        split=SplitConfig(test_fraction=0.3, valid_fraction=0.2), shard_records=5, jobs={jobs},
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_after_kills_at_any_moment_it_continues_without_loss_or_duplicates(tmp_path, jobs):
    import random
    import time

    options = {"records": 60, "broken": (7, 31), "delay_s": 0.03, "journal": str(tmp_path / "journal")}
    out = tmp_path / "killed"
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), options=options, out=str(out), jobs=jobs)
    shards = out / "shards"
    moments = random.Random(jobs)
    for kill in range(3 if jobs == 1 else 1):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        finished = len(list(shards.glob("*.arrow")))
        deadline = time.monotonic() + 60
        while len(list(shards.glob("*.arrow"))) < finished + 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        assert process.wait() == -9, f"it ended before kill {kill}"
        with pytest.raises(StoreError, match="did not finish"):
            Store.open(out)
    survivors = {p.name: p.stat().st_mtime_ns for p in shards.glob("*.arrow")} if jobs == 1 else {}
    subprocess.run([sys.executable, "-c", script], check=True)
    assert survivors.items() <= {p.name: p.stat().st_mtime_ns for p in shards.glob("*.arrow")}.items()

    write_store(ArraySource(**options), None, tmp_path / "straight", **OPTIONS)
    assert contents(out) == contents(tmp_path / "straight")
    ids = Store.open(out).column("record_id")
    assert len(ids) == len(set(ids)) == 58
    for i in (0, 29, 57):
        np.testing.assert_array_equal(Store.open(out).signal(i), Store.open(tmp_path / "straight").signal(i))


def test_a_shard_cut_short_is_made_again(tmp_path):
    out = tmp_path / "s"
    write_store(ArraySource(), None, out, **OPTIONS)
    whole = contents(out)
    parts = json.loads((out / "store.json").read_text())["parts"]
    (out / "preparing.json").write_text(json.dumps({"parts": parts}))
    (out / "store.json").unlink()
    shard = out / "shards" / "shard-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:5000])
    (out / "shards" / ".shard-00002.arrow.x.partial").write_bytes(b"left by a kill")
    write_store(ArraySource(), None, out, **OPTIONS)
    assert contents(out) == whole


@pytest.mark.parametrize("finished", [True, False])
def test_what_a_kill_left_of_the_last_files_is_removed(tmp_path, finished):
    out = tmp_path / "s"
    write_store(ArraySource(), None, out, **OPTIONS)
    parts = json.loads((out / "store.json").read_text())["parts"]
    (out / "preparing.json").write_text(json.dumps({"parts": parts}))
    if not finished:
        (out / "store.json").unlink()
    (out / ".index.parquet.x.partial").write_bytes(b"left by a kill")
    assert write_store(ArraySource(), None, out, **OPTIONS).already is finished
    assert not list(out.rglob("*.partial"))
    assert not (out / "preparing.json").exists()
