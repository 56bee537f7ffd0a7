"""Data sets and stores elsewhere: the same store, the same fingerprint, a sentence for what is not there."""

import json
import os
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from test_writer import contents

from anylead.errors import ConfigError, FileError, RecordFileError, StoreError
from anylead.preparation import FillGaps, Preparation
from anylead.sources import SOURCES
from anylead.store import SplitConfig, Store, copies, targets, write_store
from anylead.store.addresses import absolute, locate, open_address
from anylead.store.listing import listing_fingerprint
from anylead.store.remote_tree import reached_tree
from anylead.workflows.info import info
from anylead.workflows.prepare import PrepareConfig, prepare
from anylead.workflows.quality import QualityConfig, quality
from array_source import ArraySource
from every_format import RECORDINGS, write_every_format
from fake_trees import write_ptb_xl

OPTIONS = {
    "preparation": Preparation(steps=(FillGaps(),)),
    "split": SplitConfig(test_fraction=0.3, valid_fraction=0.2),
    "shard_records": 5,
}
SOURCE = ArraySource(records=12, samples=500, broken=(4,))
PTB_XL = SOURCES["ptb-xl"](sampling_rate_hz=100)


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty memory file system, and a cache of our own."""
    monkeypatch.setenv("ANYLEAD_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture(scope="module")
def ptb_xl(tmp_path_factory):
    """PTB-XL, its second recording without a signal file."""
    root = write_ptb_xl(tmp_path_factory.mktemp("data") / "ptb-xl", patients=4, seconds=2)
    (root / "records100" / "00000" / "00002_lr.dat").unlink()
    (root / ".hidden").write_text("does not count")
    return root


def remote_contents(files, folder: str) -> dict[str, bytes]:
    found = {path[len(folder) + 1 :]: files.cat_file(path) for path in files.find(folder)}
    return {name: data for name, data in found.items() if name != "store.json"}


def test_a_store_elsewhere_is_the_store_here(memory, tmp_path):
    here = write_store(SOURCE, None, tmp_path / "s", **OPTIONS)
    there = write_store(SOURCE, None, Path("memory://bucket/s"), **OPTIONS)
    assert there.line() == here.line() == "prepared 11, rejected 1 (see rejected.csv)"
    assert remote_contents(memory, "/bucket/s") == contents(tmp_path / "s")
    assert write_store(SOURCE, None, "memory://bucket/s", **OPTIONS).line().startswith("already prepared 11")


def test_a_store_elsewhere_opens_and_fetches_a_shard_when_it_is_used(memory, tmp_path):
    write_store(SOURCE, None, tmp_path / "s", **OPTIONS)
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    mine, theirs = Store.open(tmp_path / "s"), Store.open(Path("memory://bucket/s"))
    assert theirs.index.equals(mine.index)
    assert theirs.manifest.fingerprint == mine.manifest.fingerprint
    assert theirs.path.name == "s"
    assert not (theirs.path / "shards").exists()
    np.testing.assert_array_equal(theirs.signal(10), mine.signal(10))
    assert [path.name for path in (theirs.path / "shards").iterdir()] == ["shard-00002.arrow"]
    memory.rm("/bucket/s/shards", recursive=True)
    again = Store.open(theirs.path)
    np.testing.assert_array_equal(again.signal(10), mine.signal(10))
    with pytest.raises(
        FileError, match=r"memory://bucket/s: there is no such bucket, folder or file \(.+\); ch"
    ):
        again.signal(0)


def test_a_data_set_elsewhere_gives_the_store_of_a_copy(memory, ptb_xl, tmp_path):
    memory.put(f"{ptb_xl}/", "/bucket/ptb-xl", recursive=True)
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in sorted(ptb_xl.rglob("*")):
            archive.write(path, f"ptb-xl/{path.relative_to(ptb_xl)}")
    addresses = {
        "memory": "memory://bucket/ptb-xl",
        "zip": f"zip://ptb-xl::file://{tmp_path}/p.zip",
        "file": f"file://{ptb_xl}",
    }
    here = write_store(PTB_XL, ptb_xl, tmp_path / "here", **OPTIONS)
    assert (here.prepared, here.rejected) == (7, 1)
    for name, address in addresses.items():
        write_store(PTB_XL, Path(address), tmp_path / name, **OPTIONS)
        mine, theirs = Store.open(tmp_path / "here"), Store.open(tmp_path / name)
        assert theirs.manifest.fingerprint == mine.manifest.fingerprint
        assert theirs.index.equals(mine.index)
        for row in range(len(mine)):
            np.testing.assert_array_equal(theirs.signal(row), mine.signal(row))
        told = (tmp_path / name / "rejected.csv").read_text()
        place = str(ptb_xl) if name == "file" else address
        assert f"{place}/records100/00000/00002_lr" in told
        assert "anylead-" not in told


def test_a_folder_of_every_format_elsewhere_gives_the_store_of_a_copy(memory, tmp_path):
    clinic = write_every_format(tmp_path / "clinic")
    memory.put(f"{clinic}/", "/bucket/clinic", recursive=True)
    for name, place in (("here", clinic), ("there", "memory://bucket/clinic")):
        write_store(SOURCES["files"](), place, tmp_path / name, **OPTIONS)
    mine, theirs = Store.open(tmp_path / "here"), Store.open(tmp_path / "there")
    assert set(theirs.column("record_id")) == set(RECORDINGS)
    assert theirs.index.equals(mine.index)
    reasons = [(tmp_path / name / "rejected.csv").read_text() for name in ("here", "there")]
    assert reasons[1].replace("memory://bucket/clinic", str(clinic)) == reasons[0]


def test_processes_fetch_what_their_shard_needs(ptb_xl, tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in sorted(ptb_xl.rglob("*")):
            archive.write(path, f"ptb-xl/{path.relative_to(ptb_xl)}")
    address = f"zip://ptb-xl::file://{tmp_path}/p.zip"
    for jobs in (1, 2):
        write_store(PTB_XL, Path(address), tmp_path / str(jobs), jobs=jobs, **OPTIONS)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_files_named_by_headers_and_segments_are_fetched(memory, tmp_path):
    # Signals under another name, two segments with headers of their own, and a recording beside them.
    memory.pipe(
        {
            "/d/a.hea": b"a 1 500 10\nother.dat 16 1000/mV 16 0 0 0 0 I\n",
            "/d/other.dat": bytes(20),
            "/d/m.hea": b"m/2 1 500 20\na 10\nb 10\n",
            "/d/b.hea": b"b 1 500 10\nb.dat 16 1000/mV 16 0 0 0 0 I\n",
            "/d/b.dat": bytes(20),
            "/d/c.hea": b"c 1 500 10\nc.dat 16 1000/mV 16 0 0 0 0 I\n",
            "/d/c.dat": bytes(20),
        }
    )
    with reached_tree("memory://d", ignore=tmp_path) as (folder, tree):
        refs = SOURCES["files"]().scan(folder)
        assert [ref.record_id for ref in refs] == ["c", "m"]
        assert sorted(tree.files_of(refs[1:]).names) == ["a.hea", "b.dat", "b.hea", "m.hea", "other.dat"]
        assert (folder / "c.dat").stat().st_size == 20
        with tree.files_of(refs).brought(refs) as (brought, where):
            assert SOURCES["files"]().load(brought[1]).samples == 20
            assert brought[0].path == where / "c"
        assert not where.exists()
    assert not folder.exists()


@pytest.mark.parametrize("moment", ["shard-00001", "index.parquet", "store.json"])
def test_what_fails_midway_is_continued_by_the_same_command(memory, tmp_path, monkeypatch, moment):
    write_store(SOURCE, None, tmp_path / "s", **OPTIONS)
    put = type(memory).put_file

    def failing(self, path, target, *rest, **options):
        if moment in target:
            raise ConnectionError("the line is dead")
        return put(self, path, target, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "put_file", failing)
        with pytest.raises(
            FileError,
            match=r"memory://bucket/s/.+: could not be reached \(the line is dead\); check the address",
        ):
            write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    with pytest.raises(
        StoreError, match="memory://bucket/s: the preparation of this store did not finish; run"
    ):
        Store.open("memory://bucket/s")
    with pytest.raises(
        StoreError, match=r"memory://bucket/s: holds a store made with other options of the sou"
    ):
        write_store(ArraySource(seed=1), None, "memory://bucket/s", **OPTIONS)
    before = {path: memory.modified(path) for path in memory.find("/bucket/s/shards")}
    assert len(before) == (1 if moment == "shard-00001" else 3)
    memory.pipe("/bucket/s/shards/.shard-00002.arrow.x.partial", b"left by a kill")
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    assert remote_contents(memory, "/bucket/s") == contents(tmp_path / "s")
    assert {path: memory.modified(path) for path in before} == before


def test_a_shard_cut_short_elsewhere_is_made_again(memory, tmp_path):
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    whole = remote_contents(memory, "/bucket/s")
    parts = json.loads(memory.cat_file("/bucket/s/store.json"))["parts"]
    memory.pipe("/bucket/s/preparing.json", json.dumps({"parts": parts}).encode())
    memory.rm_file("/bucket/s/store.json")
    memory.pipe("/bucket/s/shards/shard-00001.arrow", whole["shards/shard-00001.arrow"][:500])
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    assert remote_contents(memory, "/bucket/s") == whole


def test_a_damaged_shard_elsewhere_is_told(memory):
    memory.pipe("/bucket/s/shards/shard-00000.arrow", b"ARROW1 and nothing ARROW1")
    with (
        targets.reached_target("memory://bucket/s") as target,
        pytest.raises(
            StoreError, match=r"memory://bucket/s/shards/shard-00000\.arrow: the shard cannot be read"
        ),
    ):
        target.read(0)


def test_a_claim_left_beside_the_manifest_is_taken_back(memory):
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    memory.pipe("/bucket/s/preparing.json", b"{}")
    assert write_store(SOURCE, None, "memory://bucket/s", **OPTIONS).already
    assert not memory.exists("/bucket/s/preparing.json")


def test_where_puts_are_not_atomic_a_shard_is_put_beside_and_moved(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "_WHOLE_PUTS", set())
    (tmp_path / "x").write_bytes(b"new")
    memory.pipe("/d/x", b"old")
    targets.put_whole(tmp_path / "x", "memory://d/x")
    assert memory.find("/d") == ["/d/x"]
    assert memory.cat_file("/d/x") == b"new"


def test_all_rejected_leaves_nothing_elsewhere(memory):
    with pytest.raises(
        StoreError, match="memory://bucket/s: all 12 recordings were rejected and no store was"
    ):
        write_store(ArraySource(broken=tuple(range(12))), None, "memory://bucket/s", **OPTIONS)
    assert memory.find("/bucket") == []


def test_nothing_found_leaves_nothing_elsewhere(memory, tmp_path):
    with pytest.raises(StoreError, match="no recording of array was found"):
        write_store(ArraySource(records=0), None, "memory://bucket/s", **OPTIONS)
    assert memory.find("/bucket") == []


def test_other_files_elsewhere_are_refused_and_left_alone(memory):
    memory.pipe("/bucket/thesis/text.txt", b"all I have")
    with pytest.raises(
        StoreError, match="memory://bucket: there are other files here, and this is not a store"
    ):
        write_store(SOURCE, None, "memory://bucket", **OPTIONS)
    assert memory.find("/bucket") == ["/bucket/thesis/text.txt"]


def test_a_store_inside_the_data_elsewhere_does_not_count_as_data(memory):
    memory.pipe("/bucket/a.dat", b"123")
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    with reached_tree("memory://bucket", ignore="memory://bucket/s") as (folder, _):
        assert [path.name for path in folder.iterdir()] == ["a.dat"]


def test_a_shard_elsewhere_is_asked_for_facts_without_its_signals(memory):
    source = ArraySource(records=20, samples=50_000)
    write_store(source, None, "memory://bucket/s", **{**OPTIONS, "shard_records": 20})
    size = memory.size("/bucket/s/shards/shard-00000.arrow")
    read = 0
    with memory.open("/bucket/s/shards/shard-00000.arrow", "rb") as raw:

        class Counting:
            closed = False
            seekable = readable = lambda self: True
            seek, tell, close = raw.seek, raw.tell, lambda self: None

            def read(self, count=-1):
                nonlocal read
                data = raw.read(count)
                read += len(data)
                return data

        facts, rejected = targets.read_facts(Counting(), "s")
    assert (len(facts), rejected) == (20, [])
    assert read < size / 100


def test_a_zip_whose_names_lead_out_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../evil.hea", "evil 0")
        archive.writestr("a.hea", "a 0")
    with (
        pytest.raises(
            RecordFileError, match=r"the name '.*evil.hea' leads out of the folder; use the data set"
        ),
        reached_tree(f"zip://::file://{tmp_path}/bad.zip", ignore=tmp_path),
    ):
        pass
    assert not (tmp_path / "evil.hea").exists()


@pytest.mark.parametrize(
    ("root", "out", "kind", "message"),
    [
        (
            "memory://none",
            "memory://s",
            RecordFileError,
            "memory://none: there are no files, or it is no folder",
        ),
        (
            None,
            "zip://s::memory://x.zip",
            ConfigError,
            r"x.zip: a store cannot be written there; give --out a fo",
        ),
        (
            None,
            "http://example.org/s",
            ConfigError,
            r"org/s: a store cannot be written there",
        ),
    ],
)
def test_addresses_that_do_not_work_are_told_in_a_sentence(memory, root, out, kind, message):
    with pytest.raises(kind, match=message):
        write_store(SOURCE, root, out, **OPTIONS)


def test_a_package_that_is_missing_is_told(monkeypatch):
    def missing(address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(
        ConfigError,
        match=r"^s3://b: a package for such addresses is missing \(Install s3fs to access S3\); inst",
    ):
        open_address("s3://b")


def test_what_is_no_store_elsewhere_is_told(memory):
    memory.pipe("/bucket/text.txt", b"")
    with pytest.raises(StoreError, match=r"memory://bucket: there is no store.json, so this is not a store"):
        Store.open("memory://bucket")
    write_store(SOURCE, None, "memory://bucket/s", **OPTIONS)
    memory.rm_file("/bucket/s/shards/shard-00001.arrow")
    with pytest.raises(StoreError, match=r"1 of 3 shards are missing, the first is shard-00001\.arrow"):
        Store.open("memory://bucket/s")


def test_verbs_take_addresses(memory, tmp_path):
    config = PrepareConfig(source=SOURCES["synthetic"](patients=3), out=Path("memory://bucket/s"))
    assert prepare(config).store == Path("memory://bucket/s")
    assert info(Path("memory://bucket/s"))["kind"] == "store"
    with pytest.raises(
        ConfigError, match="quality: memory://bucket/s is elsewhere and the measures are written"
    ):
        quality(QualityConfig(store=Path("memory://bucket/s"), out=tmp_path / "q"))


def test_copies_go_where_the_user_keeps_copies(monkeypatch):
    monkeypatch.delenv("ANYLEAD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert copies._cache() == Path("/caches/anylead")


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("s3://bucket/x", "s3://bucket/x"),
        (Path("s3://bucket/x"), "s3://bucket/x"),
        (Path("zip://::s3://b/x.zip"), "zip://::s3://b/x.zip"),
        (Path("zip://f::file:///d/x.zip"), "zip://f::file:///d/x.zip"),
        ("simplecache::s3://b/x", "simplecache::s3://b/x"),
        (Path("file:///d/x"), Path("/d/x")),
        ("/d/x", Path("/d/x")),
        ("d/x.zip::y", Path("d/x.zip::y")),
        ("nonsense://x", Path("nonsense://x")),
        ("C:/x", Path("C:/x")),
    ],
)
def test_addresses_are_told_from_paths(given, place):
    assert locate(given) == place


def test_a_folder_with_a_colon_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("s3:/mine")
    assert locate("s3:/mine") == Path("s3:/mine")
    assert absolute(Path("s")) == tmp_path / "s"
    assert absolute(Path("s3://b/x")) == Path("s3://b/x")


def test_the_stand_in_of_a_data_set_has_its_fingerprint(memory, ptb_xl, tmp_path):
    memory.put(f"{ptb_xl}/", "/bucket/ptb-xl", recursive=True)
    with reached_tree("memory://bucket/ptb-xl/", ignore=tmp_path) as (folder, _):
        assert folder.name == "ptb-xl"
        assert listing_fingerprint(folder) == listing_fingerprint(ptb_xl)
