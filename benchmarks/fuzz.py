"""What do the readers of files do with damaged ones, and with files that are made to do harm?

    python benchmarks/fuzz.py --cases 20000 --out benchmarks/results/fuzz.json [--seed 1]

Valid files of every kind are damaged, as the tests damage them, and read in a process of their own: a case
ends with a valid record, with one of our errors, or is a fault: another exception, a process that died or
took a minute. For each case the time and the growth of the peak of memory are taken. A case that is reported
can be made again by its kind, the seed and its number: `fuzz_cases.write_case`.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the files are those of the tests

from anylead.errors import AnyleadError
from anylead.formats import FORMATS, read
from anylead.provenance import environment, write_json
from fuzz_attacks import ATTACKS
from fuzz_cases import FILES, check, write_case

LIMIT_S = 60.0
LIMIT_BYTES = 6 * 2**30
"""Address space of a process that reads; beyond it, Python raises MemoryError, which is a fault."""
NAMED_FAULTS = 20

Outcome = dict[str, Any]
"""``outcome`` (record, refused or fault), ``said``, ``seconds``, ``growth_mib``."""


def peak_bytes(*, reset: bool = False) -> int:
    """Returns the most memory the process has held, after `reset` since then (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measured(work: Callable[[], object]) -> Outcome:
    """Runs one case and says how it ended and what it took."""
    before, began = peak_bytes(reset=True), time.perf_counter()
    try:
        work()
        ended = {"outcome": "record", "said": ""}
    except AnyleadError as error:
        ended = {"outcome": "refused", "said": f"{type(error).__name__}: {error}"}
    except BaseException as error:
        ended = {"outcome": "fault", "said": f"{type(error).__name__}: {error}"}
    seconds = time.perf_counter() - began
    return {**ended, "seconds": seconds, "growth_mib": (peak_bytes() - before) / 2**20}


def read_and_check(path: Path, reader: Callable[..., Any]) -> None:
    """Reads a file by its content and, where that is hidden, by the reader of its kind."""
    warnings.simplefilter("ignore")
    try:
        check(read(path))
    except AnyleadError as error:
        if "the content is of no known format" not in str(error):
            raise
        check(reader(path))


def damage(pipe: Connection, name: str, seed: int, cases: range) -> None:
    """In a process of its own: reads cases of one kind and sends how each ended."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        files = FILES[name](Path(folder))
        first, content = next(iter(files.items()))
        known = [one for one in FORMATS if one.recognises(content[:4096], Path(first))]
        reader = known[0].read if known else read
        read_and_check(
            write_case(Path(folder), name, files, seed, 0), reader
        )  # imports what the reader needs
        for case in cases:
            path = write_case(Path(folder), name, files, seed, case)
            pipe.send(measured(lambda path=path: read_and_check(path, reader)))


def attack(pipe: Connection, name: str) -> None:
    """In a process of its own: reads one file that is made to do harm."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        write, reader, _ = ATTACKS[name]
        path = write(Path(folder))
        outcome = measured(lambda: reader(path))
        pipe.send({**outcome, "said": outcome["said"].replace(f"{folder}/", "")})


def run(work: Callable[..., None], *arguments: Any, count: int) -> Iterator[Outcome]:
    """Yields what a process sends, `count` times, or a fault where it dies or says nothing for too long."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        for _ in range(count):
            if not ours.poll(LIMIT_S):
                yield {"outcome": "fault", "said": "no answer", "seconds": LIMIT_S, "growth_mib": 0.0}
                return
            try:
                yield ours.recv()
            except EOFError:
                process.join()
                said = f"the process ended with {process.exitcode}"
                yield {"outcome": "fault", "said": said, "seconds": 0.0, "growth_mib": 0.0}
                return
    finally:
        process.kill()
        process.join()
        ours.close()


def outcomes(name: str, seed: int, cases: int) -> list[Outcome]:
    """Returns how the cases 1 to `cases` of a kind ended, going on behind one that killed its process."""
    found: list[Outcome] = []
    while len(found) < cases:
        found += run(damage, name, seed, range(len(found) + 1, cases + 1), count=cases - len(found))
    return found


def summary(name: str, found: list[Outcome]) -> dict[str, Any]:
    """Returns the counts and extremes of one kind."""
    counts = {kind: sum(one["outcome"] == kind for one in found) for kind in ("record", "refused", "fault")}
    return {
        "kind": name,
        "cases": len(found),
        "records": counts["record"],
        "refusals": counts["refused"],
        "faults": counts["fault"],
        "slowest_s": round(max(one["seconds"] for one in found), 3),
        "largest_growth_mib": round(max(one["growth_mib"] for one in found), 1),
        "named_faults": [
            {"case": case, "said": one["said"][:300]}
            for case, one in enumerate(found, start=1)
            if one["outcome"] == "fault"
        ][:NAMED_FAULTS],
    }


def attacked(name: str) -> dict[str, Any]:
    """Returns how reading one harmful file ended."""
    (one,) = run(attack, name, count=1)
    return {
        "attack": name,
        "outcome": one["outcome"],
        "said": one["said"],
        "seconds": round(one["seconds"], 3),
        "growth_mib": round(one["growth_mib"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="in all, shared among the kinds of files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(FILES), help="kinds of files")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    share = -(-given.cases // len(given.only))
    began, kinds = time.perf_counter(), []
    for name in given.only:
        kinds.append(summary(name, outcomes(name, given.seed, share)))
        print({key: value for key, value in kinds[-1].items() if key != "named_faults"}, flush=True)
    attacks = [attacked(name) for name in ATTACKS]
    result = {
        "cases": sum(one["cases"] for one in kinds),
        "seed": given.seed,
        "records": sum(one["records"] for one in kinds),
        "refusals": sum(one["refusals"] for one in kinds),
        "faults": sum(one["faults"] for one in kinds),
        "slowest_s": max(one["slowest_s"] for one in kinds),
        "largest_growth_mib": max(one["largest_growth_mib"] for one in kinds),
        "kinds": kinds,
        "attacks_refused": sum(one["outcome"] == "refused" for one in attacks),
        "attacks": attacks,
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "environment": environment(),
    }
    write_json(given.out, result)
    print({key: value for key, value in result.items() if isinstance(value, (int, float))})


if __name__ == "__main__":
    main()
