"""info: what a file, a store, a run or a bundle is, in about fifteen lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from anylead.bundle import read_manifest
from anylead.engine.checkpoint import checkpoints
from anylead.engine.run_log import FILE_NAME, read_run_log
from anylead.errors import FileError
from anylead.formats import identify, read, stored_unit
from anylead.leads import STANDARD_12
from anylead.preparation.flag_quality import FlagQuality
from anylead.record import Record
from anylead.signal.quality import missing_share
from anylead.store import Store
from anylead.store.addresses import locate
from anylead.store.layout import MANIFEST, PREPARING

BUNDLE_FILE = "config.json"
RUN_FILES = ("config.yaml", "config.json", FILE_NAME, "environment.json")


def info(
    path: str | Path,
    *,
    fs: float | int | None = None,
    unit: str | None = None,
    leads: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Says what is at a path.

    Args:
        path: A recording, or the folder of a store, a run or a bundle.
        fs: Sampling rate in Hz, of a table or an array that does not say it.
        unit: Unit of voltage, likewise.
        leads: Names of the leads, likewise.

    Returns:
        Plain values, ``kind`` first: ``record``, ``store``, ``run`` or ``bundle``.

    Raises:
        FileError: If there is nothing, or nothing that is known.
        RecordFileError: If it is a recording that cannot be read.
        StoreError: If it is a store that cannot be read.
        BundleError: If it is a bundle that cannot be read.
    """
    place = locate(path)
    if isinstance(place, str):
        return _store(Store.open(place))  # nothing else is read from elsewhere
    path = place
    if not path.is_dir():
        known = identify(path)
        record = read(path, fs=fs, unit=unit, leads=leads)
        return {
            "kind": "record",
            "format": known.name,
            **_record(record, unit or stored_unit(path) or "mV"),
        }
    if (path / MANIFEST).exists() or (path / PREPARING).exists():
        return _store(Store.open(path))
    if _is_bundle(path):
        return _bundle(path)
    if any((path / name).is_file() for name in RUN_FILES):
        return _run(path)
    raise FileError(
        f"{path}: the folder is neither a store, nor a run, nor a bundle; give one of them, or a recording."
    )


def lines(facts: Mapping[str, Any]) -> list[str]:
    """Lays facts out for reading, one a line."""
    shown = {name: _text(value) for name, value in facts.items() if value not in (None, "", [], {}, ())}
    width = max(map(len, shown))
    return [f"{name.replace('_', ' '):<{width}}  {text}" for name, text in shown.items()]


def _record(record: Record, unit: str) -> dict[str, Any]:
    finite = np.isfinite(record.signal)
    present = record.signal[finite]
    extremes = [round(float(present.min()), 3), round(float(present.max()), 3)] if present.size else None
    return {
        "record_id": record.record_id,
        "patient_id": record.patient_id,
        "recorded_at": record.recorded_at.isoformat() if record.recorded_at else None,
        "age_years": record.age_years,
        "sex": record.sex,
        "leads": list(record.leads),
        "standard_leads_absent": [lead for lead in STANDARD_12 if lead not in record.leads],
        "sampling_rate_hz": record.sampling_rate_hz,
        "samples": record.samples,
        "duration_s": round(record.duration_s, 3),
        "unit_as_stored": unit,
        "range_mv": extremes,
        "missing_samples": int((~finite).sum()),
        "quality": _quality(record),
        "flags": list(record.flags),
    }


def _quality(record: Record) -> list[str]:
    """Returns ``flat:<lead>`` and ``saturated:<lead>`` as `prepare` flags them, and ``missing:<lead>``."""
    shares = zip(record.leads, missing_share(record.signal), strict=True)
    missing = [f"missing:{lead}" for lead, share in shares if share > 0]
    return [flag for flag in FlagQuality()(record).flags if flag not in record.flags] + missing


def _store(store: Store) -> dict[str, Any]:
    manifest, counts = store.manifest, store.manifest.counts
    labels = sorted({label for labels in store.column("labels") for label in labels})
    rates = sorted(set(store.column("sampling_rate_hz")))
    steps = manifest.preparation.get("steps", [])
    return {
        "kind": "store",
        "path": str(store.path),
        "format": manifest.format,
        "source": manifest.source,
        "source_options": manifest.source_options,
        "recordings": len(store),
        "persons": counts.get("persons"),
        "patients_known": manifest.patients_known,
        "recordings_of_unknown_patients": counts.get("patients_unknown"),
        "hours": counts.get("hours"),
        "rejected": counts.get("rejected"),
        "splits": {name: part["recordings"] for name, part in counts.get("splits", {}).items()},
        "sampling_rate_hz": rates[0] if len(rates) == 1 else rates,
        "leads": sorted({",".join(leads) for leads in store.leads}),
        "labels": len(labels) if manifest.labelled or labels else None,
        "unknown_labels": len(counts.get("unknown_labels", {})),
        "flags": counts.get("flags"),
        "preparation": [_step(step) for step in steps],
        "licence": manifest.licence,
        "fingerprint": manifest.fingerprint,
        "made_by": _made_by(manifest.provenance),
    }


def _bundle(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    return {
        "kind": "bundle",
        "path": str(path),
        "format": manifest.format,
        "encoder": manifest.encoder_kind,
        "encoder_options": dict(manifest.encoder),
        "leads": list(manifest.leads),
        "sampling_rate_hz": manifest.sampling_rate_hz,
        "window_s": manifest.window_s,
        "readout": str(manifest.readout),
        "heads": {
            name: f"{head.kind}, {len(head.classes)} classes"
            + (f", leads {head.leads}" if head.leads else "")
            for name, head in manifest.heads.items()
        },
        "preparation": [_step(step) for step in manifest.preparation.get("steps", [])],
        "weights_mb": round((path / "model.safetensors").stat().st_size / 1e6, 3),
        "numbers": dict(manifest.numbers),
        "imported": dict(manifest.provenance.get("imported") or {}),
        "made_by": _made_by(manifest.provenance),
    }


def _run(path: Path) -> dict[str, Any]:
    log = read_run_log(path)
    saved = checkpoints(path / "checkpoints") or checkpoints(path)
    last = log[-1] if log else {}
    bundles = sorted(
        str(p.parent.relative_to(path)) for p in path.glob(f"*/{BUNDLE_FILE}") if _is_bundle(p.parent)
    )
    environment = _read(path / "environment.json")
    return {
        "kind": "run",
        "path": str(path),
        "steps": last.get("step"),
        "last": {name: value for name, value in last.items() if name != "step"},
        "checkpoints": [file.name for file in saved],
        "bundles": bundles,
        "configuration": _read(path / "config.yaml") or _read(path / "config.json"),
        "made_by": _made_by(environment),
    }


def _step(step: Mapping[str, Any]) -> str:
    options = " ".join(f"{name}={value}" for name, value in step.items() if name != "kind")
    return f"{step.get('kind')}({options})" if options else str(step.get("kind"))


def _is_bundle(path: Path) -> bool:
    # A run may hold a config.json of its own; that of a bundle names the encoder.
    values = _read(path / BUNDLE_FILE)
    return "encoder_kind" in values or (path / "model.safetensors").exists()


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FileError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); the folder is damaged."
        ) from error
    return values if isinstance(values, dict) else {}


def _made_by(provenance: Mapping[str, Any]) -> str | None:
    if not provenance:
        return None
    parts = [
        f"anylead {provenance.get('anylead', 'unknown')}",
        provenance.get("commit"),
        provenance.get("time"),
    ]
    return ", ".join(str(part) for part in parts if part)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        flat = all(not isinstance(item, Mapping | list) for item in value.values())
        inside = ", ".join(f"{k} {v}" for k, v in value.items()) if flat else json.dumps(value, default=str)
        return _shortened(inside)
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = list(map(str, value))
        return _shortened(("; " if any("," in item for item in items) else ", ").join(items))
    return str(value)


def _shortened(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... (--json shows all)"
