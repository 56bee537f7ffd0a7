"""A plain folder of WFDB records, with or without a table of labels."""

import csv
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.errors import RecordFileError
from anylead.formats.wfdb_header import WfdbHeader
from anylead.record import Record
from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb, sort_labels

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Files(Source):
    """Every WFDB record in a folder and the folders below it; its id is its path without suffix.

    The segments of a multi-segment record are that one record, not further ones.

    Labels are the SNOMED CT codes of the header's Dx comment, or those of a table. Without a table nobody
    knows the patients, so each recording counts as one. A recording without a code is unlabelled, not
    healthy: that is why the source as a whole does not call itself labelled.
    """

    name: ClassVar[str] = "files"
    title: ClassVar[str] = "A folder of WFDB records"
    url: ClassVar[str] = ""
    licence: ClassVar[str] = "Unknown to anylead: that of the recordings."
    citation: ClassVar[str] = "Unknown to anylead: that of the recordings."
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = False

    labels_csv: Path | None = None
    """A CSV with the columns ``record_id``, ``labels`` (SNOMED CT codes separated by ``;`` or ``|``) and,
    where known, ``patient_id``. It replaces the Dx comments."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the records by path; see `Source.scan`.

        Raises:
            RecordFileError: If there is no record, or the table is absent, lacks a column or names no record.
        """
        headers = {path: header_or_none(path) for path in find_headers(root, "**/*.hea", what="WFDB records")}
        segments = {
            path.with_name(f"{part}.hea") for path, one in headers.items() if one for part, _ in one.parts
        }
        table = None if self.labels_csv is None else _read_table(self.labels_csv)
        refs = [_ref(root, path, one, table) for path, one in headers.items() if path not in segments]
        if table is not None:
            _compare(self.labels_csv, table, {ref.record_id for ref in refs})
        return refs

    def load(self, ref: RecordRef) -> Record:
        """Reads one record; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the codes of the table or of the Dx comment."""
        return sort_labels(re.split(r"[;|,]", ref.details["labels"]))


def _ref(
    root: Path, path: Path, header: WfdbHeader | None, table: Mapping[str, tuple[str, str]] | None
) -> RecordRef:
    record_id = path.relative_to(root).with_suffix("").as_posix()
    labels, patient = (header.fields.get("dx", "") if header else ""), ""
    if table is not None:
        labels, patient = table.get(record_id, ("", ""))
    return RecordRef(
        record_id=record_id,
        path=path.with_suffix(""),
        patient_id=f"files:{patient or f'{root.resolve().name}/{record_id}'}",
        recorded_at=header.recorded_at if header else None,
        age_years=header.age_years if header else None,
        sex=header.sex if header else None,
        details={"labels": labels},
    )


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
            f"without suffix, such as {min(found)}."
        )
    if unmatched:
        _log.warning(
            "%s names %d recordings that are not there, such as %s", path, len(unmatched), unmatched[0]
        )
