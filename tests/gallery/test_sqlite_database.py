"""What is SQLite's own: files, rights, wiping, faults of the disk, processes killed."""

import os
import random
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import anylead
from anylead.errors import ConfigError, GalleryError
from anylead.gallery import sqlite_database
from anylead.gallery.gallery_key import make_key_file
from anylead.gallery.open_database import create_database, open_database
from gallery_rows import acknowledged, enrolment, identity, missing_after, start_writer, unit


@pytest.fixture
def folder(tmp_path):
    create_database(tmp_path / "gallery", identity()).close()
    return tmp_path / "gallery"


def held_by_files(folder: Path, needle: bytes) -> list[str]:
    return [file.name for file in folder.iterdir() if needle in file.read_bytes()]


def test_nobody_else_can_read_it(tmp_path):
    before = os.umask(0)
    try:
        with create_database(tmp_path / "gallery", identity()) as database:
            database.enrol([enrolment(1)], actor="x")
            modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in (tmp_path / "gallery").iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "gallery").stat().st_mode) == 0o700
    assert set(modes) == {"gallery.sqlite", "gallery.sqlite-wal", "gallery.sqlite-shm", "gallery.key"}
    assert set(modes.values()) == {0o600}


def test_open_rights_are_told(folder, caplog):
    folder.chmod(0o755)
    (folder / "gallery.key").chmod(0o644)
    open_database(folder).close()
    assert "run chmod 700" in caplog.text
    assert "run chmod 600" in caplog.text


@pytest.mark.parametrize("how", ["remove", "retention", "replace"])
def test_what_is_removed_is_in_no_file(folder, how):
    """Vectors, ids and signals of one patient among many, removed while the log is in use."""
    gone = enrolment(50, patient="Gone Patient", record_id="gone-record", signal=b"gone-signal" * 900)
    needles = [
        b"Gone Patient",
        b"gone-record",
        b"gone-signal",
        *[v.tobytes() for v in gone.templates.values()],
        gone.templates["I"].tobytes()[40:80],
    ]
    with open_database(folder) as database:
        database.enrol([enrolment(n, signal=b"kept" * 400) for n in range(60, 90)], actor="x")
        database.enrol([gone], actor="x")
        # Rows before and after, so that the tree of pages is split around it and cells are moved.
        database.enrol([enrolment(n) for n in range(90, 120)], actor="x")
        assert all(held_by_files(folder, needle) for needle in needles)
        if how == "remove":
            assert database.remove("Gone Patient", actor="x") == 1
        elif how == "retention":
            assert database.remove_before(enrolment(51).recorded_at, actor="x") == 1
        else:
            database.replace_all(identity(), [enrolment(1)], actor="x", action="rebuild")
        assert [held_by_files(folder, needle) for needle in needles] == [[]] * len(needles)
        # The trail keeps that something was removed, under a keyed hash.
        assert database.audit()[-1].action in ("remove", "rebuild")
        assert not held_by_files(folder, gone.patient_id.encode())


def test_wiping_waits_for_a_reader_and_says_so(folder, monkeypatch):
    monkeypatch.setattr(sqlite_database, "PATIENCE_S", 0.2)
    database = open_database(folder)
    database.enrol([enrolment(1), enrolment(2)], actor="x")
    reader = sqlite3.connect(folder / "gallery.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM gallery_recordings").fetchone()
    with pytest.raises(
        GalleryError, match="the log cannot be emptied while another process reads the gallery"
    ):
        database.remove("patient 1", actor="x")
    assert database.record_ids() == ["record 2"]
    reader.close()
    needle = enrolment(1).templates["12"].tobytes()
    assert held_by_files(folder, needle)
    assert database.remove("patient 1", actor="x") == 0
    assert held_by_files(folder, needle) == []
    database.close()


def test_a_byte_flipped_in_a_vector_names_the_recording(folder):
    with open_database(folder) as database:
        database.enrol([enrolment(n) for n in range(20)], actor="x")
    flip(folder / "gallery.sqlite", enrolment(7).templates["12"].tobytes(), 10)
    with (
        open_database(folder) as database,
        pytest.raises(
            GalleryError, match="the vector of recording 'record 7' for lead set 12 is not what was"
        ),
    ):
        database.templates("12")


def test_a_byte_flipped_in_an_id_names_the_row(folder):
    with open_database(folder) as database:
        database.enrol([enrolment(7, patient="Somebody Else")], actor="x")
    written = (folder / "gallery.sqlite").read_bytes()
    # In the table and in the index of patients: both, so that the tree is whole.
    (folder / "gallery.sqlite").write_bytes(written.replace(b"Somebody Else", b"Somebody Eise"))
    with (
        open_database(folder) as database,
        pytest.raises(GalleryError, match=r"the row of recording 'record 7' .* is not what was written"),
    ):
        database.enrolments()


@pytest.mark.parametrize(("place", "byte"), [(0, 0x0C), (3, 0x7F), (4, 0x7F), (8, 0xFF)])
def test_a_damaged_page_is_named_when_it_is_opened(folder, place, byte):
    """A flipped kind of page, number of cells or place of a cell."""
    with open_database(folder) as database:
        database.enrol([enrolment(n) for n in range(40)], actor="x")
    file = folder / "gallery.sqlite"
    number = file.read_bytes().index(enrolment(7).templates["12"].tobytes()) // 4096
    with file.open("r+b") as raw:
        raw.seek(number * 4096 + place)
        raw.write(bytes([byte]))
    with pytest.raises(GalleryError, match=rf"(?i)is damaged: .*page {number + 1}\b.*import its last export"):
        open_database(folder)


@pytest.mark.parametrize("content", [b"", b"not a database, whatever it is called" * 200])
def test_a_file_that_is_no_gallery(folder, content):
    (folder / "gallery.sqlite").write_bytes(content)
    with pytest.raises(GalleryError, match="the gallery is damaged"):
        open_database(folder)


def flip(file: Path, needle: bytes, offset: int) -> None:
    place = file.read_bytes().index(needle) + offset
    with file.open("r+b") as raw:
        raw.seek(place)
        byte = raw.read(1)[0]
        raw.seek(place)
        raw.write(bytes([byte ^ 0x10]))


def test_where_no_gallery_can_be_made_or_opened(tmp_path, folder):
    with pytest.raises(GalleryError, match="the folder is not empty"):
        create_database(folder, identity())
    with pytest.raises(GalleryError, match="there is no gallery"):
        open_database(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match="a gallery cannot be made here"):
        create_database(tmp_path / "file", identity())
    with pytest.raises(GalleryError, match="'mysql://': a gallery is a folder or a postgresql:// URL"):
        open_database("mysql://user:secret@host/db")


def test_keys_that_do_not_fit(tmp_path, folder):
    key = folder / "gallery.key"
    create_database(tmp_path / "other", identity()).close()
    own = key.read_text()
    key.write_text((tmp_path / "other" / "gallery.key").read_text())
    with pytest.raises(GalleryError, match="the key is that of another gallery"):
        open_database(folder)
    key.write_text(own[:-5])
    with pytest.raises(GalleryError, match="this is no key of a gallery; a key is 64 hexadecimal") as raised:
        open_database(folder)
    assert own[:10] not in str(raised.value)
    key.unlink()
    with pytest.raises(GalleryError, match="the key of the gallery cannot be read"):
        open_database(folder)


def test_a_key_is_never_written_over(folder):
    with pytest.raises(
        GalleryError, match=r"gallery.key: the key of the gallery cannot be written \(File exists"
    ):
        make_key_file(folder / "gallery.key")


def test_a_vector_of_another_length_is_damage(folder):
    with open_database(folder) as database:
        database.enrol([enrolment(1)], actor="x")
        with database._writing() as sql:
            sql.run("UPDATE gallery_templates SET vector = ?", b"1234")
        with pytest.raises(GalleryError, match="is damaged: a vector does not have its length"):
            database.templates("12")


def test_a_closed_gallery_says_so(folder):
    database = open_database(folder)
    database.close()
    with pytest.raises(GalleryError, match="the gallery was closed; open it again"):
        database.version()


def test_a_writer_that_does_not_end(folder, monkeypatch):
    monkeypatch.setattr(sqlite_database, "PATIENCE_S", 0.1)
    with open_database(folder) as database, open_database(folder) as other:
        with (
            database._writing(),
            pytest.raises(GalleryError, match="another process was writing for more than"),
        ):
            other.enrol([enrolment(1)], actor="x")
        assert other.enrol([enrolment(1)], actor="x") == 1


def test_a_full_database_takes_nothing_and_goes_on(folder):
    with open_database(folder) as database:
        database.enrol([enrolment(1)], actor="x")
        pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
        database._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(GalleryError, match="there is no room left on the disk; make room, nothing was"):
            database.enrol([enrolment(n, signal=bytes(9000)) for n in (2, 3)], actor="x")
        assert database.record_ids() == ["record 1"]
        database._connection.execute("PRAGMA max_page_count = 100000")
        assert database.enrol([enrolment(2)], actor="x") == 1
        assert len(database.audit()) == 3


FULL_DISK = """
import resource, sys
from anylead.errors import GalleryError
from anylead.gallery.gallery_key import make_key_file
from anylead.gallery.open_database import open_database
from gallery_rows import enrolment
with open_database(sys.argv[1]) as database:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for number in range(1000):
        try:
            database.enrol([enrolment(number, signal=bytes(range(256)) * 40)], actor="x")
        except GalleryError as error:
            print(number, error)
            break
"""


def test_a_disk_that_refuses_loses_nothing(folder):
    source = f"{Path(anylead.__file__).parents[1]}{os.pathsep}{Path(__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.returncode == 0, done.stderr
    number, _, message = done.stdout.strip().partition(" ")
    assert "make room" in message
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    with open_database(folder) as database:
        assert len(database.record_ids()) == int(number) > 0
        assert len(database.audit()) == 1 + int(number)
        assert database.enrol([enrolment(2000)], actor="x") == 1


@pytest.mark.parametrize("number", range(int(os.environ.get("ANYLEAD_KILLS", "4"))))
def test_a_killed_process_loses_nothing_acknowledged(folder, number):
    draw = random.Random(number)
    process = start_writer(folder)
    time.sleep(draw.uniform(0.01, 0.4))
    process.send_signal(signal.SIGKILL)
    said = acknowledged(process.stdout.readlines())
    process.wait()
    with open_database(folder) as database:
        assert missing_after(database, said) == []
        assert database.enrol([enrolment(5000)], actor="x") == 1


def test_two_processes_write_to_one_gallery(folder):
    writers = [start_writer(folder, first=first, count=9) for first in (0, 300)]
    said = [acknowledged(writer.stdout.readlines()) for writer in writers]
    assert [writer.wait() for writer in writers] == [0, 0]
    with open_database(folder) as database:
        assert len(database.record_ids()) == 2 * (9 - 3)
        assert missing_after(database, said[0]) + missing_after(database, said[1], first=300) == []
        assert database.version() == 2 * (9 + 3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "anylead.gallery.postgres_database", None)
    for way in (open_database, lambda url: create_database(url, identity())):
        with pytest.raises(ConfigError, match=r"install anylead\[postgres\]"):
            way("postgresql://host/db")


def test_a_missing_cipher_is_named(folder, monkeypatch, tmp_path):
    from anylead.gallery.transfer import export_gallery

    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with open_database(folder) as database, pytest.raises(ConfigError, match=r"install anylead\[gallery\]"):
        export_gallery(database, tmp_path / "e", passphrase="long enough words")


def test_vectors_of_any_dimension_fit(tmp_path):
    with create_database(tmp_path / "g", identity(dimension=1536)) as database:
        database.enrol([enrolment(1, templates={"12": unit(1, 1536)})], actor="x")
        assert database.templates("12").vectors.tobytes() == unit(1, 1536).tobytes()
