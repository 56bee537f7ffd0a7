"""A plain folder of recordings of any format, with or without a table of labels."""

import csv
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from anylead.errors import AnyleadError, RecordFileError
from anylead.formats import identify, is_known, list_items, read
from anylead.formats.description import DESCRIBED
from anylead.formats.folder import look_through
from anylead.formats.wfdb_header import WfdbHeader
from anylead.record import Record
from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.packed_refs import PackedRefs
from anylead.sources.wfdb_tree import load_wfdb, natural_key, sort_labels

_log = logging.getLogger(__name__)

_ALONE = "the recording's own"
"""In a reference's details: the patient id of a recording whose file names no patient."""


@dataclass(frozen=True, kw_only=True)
class Files(Source):
    """Every recording in a folder and the folders below it, of any format that `anylead.read` reads.

    Its id is its path below the folder: without suffix for WFDB, else with it, and with ``::`` and a name
    where a file holds several recordings. Segments, data files and sidecars belong to their recording. A file
    that is no recording (a text, an annotation) comes after the others, and `load` refuses it, so that it is
    listed.

    Labels are the SNOMED CT codes of a WFDB header's Dx comment, or those of a table. A patient is whom the
    table or else the file names, and one id is one person in all of them; without either the recording counts
    as one. A recording without a code is unlabelled, not healthy: that is why the source as a whole does not
    call itself labelled.
    """

    name: ClassVar[str] = "files"
    title: ClassVar[str] = "A folder of recordings of any format"
    url: ClassVar[str] = ""
    licence: ClassVar[str] = "Unknown to anylead: that of the recordings."
    citation: ClassVar[str] = "Unknown to anylead: that of the recordings."
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = False
    opened_by_scan: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")

    labels_csv: Path | None = None
    """A CSV with the columns ``record_id``, ``labels`` (SNOMED CT codes separated by ``;`` or ``|``) and,
    where known, ``patient_id``. It replaces the Dx comments."""
    fs: float | None = None
    """Sampling rate in Hz of the tables and arrays; None leaves it to their sidecars, as for what follows."""
    unit: str | None = None
    """Unit of voltage of the tables and arrays."""
    leads: tuple[str, ...] = ()
    """Leads of the tables and arrays."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by path, then the files that are none; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording, or the table is absent, lacks a column or names no
                recording.
        """
        if not root.is_dir():
            raise RecordFileError(f"{root}: there is no such folder; give the folder of the recordings.")
        found = look_through(root)
        table = None if self.labels_csv is None else _read_table(self.labels_csv)
        paths = [path for path in found.files if not _is_same(Path(path), self.labels_csv)]
        start = len(os.path.join(root, ""))
        paths.sort(key=lambda path: natural_key(path[start:].replace(os.sep, "/")))
        recordings = [path for path in paths if path in found.headers or _is_known(Path(path))]
        if not recordings:
            raise RecordFileError(
                f"{root}: there is no recording of a known format in it; give the folder of the recordings."
            )
        known = set(recordings)
        others = [path for path in paths if path not in known]
        refs = PackedRefs(self._refs(root, recordings, others, found.headers, table))
        if table is not None:
            listed = {path[start:] for path in others}
            _compare(self.labels_csv, table, {ref.record_id for ref in refs} - listed)
        if others:
            _log.warning(
                "%s: %d of %d files are not recordings, such as %s",
                root.name or root,
                len(others),
                len(paths),
                os.path.basename(others[0]),
            )
        return refs

    def folders(self, root: Path) -> Sequence[Path]:
        """Returns the folder, and the table where there is one."""
        return [root] if self.labels_csv is None else [root, self.labels_csv]

    def _refs(
        self,
        root: Path,
        recordings: Sequence[str],
        others: Sequence[str],
        headers: Mapping[str, WfdbHeader | None],
        table: Mapping[str, tuple[str, str]] | None,
    ) -> Iterator[RecordRef]:
        for path in recordings:
            if path in headers:
                yield _wfdb_ref(root, Path(path), headers[path], table)
            else:
                yield from (_ref(root, Path(path), item, table) for item in _items(Path(path)))
        yield from (_ref(root, Path(path), "", table) for path in others)

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        if _ALONE not in ref.details:
            return load_wfdb(ref)
        record = read(ref.path, **self._told(ref.path))
        named = f"files:{record.patient_id}" if record.patient_id else ref.details[_ALONE]
        return replace(record, record_id=ref.record_id, patient_id=ref.patient_id or named)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the table or of the Dx comment."""
        return sort_labels(re.split(r"[;|,]", ref.details["labels"]))

    def patient_known(self, record_id: str, patient_id: str) -> bool:
        """Says whether a file or the table named the patient; see `Source.patient_known`."""
        return not patient_id.endswith(f"/{record_id}")

    def _told(self, path: Path) -> dict[str, Any]:
        """Returns what a table or an array is told; other files say it themselves."""
        told = {"fs": self.fs, "unit": self.unit, "leads": self.leads}
        given = {name: value for name, value in told.items() if value}
        return given if given and set(DESCRIBED) <= set(identify(path).takes) else {}


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and other.exists() and path.samefile(other)


def _is_known(path: Path) -> bool:
    try:
        return is_known(path)
    except RecordFileError:
        return True  # `load` says why it cannot be opened


def _items(path: Path) -> Sequence[str]:
    """Returns what names each recording of a file, an empty text where it is one."""
    try:
        return list_items(path) or [""]
    except AnyleadError:
        return [""]  # `load` says what is wrong with the file


def _ref(root: Path, path: Path, item: str, table: Mapping[str, tuple[str, str]] | None) -> RecordRef:
    inside = f"::{item}" if item else ""
    record_id = f"{path.relative_to(root).as_posix()}{inside}"
    labels, patient = (table or {}).get(record_id, ("", ""))
    return RecordRef(
        record_id=record_id,
        path=Path(f"{path}{inside}"),
        patient_id=f"files:{patient}" if patient else "",
        details={"labels": labels, _ALONE: _alone(root, record_id)},
    )


def _wfdb_ref(
    root: Path, path: Path, header: WfdbHeader | None, table: Mapping[str, tuple[str, str]] | None
) -> RecordRef:
    record_id = path.relative_to(root).with_suffix("").as_posix()
    labels, patient = (header.fields.get("dx", "") if header else ""), ""
    if table is not None:
        labels, patient = table.get(record_id, ("", ""))
    return RecordRef(
        record_id=record_id,
        path=path.with_suffix(""),
        patient_id=f"files:{patient}" if patient else _alone(root, record_id),
        recorded_at=header.recorded_at if header else None,
        age_years=header.age_years if header else None,
        sex=header.sex if header else None,
        details={"labels": labels},
    )


def _alone(root: Path, record_id: str) -> str:
    return f"files:{root.resolve().name}/{record_id}"


def _read_table(path: Path) -> dict[str, tuple[str, str]]:
    """Returns record id -> (labels, patient id)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordFileError(
            f"{path}: the label file cannot be read ({getattr(error, 'strerror', None) or error}); "
            "give a CSV with the columns record_id, labels and, where known, patient_id."
        ) from error
    missing = [name for name in ("record_id", "labels") if name not in columns]
    if missing:
        raise RecordFileError(
            f"{path}: the label file has no column {', '.join(missing)}; give the columns record_id, "
            "labels and, where known, patient_id."
        )
    return {
        (row["record_id"] or "").strip(): (row["labels"] or "", (row.get("patient_id") or "").strip())
        for row in rows
    }


def _compare(path: Path | None, table: Mapping[str, object], found: set[str]) -> None:
    """Refuses a table that fits none of the recordings, and reports one that fits some."""
    unmatched = sorted(set(table) - found)
    if not found & set(table):
        raise RecordFileError(
            f"{path}: the label file names none of the {len(found)} recordings; its record_id must be a path "
            f"below the folder (of WFDB without suffix), such as {min(found)}."
        )
    if unmatched:
        _log.warning(
            "%s names %d recordings that are not there, such as %s", path, len(unmatched), unmatched[0]
        )
