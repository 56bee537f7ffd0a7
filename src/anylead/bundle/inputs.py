"""What people hand to a bundle: arrays, records, paths, or a list of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from anylead.errors import InputError, LeadError
from anylead.formats import read
from anylead.leads import lead_set
from anylead.record import Record

Recording = Any
"""A `Record`, a path, or an array (leads, samples) in mV."""


def as_list(x: Recording | Sequence[Recording]) -> list[Recording]:
    """Returns the recordings of one argument; a list or a tuple is several of them.

    Raises:
        InputError: If there is none.
    """
    items = list(x) if isinstance(x, list | tuple) else [x]
    if not items:
        raise InputError("recordings: got an empty list; give at least one recording.")
    return items


def as_records(
    items: Sequence[Recording], *, fs: float | int | None = None, leads: Sequence[str] | str | None = None
) -> Iterator[Record]:
    """Makes a Record of each item, one at a time.

    Args:
        items: From `as_list`.
        fs: Sampling rate of the arrays in Hz; not for records and files, which know their own.
        leads: One name a row for an array; for a record or a file, the leads to use.

    Raises:
        InputError: If an array comes without rate or names, a rate comes with a record or a file, or an
            item is something else.
        LeadError: If a record lacks one of the leads to use.
    """
    for number, item in enumerate(items):
        if isinstance(item, Record | str | Path):
            if fs is not None:
                raise InputError(
                    f"recording {number}: got fs={fs:g} with a record or a file, which knows its own rate; "
                    "leave fs out, or give an array."
                )
            record = item if isinstance(item, Record) else read(item)
            yield record if leads is None else record.select(lead_set(leads))
        elif hasattr(item, "__array__"):
            if fs is None or leads is None:
                raise InputError(
                    f"recording {number}: an array says neither its rate nor its leads; "
                    'give both, such as fs=500, leads=["I", "II"].'
                )
            yield Record.from_array(item, fs=float(fs), leads=leads, record_id=f"recording {number}")
        else:
            raise InputError(
                f"recording {number}: got a {type(item).__name__}; accepted are an array (leads, samples) in "
                "mV, a Record, a path, or a list of them."
            )


def known_leads(record: Record, known: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the leads of a record that an encoder knows, in the record's order.

    Raises:
        LeadError: If there is none.
    """
    usable = tuple(name for name in record.leads if name in known)
    if not usable:
        raise LeadError(
            f"record {record.record_id}: none of its leads ({', '.join(record.leads)}) is known to the "
            f"encoder, which knows {', '.join(known)}; rename the leads or give other ones."
        )
    return usable
