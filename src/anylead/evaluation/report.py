"""The report: one HTML page that needs nothing else, and the same numbers as JSON.

Everything that is shown is data: what the caller gives is escaped, and nothing on the page is fetched or run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from anylead.config import to_plain
from anylead.evaluation.figures import Figure, with_own_ids
from anylead.evaluation.report_style import STYLE
from anylead.evaluation.results import Interval
from anylead.provenance import atomic_path, write_json

FORMAT = 1
"""Of report.json."""

Cell = str | Interval

_SECTIONS_WITHOUT_CONTENTS = 6
"""A longer page begins with a list of its sections."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    columns: tuple[str, ...]
    """Names, the first column's included."""
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False
    """Shown when asked for: long tables that few readers need."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report."""

    title: str
    notes: tuple[str, ...] = ()
    """How to read it."""
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that is told about one evaluation."""

    title: str
    summary: tuple[str, ...]
    """Sentences that stand first."""
    sections: tuple[Section, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Seeds, commands, versions, data: see `anylead.provenance.environment`."""
    results: tuple[Any, ...] = ()
    """Result dataclasses or mappings, kept in report.json for machines."""


def write_report(report: Report, folder: Path) -> Path:
    """Writes ``report.html`` and ``report.json``, each whole or not at all.

    Args:
        report: What to write.
        folder: Made if absent; files of these names are replaced.

    Returns:
        The path of the page.

    Raises:
        FileError: If the disk refuses.
    """
    folder = Path(folder)
    write_json(folder / "report.json", plain_report(report))
    page = folder / "report.html"
    with atomic_path(page) as temporary:
        temporary.write_text(render_html(report), encoding="utf-8")
    return page


def plain_report(report: Report) -> dict[str, Any]:
    """Returns the report as plain values, figures by their captions and descriptions."""
    plain: dict[str, Any] = to_plain(report)
    for section in plain["sections"]:
        for figure in section["figures"]:
            del figure["svg"], figure["wide"]
    return {"format": FORMAT, **plain}


def render_html(report: Report) -> str:
    """Returns the page."""
    summary = "".join(f"<p>{escape(sentence)}</p>" for sentence in report.summary)
    sections = "".join(_section(section, number) for number, section in enumerate(report.sections, start=1))
    contents = _contents(report.sections) if len(report.sections) > _SECTIONS_WITHOUT_CONTENTS else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head>\n<body><main>"
        f'<h1>{escape(report.title)}</h1>\n<div class="summary">{summary}</div>\n{contents}'
        f"{sections}{_provenance(report.provenance)}</main></body></html>\n"
    )


def _section(section: Section, number: int) -> str:
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in section.notes)
    figures = "".join(_figure(figure, f"s{number}f{place}") for place, figure in enumerate(section.figures))
    tables = "".join(_table(table) for table in section.tables)
    shown = f'<div class="figures">{figures}</div>' if figures else ""
    return f'<section id="s{number}"><h2>{escape(section.title)}</h2>{notes}{shown}{tables}</section>\n'


def _contents(sections: tuple[Section, ...]) -> str:
    links = "".join(
        f'<li><a href="#s{number}">{escape(section.title)}</a></li>'
        for number, section in enumerate(sections, start=1)
    )
    return f'<nav aria-label="Contents"><ol>{links}</ol></nav>\n'


def _figure(figure: Figure, prefix: str) -> str:
    svg = with_own_ids(figure.svg, prefix)
    wide = ' class="wide"' if figure.wide else ""
    return (
        f"<figure{wide}><figcaption>{escape(figure.caption)}</figcaption>"
        f'<div role="img" aria-label="{escape(figure.description)}">{svg}</div></figure>'
    )


def _table(table: Table) -> str:
    # The roles survive the telephone layout, where the cells are not displayed as a table.
    head = "".join(f'<th scope="col" role="columnheader">{escape(name)}</th>' for name in table.columns)
    rows = "".join(_row(row, table.columns) for row in table.rows)
    body = f'<thead><tr role="row">{head}</tr></thead><tbody>{rows}</tbody>'
    if table.folded:
        told = f"<summary>{escape(table.caption)} ({len(table.rows)} rows)</summary>"
        return f'<details class="table">{told}<table role="table">{body}</table></details>'
    return f'<table role="table"><caption>{escape(table.caption)}</caption>{body}</table>'


def _row(row: tuple[Cell, ...], columns: tuple[str, ...]) -> str:
    first = f'<th scope="row" role="rowheader">{_cell(row[0])}</th>'
    rest = "".join(
        f'<td role="cell" data-column="{escape(column)}"><span>{_cell(cell)}</span></td>'
        for cell, column in zip(row[1:], columns[1:], strict=True)
    )
    return f'<tr role="row">{first}{rest}</tr>'


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    if cell.value is None:
        return '<span class="none">undefined</span>'
    value, _, bounds = str(cell).partition(" ")
    told = f'{value} <span class="range">{bounds}</span>' if bounds else value
    if not cell.resamples_undefined:
        return told
    resamples = cell.resamples_used + cell.resamples_undefined
    return f'{told} <span class="resamples">{cell.resamples_used} of {resamples} resamples</span>'


def _provenance(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    text = json.dumps(to_plain(values), indent=1, default=str, ensure_ascii=False)
    folded = f"<details><summary>Commands, seeds, versions</summary><pre>{escape(text)}</pre></details>"
    return f"<section><h2>Where these numbers come from</h2>{folded}</section>\n"
