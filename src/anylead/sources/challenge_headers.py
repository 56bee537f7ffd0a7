"""Headers as the PhysioNet/CinC Challenges write them: Age, Sex and Dx comments, Dx in SNOMED CT codes.

Their dates are those of the Challenge's conversion, the same for whole databases, and are not given out as
dates of recording.
"""

from pathlib import Path

from anylead.sources.base import Labels, RecordRef
from anylead.sources.wfdb_tree import header_or_none, sort_labels


def challenge_ref(header: Path, family: str) -> RecordRef:
    """Returns the reference of one recording; nobody publishes its patient, so it counts as one.

    Args:
        header: The ``.hea`` file.
        family: The database, first part of the patient's id, the same wherever this recording is released.
    """
    known = header_or_none(header)
    return RecordRef(
        record_id=header.stem,
        path=header.with_suffix(""),
        patient_id=f"{family}:{header.stem}",
        age_years=known.age_years if known else None,
        sex=known.sex if known else None,
        details={"dx": known.fields.get("dx", "") if known else ""},
    )


def challenge_labels(ref: RecordRef) -> Labels:
    """Returns the codes of the header's Dx line, scored or not."""
    return sort_labels(ref.details["dx"].split(","))
