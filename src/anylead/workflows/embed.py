"""`anylead embed`: files become a table of embeddings."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from tqdm import tqdm

from anylead.batch import Batch
from anylead.bundle import Bundle, load
from anylead.bundle.inference import record_means
from anylead.encoders.base import device_of
from anylead.errors import AnyleadError, ConfigError
from anylead.export import OnnxNetwork
from anylead.formats import read
from anylead.provenance import atomic_path, environment
from anylead.record import Record
from anylead.workflows.export_onnx import default_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """What to embed, and where to write it.

    Raises:
        ConfigError: If there is no file, or an option does not belong to the runtime.
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
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the encoder; recordings are prepared, cut and averaged in the same way."""
    model: Path | None = None
    """File from `anylead export onnx`, for the runtime onnx; model.onnx in the bundle's folder where None."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the runtime torch; an ONNX file has its own."""
    progress: bool = False
    """Show a progress bar on standard error."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError("embed: got no file; name at least one recording.")
        if self.runtime == "torch" and self.model is not None:
            raise ConfigError(f"embed: {self.model} is for the runtime onnx; add --runtime onnx.")
        if self.runtime == "onnx" and self.precision != "float32":
            raise ConfigError(
                "embed: the precision of the runtime onnx is that of its file; leave --precision out and "
                "export a file with it."
            )


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
        ConfigError: If onnxruntime is asked for and is not installed.
        FileError: If the table cannot be written, and nothing is changed then; or the ONNX file cannot be
            read, or was made of another bundle.
    """
    bundle = load(config.bundle)
    reader, network = _reader(bundle, config)
    rows: list[dict[str, Any]] = []
    failed: list[tuple[Path, str]] = []
    for path in tqdm(config.files, desc="embedding", unit="recording", disable=not config.progress):
        try:
            rows.append(_row(bundle, reader, path, config))
        except AnyleadError as error:
            logger.warning("%s is left out: %s", path, error)
            failed.append((path, str(error)))
    if rows:
        _write(rows, bundle, network, config.out)
    return EmbedSummary(out=config.out if rows else None, embedded=len(rows), failed=tuple(failed))


def _reader(bundle: Bundle, config: EmbedConfig) -> tuple[Callable[[Batch], Tensor], dict[str, str]]:
    """Returns what makes embeddings of a batch, and what the table says of it."""
    if config.runtime == "onnx":
        network = OnnxNetwork(config.model or default_file(config.bundle))
        network.require_bundle(bundle)
        return network.reader(), {"runtime": "onnx", "precision": network.contract.precision}
    read_batch = bundle.reader()

    def read_in_precision(batch: Batch) -> Tensor:
        enabled = config.precision == "bfloat16"
        with torch.autocast(device_of(bundle.encoder).type, dtype=torch.bfloat16, enabled=enabled):
            return read_batch(batch)

    return read_in_precision, {"runtime": "torch", "precision": config.precision}


def _row(
    bundle: Bundle, reader: Callable[[Batch], Tensor], path: Path, config: EmbedConfig
) -> dict[str, Any]:
    record = read(path)
    if config.leads is not None:
        record = record.select(config.leads)
    prepared: Record = bundle.preparation(record)
    windows = bundle.run(reader, bundle.windows_of([record]), batch_size=config.batch_size)
    return {
        "record_id": record.record_id,
        "path": str(path),
        "leads": [name for name in prepared.leads if name in bundle.encoder.leads],
        "flags": list(prepared.flags),
        "embedding": record_means(windows, 1)[0][0],
    }


def _write(rows: Sequence[dict[str, Any]], bundle: Bundle, network: Mapping[str, str], out: Path) -> None:
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
        "network": network,
        "environment": environment(),
    }
    table = pa.table(columns).replace_schema_metadata({"anylead": json.dumps(facts, default=str)})
    with atomic_path(out) as temporary:
        pq.write_table(table, temporary)


def _column(rows: Iterable[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]
