"""CPSC2018 as the Challenges 2020 and 2021 released it, with SNOMED CT codes: 6,877 recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.challenge_headers import challenge_labels, challenge_ref
from anylead.sources.wfdb_tree import find_headers, load_wfdb


@dataclass(frozen=True, kw_only=True)
class Cpsc2018(Source):
    """The folder of this one database: ``A<number>.hea`` and ``.mat``, in folders ``g<number>`` or without.

    Patients are not published, so each recording counts as one, under the same id as in `Cinc2021`, which
    reads it together with the others, and in `Cinc2020`, the early release with abbreviations for codes.
    """

    name: ClassVar[str] = "cpsc-2018"
    title: ClassVar[str] = "China Physiological Signal Challenge 2018"
    url: ClassVar[str] = "https://physionet.org/content/challenge-2021/1.0.3/"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Liu F. et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm "
        "and Morphology Abnormality Detection, J. Med. Imaging Health Inform. 8(7):1368-1373, 2018."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="6,877 recordings, 6 to 60 s",
        leads="12",
        rate="500 Hz",
        download="wget -r -N -c -np https://physionet.org/files/challenge-2021/1.0.3/training/cpsc_2018/",
        layout_known_from="files",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by folder and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording.
        """
        headers = find_headers(root, "**/A*.hea", what="CPSC2018 with its A0001.hea")
        return [challenge_ref(header, "cpsc_2018") for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the header's Dx line, scored or not."""
        return challenge_labels(ref)
