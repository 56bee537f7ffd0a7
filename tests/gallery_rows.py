"""Small galleries for tests: identities, recordings of random vectors, and a process to be killed."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

import anylead
from anylead.gallery.template import Enrolment, GalleryIdentity

DIMENSION = 48

WRITER = """
import sys
from anylead.gallery.open_database import open_database
from gallery_rows import enrolment
database, first = open_database(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for number in range(first, first + int(sys.argv[3])):
    database.enrol([enrolment(number)], actor="writer")
    print("enrol", number, flush=True)
    if number % 3 == 2:
        database.remove(f"patient {number - 1}", actor="writer")
        print("remove", number - 1, flush=True)
    value = {"number": number, "text": "x" * 5000}
    database.put_document(f"reviews {first}", value, actor="writer", action="review")
    print("review", number, flush=True)
print("done", flush=True)
"""
"""Says what was acknowledged, a line each, once it was."""


def identity(**changes) -> GalleryIdentity:
    """Returns what the vectors of these tests are made by."""
    return GalleryIdentity(**{"model": "m" * 8, "preparation": "p" * 8, "dimension": DIMENSION, **changes})


def unit(seed: int, dimension: int = DIMENSION) -> np.ndarray:
    """Returns a random vector of length 1."""
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def enrolment(number: int, *, patient: str | None = None, **changes) -> Enrolment:
    """Returns a recording with templates for two lead sets."""
    fields = {
        "record_id": f"record {number}",
        "patient_id": patient or f"patient {number}",
        "templates": {"12": unit(2 * number), "I": unit(2 * number + 1)},
        "recorded_at": datetime(2020, 1, 1, 12) + timedelta(days=number),
        "duration_s": 10.0,
        "hash": f"hash {number}",
        "leads": ("I", "II"),
        "flags": ("flat:V3",),
        "signal": None,
    }
    return Enrolment(**{**fields, **changes})


def start_writer(folder: Path | str, *, first: int = 0, count: int = 1000) -> subprocess.Popen:
    """Starts a process that enrols, removes and reviews, and waits until it begins."""
    source, tests = Path(anylead.__file__).parents[1], Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}"}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def acknowledged(lines: list[str]) -> dict[str, list[int]]:
    """Sorts what a writer said into enrolled, removed and reviewed numbers."""
    said = {"enrol": [], "remove": [], "review": []}
    for line in lines:
        word, _, number = line.rstrip("\n").partition(" ")
        if word in said and line.endswith("\n"):
            said[word].append(int(number))
    return said


def missing_after(database, said: dict[str, list[int]], *, first: int = 0) -> list[str]:
    """Returns what is wrong with a gallery whose writer was killed: lost writes, half records."""
    wrong = []
    there = {e.record_id: e for e in database.enrolments()}
    for number in set(said["enrol"]) - set(said["remove"]):
        # The removal that was under way may have ended or not.
        if f"record {number}" not in there and not (number % 3 == 1 and number + 1 in said["enrol"]):
            wrong.append(f"record {number} is lost")
    wrong += [f"record {n} is back" for n in said["remove"] if f"record {n}" in there]
    for record_id, kept in there.items():
        number = int(record_id.split()[1])
        if any(not np.array_equal(v, enrolment(number).templates[k]) for k, v in kept.templates.items()):
            wrong.append(f"{record_id} has other vectors")
        if set(kept.templates) != {"12", "I"}:
            wrong.append(f"{record_id} is half there")
    document = database.document(f"reviews {first}")
    if said["review"] and (document is None or document["number"] < max(said["review"])):
        wrong.append(f"review {max(said['review'])} is lost")
    lines = database.audit()
    enrolled = sum(line.action == "enrol" for line in lines)
    if enrolled != len(there) + sum(line.action == "remove" for line in lines):
        wrong.append("the audit trail counts other recordings")
    if len(database.templates("12").record_ids) != len(there):
        wrong.append("there are templates without a recording")
    return wrong
