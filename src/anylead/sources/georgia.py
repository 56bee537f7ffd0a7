"""Georgia: the 10,344 recordings of one database of the Challenges 2020 and 2021."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.challenge_headers import challenge_labels, challenge_ref
from anylead.sources.wfdb_tree import find_headers, load_wfdb


@dataclass(frozen=True, kw_only=True)
class Georgia(Source):
    """The folder of this one database: ``E<number>.hea`` and ``.mat``, in folders ``g<number>`` or without.

    Patients are not published, so each recording counts as one, under the same id as in `Cinc2021`, which
    reads it together with the others.
    """

    name: ClassVar[str] = "georgia"
    title: ClassVar[str] = "Georgia 12-lead ECG Challenge Database"
    url: ClassVar[str] = "https://physionet.org/content/challenge-2021/1.0.3/"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Perez Alday E. et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology "
        "Challenge 2020, Physiol. Meas. 41:124003, 2020."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="10,344 recordings, 10 s",
        leads="12",
        rate="500 Hz",
        download="wget -r -N -c -np https://physionet.org/files/challenge-2021/1.0.3/training/georgia/",
        layout_known_from="files",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by folder and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording.
        """
        headers = find_headers(root, "**/E*.hea", what="Georgia with its E00001.hea")
        return [challenge_ref(header, "georgia") for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the header's Dx line, scored or not."""
        return challenge_labels(ref)
