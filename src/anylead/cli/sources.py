"""anylead sources: the data sets that can be prepared."""

import dataclasses
import json
import textwrap
from dataclasses import dataclass
from typing import Any

from anylead.cli.arguments import parse


@dataclass(frozen=True, kw_only=True)
class SourcesArguments:
    """Lists the data sets that can be prepared: what they are, their licence, and how to cite them."""

    json: bool = False
    """Print them as JSON."""


def run(argv: list[str]) -> None:
    """Runs ``anylead sources``."""
    given, _ = parse(SourcesArguments, argv, prog="anylead sources")
    facts = source_facts()
    print(json.dumps(facts, indent=1) if given.json else "\n\n".join(map(_paragraph, facts)))


def source_facts() -> list[dict[str, Any]]:
    """Returns what every source says of itself, plain."""
    from anylead.sources import SOURCES

    return [
        {
            "name": name,
            "title": source.title,
            "url": source.url,
            "licence": source.licence,
            "patient_ids": source.patient_ids,
            "labelled": source.labelled,
            "options": [f.name for f in dataclasses.fields(source)],  # type: ignore[arg-type]
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
    lines = [
        f"{facts['title']}{'  ' + facts['url'] if facts['url'] else ''}",
        f"licence {facts['licence']}; {patients}; {'labelled' if facts['labelled'] else 'no labels'}",
        *textwrap.wrap(facts["citation"], 100),
    ]
    if facts["options"]:
        lines.append(f"options: {', '.join('--' + name.replace('_', '-') for name in facts['options'])}")
    return f"{facts['name']}\n" + "\n".join(f"    {line}" for line in lines)
