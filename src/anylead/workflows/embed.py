"""`anylead embed`: files become a table of embeddings."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from anylead.bundle import Bundle, load
from anylead.errors import AnyleadError, ConfigError
from anylead.formats import read
from anylead.provenance import atomic_path, environment
from anylead.record import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """What to embed, and where to write it.

    Raises:
        ConfigError: If there is no file.
    """

    bundle: Path
    files: tuple[Path, ...]
    """Recordings, one row each."""
    out: Path
    """Parquet file."""
    leads: tuple[str, ...] | None = None
    """Leads to use of each recording; None uses all that the encoder knows."""
    batch_size: int = 64
    """Windows at a time."""
    progress: bool = False
    """Show a progress bar on standard error."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError("embed: got no file; name at least one recording.")


@dataclass(frozen=True, kw_only=True)
class EmbedSummary:
    """What `embed` did."""

    out: Path | None
    """The table; None where every file failed, and nothing was written."""
    embedded: int
    failed: tuple[tuple[Path, str], ...]
    """Each file that could not be embedded, with the reason."""


def embed(config: EmbedConfig) -> EmbedSummary:
    """Writes one row a recording: id, path, leads used, flags, embedding.

    A file that cannot be embedded is named in the summary and the rest goes on. The schema's metadata holds
    the fingerprint of the bundle, so that embeddings of two bundles are not mixed by mistake.

    Raises:
        BundleError: If the bundle cannot be read.
        FileError: If the table cannot be written; nothing is changed then.
    """
    bundle = load(config.bundle)
    rows: list[dict[str, Any]] = []
    failed: list[tuple[Path, str]] = []
    for path in tqdm(config.files, desc="embedding", unit="recording", disable=not config.progress):
        try:
            rows.append(_row(bundle, path, config))
        except AnyleadError as error:
            logger.warning("%s is left out: %s", path, error)
            failed.append((path, str(error)))
    if rows:
        _write(rows, bundle, config.out)
    return EmbedSummary(out=config.out if rows else None, embedded=len(rows), failed=tuple(failed))


def _row(bundle: Bundle, path: Path, config: EmbedConfig) -> dict[str, Any]:
    record = read(path)
    if config.leads is not None:
        record = record.select(config.leads)
    prepared: Record = bundle.preparation(record)
    return {
        "record_id": record.record_id,
        "path": str(path),
        "leads": [name for name in prepared.leads if name in bundle.encoder.leads],
        "flags": list(prepared.flags),
        "embedding": bundle.embed(record, batch_size=config.batch_size)[0],
    }


def _write(rows: Sequence[dict[str, Any]], bundle: Bundle, out: Path) -> None:
    vectors = np.stack([row["embedding"] for row in rows]).astype(np.float32)
    strings = pa.list_(pa.string())
    columns = {
        "record_id": pa.array(_column(rows, "record_id"), pa.string()),
        "path": pa.array(_column(rows, "path"), pa.string()),
        "leads": pa.array(_column(rows, "leads"), strings),
        "flags": pa.array(_column(rows, "flags"), strings),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
    }
    facts = {
        "bundle": bundle.fingerprint(),
        "readout": {"layer": bundle.manifest.readout.layer, "pooling": bundle.manifest.readout.pooling},
        "environment": environment(),
    }
    table = pa.table(columns).replace_schema_metadata({"anylead": json.dumps(facts, default=str)})
    with atomic_path(out) as temporary:
        pq.write_table(table, temporary)


def _column(rows: Iterable[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]
