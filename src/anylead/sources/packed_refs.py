"""PackedRefs: references to a million recordings in little memory."""

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

from anylead.sources.base import RecordRef

_BLOCK = 256


class PackedRefs(Sequence[RecordRef]):
    """References as compressed blocks, of which one at a time is unpacked.

    As objects they take about a kilobyte each, so that a large corpus would need gigabytes for nothing but
    the names of its files.

    Args:
        refs: Taken one after the other; a generator's references are never all there at once.
    """

    def __init__(self, refs: Iterable[RecordRef]) -> None:
        self._blocks: list[bytes] = []
        self._length = 0
        self._unpacked: tuple[int, list[RecordRef]] = (-1, [])
        iterator = iter(refs)
        while block := list(islice(iterator, _BLOCK)):
            # Never leaves this object, or only to processes of the same program: pickle is safe here.
            self._blocks.append(zlib.compress(pickle.dumps(block, protocol=5), level=1))
            self._length += len(block)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[RecordRef]:
        for number in range(len(self._blocks)):
            yield from self._block(number)

    @overload
    def __getitem__(self, place: int) -> RecordRef: ...
    @overload
    def __getitem__(self, place: slice) -> list[RecordRef]: ...
    def __getitem__(self, place: int | slice) -> RecordRef | list[RecordRef]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(self._length))]
        if not -self._length <= place < self._length:
            raise IndexError(place)
        number, inside = divmod(place % self._length, _BLOCK)
        return self._block(number)[inside]

    def _block(self, number: int) -> list[RecordRef]:
        if self._unpacked[0] != number:
            self._unpacked = (number, pickle.loads(zlib.decompress(self._blocks[number])))
        return self._unpacked[1]
