"""Which classes the labels of a store tell of.

Data sets are labelled with codes of their own choice. Where one never uses a code, that a recording lacks it
says nothing: the class is unknown there, not absent.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from anylead.errors import ConfigError
from anylead.feed.targets import carried_classes
from anylead.sources.challenge import SCORED_CLASSES, ScoredClass
from anylead.store import Store


def seen_classes(stores: Sequence[Store]) -> Bool[np.ndarray, "S 26"]:
    """Returns the scored classes that at least one recording of each store, of any split, carries."""
    return carried_classes(stores, [one.codes for one in SCORED_CLASSES])


def told_classes(stores: Sequence[Store], words: Sequence[str] = ()) -> Bool[np.ndarray, "S 26"]:
    """Returns which scored classes the labels of each store tell of.

    Stores of one source are taken to be labelled alike.

    Args:
        stores: Where the recordings are.
        words: One a store, or one for all: ``all``, ``seen``, or names such as ``AF,SB``. None given is
            ``seen`` where the stores are of several sources, otherwise ``all``.

    Raises:
        ConfigError: If a name is not one of a scored class.
    """
    sources = {store.manifest.source for store in stores}
    words = tuple(words) or (("seen",) if len(sources) > 1 else ("all",))
    words = words * len(stores) if len(words) == 1 else words
    seen = seen_classes(stores)
    rows = [seen[number] if word == "seen" else named_classes(word) for number, word in enumerate(words)]
    return np.stack(rows)


def named_classes(word: str) -> Bool[np.ndarray, "26"]:
    """Returns the classes of ``all`` or of names; ``seen`` depends on the store and names none.

    Raises:
        ConfigError: If a name is not one of a scored class.
    """
    if word in ("all", "seen"):
        return np.full(len(SCORED_CLASSES), word == "all")
    names = {name.strip() for name in word.split(",")}
    found = [bool(names & {one.abbreviation, *one.abbreviation.split("|")}) for one in SCORED_CLASSES]
    known = {name for one in SCORED_CLASSES for name in (one.abbreviation, *one.abbreviation.split("|"))}
    if names - known:
        raise ConfigError(
            f"finetune classify: got {', '.join(sorted(names - known))} in store_classes; give all, seen, or "
            f"names of scored classes: {', '.join(one.abbreviation for one in SCORED_CLASSES)}."
        )
    return np.array(found)


def told_by_name(
    stores: Sequence[Store], classes: Sequence[ScoredClass], told: Bool[np.ndarray, "S 26"]
) -> list[dict[str, Any]]:
    """Returns, store by store, the source and the names of the classes that it tells of."""
    return [
        {
            "source": store.manifest.source,
            "classes": [one.abbreviation for one in classes if told[number, one.index]],
        }
        for number, store in enumerate(stores)
    ]
