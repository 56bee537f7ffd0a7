"""One task of the preparation: some recordings of a source become one shard."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from anylead.errors import AnyleadError
from anylead.preparation import Preparation
from anylead.sources.base import RecordRef, Source
from anylead.sources.checksums import check_recording
from anylead.store.quantise import quantise, recording_hash
from anylead.store.remote_tree import RemoteFiles
from anylead.store.shards import Rejection, ShardRow, write_shard
from anylead.store.targets import put_whole

log = logging.getLogger(__name__)


def prepare_shard(
    source: Source,
    refs: Sequence[RecordRef],
    preparation: Preparation,
    target: Path | str,
    files: RemoteFiles | None = None,
) -> None:
    """Reads, prepares and writes the recordings of one shard.

    Args:
        source: The data set.
        refs: Its recordings.
        preparation: Steps.
        target: File of the shard, or its address elsewhere.
        files: What has to be fetched first, where the data set is elsewhere.

    Raises:
        FileError: If the shard cannot be written, or what it needs cannot be fetched.
    """
    if isinstance(target, str):
        with tempfile.TemporaryDirectory(prefix="anylead-") as folder:
            path = Path(folder) / target.rpartition("/")[2]
            prepare_shard(source, refs, preparation, path, files)
            put_whole(path, target)
    elif files is None:
        write_shard(target, _rows(source, refs, preparation))
    else:
        with files.brought(refs) as (brought, folder):
            rows = _rows(source, brought, preparation)
            write_shard(target, (_told(row, folder, files.address) for row in rows))


def _told(row: ShardRow | Rejection, folder: Path, address: str) -> ShardRow | Rejection:
    """Lets a rejection name the data set instead of the folder it was fetched into."""
    if isinstance(row, ShardRow):
        return row
    path, reason = (text.replace(str(folder), address) for text in (row.path, row.reason))
    return replace(row, path=path, reason=reason)


def _rows(
    source: Source, refs: Sequence[RecordRef], preparation: Preparation
) -> Iterator[ShardRow | Rejection]:
    for ref in refs:
        try:
            yield _row(source, ref, preparation)
        except MemoryError:
            raise
        except AnyleadError as error:
            yield Rejection(record_id=ref.record_id, path=str(ref.path), reason=str(error))
        except Exception as error:
            # One strange file among a million must not end the night's run, whatever a parser makes of it.
            log.warning("record %s: %s", ref.record_id, error, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            yield Rejection(record_id=ref.record_id, path=str(ref.path), reason=reason)


def _row(source: Source, ref: RecordRef, preparation: Preparation) -> ShardRow:
    check_recording(ref)
    record = preparation(source.load(ref))
    labels, part = source.labels(ref), source.part(ref)
    # Whatever is not a number becomes a missing count; readers of the store rely on the flag.
    missing = ~np.isfinite(record.signal).all(axis=1)
    record = record.with_flags(
        *(f"missing:{lead}" for lead, yes in zip(record.leads, missing, strict=True) if yes)
    )
    facts: dict[str, Any] = {
        "record_id": ref.record_id,
        "patient_id": ref.patient_id or record.patient_id or ref.record_id,
        "source": part.name,
        "recorded_at": ref.recorded_at or record.recorded_at,
        "fold": ref.fold,
        "leads": list(record.leads),
        "sampling_rate_hz": record.sampling_rate_hz,
        "samples": record.samples,
        "labels": list(labels.codes),
        "labelled": part.labelled or bool(labels.codes),
        "unknown_labels": list(labels.unknown),
        "flags": list(record.flags),
        "hash": recording_hash(record),
        "age_years": record.age_years if ref.age_years is None else ref.age_years,
        "sex": ref.sex or record.sex,
    }
    counts, scale_mv = quantise(record.signal)
    return ShardRow(facts=facts, scale_mv=scale_mv, counts=counts)
