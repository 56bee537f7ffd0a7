"""PhysioNet/CinC Challenge 2021: eight databases of twelve-lead recordings in one layout."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.errors import RecordFileError
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.challenge_headers import challenge_labels, challenge_ref
from anylead.sources.wfdb_tree import find_headers, load_wfdb

ARCHIVES: dict[str, str] = {
    "WFDB_CPSC2018": "cpsc_2018",
    "WFDB_CPSC2018_2": "cpsc_2018_extra",
    "WFDB_StPetersburg": "st_petersburg_incart",
    "WFDB_PTB": "ptb",
    "WFDB_PTBXL": "ptb-xl",
    "WFDB_Ga": "georgia",
    "WFDB_ChapmanShaoxing": "chapman_shaoxing",
    "WFDB_Ningbo": "ningbo",
}
"""Folder in the archives of the Challenge's cloud storage -> folder in the release on PhysioNet."""

_GROUP = re.compile(r"g\d+")


@dataclass(frozen=True, kw_only=True)
class Cinc2021(Source):
    """The training set: ``training/<database>/g<number>/<record>.hea`` and ``.mat``.

    The folders ``g<number>`` may be absent, and so may ``training`` where the databases have their names of
    the release or of the archives (``WFDB_Ga``).

    Record names are unique across the databases. Patients are not published, so each recording counts as one;
    the family of its id is the database. The dates of the headers are those of the Challenge's conversion,
    the same for whole databases, and are not given out as dates of recording. The same recordings are
    elsewhere: its ``ptb-xl`` is PTB-XL (HR00001 is ECG 1), ``cpsc_2018`` is CPSC2018, ``chapman_shaoxing``
    and ``ningbo`` are `EcgArrhythmia`, ``ptb`` is of `Ptbdb` and ``st_petersburg_incart`` of `Incartdb`.
    """

    name: ClassVar[str] = "cinc2021"
    title: ClassVar[str] = (
        "Will Two Do? Varying Dimensions in Electrocardiography: PhysioNet/CinC Challenge 2021"
    )
    url: ClassVar[str] = "https://physionet.org/content/challenge-2021/1.0.3/"
    licence: ClassVar[str] = "CC BY 4.0 (the database ptb: ODC-By 1.0)"
    citation: ClassVar[str] = (
        "Reyna M. et al., Will Two Do? Varying Dimensions in Electrocardiography: The PhysioNet/Computing in "
        "Cardiology Challenge 2021, Computing in Cardiology 48, 2021, doi:10.23919/CinC53138.2021.9662687."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="about 88,000 recordings, most of 10 s, up to 30 min",
        leads="12",
        rate="500 Hz (ptb: 1000, st_petersburg_incart: 257)",
        download="wget -r -N -c -np https://physionet.org/files/challenge-2021/1.0.3/",
        checksums="SHA256SUMS.txt",
        layout_known_from="files",
    )

    databases: tuple[str, ...] = ()
    """Names of folders below ``training``, such as ``georgia``; empty for all there are."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by database and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording of a database, or a database is absent.
        """
        found = _databases(root)
        present = {database for database, _ in found}
        absent = sorted(set(self.databases) - present)
        if absent:
            raise RecordFileError(
                f"{root}: there is no database {', '.join(absent)}; it has {', '.join(sorted(present))}."
            )
        wanted = set(self.databases) or present
        return [challenge_ref(header, database) for database, header in found if database in wanted]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the header's Dx line, scored or not."""
        return challenge_labels(ref)


def _databases(root: Path) -> list[tuple[str, Path]]:
    """Returns (database, header), by database and number."""
    what = "the Challenge 2021 that holds training, or the folders of its databases"
    training = (root / "training").is_dir()
    headers = find_headers(root, "training/*/**/*.hea" if training else "*/**/*.hea", what=what)
    named = [(_folder(header).name, header) for header in headers]
    found = [(ARCHIVES.get(name, name), header) for name, header in named]
    known = [one for one in found if training or one[0] in ARCHIVES.values()]
    if not known:
        raise RecordFileError(f"{root}: there is no training/*/*.hea in it; give the folder of {what}.")
    return known


def _folder(header: Path) -> Path:
    """Returns the folder of the database a header is in."""
    return header.parent.parent if _GROUP.fullmatch(header.parent.name) else header.parent
