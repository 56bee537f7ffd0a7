"""`anylead embed`: files, folders and stores become a table of embeddings."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from anylead.bundle.inference import Window, record_means
from anylead.bundle.on_store import require_own_steps, windows_in
from anylead.encoders.base import device_of
from anylead.errors import AnyleadError, ConfigError
from anylead.export import OnnxNetwork
from anylead.formats import read
from anylead.provenance import atomic_path, environment
from anylead.record import Record
from anylead.sources.base import RecordRef
from anylead.sources.files import Files
from anylead.store import Store
from anylead.store.layout import MANIFEST, PREPARING
from anylead.workflows.export_onnx import default_file

logger = logging.getLogger(__name__)

_COLUMNS = {
    "record_id": pa.string(),
    "path": pa.string(),
    "patient_id": pa.string(),
    "split": pa.string(),
    "source": pa.string(),
    "labels": pa.list_(pa.string()),
    "leads": pa.list_(pa.string()),
    "flags": pa.list_(pa.string()),
}
"""Beside the embedding; null where it is not known. A file has neither split nor source."""


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """What to embed, and where to write it.

    Raises:
        ConfigError: If there is no file, or an option does not belong to the runtime.
    """

    bundle: Path
    files: tuple[Path, ...]
    """Recordings, folders of recordings, and stores; one row a recording."""
    out: Path
    """Parquet file."""
    leads: tuple[str, ...] | None = None
    """Leads to use of each recording, which must have them; None uses all that the encoder knows."""
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
    """Writes one row a recording: id, path, patient, split, source, labels, leads used, flags, embedding.

    Recordings of files come first, then those of stores; windows of several make one batch. A recording that
    cannot be embedded is named in the summary and the rest goes on. Of a folder every
    recording is taken, as the source ``files`` finds it; of a store every row, without reading a file again.
    The schema's metadata holds the fingerprint of the bundle, so that embeddings of two bundles are not mixed
    by mistake.

    Raises:
        BundleError: If the bundle cannot be read.
        ConfigError: If onnxruntime is asked for and is not installed.
        StoreError: If a store cannot be read, or was prepared by other steps than the bundle's.
        FileError: If the table cannot be written, and nothing is changed then; or the ONNX file cannot be
            read, or was made of another bundle; or a folder holds no recording.
    """
    bundle = load(config.bundle)
    reader, network = _reader(bundle, config)
    files: list[RecordRef] = []
    stores: list[Store] = []
    for path in config.files:  # a mistake is said before the first recording is read
        found = _found(bundle, path)
        if isinstance(found, Store):
            stores.append(found)
        else:
            files += found
    rows: list[dict[str, Any]] = []
    failed: list[tuple[Path, str]] = []
    if files:
        _add_files(bundle, reader, files, config, rows, failed)
    for store in stores:
        _add_store(bundle, reader, store, config, rows, failed)
    for path, reason in failed:
        logger.warning("%s is left out: %s", path, reason)
    if rows:
        _write(rows, bundle, network, config.out)
    return EmbedSummary(out=config.out if rows else None, embedded=len(rows), failed=tuple(failed))


def _found(bundle: Bundle, path: Path) -> Store | Sequence[RecordRef]:
    """Returns what an argument names: a store, or the recordings of a folder; a file stands for itself."""
    if not path.is_dir():
        return [RecordRef(record_id="", path=path, patient_id="")]
    if not (path / MANIFEST).exists() and not (path / PREPARING).exists():
        return Files().scan(path)
    store = Store.open(path)
    require_own_steps(bundle, store)
    return store


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


def _add_files(
    bundle: Bundle,
    reader: Callable[[Batch], Tensor],
    refs: Sequence[RecordRef],
    config: EmbedConfig,
    rows: list[dict[str, Any]],
    failed: list[tuple[Path, str]],
) -> None:
    facts: dict[int, dict[str, Any]] = {}

    def windows() -> Iterator[Window]:
        for number, ref in enumerate(
            tqdm(refs, desc="embedding", unit="recording", disable=not config.progress)
        ):
            try:
                record = _read(ref, config.leads)
                found = _facts(bundle, ref, record)
                # What cannot be cut is refused before its first window.
                yield from (replace(window, record=number) for window in bundle.windows_of([record]))
                facts[number] = found
            except AnyleadError as error:
                failed.append((ref.path, str(error)))

    means, _ = record_means(bundle.run(reader, windows(), batch_size=config.batch_size), len(refs))
    rows += [found | {"embedding": means[number]} for number, found in facts.items()]


def _read(ref: RecordRef, leads: tuple[str, ...] | None) -> Record:
    """Reads a recording of a folder, or a file that stands for itself."""
    record = Files().load(ref) if ref.record_id else read(ref.path)
    return record if leads is None else record.select(leads)


def _facts(bundle: Bundle, ref: RecordRef, record: Record) -> dict[str, Any]:
    prepared: Record = bundle.preparation(record)
    return {
        "record_id": record.record_id,
        "path": str(ref.path),
        "patient_id": record.patient_id,
        "labels": list(Files().labels(ref).codes) if ref.record_id else None,
        "leads": [name for name in prepared.leads if name in bundle.encoder.leads],
        "flags": list(prepared.flags),
    }


def _add_store(
    bundle: Bundle,
    reader: Callable[[Batch], Tensor],
    store: Store,
    config: EmbedConfig,
    rows: list[dict[str, Any]],
    failed: list[tuple[Path, str]],
) -> None:
    reasons = {row: _unusable(bundle, store, row, config.leads) for row in range(len(store))}
    usable = [row for row, reason in reasons.items() if not reason]
    progress = partial(tqdm, desc="embedding", unit="recording", disable=not config.progress)
    windows = windows_in(bundle, store, usable, lead_set=config.leads, progress=progress)
    means, present = record_means(bundle.run(reader, windows, batch_size=config.batch_size), len(usable))
    for place, row in enumerate(usable):
        if present[place]:
            rows.append(_stored_row(bundle, store, row, config.leads) | {"embedding": means[place]})
        else:
            length = f"{bundle.manifest.window_s:g}"
            reasons[row] = f"no window of {length} s has a complete lead; prepare it with fewer gaps."
    ids = store.column("record_id")
    failed += [(store.path / ids[row], f"record {ids[row]}: {why}") for row, why in reasons.items() if why]


def _unusable(bundle: Bundle, store: Store, row: int, leads: tuple[str, ...] | None) -> str:
    """Returns why a recording of a store cannot be embedded; nothing where it can."""
    has = store.leads[row]
    missing = [name for name in leads or () if name not in has]
    if missing:
        return f"lead {', '.join(missing)} is not recorded; it has {', '.join(has)}."
    if not _used(bundle, has, leads):
        return f"none of its leads ({', '.join(has)}) is known to the encoder; embed another recording."
    if bundle.encoder.num_tokens(store.column("samples")[row]) < 1:
        return (
            f"its {store.column('samples')[row]} samples are too few for the encoder; it needs 1 s or more."
        )
    return ""


def _used(bundle: Bundle, has: Sequence[str], leads: tuple[str, ...] | None) -> list[str]:
    return [name for name in has if name in bundle.encoder.leads and (leads is None or name in leads)]


def _stored_row(bundle: Bundle, store: Store, row: int, leads: tuple[str, ...] | None) -> dict[str, Any]:
    names = ("record_id", "patient_id", "split", "source", "labels", "flags")
    facts = {name: store.column(name)[row] for name in names}
    return facts | {"path": str(store.path), "leads": _used(bundle, store.leads[row], leads)}


def _write(rows: Sequence[dict[str, Any]], bundle: Bundle, network: Mapping[str, str], out: Path) -> None:
    vectors = np.stack([row["embedding"] for row in rows]).astype(np.float32)
    columns: dict[str, pa.Array] = {
        name: pa.array([row.get(name) for row in rows], kind) for name, kind in _COLUMNS.items()
    }
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    facts = {
        "bundle": bundle.fingerprint(),
        "readout": {"layer": bundle.manifest.readout.layer, "pooling": bundle.manifest.readout.pooling},
        "network": network,
        "environment": environment(),
    }
    table = pa.table(columns).replace_schema_metadata({"anylead": json.dumps(facts, default=str)})
    with atomic_path(out) as temporary:
        pq.write_table(table, temporary)
