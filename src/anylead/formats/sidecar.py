"""Writing the sidecar of a table: rate, unit, leads, and what is known of the patient.

`anylead.formats.description` reads it back.
"""

from pathlib import Path

import numpy as np

from anylead.provenance import write_json
from anylead.record import Record


def write_sidecar(record: Record, path: Path) -> None:
    """Writes ``x.json`` beside the table ``x.csv`` or ``x.parquet``.

    Raises:
        FileError: If the disk refuses.
    """
    known = {
        "patient_id": record.patient_id,
        "recorded_at": None if record.recorded_at is None else record.recorded_at.isoformat(),
        "age_years": record.age_years,
        "sex": record.sex,
    }
    described = {
        "sampling_rate_hz": record.sampling_rate_hz,
        "unit": "mV",
        "leads": list(record.leads),
    }
    write_json(
        path.with_suffix(".json"),
        described | {name: value for name, value in known.items() if value is not None},
    )


def columns(record: Record) -> dict[str, np.ndarray]:
    """Returns the millivolts of each lead, NaN where a sample is missing or infinite."""
    return {
        lead: np.where(np.isfinite(row), row, np.float32(np.nan))
        for lead, row in zip(record.leads, record.signal, strict=True)
    }
