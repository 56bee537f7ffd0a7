import json
from dataclasses import asdict

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery import transfer
from anylead.gallery.open_database import create_database, open_database
from anylead.gallery.projection import Projection
from anylead.gallery.transfer import export_gallery, import_gallery
from gallery_rows import enrolment, identity

WORDS = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap_keys(monkeypatch):
    monkeypatch.setattr(transfer, "_SCRYPT", {"n": 16, "r": 8, "p": 1})
    monkeypatch.setattr(transfer, "_AT_ONCE", 2)


@pytest.fixture
def exported(tmp_path):
    with create_database(tmp_path / "old", identity()) as database:
        database.enrol([enrolment(n, signal=b"samples" if n % 2 else None) for n in range(5)], actor="x")
        database.put_document("reviews", {"a": 1}, actor="x", action="review")
        database.put_document("keys", {"a": 1}, actor="x", action="keys")
        assert export_gallery(database, tmp_path / "file.export", passphrase=WORDS) == 5
        assert database.audit()[-1].action == "export"
    return tmp_path / "file.export"


def plain(database):
    return [
        {**asdict(e), "templates": {k: v.tolist() for k, v in e.templates.items()}}
        for e in database.enrolments()
    ]


def test_all_comes_back_in_another_gallery_of_either_kind(exported, gallery_url, tmp_path):
    with import_gallery(exported, gallery_url, passphrase=WORDS, actor="y"):
        pass
    with open_database(tmp_path / "old") as old, open_database(gallery_url) as new:
        assert plain(new) == plain(old)
        assert new.identity() == old.identity()
        assert new.document("reviews") == {"a": 1}
        assert new.document("keys") is None
        assert len(new.document("history")["lines"]) == len(old.audit()) - 1
        assert new.audit()[-1].action == "import"
        assert new.audit()[-1].details == {"recordings": 5}


def test_the_file_tells_nothing_and_is_its_owners(exported):
    assert exported.stat().st_mode & 0o777 == 0o600
    written = exported.read_bytes()
    assert b"patient" not in written
    assert b"samples" not in written
    assert enrolment(1).templates["I"].tobytes() not in written


def test_a_projected_gallery_gets_another_key(tmp_path):
    vector = enrolment(1).templates["12"]
    with create_database(tmp_path / "old", identity(projected=True)) as old:
        turned = Projection(old.secret("projection"), len(vector)).apply(vector)
        old.enrol([enrolment(1, templates={"12": turned})], actor="x")
        export_gallery(old, tmp_path / "e", passphrase=WORDS)
    with import_gallery(tmp_path / "e", tmp_path / "new", passphrase=WORDS) as new:
        kept = new.enrolments()[0].templates["12"]
        assert abs(float(kept @ turned)) < 0.9
        back = Projection(new.secret("projection"), len(vector)).undo(kept)
    np.testing.assert_allclose(back, vector, atol=1e-5)


def test_a_wrong_passphrase_makes_nothing(exported, tmp_path):
    with pytest.raises(GalleryError, match="the passphrase is wrong, or the export is damaged"):
        import_gallery(exported, tmp_path / "new", passphrase="another passphrase")
    assert not (tmp_path / "new").exists()


def test_a_short_passphrase_is_refused(tmp_path):
    with (
        create_database(tmp_path / "g", identity()) as database,
        pytest.raises(GalleryError, match="the passphrase has 5 characters; 12 at least"),
    ):
        export_gallery(database, tmp_path / "e", passphrase="short")


def pieces_of(written: bytes) -> list[bytes]:
    line, rest = written[: written.index(b"\n") + 1], written[written.index(b"\n") + 1 :]
    found = [line]
    while rest:
        length = 4 + int.from_bytes(rest[:4], "little")
        found.append(rest[:length])
        rest = rest[length:]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], "damaged or cut off"),
        (lambda p: [p[0], p[1], p[3], p[2], *p[4:]], "damaged or cut off"),
        (lambda p: [p[0], p[1], *p[3:]], "damaged or cut off"),
        (lambda p: [*p[:-1], p[-1][:-1] + bytes([p[-1][-1] ^ 1])], "damaged or cut off"),
        (lambda p: [*p[:-1], p[-1][:-1]], "the export is cut off; copy it again"),
        (lambda p: [*p, b"\0\0"], "the export is cut off"),
        (lambda p: [p[0].replace(b'"p": 1', b'"p": 2'), *p[1:]], "damaged or cut off"),
        (lambda p: [p[0].replace(b'"n": 16', b'"n": 99999999'), *p[1:]], "at most 1 GiB of memory"),
        (lambda p: [p[0].replace(b'export": 1', b'export": 9'), *p[1:]], "the export has format 9"),
        (lambda p: [b"{}\n", *p[1:]], "this is no export of a gallery"),
        (lambda p: [b"\xff\n"], "this is no export of a gallery"),
    ],
)
def test_a_changed_file_is_refused(exported, tmp_path, change, message):
    exported.write_bytes(b"".join(change(pieces_of(exported.read_bytes()))))
    with pytest.raises(GalleryError, match=message):
        import_gallery(exported, tmp_path / "new", passphrase=WORDS)
    assert not (tmp_path / "new").exists()


def test_an_absent_file_and_an_absent_folder(tmp_path):
    with pytest.raises(GalleryError, match=r"the export cannot be read \(No such file"):
        import_gallery(tmp_path / "no", tmp_path / "new", passphrase=WORDS)
    with (
        create_database(tmp_path / "g", identity()) as database,
        pytest.raises(GalleryError, match=r"the export cannot be written \(No such file"),
    ):
        export_gallery(database, tmp_path / "no" / "e", passphrase=WORDS)


def test_a_gallery_that_changes_meanwhile_is_not_exported(tmp_path, monkeypatch):
    with create_database(tmp_path / "g", identity()) as database:
        versions = iter([1, 2])
        monkeypatch.setattr(database, "version", lambda: next(versions))
        with pytest.raises(GalleryError, match="the gallery was changed during the export"):
            export_gallery(database, tmp_path / "e", passphrase=WORDS)
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '["g"]'
