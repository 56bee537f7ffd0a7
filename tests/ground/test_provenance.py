import errno
import json

import pytest

from anylead import provenance
from anylead.errors import FileError
from anylead.provenance import atomic_path, canonical_json, environment, fingerprint, write_json


def test_fingerprints_do_not_depend_on_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert canonical_json({"b": 1, "a": 2}) == '{"a":2,"b":1}'


def test_the_environment_is_json_and_says_what_matters():
    found = json.loads(json.dumps(environment()))
    assert {"anylead", "python", "packages", "command", "time"} <= set(found)
    assert "torch" in found["packages"]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(TypeError, match="bytes-like"), atomic_path(path) as temporary:
        temporary.write_bytes("half")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(provenance.os, "fsync", full)
    with pytest.raises(FileError, match=r"x\.json: could not be written \(No space left on device\)"):
        write_json(tmp_path / "x.json", {"a": 1})
    assert list(tmp_path.iterdir()) == []


def test_outside_a_checkout_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.code_commit() is None
