"""Does a gallery keep what it acknowledged through kills, full disks, flipped bytes and crashing servers?

    python benchmarks/gallery_faults.py --out benchmarks/results/gallery_faults.json

Every case uses real processes and files; PostgreSQL is that of the package pgserver and left out without it.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from anylead.errors import GalleryError
from anylead.gallery.gallery_key import KEY_VARIABLE
from anylead.gallery.open_database import create_database, open_database
from anylead.provenance import environment

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from gallery_rows import acknowledged, enrolment, identity, missing_after, start_writer  # noqa: E402

FULL_DISK = """
import resource, sys
from anylead.errors import GalleryError
from anylead.gallery.open_database import open_database
from gallery_rows import enrolment
with open_database(sys.argv[1]) as database:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        for number in range(100_000):
            database.enrol([enrolment(number, signal=bytes(range(256)) * 20)], actor="x")
            print(number, flush=True)
    except GalleryError as error:
        print(error)
"""


def kills(count: int, url: str, draw: random.Random) -> dict:
    """Kills a writer `count` times on one gallery, each time among other ids."""
    acts, during, wrong = Counter(), Counter(), []
    for number in range(count):
        first = 3000 * number
        process = start_writer(url, first=first, count=3000)
        time.sleep(draw.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.readlines()
        process.wait()
        said = acknowledged(lines)
        acts.update({word: len(numbers) for word, numbers in said.items()})
        during[following(lines)] += 1
        with open_database(url) as database:
            found = missing_after(database, said, first=first, among=range(first, first + 3000))
            wrong += [f"kill {number}: {line}" for line in found]
            # What this round left goes, so that the next one starts small.
            database.remove_before(enrolment(first + 3001).recorded_at, actor="x")
    return {"kills": count, "acknowledged": dict(acts), "killed_during": dict(during), "wrong": wrong}


def following(lines: list[str]) -> str:
    """Returns what a writer was at when it had said so much."""
    word, _, number = (lines[-1] if lines else "review 0").strip().partition(" ")
    if word == "enrol":
        return "remove" if int(number) % 3 == 2 else "review"
    return "review" if word == "remove" else "enrol"


def two_writers(url: str, count: int) -> dict:
    writers = [start_writer(url, first=first, count=count) for first in (0, 10_000)]
    said = [acknowledged(writer.stdout.readlines()) for writer in writers]
    codes = [writer.wait() for writer in writers]
    with open_database(url) as database:
        wrong = missing_after(database, said[0], among=range(10_000))
        wrong += missing_after(database, said[1], first=10_000, among=range(10_000, 20_000))
        return {"exit_codes": codes, "recordings": len(database.record_ids()), "wrong": wrong}


def full_disks(folder: Path, draw: random.Random, count: int) -> list[dict]:
    found = []
    for number in range(count):
        place = folder / f"full {number}"
        create_database(place, identity()).close()
        limit = draw.randrange(100_000, 1_000_000)
        path = f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}{TESTS}"
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(place), str(limit)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        lines = done.stdout.splitlines()
        with open_database(place) as database:
            kept, trail = len(database.record_ids()), len(database.audit())
        said = lines[-1].rpartition(": ")[2] if lines else done.stderr
        found.append(
            {"limit_bytes": limit, "acknowledged": len(lines) - 1, "kept": kept, "trail": trail, "said": said}
        )
    return found


def all_of(folder: Path) -> object:
    with open_database(folder) as database:
        rows = [
            (e.record_id, e.patient_id, e.recorded_at, e.duration_s, e.hash, e.leads, e.flags, e.signal)
            for e in database.enrolments()
        ]
        tables = [
            (t.record_ids, t.patient_ids, t.vectors.tobytes()) for t in map(database.templates, ("12", "I"))
        ]
        documents = {name: database.document(name) for name in database.document_names()}
        trail = [vars(line) for line in database.audit()]
        return rows, tables, documents, trail, database.identity(), database.patients()


def flipped_bytes(folder: Path, draw: random.Random, count: int) -> dict:
    """Flips one bit of the file at a time and reads everything."""
    whole = folder / "whole"
    with create_database(whole, identity()) as database:
        database.enrol([enrolment(n, signal=draw.randbytes(300)) for n in range(60)], actor="x")
        database.put_document("calibration", {"a": list(range(300))}, actor="x", action="calibrate")
    expected, written = all_of(whole), (whole / "gallery.sqlite").read_bytes()
    outcomes, unnoticed = Counter(), []
    for _ in range(count):
        place = draw.randrange(len(written))
        copy = folder / "flipped"
        shutil.copytree(whole, copy)
        changed = bytearray(written)
        changed[place] ^= 1 << draw.randrange(8)
        (copy / "gallery.sqlite").write_bytes(changed)
        try:
            same = all_of(copy) == expected
            outcomes["nothing changed that is read" if same else "unnoticed"] += 1
            if not same:
                unnoticed.append(place)
        except GalleryError:
            outcomes["named"] += 1
        except Exception as error:
            outcomes[f"another error: {type(error).__name__}"] += 1
        shutil.rmtree(copy)
    return {"flips": count, "file_bytes": len(written), "outcomes": dict(outcomes), "unnoticed_at": unnoticed}


def postgres_restarts(server, url: str, count: int) -> dict:
    """Crashes PostgreSQL again and again (immediate shutdown) while four threads write."""
    from pgserver import pg_ctl

    stop = threading.Event()
    kept, failures, strange = [], Counter(), []

    def write(first: int) -> None:
        with open_database(url) as database:
            number = first
            while not stop.is_set():
                try:
                    database.enrol([enrolment(number)], actor="x")
                    kept.append(number)
                    number += 1
                except GalleryError:
                    failures[first] += 1
                    time.sleep(0.05)
                except Exception as error:
                    strange.append(repr(error))
                    return

    threads = [threading.Thread(target=write, args=(10_000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    after = []
    for _ in range(count):
        time.sleep(1.0)
        arguments = ["-w", "-m", "immediate", "-l", str(server.log), "restart"]
        pg_ctl(arguments, pgdata=server.pgdata, user=server.system_user)
        began, before = time.perf_counter(), len(kept)
        while len(kept) == before and time.perf_counter() - began < 20:
            time.sleep(0.01)
        after.append(round(time.perf_counter() - began, 2))
    stop.set()
    for thread in threads:
        thread.join()
    with open_database(url) as database:
        there = set(database.record_ids())
        lines = database.audit()
    return {
        "restarts": count,
        "acknowledged": len(kept),
        "lost": sorted(set(kept) - {int(name.split()[1]) for name in there}),
        "calls_that_failed_cleanly": sum(failures.values()),
        "other_errors": strange,
        "writing_again_after_s": after,
        "trail_lines": len(lines),
        "recordings": len(there),
    }


def on_postgres(folder: Path, options: argparse.Namespace, draw: random.Random) -> dict | None:
    try:
        import pgserver
    except ImportError:
        return None
    os.environ[KEY_VARIABLE] = "5a" * 32
    folder.chmod(0o755)
    server = pgserver.get_server(folder / "pg")
    try:
        found = {}
        for name in ("kills", "writers", "restarts"):
            server.psql(f"CREATE DATABASE {name};")
            create_database(server.get_uri(name), identity()).close()
        found["kills"] = kills(options.postgres_kills, server.get_uri("kills"), draw)
        found["two_writers"] = two_writers(server.get_uri("writers"), 60)
        found["restarts_under_load"] = postgres_restarts(server, server.get_uri("restarts"), options.restarts)
        return found
    finally:
        server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--postgres-kills", type=int, default=20)
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in ("kills", "writers"):
            create_database(folder / place, identity()).close()
        sqlite = {
            "kills": kills(options.kills, str(folder / "kills"), draw),
            "two_writers": two_writers(str(folder / "writers"), 60),
            "full_disks": full_disks(folder, draw, 10),
            "flipped_bytes": flipped_bytes(folder, draw, options.flips),
        }
        postgres = on_postgres(folder, options, draw)
    result = {
        "question": "Is every acknowledged write there, nothing half there, and every damage named?",
        "options": {k: v for k, v in vars(options).items() if k != "out"},
        "sqlite": sqlite,
        "postgresql": postgres,
        "environment": {k: v for k, v in environment().items() if k != "command"},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
