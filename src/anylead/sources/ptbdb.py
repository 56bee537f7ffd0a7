"""PTB Diagnostic: 549 recordings of 290 people, some in several sessions, fifteen leads at 1000 Hz."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.formats.wfdb_header import parse_when
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.snomed import CODES
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb, sort_labels

_LABELS: dict[str, tuple[str, ...]] = {
    "myocardial infarction": (CODES["MI"],),
    "bundle branch block": (CODES["BBB"],),
    "healthy control": (),
    "n/a": (),
}
"""Reason for admission -> codes. The others are diseases of a person, not findings of an ECG, and unknown."""


@dataclass(frozen=True, kw_only=True)
class Ptbdb(Source):
    """The PTB Diagnostic ECG Database: ``patient<number>/s<number><kind>.hea``, ``.dat`` and ``.xyz``.

    The twelve standard leads come with the three of Frank, ``vx``, ``vy`` and ``vz``. The header tells why
    the patient was admitted, which is no description of the recording: one without a code is unlabelled. Its
    copy in the Challenge 2021, ``ptb``, has other names and no patients; use one of the two.
    """

    name: ClassVar[str] = "ptbdb"
    title: ClassVar[str] = "PTB Diagnostic ECG Database"
    url: ClassVar[str] = "https://physionet.org/content/ptbdb/1.0.0/"
    licence: ClassVar[str] = "ODC-By 1.0"
    citation: ClassVar[str] = (
        "Bousseljot R., Kreiseler D., Schnabel A., Nutzung der EKG-Signaldatenbank CARDIODAT der PTB über "
        "das Internet, Biomedizinische Technik 40(S1):317, 1995, doi:10.13026/C28C71."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False
    facts: ClassVar[Facts] = Facts(
        size="549 recordings of 290 people, 32 s to 2 min",
        leads="12, vx, vy, vz",
        rate="1000 Hz",
        download="wget -r -N -c -np https://physionet.org/files/ptbdb/1.0.0/",
        checksums="SHA256SUMS.txt",
        layout_known_from="documentation",
        layout_page="https://github.com/vlbthambawita/ECGBench/blob/main/ecgbench/labels/ptbdb.py",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by patient and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording of a patient.
        """
        headers = find_headers(root, "patient*/*.hea", what="PTB Diagnostic that holds patient001")
        return [_ref(header) for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the reason for admission."""
        return sort_labels([ref.details["reason"].lower()], _LABELS)


def _ref(path: Path) -> RecordRef:
    header = header_or_none(path)
    fields = header.fields if header else {}
    patient = path.parent.name
    return RecordRef(
        record_id=f"{patient}/{path.stem}",
        path=path.with_suffix(""),
        patient_id=f"ptbdb:{patient}",
        recorded_at=parse_when(fields.get("ecg date", "")),
        age_years=header.age_years if header else None,
        sex=header.sex if header else None,
        details={"reason": fields.get("reason for admission", "")},
    )
