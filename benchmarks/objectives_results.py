"""Keeps what `anylead compare` found, for docs/results/objectives.md.

    python benchmarks/objectives_results.py OUT

Every run's JSON goes to docs/results/objectives/, so that a grid may be filled over several days; the tables
of OUT/report.json are printed as Markdown.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from anylead.provenance import write_json

KEPT = Path(__file__).resolve().parent.parent / "docs" / "results" / "objectives"


def keep(out: Path) -> list[Path]:
    """Copies ``run.json`` of every run that has ended; returns the copies."""
    copies = []
    for file in sorted(out.glob("*/**/run.json")):
        found = json.loads(file.read_text())
        found.pop("environment", None)  # the same for all: it is in the report
        name = "-".join(file.parent.relative_to(out).parts[1:])
        copies.append(KEPT / f"{name}.json")
        write_json(copies[-1], found)
    return copies


def markdown(report: dict[str, Any]) -> str:
    """Returns the tables of a report, each under its caption."""
    told = []
    for section in report["sections"]:
        for table in section["tables"]:
            rows = [table["columns"], ["---"] * len(table["columns"])]
            rows += [[_cell(cell) for cell in row] for row in table["rows"]]
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            told.append("\n".join([f"**{section['title']}: {table['caption']}**", "", *lines]))
    return "\n\n".join(told)


def _cell(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if cell["value"] is None:
        return "undefined"
    if cell["low"] is None:
        return f"{cell['value']:.3f}"
    return f"{cell['value']:.3f} [{cell['low']:.2f}, {cell['high']:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the comparison")
    options = parser.parse_args()
    copies = keep(options.out)
    print(markdown(json.loads((options.out / "report.json").read_text())))
    print(f"\n{len(copies)} runs are in {KEPT}")


if __name__ == "__main__":
    main()
