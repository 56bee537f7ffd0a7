"""Taking out of a recording who it is of, with a key that only its holder has."""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta

from anylead.errors import ConfigError
from anylead.record import Record

MINIMUM_KEY_BYTES = 16
"""A shorter key can be found by trying."""
OLDEST_AGE_YEARS = 90.0
"""Ages above 89 are rare enough to tell who somebody is; all of them become this."""
_SHIFT_DAYS = (365, 3650)


def check_key(key: bytes) -> None:
    """Refuses a key that can be guessed.

    Raises:
        ConfigError: If it has fewer than `MINIMUM_KEY_BYTES` bytes.
    """
    if len(key) < MINIMUM_KEY_BYTES:
        raise ConfigError(
            f"deidentify: the key has {len(key)} bytes; give at least {MINIMUM_KEY_BYTES} random ones, such "
            "as from `openssl rand -hex 32`."
        )


def keyed_hash(key: bytes, purpose: str, text: str) -> str:
    """Returns 16 hexadecimal digits of HMAC-SHA-256: the same for the same key, purpose and text."""
    return hmac.new(key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()[:16]


def shift_days(key: bytes, patient_id: str) -> int:
    """Returns by how many days, 1 to 10 years, all dates of a patient go back."""
    first, last = _SHIFT_DAYS
    return first + int(keyed_hash(key, "date", patient_id), 16) % (last - first + 1)


def deidentify(record: Record, key: bytes) -> Record:
    """Returns a recording without what names its patient.

    The ids become keyed hashes; the date goes back by an amount that is one for all recordings of a patient,
    or the recording's own where the patient is not known; an age above 89 becomes 90; flags, which may quote
    free text of the file, are dropped. Samples, names of leads, sex and time of day stay.

    Raises:
        ConfigError: If the key is too short.
    """
    check_key(key)
    person = f"record {record.record_id}" if record.patient_id is None else f"patient {record.patient_id}"
    when, age = record.recorded_at, record.age_years
    return replace(
        record,
        record_id=keyed_hash(key, "record", record.record_id),
        patient_id=None if record.patient_id is None else keyed_hash(key, "patient", record.patient_id),
        recorded_at=None if when is None else when - timedelta(days=shift_days(key, person)),
        age_years=OLDEST_AGE_YEARS if age is not None and age >= OLDEST_AGE_YEARS else age,
        flags=(),
    )
