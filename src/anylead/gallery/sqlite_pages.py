"""Which pages of an SQLite file are damaged, where SQLite only says that one is.

Source: https://www.sqlite.org/fileformat2.html, section 1.6 (b-tree pages).
"""

import struct
from collections.abc import Iterable
from pathlib import Path

_LEAVES = (10, 13)
_BRANCHES = (2, 5)
_HEADER = {**dict.fromkeys(_LEAVES, 8), **dict.fromkeys(_BRANCHES, 12)}


def damaged_pages(file: Path, roots: Iterable[int]) -> list[int]:
    """Returns the pages of trees whose kind or number of cells cannot be, in ascending order.

    Args:
        file: The database; pages that only its log holds are not looked at.
        roots: First pages of the tables and indices.
    """
    damaged: set[int] = set()
    with file.open("rb") as raw:
        size = struct.unpack(">H", raw.read(18)[16:])[0]
        size = 65536 if size == 1 else size
        waiting, seen = [1, *roots], set[int]()
        while waiting:
            number = waiting.pop()
            if number in seen or number < 1:
                continue
            seen.add(number)
            raw.seek((number - 1) * size)
            children = _children(raw.read(size), start=100 if number == 1 else 0)
            if children is None:
                damaged.add(number)
            else:
                waiting += children
    return sorted(damaged)


def _children(page: bytes, *, start: int) -> list[int] | None:
    """Returns the pages below a page; None where it is damaged."""
    if len(page) < 512 or page[start] not in _HEADER:
        return None
    (cells,) = struct.unpack_from(">H", page, start + 3)
    first = start + _HEADER[page[start]]
    if first + 2 * cells > len(page):
        return None
    if page[start] in _LEAVES:
        return []
    offsets = struct.unpack_from(f">{cells}H", page, first)
    if any(offset + 4 > len(page) for offset in offsets):
        return None
    last = struct.unpack_from(">I", page, start + 8)
    return [struct.unpack_from(">I", page, offset)[0] for offset in offsets] + list(last)
