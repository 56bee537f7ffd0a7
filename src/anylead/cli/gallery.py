"""anylead gallery: whose heart a recording is, and what is filed under the wrong patient."""

import dataclasses
import getpass
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from anylead.cli.arguments import choose, leads, parse
from anylead.errors import ConfigError, GalleryError

if TYPE_CHECKING:
    from anylead.gallery.gallery import Gallery
    from anylead.gallery.results import Match
    from anylead.record import Record

PASSPHRASE = "ANYLEAD_GALLERY_PASSPHRASE"
"""Environment variable with the passphrase of an export; it is asked for where it is not set."""
NAMED = 5
"""Files named of those that could not be enrolled for the same reason."""


@dataclass(frozen=True, kw_only=True)
class GalleryArguments:
    """What all have in common."""

    gallery: str
    """The gallery: a folder, or postgresql://USER@HOST/DATABASE."""


@dataclass(frozen=True, kw_only=True)
class CreateArguments(GalleryArguments):
    """Makes an empty gallery for the vectors of one bundle."""

    bundle: str
    """Bundle that makes the vectors: a folder or a repository id; no other can be used later."""
    lead_sets: tuple[str, ...] = ("12", "6", "I-II", "I", "II")
    """Leads through which recordings are compared, largest first: those named, or such as I-V1."""
    keep_signals: bool = False
    """Keep prepared recordings, too: to draw them, and to change to another bundle."""
    projected: bool = False
    """Turn vectors by a secret rotation, so that a stolen gallery can be cancelled."""
    templates: Literal["encoder", "median-beat"] = "encoder"
    """What is compared: the vectors of the bundle's encoder, or the median beats of what it prepares."""


@dataclass(frozen=True, kw_only=True)
class EnrolArguments(GalleryArguments):
    """Enrols recordings of known patients; makes the gallery where there is none.

    What cannot be enrolled is told at the end, by reason, and the rest is enrolled; the exit code is 1 then.
    """

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Recordings, folders of recordings, or stores that the bundle's own preparation made."""
    bundle: str
    """The bundle of the gallery."""
    patient_from: str = "field"
    """How the patient is known: `field` (the file says so), an expression with one group over the path
    ('Person_([0-9]+)'), or a CSV file with the columns record_id and patient_id."""
    keep_signals: bool = False
    """Of a gallery made now: keep prepared recordings, too."""
    templates: Literal["encoder", "median-beat"] = "encoder"
    """Of a gallery made now: what is compared, as for `create`."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class QueryArguments(GalleryArguments):
    """What asking about a recording needs."""

    path: tyro.conf.Positional[Path]
    """The recording."""
    bundle: str
    """The bundle of the gallery."""
    leads: tuple[str, ...] = ()
    """Leads to use: I,II or a set (12, 6, 2); by default all."""
    fs: float | None = None
    """Sampling rate in Hz, of a table or an array that does not say it."""
    unit: str | None = None
    """Unit of voltage, likewise."""
    false_acceptance: float = 0.01
    """Share of strangers that may be taken for the patient named, or for any patient."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class IdentifyArguments(QueryArguments):
    """Says who a recording may be of: enrolled patients, the most similar first, or nobody here."""

    top: int = 10
    """Patients to name."""
    known_prior: float = 0.5
    """Probability, before looking, that the person is enrolled."""


@dataclass(frozen=True, kw_only=True)
class VerifyArguments(QueryArguments):
    """Says whether a recording is of a patient."""

    patient: str
    """Who it is said to be of."""
    prior: float = 0.9995
    """Probability, before looking, that this is so."""


@dataclass(frozen=True, kw_only=True)
class ScreenArguments(GalleryArguments):
    """Compares every recording with its patient's others and with everybody's, and lists the suspects."""

    out: Path | None = None
    """Folder for worklist.csv and worklist.html; without, the list is printed only."""
    prevalence: float = 0.0005
    """Share of recordings believed to be filed under the wrong patient."""
    budget: int = 50
    """Cases that somebody can review."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class ReviewArguments(GalleryArguments):
    """Keeps what a reviewer says of a case of the worklist."""

    case: tyro.conf.Positional[str]
    """Id of the case, from the worklist."""
    verdict: str
    """accept, reject or unsure."""
    reviewer: str
    """Who says so, for the audit trail."""
    note: str = ""
    """Why. It goes when a patient of the case's recordings is removed; write no names of others."""


@dataclass(frozen=True, kw_only=True)
class RemoveArguments(GalleryArguments):
    """Removes all recordings of a patient, or all taken before a date, for good."""

    patient: str | None = None
    """Whom to remove."""
    before: str | None = None
    """Date, such as 2015-12-31: recordings taken before go; those without a date stay."""


@dataclass(frozen=True, kw_only=True)
class InfoArguments(GalleryArguments):
    """Says what a gallery holds."""

    json: bool = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class ExportArguments(GalleryArguments):
    """Writes the whole gallery into one encrypted file.

    The passphrase is asked for, or taken from ANYLEAD_GALLERY_PASSPHRASE.
    """

    file: tyro.conf.Positional[Path]
    """File to write."""


@dataclass(frozen=True, kw_only=True)
class ImportArguments(GalleryArguments):
    """Makes a new gallery of an exported file.

    The passphrase is asked for, or taken from ANYLEAD_GALLERY_PASSPHRASE.
    """

    file: tyro.conf.Positional[Path]
    """File that `anylead gallery export` wrote."""


@dataclass(frozen=True, kw_only=True)
class RebuildArguments(GalleryArguments):
    """Makes all vectors again by another bundle, of the recordings that were kept."""

    bundle: str
    """The new bundle."""


@dataclass(frozen=True, kw_only=True)
class CalibrateArguments(GalleryArguments):
    """Learns from the gallery's own patients what a similarity is worth.

    The other commands do so by themselves where it is missing or a fifth of the recordings is new.
    """

    seed: int = 0
    """Seed of the resamples."""


def run(argv: list[str]) -> int:
    """Runs ``anylead gallery`` for one task."""
    task, rest = choose(argv, {name: what for name, (what, _, _) in TASKS.items()}, prog="anylead gallery")
    _, arguments, do = TASKS[task]
    given, _ = parse(arguments, rest, prog=f"anylead gallery {task}")
    return do(given) or 0


def _create(given: CreateArguments) -> None:
    from anylead.gallery.gallery import Gallery

    sets = [_lead_set(name) for name in given.lead_sets]
    with Gallery.create(
        given.gallery,
        given.bundle,
        lead_sets=sets,
        keep_signals=given.keep_signals,
        projected=given.projected,
        templates=given.templates,
    ) as gallery:
        names = ", ".join(one.name for one in gallery.identity.lead_sets)
        print(
            f"{gallery.database.where}: an empty gallery of model {gallery.identity.model}, lead sets {names}"
        )


def _enrol(given: EnrolArguments) -> int:
    from anylead.workflows.gallery_files import FileRecords, PatientNames, stores_and_files

    stores, paths = stores_and_files(given.paths)
    records = FileRecords(paths=paths, names=PatientNames.of(given.patient_from))
    absent = [path for path in paths if not path.exists() and not path.parent.is_dir()]
    if absent:
        raise GalleryError(f"{absent[0]}: there is no such file or folder; name recordings that are there.")

    # What was mistyped is said before torch is loaded.
    from anylead.gallery.gallery import Gallery
    from anylead.gallery.results import EnrolSummary
    from anylead.store import Store

    there = "://" in given.gallery or Path(given.gallery).exists()
    if there:
        gallery = Gallery.open(given.gallery, given.bundle)
    else:
        gallery = Gallery.create(
            given.gallery, given.bundle, keep_signals=given.keep_signals, templates=given.templates
        )
    with gallery:
        parts = [gallery.enrol_store(Store.open(store), progress=True) for store in stores]
        if paths:
            parts.append(gallery.enrol(records, progress=True))
    total = EnrolSummary(
        enrolled=sum(part.enrolled for part in parts),
        already=sum(part.already for part in parts),
        failed=[*records.failed, *(pair for part in parts for pair in part.failed)],
    )
    if given.json:
        _print_json(total)
    else:
        for line in _failures(total.failed):
            print(_printable(line))
        print(
            f"{gallery.database.where}: {total.enrolled} recordings enrolled, "
            f"{total.already} were there already, {len(total.failed)} failed"
        )
    return 1 if total.failed else 0


def _identify(given: IdentifyArguments) -> None:
    record = _read(given)
    with _open(given.gallery, given.bundle) as gallery:
        found = gallery.identify(
            record, top=given.top, known_prior=given.known_prior, false_acceptance=given.false_acceptance
        )
    if given.json:
        _print_json(found)
        return
    rows = [_match_row(str(place), match) for place, match in enumerate(found.matches, start=1)]
    _print_table(("", "patient", "similarity", "probability", "recording", "days apart"), rows)
    nobody = "" if found.nobody is None else f"; probability of nobody here: {found.nobody.percent()}"
    print(f"{found.verdict}, through lead set {found.lead_set}{nobody}")
    _print_notes(found.notes)


def _verify(given: VerifyArguments) -> None:
    record = _read(given)
    with _open(given.gallery, given.bundle) as gallery:
        found = gallery.verify(
            record, given.patient, prior=given.prior, false_acceptance=given.false_acceptance
        )
    if given.json:
        _print_json(found)
        return
    named = (("own", found.own), ("best other", found.best_other))
    rows = [_match_row(who, match) for who, match in named if match is not None]
    _print_table(("", "patient", "similarity", "probability", "recording", "days apart"), rows)
    word = {True: "accepted", False: "not accepted", None: "undecided"}[found.accepted]
    bound = "" if found.threshold is None else f", threshold {found.threshold:.3f}"
    print(f"{word}, through lead set {found.lead_set}: similarity {found.similarity:.3f}{bound}")
    _print_notes(found.notes)


def _screen(given: ScreenArguments) -> None:
    from anylead.workflows.gallery_worklist import write_worklist

    with _open(given.gallery) as gallery:
        worklist = gallery.screen(prevalence=given.prevalence, budget=given.budget, progress=True)
        page = None if given.out is None else write_worklist(gallery, worklist, given.out, progress=True)
    if given.json:
        _print_json(worklist)
        return
    rows = [
        (
            case.case_id,
            case.kind,
            case.record_id,
            case.patient_id,
            "" if case.other is None else case.other.patient_id,
            "" if case.probability is None else case.probability.percent(),
            case.review or "",
        )
        for case in worklist.cases
    ]
    _print_table(("case", "kind", "recording", "patient", "fits", "probability", "review"), rows)
    _print_notes([note for note in (worklist.expectation(), *worklist.notes) if note])
    print(
        f"cases: {len(rows)}; recordings compared with others of their patient: {worklist.screened}; "
        f"the only one of theirs: {worklist.not_screened}" + ("" if page is None else f"; the page is {page}")
    )


def _review(given: ReviewArguments) -> None:
    with _open(given.gallery) as gallery:
        gallery.review(given.case, given.verdict, actor=given.reviewer, note=given.note)
    print(f"case {given.case}: {given.verdict}")


def _remove(given: RemoveArguments) -> None:
    if (given.patient is None) == (given.before is None):
        raise ConfigError("remove: say either --patient or --before, and not both.")
    with _open(given.gallery) as gallery:
        if given.before is not None:
            count = gallery.remove_before(_date(given.before))
            print(f"{count} recordings taken before {given.before} removed")
            return
        count = gallery.remove(given.patient or "")
        if not count:
            raise GalleryError(f"patient {given.patient}: not enrolled in this gallery; nothing was removed.")
        print(f"{count} recordings of patient {given.patient} removed")


def _info(given: InfoArguments) -> None:
    with _open(given.gallery) as gallery:
        info = gallery.info()
    if given.json:
        _print_json(info)
        return
    sets = ", ".join(f"{name}: {count}" for name, count in info.templates.items()) or "none"
    calibrated = ", ".join(f"{name}: {count}" for name, count in info.calibrated.items()) or "none"
    size = "unknown" if info.bytes is None else f"{info.bytes / 2**20:.1f} MiB"
    rows = [
        ("gallery", info.url),
        ("model", f"{info.model}, preparation {info.preparation}, {info.dimension} numbers a vector"),
        ("patients", f"{info.patients}, of whom {info.several} have several recordings"),
        ("recordings", str(info.recordings)),
        ("templates", sets),
        ("calibrated", f"{calibrated} (persons with several recordings)" if info.calibrated else calibrated),
        ("signals", "kept" if info.keep_signals else "not kept"),
        ("vectors", "turned by a secret rotation" if info.projected else "as the model gives them"),
        ("audit trail", f"{info.audit_lines} lines, whole"),
        ("size", size),
    ]
    _print_table((), rows)


def _export(given: ExportArguments) -> None:
    with _open(given.gallery) as gallery:
        gallery.export(given.file, passphrase=_passphrase(twice=True))
    print(f"{given.file}: the gallery, encrypted")


def _import(given: ImportArguments) -> None:
    from anylead.gallery.gallery import Gallery

    with Gallery.import_(given.file, given.gallery, passphrase=_passphrase(twice=False)) as gallery:
        info = gallery.info()
    print(f"{info.url}: {info.recordings} recordings of {info.patients} patients")


def _rebuild(given: RebuildArguments) -> None:
    with _open(given.gallery) as gallery:
        gallery.rebuild(given.bundle, progress=True)
        print(f"{gallery.database.where}: all vectors are of model {gallery.identity.model} now")


def _calibrate(given: CalibrateArguments) -> None:
    with _open(given.gallery) as gallery:
        calibration = gallery.calibrate(seed=given.seed)
        names = [one.name for one in gallery.identity.lead_sets if calibration.has(one.name)]
    _print_notes(calibration.notes)
    print(f"calibrated: {', '.join(names) or 'no lead set'}")


TASKS: dict[str, tuple[str, type[Any], Callable[[Any], int | None]]] = {
    "create": ("make an empty gallery", CreateArguments, _create),
    "enrol": ("add recordings of known patients", EnrolArguments, _enrol),
    "identify": ("say who a recording may be of", IdentifyArguments, _identify),
    "verify": ("say whether a recording is of a patient", VerifyArguments, _verify),
    "screen": ("list recordings that may be filed under the wrong patient", ScreenArguments, _screen),
    "review": ("keep what a reviewer says of a case", ReviewArguments, _review),
    "remove": ("remove a patient, or what is older than a date, for good", RemoveArguments, _remove),
    "info": ("say what a gallery holds", InfoArguments, _info),
    "export": ("write the gallery into one encrypted file", ExportArguments, _export),
    "import": ("make a gallery of such a file", ImportArguments, _import),
    "rebuild": ("change to another bundle", RebuildArguments, _rebuild),
    "calibrate": ("learn what a similarity is worth", CalibrateArguments, _calibrate),
}
"""Task -> what it does, its arguments, and what runs it."""


def _open(url: str, bundle: str | None = None) -> "Gallery":
    from anylead.gallery.gallery import Gallery

    return Gallery.open(url, bundle)


def _read(given: QueryArguments) -> "Record":
    from anylead.formats import read

    named = leads(given.leads)
    if given.fs is None and given.unit is None:
        record = read(given.path)
        return record.select(named) if named else record
    # A table or an array does not say its leads either.
    return read(given.path, fs=given.fs, unit=given.unit, leads=named or None)


def _lead_set(name: str) -> Any:
    from anylead.gallery.template import LEAD_SETS, LeadSet

    known = {one.name: one for one in LEAD_SETS}
    return known.get(name) or LeadSet(name=name, leads=leads((name.replace("-", ","),)))


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--before: {text!r} is no date; give one such as 2015-12-31.") from error


def _passphrase(*, twice: bool) -> str:
    given = os.environ.get(PASSPHRASE)
    if given is not None:
        return given
    try:
        typed = getpass.getpass("Passphrase: ")
        if twice and getpass.getpass("Once more: ") != typed:
            raise ConfigError("passphrase: the two differ; nothing was written.")
    except EOFError as error:
        raise ConfigError(f"passphrase: none was given; type one, or set {PASSPHRASE}.") from error
    return typed


def _match_row(first: str, match: "Match") -> tuple[str, ...]:
    chance = "" if match.probability is None else match.probability.percent()
    days = "" if match.days_apart is None else f"{match.days_apart:.0f}"
    return (first, match.patient_id, f"{match.similarity:.3f}", chance, match.record_id, days)


def _failures(failed: Sequence[tuple[str, str]]) -> list[str]:
    """Returns a line for each reason, with the first few it is true of: a folder may hold thousands."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in failed:
        plain = reason.removeprefix("record ").removeprefix(f"{name}: ")
        by_reason.setdefault(plain, []).append(name)
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - NAMED} more (--json names all)" if len(names) > NAMED else ""
        lines.append(f"not enrolled: {', '.join(names[:NAMED])}{more}: {reason}")
    return lines


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns below each other; ids come from files, so that control characters are not printed."""
    shown = [[_printable(cell) for cell in row] for row in ([head, *rows] if head and rows else rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))] if shown else []
    for row in shown:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(_printable(note))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _print_json(value: Any) -> None:
    print(json.dumps(_plain(value), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
