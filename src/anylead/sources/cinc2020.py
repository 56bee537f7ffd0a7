"""CPSC2018 in the early release of the PhysioNet/CinC Challenge 2020: abbreviations instead of codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.snomed import CODES
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb, sort_labels

_LABELS: dict[str, tuple[str, ...]] = {
    "Normal": (CODES["NSR"],),
    "AF": (CODES["AF"],),
    "I-AVB": (CODES["IAVB"],),
    "LBBB": (CODES["LBBB"],),
    "RBBB": (CODES["RBBB"],),
    "PAC": (CODES["PAC"],),
    "PVC": (CODES["VEB"],),
    "STD": (CODES["STD"],),
    "STE": (CODES["STE"],),
}
"""The nine classes of CPSC2018, with the codes the Challenge gave them afterwards. The code for PVC is
that of ventricular ectopics, not among those it scores."""


@dataclass(frozen=True, kw_only=True)
class Cinc2020(Source):
    """CPSC2018, 6,877 recordings of 6 to 60 seconds: ``A0001.hea`` and ``A0001.mat`` in a folder or below it.

    Patients are not published, so each recording counts as one, under the same id as the same recording in
    ``cpsc_2018`` of `Cinc2021`. The dates of the headers are those of the conversion and are not given out.
    """

    name: ClassVar[str] = "cinc2020"
    title: ClassVar[str] = "CPSC2018, as first released for the PhysioNet/CinC Challenge 2020"
    url: ClassVar[str] = "https://physionet.org/content/challenge-2020/1.0.2/"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Liu F. et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm "
        "and Morphology Abnormality Detection, J. Med. Imaging Health Inform. 8(7):1368-1373, 2018; "
        "Perez Alday E. et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology "
        "Challenge 2020, Physiol. Meas. 41:124003, 2020."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="6,877 recordings, 6 to 60 s",
        leads="12",
        rate="500 Hz",
        layout_known_from="files",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording.
        """
        return [
            _ref(header) for header in find_headers(root, "**/A*.hea", what="CPSC2018 with its A0001.hea")
        ]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the abbreviations of the header's Dx line."""
        return sort_labels(ref.details["dx"].split(","), _LABELS)


def _ref(path: Path) -> RecordRef:
    header = header_or_none(path)
    return RecordRef(
        record_id=path.stem,
        path=path.with_suffix(""),
        patient_id=f"cpsc_2018:{path.stem}",
        age_years=header.age_years if header else None,
        sex=header.sex if header else None,
        details={"dx": header.fields.get("dx", "") if header else ""},
    )
