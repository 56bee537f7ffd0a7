"""ECG-ID: 310 recordings of 90 people, lead I, twenty seconds, some on days up to six months apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.formats.wfdb_header import parse_when
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb


@dataclass(frozen=True, kw_only=True)
class EcgId(Source):
    """ECG-ID as published on PhysioNet: ``Person_<number>/rec_<number>.hea`` and ``.dat``.

    Each file has the raw signal (``ECG I``) and one filtered by its makers; the raw one is lead I here and
    the other is dropped. Spikes of electrodes, beyond 10 mV, are kept. Dates are without a time of day.
    """

    name: ClassVar[str] = "ecg-id"
    title: ClassVar[str] = "ECG-ID Database"
    url: ClassVar[str] = "https://physionet.org/content/ecgiddb/1.0.0/"
    licence: ClassVar[str] = "ODC-By 1.0"
    citation: ClassVar[str] = (
        "Lugovaya T., Biometric human identification based on electrocardiogram, Master's thesis, "
        "Electrotechnical University LETI, Saint-Petersburg, 2005."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False
    facts: ClassVar[Facts] = Facts(
        size="310 recordings of 90 people, 20 s",
        leads="I",
        rate="500 Hz",
        download="wget -r -N -c -np https://physionet.org/files/ecgiddb/1.0.0/",
        checksums="SHA256SUMS.txt",
        layout_known_from="files",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by person and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording of a person.
        """
        headers = find_headers(root, "Person_*/rec_*.hea", what="ECG-ID that holds Person_01")
        return [_ref(header) for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads the raw lead I of one recording; see `Source.load`."""
        return load_wfdb(ref).select(["I"])

    def labels(self, ref: RecordRef) -> Labels:
        """Returns no finding: ECG-ID has none."""
        return Labels()


def _ref(path: Path) -> RecordRef:
    header = header_or_none(path)
    person = path.parent.name
    return RecordRef(
        record_id=f"{person}/{path.stem}",
        path=path.with_suffix(""),
        patient_id=f"ecg-id:{person}",
        recorded_at=parse_when(header.fields.get("ecg date", "")) if header else None,
        age_years=header.age_years if header else None,
        sex=header.sex if header else None,
    )
