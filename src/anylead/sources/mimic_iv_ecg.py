"""MIMIC-IV-ECG: 800,035 recordings of 161,352 people, ten seconds, twelve leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.tables import read_refs
from anylead.sources.wfdb_tree import load_wfdb

TABLE = "record_list.csv"


@dataclass(frozen=True, kw_only=True)
class MimicIvEcg(Source):
    """MIMIC-IV-ECG as published: `TABLE` names subject, study, time and WFDB record of every row.

    The files hold aVF before aVL; leads go by name here, so that does not matter. Dates are shifted, each
    patient's by one amount, so days between two recordings of a person are true. The machine's report in
    ``machine_measurements.csv`` is free text, which is not read: there are no findings.
    """

    name: ClassVar[str] = "mimic-iv-ecg"
    title: ClassVar[str] = "MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset"
    url: ClassVar[str] = "https://physionet.org/content/mimic-iv-ecg/1.0/"
    licence: ClassVar[str] = "ODbL 1.0 (as its copies say; read the page)"
    citation: ClassVar[str] = (
        "Gow B., Pollard T., Nathanson L. et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset "
        "(version 1.0), PhysioNet, 2023, doi:10.13026/4nqg-sb35."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False
    facts: ClassVar[Facts] = Facts(
        size="800,035 recordings of 161,352 people, 10 s",
        leads="12",
        rate="500 Hz",
        download="wget -r -N -c -np https://physionet.org/files/mimic-iv-ecg/1.0/",
        checksums="SHA256SUMS.txt",
        layout_known_from="documentation",
        layout_page="https://mimic.mit.edu/docs/iv/modules/ecg/record_list",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table, in its order; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood.
        """
        return read_refs(root, TABLE, lambda row: _ref(root, row), what=f"MIMIC-IV-ECG that holds {TABLE}")

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns no finding: only a free-text report is published."""
        return Labels()


def _ref(root: Path, row: Mapping[str, str]) -> RecordRef:
    return RecordRef(
        record_id=str(int(row["study_id"])),
        path=root / row["path"].strip(),
        patient_id=f"mimic-iv:{int(row['subject_id'])}",
        recorded_at=datetime.fromisoformat(row["ecg_time"].strip()),
    )
