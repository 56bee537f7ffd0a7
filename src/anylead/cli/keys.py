"""anylead keys: who may use a gallery through the service, and for what."""

from dataclasses import dataclass
from typing import Any

import tyro

from anylead.cli.arguments import choose, parse

TASKS = {
    "make": "make a key and show it, this once",
    "list": "list the keys, their roles and dates",
    "revoke": "refuse a key from now on",
}


@dataclass(frozen=True, kw_only=True)
class ListArguments:
    """Lists the keys of a gallery: names, roles and dates. The keys themselves are not kept."""

    gallery: str
    """The gallery: a folder, or postgresql://USER@HOST/DATABASE."""


@dataclass(frozen=True, kw_only=True)
class MakeArguments(ListArguments):
    """Makes a key for the service and prints it; it cannot be shown again."""

    name: tyro.conf.Positional[str]
    """Who or what will use it; the audit trail names it."""
    roles: tuple[str, ...] = ("read",)
    """read, enrol (adds recordings), review (judges cases), admin (all)."""


@dataclass(frozen=True, kw_only=True)
class RevokeArguments(ListArguments):
    """Refuses a key from now on."""

    name: tyro.conf.Positional[str]
    """Name of the key."""


ARGUMENTS: dict[str, type[Any]] = {"make": MakeArguments, "list": ListArguments, "revoke": RevokeArguments}


def run(argv: list[str]) -> None:
    """Runs ``anylead keys`` for one task."""
    task, rest = choose(argv, TASKS, prog="anylead keys")
    given, _ = parse(ARGUMENTS[task], rest, prog=f"anylead keys {task}")

    from anylead.gallery.api_keys import ApiKeys
    from anylead.gallery.open_database import open_database

    with open_database(given.gallery) as database:
        keys = ApiKeys(database)
        if task == "make":
            # Nothing else is printed, so that it can be piped into a secret store.
            print(keys.make(given.name, given.roles))
        elif task == "revoke":
            keys.revoke(given.name)
            print(f"key {given.name} is refused from now on")
        else:
            for key in keys.list():
                until = f", revoked {key.revoked_at}" if key.revoked_at else ""
                print(f"{key.name}: {', '.join(key.roles)}; made {key.made_at}{until}")
