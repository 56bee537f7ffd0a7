"""PhysioNet/CinC Challenge 2021: seven databases of twelve-lead recordings in one layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.errors import RecordFileError
from anylead.record import Record
from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb, sort_labels


@dataclass(frozen=True, kw_only=True)
class Cinc2021(Source):
    """The training set: ``training/<database>/g<number>/<record>.hea`` and ``.mat``.

    Record names are unique across the databases. Patients are not published, so each recording counts as one;
    the family of its id is the database. The dates of the headers are those of the Challenge's conversion,
    the same for whole databases, and are not given out as dates of recording. The same recordings are
    elsewhere: its ``ptb-xl`` is PTB-XL (HR00001 is ECG 1), ``cpsc_2018`` is CPSC2018.
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

    databases: tuple[str, ...] = ()
    """Names of folders below ``training``, such as ``georgia``; empty for all there are."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by database and number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording below ``training``, or a database is absent.
        """
        headers = find_headers(root, "training/*/g*/*.hea", what="the Challenge 2021 that holds training")
        present = {header.parent.parent.name for header in headers}
        absent = sorted(set(self.databases) - present)
        if absent:
            raise RecordFileError(
                f"{root}: there is no database {', '.join(absent)}; it has {', '.join(sorted(present))}."
            )
        wanted = set(self.databases) or present
        return [_ref(header) for header in headers if header.parent.parent.name in wanted]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the header's Dx line, scored or not."""
        return sort_labels(ref.details["dx"].split(","))


def _ref(path: Path) -> RecordRef:
    header = header_or_none(path)
    return RecordRef(
        record_id=path.stem,
        path=path.with_suffix(""),
        patient_id=f"{path.parent.parent.name}:{path.stem}",
        age_years=header.age_years if header else None,
        sex=header.sex if header else None,
        details={"dx": header.fields.get("dx", "") if header else ""},
    )
