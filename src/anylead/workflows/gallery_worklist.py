"""The worklist of a gallery as a table and as a page, each case with its recordings on ECG paper."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from anylead.evaluation.figures import Figure
from anylead.evaluation.report import Report, Section, Table, render_html
from anylead.gallery.gallery import Gallery
from anylead.gallery.results import BudgetLine, Case, Match, Worklist
from anylead.provenance import atomic_path
from anylead.record import Record
from anylead.signal.beats import r_peaks
from anylead.workflows.light_drawing import lighten
from anylead.workflows.view import draw

DRAWN = 20
"""Cases whose recordings are drawn, the first ones: a page with more of them is slow to open."""
SECONDS = 5.0
"""Drawn of each recording."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LOWEST_RATE_HZ = 60.0
BEFORE_BEAT_S = 0.4
"""Each drawing begins so long before a heartbeat, so that the first beats stand below each other."""

COLUMNS = (
    "place",
    "case_id",
    "kind",
    "record_id",
    "patient_id",
    "lead_set",
    "probability",
    "probability_low",
    "probability_high",
    "own_record_id",
    "own_similarity",
    "own_days_apart",
    "other_patient_id",
    "other_record_id",
    "other_similarity",
    "other_days_apart",
    "partner",
    "evidence",
    "review",
)
"""Of worklist.csv."""


def write_worklist(gallery: Gallery, worklist: Worklist, folder: Path, *, progress: bool = False) -> Path:
    """Writes ``worklist.csv`` and ``worklist.html``, each whole or not at all.

    The recordings of the first `DRAWN` cases are drawn where the gallery keeps them.

    Args:
        gallery: Where the worklist comes from.
        worklist: From `Gallery.screen`.
        folder: Made if absent; files of these names are replaced.
        progress: Show a progress bar while drawing.

    Returns:
        The page.

    Raises:
        FileError: If the disk refuses.
    """
    with atomic_path(folder / "worklist.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_row(place, case) for place, case in enumerate(worklist.cases, start=1))
    page = folder / "worklist.html"
    report = worklist_report(worklist, gallery.record, where=gallery.database.where, progress=progress)
    with atomic_path(page) as temporary:
        temporary.write_text(render_html(report), encoding="utf-8")
    return page


def worklist_report(
    worklist: Worklist, record: Callable[[str], Record | None], *, where: str, progress: bool = False
) -> Report:
    """Returns the page as a report.

    Args:
        worklist: From `Gallery.screen`.
        record: Gives the kept recording of an id, None where it is not kept.
        where: What to call the gallery.
        progress: Show a progress bar while drawing.
    """
    numbered = list(enumerate(worklist.cases, start=1))
    bar = tqdm(numbered, unit="case", desc="drawing", disable=not progress)
    sections = [_overview(worklist), *(_case(place, case, record) for place, case in bar)]
    return Report(
        title=f"Worklist of {where}",
        summary=_summary(worklist),
        sections=tuple(section for section in sections if section is not None),
    )


def _summary(worklist: Worklist) -> tuple[str, ...]:
    compared = f"Recordings compared with others of their patient: {worklist.screened}."
    alone = (
        f"Recordings that are the only one of their patient: {worklist.not_screened}; whether one of them is "
        "filed wrongly cannot be seen."
    )
    advice = "A case is a suspicion: look at the recordings before anything is changed."
    return tuple(
        sentence
        for sentence in (
            f"Cases: {len(worklist.cases)}. {compared}",
            worklist.expectation(),
            alone if worklist.not_screened else "",
            advice,
            *worklist.notes,
        )
        if sentence
    )


def _overview(worklist: Worklist) -> Section | None:
    tables = []
    if worklist.budget_table:
        tables.append(
            Table(
                caption="What reviewing the first cases would catch",
                columns=("share exchanged", "cases reviewed", "caught", "false alerts", "a case is right"),
                rows=tuple(_budget_row(line) for line in worklist.budget_table),
            )
        )
    if worklist.cases:
        tables.append(
            Table(
                caption="All cases",
                columns=("case", "recording", "filed under", "kind", "probability", "fits", "review"),
                rows=tuple(_overview_row(place, case) for place, case in enumerate(worklist.cases, start=1)),
            )
        )
    notes = (
        "Exchanges are simulated one at a time on this gallery; intervals are 95 % over patients. ≤ marks a "
        "line without any false alert seen, where the bound 3/n stands in.",
    )
    return Section(title="Overview", notes=notes if worklist.budget_table else (), tables=tuple(tables))


def _budget_row(line: BudgetLine) -> tuple[str, ...]:
    bound = "≤ " if line.bounded else ""
    return (
        f"{100 * line.prevalence:g} %",
        str(line.budget) if line.budget else "those beyond all as filed",
        line.sensitivity.percent(),
        bound + line.false_alerts.numbers(),
        line.precision.percent(),
    )


def _overview_row(place: int, case: Case) -> tuple[str, ...]:
    fits = "" if case.other is None else case.other.patient_id
    chance = "unknown" if case.probability is None else case.probability.percent()
    return (str(place), case.record_id, case.patient_id, case.kind, chance, fits, case.review or "open")


def _case(place: int, case: Case, record: Callable[[str], Record | None]) -> Section:
    named: list[tuple[str, str]] = [("The recording", case.record_id)]
    if case.own is not None:
        named.append((f"Own patient {case.own.patient_id}", case.own.record_id))
    if case.other is not None:
        named.append((f"Patient {case.other.patient_id}", case.other.record_id))
    if case.partner is not None and case.partner not in [name for _, name in named]:
        named.append(("Partner", case.partner))
    figures = _drawings(named, record) if place <= DRAWN else ()
    rows = tuple(
        (who, match.patient_id, match.record_id, f"{match.similarity:.3f}", _days(match))
        for who, match in (("own patient", case.own), ("somebody else", case.other))
        if match is not None
    )
    table = Table(
        caption="The most similar recordings",
        columns=("of", "patient", "recording", "similarity", "days apart"),
        rows=rows,
    )
    reviewed = (f"Reviewed: {case.review}.",) if case.review else ()
    chance = () if case.probability is None else (f"Probability {case.probability.percent()}.",)
    return Section(
        title=f"Case {place}: {case.record_id} of patient {case.patient_id}: {case.kind}",
        notes=(*chance, *case.evidence, *reviewed, f"Case {case.case_id}, through lead set {case.lead_set}."),
        tables=(table,) if rows else (),
        figures=figures,
    )


def _drawings(named: Sequence[tuple[str, str]], record: Callable[[str], Record | None]) -> tuple[Figure, ...]:
    figures = []
    for who, record_id in named:
        kept = record(record_id)
        if kept is not None:
            svg = lighten(draw(kept, start_s=first_beat_start_s(kept), seconds=SECONDS).to_svg())
            caption = f"{who}: {record_id}"
            figures.append(Figure(caption=caption, svg=svg, description=f"ECG. {caption}", wide=True))
    return tuple(figures)


def first_beat_start_s(record: Record) -> float:
    """Returns where to begin a drawing so that a beat stands `BEFORE_BEAT_S` from its left edge."""
    if record.sampling_rate_hz < _LOWEST_RATE_HZ:
        return 0.0
    first_minute = record.signal[:, : round(60.0 * record.sampling_rate_hz)]
    peaks = r_peaks(first_minute, rate_hz=record.sampling_rate_hz)
    starts_s = peaks / record.sampling_rate_hz - BEFORE_BEAT_S
    possible = starts_s[(starts_s >= 0.0) & (starts_s <= max(record.duration_s - SECONDS, 0.0))]
    return float(possible[0]) if len(possible) else 0.0


def _row(place: int, case: Case) -> list[str]:
    own, other, chance = case.own, case.other, case.probability
    cells = [
        str(place),
        case.case_id,
        case.kind,
        case.record_id,
        case.patient_id,
        case.lead_set,
        *([""] * 3 if chance is None else [_number(x) for x in (chance.value, chance.low, chance.high)]),
        *(["", "", ""] if own is None else [own.record_id, _number(own.similarity), _number(own.days_apart)]),
        "" if other is None else other.patient_id,
        *(
            ["", "", ""]
            if other is None
            else [other.record_id, _number(other.similarity), _number(other.days_apart)]
        ),
        case.partner or "",
        " ".join(case.evidence),
        case.review or "",
    ]
    return [_harmless(cell) for cell in cells]


def _harmless(cell: str) -> str:
    """Keeps a spreadsheet from running a cell as a formula: ids come from files that anybody may make."""
    return f"'{cell}" if cell[:1] in _FORMULA and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _days(match: Match) -> str:
    return "unknown" if match.days_apart is None else f"{match.days_apart:.0f}"
