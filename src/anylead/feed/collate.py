"""Segments to a Batch."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.errors import InputError

Segment = tuple[np.ndarray, tuple[str, ...]]
"""(leads, samples) millivolts with NaN where a sample is missing, and the names of the rows."""


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
    count = len(segments)
    lengths = np.array([signal.shape[1] for signal, _ in segments], dtype=np.int64)
    longest = int(lengths.max())
    padded = bool((lengths != longest).any())
    # Pages that are never written stay untouched zeros, so this costs nothing where leads are absent.
    out = np.zeros((count, len(leads), longest), dtype=np.float32)
    present = np.zeros((count, len(leads)), dtype=bool)
    columns_of: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
    for place, (signal, names) in enumerate(segments):
        if names not in columns_of:
            columns_of[names] = _columns(names, leads)
        _fill(out[place], present[place], signal, *columns_of[names])
    numbers = np.arange(count, dtype=np.int64)
    return Batch(
        signal=torch.from_numpy(out),
        lead_mask=torch.from_numpy(present),
        sample_mask=torch.from_numpy(np.arange(longest)[None, :] < lengths[:, None]),
        leads=leads,
        sampling_rate_hz=sampling_rate_hz,
        padded=padded,
        row=_integers(numbers if rows is None else rows),
        patient=_integers(numbers if patients is None else patients),
        segment=_integers(np.zeros_like(numbers) if segment is None else segment),
        target=None if target is None else torch.as_tensor(target, dtype=torch.float32),
        identity=None if identity is None else _integers(identity),
    )


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
