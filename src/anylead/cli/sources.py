"""anylead sources: the data sets that can be prepared."""

import dataclasses
import json
import textwrap
from dataclasses import dataclass
from typing import Any

from anylead.cli.arguments import parse


@dataclass(frozen=True, kw_only=True)
class SourcesArguments:
    """Lists the data sets that can be prepared: what they are, their licence, how to cite and to get them."""

    json: bool = False
    """Print them as JSON."""


def run(argv: list[str]) -> None:
    """Runs ``anylead sources``."""
    given, _ = parse(SourcesArguments, argv, prog="anylead sources")
    facts = source_facts()
    print(json.dumps(facts, indent=1) if given.json else "\n\n".join(map(_paragraph, facts)))


def source_facts() -> list[dict[str, Any]]:
    """Returns what every source says of itself, plain."""
    from anylead.cli.prepare import SourceOptions
    from anylead.sources import SOURCES

    given = {field.name for field in dataclasses.fields(SourceOptions)}
    return [
        {
            "name": name,
            "title": source.title,
            "url": source.url,
            "licence": source.licence,
            "patient_ids": source.patient_ids,
            "labelled": source.labelled,
            **dataclasses.asdict(source.facts),
            "options": [f.name for f in dataclasses.fields(source) if f.name in given],  # type: ignore[arg-type]
            "citation": source.citation,
        }
        for name, source in SOURCES.items()
    ]


def _paragraph(facts: dict[str, Any]) -> str:
    patients = (
        "patients known"
        if facts["patient_ids"] == "known"
        else "patients not published: splits are by recording"
    )
    size = "; ".join(filter(None, [facts["size"], _leads(facts["leads"]), facts["rate"]]))
    lines = [
        f"{facts['title']}{'  ' + facts['url'] if facts['url'] else ''}",
        *([size] if size else []),
        f"licence {facts['licence']}; {patients}; {'labelled' if facts['labelled'] else 'no labels'}",
        *textwrap.wrap(facts["citation"], 100),
    ]
    if facts["url"]:
        lines.append(_layout(facts))
    if facts["download"]:
        lines.append(f"$ {facts['download']}")
    if facts["options"]:
        lines.append(f"options: {', '.join('--' + name.replace('_', '-') for name in facts['options'])}")
    return f"{facts['name']}\n" + "\n".join(f"    {line}" for line in lines)


def _leads(leads: str) -> str:
    if not leads:
        return ""
    return f"lead {leads}" if leads == "I" else f"leads: {leads}" if "," in leads else f"{leads} leads"


def _layout(facts: dict[str, Any]) -> str:
    """How we know what the files look like, and whether they can be checked."""
    known = {
        "files": "layout: published files were read",
        "documentation": f"layout: as documented at {facts['layout_page']}",
        "unverified": "layout: unverified",
    }
    checked = f"; checked against {facts['checksums']}" if facts["checksums"] else "; no checksums to check"
    return known[facts["layout_known_from"]] + checked
