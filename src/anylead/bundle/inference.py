"""From recordings to rows of numbers: windows, batches, means — a few windows in memory at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.feed.collate import collate
from anylead.feed.windows import windows


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """One piece of one recording."""

    record: int
    """Place of the recording among those asked for."""
    number: int
    """Place of the window in its recording."""
    signal: Float32[np.ndarray, "leads samples"]
    """Millivolts; a lead with a missing sample is absent from the whole window."""
    leads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowRows:
    """What a model gave for one batch of windows."""

    record: Int64[np.ndarray, "B"]
    number: Int64[np.ndarray, "B"]
    values: Float32[np.ndarray, "B E"]


def cut(
    read: Callable[[int, int], np.ndarray],
    *,
    samples: int,
    leads: tuple[str, ...],
    known: tuple[str, ...],
    length: int,
    record: int,
) -> Iterator[Window]:
    """Cuts one recording into windows, the last one ending with it.

    Args:
        read: (start, number of samples) -> (leads, samples) in mV, NaN where missing.
        samples: Length of the recording.
        leads: One name a row of what `read` gives.
        known: Leads to keep.
        length: Samples per window; a shorter recording gives one shorter window.
        record: Place of the recording among those asked for.

    Yields:
        The windows in which at least one lead is present.
    """
    rows = [row for row, name in enumerate(leads) if name in known]
    names = tuple(leads[row] for row in rows)
    for number, (start, count) in enumerate(windows(samples, length=length)):
        signal = read(start, count)[rows]
        if np.isfinite(signal).all(axis=1).any():
            yield Window(record=record, number=number, signal=signal, leads=names)


def run_windows(
    model: Callable[[Batch], Tensor],
    pieces: Iterable[Window],
    *,
    leads: tuple[str, ...],
    sampling_rate_hz: float,
    batch_size: int,
    device: torch.device,
) -> Iterator[WindowRows]:
    """Runs a model over windows, in batches of one length: nothing is padded.

    Args:
        model: Batch -> (B, E).
        pieces: Windows, read as they are needed.
        leads: Leads the model knows, in its order.
        sampling_rate_hz: Of every window.
        batch_size: Windows at a time.
        device: Where the model is.
    """
    for group in _groups(pieces, size=batch_size):
        batch = collate(
            [(piece.signal, piece.leads) for piece in group], leads=leads, sampling_rate_hz=sampling_rate_hz
        )
        with torch.inference_mode():
            values = model(batch.to(device)).float().cpu().numpy()
        yield WindowRows(
            record=np.array([piece.record for piece in group], dtype=np.int64),
            number=np.array([piece.number for piece in group], dtype=np.int64),
            values=values,
        )


def _groups(pieces: Iterable[Window], *, size: int) -> Iterator[list[Window]]:
    """Joins windows of equal length: padding would change what an encoder in reference mode gives."""
    waiting: dict[int, list[Window]] = {}
    for piece in pieces:
        group = waiting.setdefault(piece.signal.shape[1], [])
        group.append(piece)
        if len(group) == size:
            yield waiting.pop(piece.signal.shape[1])
    yield from waiting.values()


def record_means(
    rows: Iterable[WindowRows], count: int
) -> tuple[Float32[np.ndarray, "n E"], Bool[np.ndarray, "n"]]:
    """Averages what a model gave over the windows of each recording.

    Args:
        rows: From `run_windows`.
        count: Number of recordings, n.

    Returns:
        The means, NaN for a recording without a window, and which recordings have one. E is 0 where no
        recording has a window.
    """
    total: np.ndarray | None = None
    seen = np.zeros(count, dtype=np.int64)
    for part in rows:
        if total is None:
            total = np.zeros((count, part.values.shape[1]))
        np.add.at(total, part.record, part.values)
        np.add.at(seen, part.record, 1)
    if total is None:
        total = np.zeros((count, 0))
    with np.errstate(invalid="ignore"):
        means = (total / seen[:, None]).astype(np.float32)
    return means, seen > 0


def stack_rows(
    rows: Iterable[WindowRows],
) -> tuple[Float32[np.ndarray, "W E"], Int64[np.ndarray, "W"]]:
    """Returns one row a window, ordered by recording and time, and the recording of each."""
    parts = list(rows)
    if not parts:
        return np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)
    record = np.concatenate([part.record for part in parts])
    order = np.lexsort((np.concatenate([part.number for part in parts]), record))
    return np.concatenate([part.values for part in parts])[order], record[order]
