"""Segments to a Batch."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.errors import InputError
from anylead.store import Places, Store

Segment = tuple[np.ndarray, tuple[str, ...]]
"""(leads, samples) millivolts with NaN where a sample is missing, and the names of the rows."""
StoredSegment = tuple[int, int, int, int]
"""Number of the store, row of its index, first sample, number of samples."""


def collate(
    segments: Sequence[Segment],
    *,
    leads: tuple[str, ...],
    sampling_rate_hz: float,
    rows: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
    patients: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
    segment: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
    target: Float[np.ndarray, "B C"] | Float[Tensor, "B C"] | None = None,
    identity: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
) -> Batch:
    """Puts segments side by side, padded on the right to the longest.

    A lead that was not recorded, or has a missing sample inside the segment, is absent there; its
    signal is 0 and nobody may use it. Leads that are not among the columns are left out.

    Args:
        segments: Signals with the names of their rows.
        leads: Columns of the batch.
        sampling_rate_hz: Of all segments.
        rows: Places in the global batch; 0, 1, ... by default.
        patients: Numbers of the persons; by default every segment is of somebody else.
        segment: Places inside the pairs; 0 by default.
        target: Labels.
        identity: Class of the person.

    Raises:
        InputError: If there is no segment.
    """
    if not segments:
        raise InputError("collate: got no segment; a batch needs at least one.")
    lengths = np.array([signal.shape[1] for signal, _ in segments], dtype=np.int64)
    out, present = _empty(lengths, leads)
    columns_of: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
    for place, (signal, names) in enumerate(segments):
        if names not in columns_of:
            columns_of[names] = _columns(names, leads)
        _fill(out[place], present[place], signal, *columns_of[names])
    return _batch(
        out,
        present,
        lengths,
        leads=leads,
        sampling_rate_hz=sampling_rate_hz,
        rows=rows,
        patients=patients,
        segment=segment,
        target=target,
        identity=identity,
    )


def collate_stored(
    stores: Sequence[Store],
    segments: Sequence[StoredSegment],
    *,
    leads: tuple[str, ...],
    sampling_rate_hz: float,
    rows: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
    patients: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
    segment: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
    target: Float[np.ndarray, "B C"] | Float[Tensor, "B C"] | None = None,
    identity: Int64[np.ndarray, "B"] | Sequence[int] | None = None,
) -> Batch:
    """Returns what `collate` does of segments that lie in stores, with one copy less of each.

    Args:
        stores: Where they are.
        segments: Which they are; at least one.
        leads: Columns of the batch.
        sampling_rate_hz: Of all segments.
        rows: As in `collate`.
        patients: As in `collate`.
        segment: As in `collate`.
        target: As in `collate`.
        identity: As in `collate`.

    Raises:
        InputError: If a recording has no such samples.
    """
    lengths = np.array([length for _, _, _, length in segments], dtype=np.int64)
    out, present = _empty(lengths, leads)
    # By numbers: the names of twelve leads would be hashed for every segment.
    columns_of: dict[tuple[int, int], tuple[Places, Places]] = {}
    for place, (number, row, start, length) in enumerate(segments):
        store = stores[number]
        lead_set = store.lead_set_of(row)
        known = columns_of.get((number, lead_set))
        if known is None:
            rows_in, columns = _columns(store.lead_sets[lead_set], leads)
            known = columns_of[number, lead_set] = _places(rows_in), _places(columns)
        present[place, known[1]] = store.signal_into(out[place], row, start, length, *known)
    return _batch(
        out,
        present,
        lengths,
        leads=leads,
        sampling_rate_hz=sampling_rate_hz,
        rows=rows,
        patients=patients,
        segment=segment,
        target=target,
        identity=identity,
    )


def _empty(
    lengths: Int64[np.ndarray, "B"], leads: tuple[str, ...]
) -> tuple[Float32[np.ndarray, "B L N"], Bool[np.ndarray, "B L"]]:
    """Returns a signal that is still to be filled and a mask of absent leads."""
    out = np.empty((len(lengths), len(leads), int(lengths.max())), dtype=np.float32)
    return out, np.zeros((len(lengths), len(leads)), dtype=bool)


def _batch(
    out: Float32[np.ndarray, "B L N"],
    present: Bool[np.ndarray, "B L"],
    lengths: Int64[np.ndarray, "B"],
    *,
    leads: tuple[str, ...],
    sampling_rate_hz: float,
    rows: Int64[np.ndarray, "B"] | Sequence[int] | None,
    patients: Int64[np.ndarray, "B"] | Sequence[int] | None,
    segment: Int64[np.ndarray, "B"] | Sequence[int] | None,
    target: Float[np.ndarray, "B C"] | Float[Tensor, "B C"] | None,
    identity: Int64[np.ndarray, "B"] | Sequence[int] | None,
) -> Batch:
    numbers = np.arange(len(lengths), dtype=np.int64)
    longest = out.shape[2]
    if not present.all():
        out[~present] = 0.0
    for place in np.flatnonzero(lengths < longest).tolist():
        out[place, :, lengths[place] :] = 0.0
    padded = bool((lengths != longest).any())
    return Batch(
        signal=torch.from_numpy(out),
        lead_mask=torch.from_numpy(present),
        sample_mask=torch.arange(longest)[None, :] < torch.from_numpy(lengths)[:, None]
        if padded
        # One row for all: whoever wrote into it would be told so by torch.
        else torch.ones(1, longest, dtype=torch.bool).expand(len(lengths), longest),
        leads=leads,
        sampling_rate_hz=sampling_rate_hz,
        padded=padded,
        row=_integers(numbers if rows is None else rows),
        patient=_integers(numbers if patients is None else patients),
        segment=_integers(np.zeros_like(numbers) if segment is None else segment),
        target=None if target is None else torch.as_tensor(target, dtype=torch.float32),
        identity=None if identity is None else _integers(identity),
    )


def _places(numbers: list[int]) -> Places:
    """Returns a slice for numbers that count up from 0: arrays are indexed by one without a copy."""
    return slice(0, len(numbers)) if numbers == list(range(len(numbers))) else numbers


def _columns(names: tuple[str, ...], leads: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Returns the rows of a segment that have a column, and those columns."""
    rows = [row for row, name in enumerate(names) if name in leads]
    return rows, [leads.index(names[row]) for row in rows]


def _fill(
    out: Float32[np.ndarray, "L N"],
    present: np.ndarray,
    signal: np.ndarray,
    rows: list[int],
    columns: list[int],
) -> None:
    # A sum is NaN exactly where a summand is, and is twice as fast as looking at each of them.
    whole = ~np.isnan(signal.sum(axis=1))
    samples = signal.shape[1]
    if whole.all() and rows == columns == list(range(len(signal))):
        out[: len(rows), :samples] = signal
        present[: len(rows)] = True
        return
    for row, column in zip(rows, columns, strict=True):
        if whole[row]:
            out[column, :samples] = signal[row]
            present[column] = True


def _integers(values: np.ndarray | Sequence[int]) -> Int64[Tensor, "B"]:
    return torch.from_numpy(np.asarray(values, dtype=np.int64))
