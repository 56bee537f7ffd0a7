"""Chapman-Shaoxing and Ningbo as released on PhysioNet: 45,152 recordings, ten seconds, twelve leads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.challenge_headers import challenge_labels, challenge_ref
from anylead.sources.wfdb_tree import find_headers, load_wfdb

LAST_OF_CHAPMAN = 10646
"""JS00001 to JS10646 are Chapman-Shaoxing's, and the later numbers Ningbo's."""


@dataclass(frozen=True, kw_only=True)
class EcgArrhythmia(Source):
    """A large scale 12-lead ECG database: ``WFDBRecords/<group>/<group>/JS<number>.hea`` and ``.mat``.

    Headers are those of the Challenge. Patient ids are not published, so each recording counts as one person,
    under the same id as the same recording in ``chapman_shaoxing`` and ``ningbo`` of `Cinc2021`.
    """

    name: ClassVar[str] = "ecg-arrhythmia"
    title: ClassVar[str] = "A large scale 12-lead electrocardiogram database for arrhythmia study"
    url: ClassVar[str] = "https://physionet.org/content/ecg-arrhythmia/1.0.0/"
    licence: ClassVar[str] = "see https://physionet.org/content/ecg-arrhythmia/1.0.0/LICENSE.txt"
    citation: ClassVar[str] = (
        "Zheng J. et al., Optimal Multi-Stage Arrhythmia Classification Approach, Scientific Reports "
        "10:2898, 2020, doi:10.1038/s41598-020-59821-7; Zheng J., Guo H., Chu H., PhysioNet, 2022, "
        "doi:10.13026/wgex-er52."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="45,152 recordings, 10 s",
        leads="12",
        rate="500 Hz",
        download="wget -r -N -c -np https://physionet.org/files/ecg-arrhythmia/1.0.0/",
        checksums="SHA256SUMS.txt",
        layout_known_from="documentation",
        layout_page="https://physionet.org/content/ecg-arrhythmia/1.0.0/",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by group and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording below ``WFDBRecords``.
        """
        headers = find_headers(root, "WFDBRecords/*/*/*.hea", what="ecg-arrhythmia that holds WFDBRecords")
        return [challenge_ref(header, _family(header.stem)) for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the header's Dx line."""
        return challenge_labels(ref)


def _family(record: str) -> str:
    number = re.fullmatch(r"JS(\d+)", record)
    return "chapman_shaoxing" if number and int(number[1]) <= LAST_OF_CHAPMAN else "ningbo"
