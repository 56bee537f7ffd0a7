import json

import pytest

from anylead.errors import ConfigError, GalleryError
from anylead.gallery.api_keys import ApiKeys
from anylead.gallery.open_database import create_database
from gallery_rows import identity


@pytest.fixture
def database(tmp_path):
    with create_database(tmp_path / "gallery", identity()) as made:
        yield made


def test_a_key_is_known_by_name_and_roles(database):
    keys = ApiKeys(database)
    assert not keys.any()
    key = keys.make("ward", ["review", "enrol"])
    known = keys.check(key)
    assert (known.name, known.roles) == ("ward", ("enrol", "review"))
    assert keys.any()
    assert keys.list() == [known]
    assert keys.check(key + "x") is None
    assert keys.check("") is None
    assert keys.check("\udcff") is None


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [(["read"], {"read"}), (["enrol"], {"read", "enrol"}), (["admin"], {"read", "enrol", "review", "admin"})],
)
def test_what_a_role_allows(database, roles, allowed):
    known = ApiKeys(database).check(ApiKeys(database).make("a", roles))
    assert {role for role in ("read", "enrol", "review", "admin") if known.may(role)} == allowed


def test_a_revoked_key_is_refused_and_its_name_stays_taken(database):
    keys = ApiKeys(database)
    key = keys.make("ward", ["read"])
    keys.revoke("ward")
    assert keys.check(key) is None
    assert not keys.any()
    assert keys.list()[0].revoked_at is not None
    with pytest.raises(GalleryError, match="key ward: there is one of this name, if only a revoked one"):
        keys.make("ward", ["read"])


def test_neither_the_gallery_nor_its_trail_holds_the_key(database, tmp_path):
    key = ApiKeys(database).make("ward", ["admin"], actor="boss")
    assert database.audit()[-1].details == {
        "document": "keys",
        "key": "ward",
        "made": True,
        "roles": ["admin"],
    }
    database.close()
    for file in (tmp_path / "gallery").iterdir():
        assert key.encode() not in file.read_bytes()


def test_a_key_of_another_gallery_is_refused_even_where_its_hash_was_copied(database, tmp_path):
    with create_database(tmp_path / "other", identity()) as other:
        key = ApiKeys(other).make("ward", ["admin"])
        assert ApiKeys(database).check(key) is None
        database.put_document(
            "keys", json.loads(json.dumps(other.document("keys"))), actor="x", action="keys"
        )
        assert ApiKeys(database).check(key) is None


@pytest.mark.parametrize(
    ("name", "roles", "message"),
    [
        ("", ["read"], "a name is 1 to 64 letters"),
        ("a\nb", ["read"], "a name is 1 to 64 letters"),
        ("a", ["root"], "the roles are read, enrol, review, admin, not 'root'"),
        ("a", [], "give at least one"),
    ],
)
def test_names_and_roles_that_are_refused(database, name, roles, message):
    with pytest.raises(ConfigError, match=message):
        ApiKeys(database).make(name, roles)


def test_revoking_what_is_not_there(database):
    with pytest.raises(GalleryError, match="key b: there is none of this name; there are: none"):
        ApiKeys(database).revoke("b")
