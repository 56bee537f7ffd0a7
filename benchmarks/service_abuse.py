"""What does the service do with damaged uploads, and with any request that its OpenAPI allows or forbids?

    python benchmarks/service_abuse.py --out benchmarks/results/service_abuse.json [--uploads 5000]

Files of every kind are damaged, as `benchmarks/fuzz.py` damages them, and uploaded; then schemathesis sends
right and wrong requests to every operation. A 500, a traceback or an answer that is not described is a fault.
Memory is that of the whole process, after a tenth of the uploads and after all.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the files are those of the tests

from anylead.gallery.api_keys import ApiKeys
from anylead.gallery.gallery import Gallery
from anylead.provenance import environment, write_json
from fuzz_cases import FILES, write_case
from gallery_setup import recording_of
from service_parts import client_of, make_bundle, send
from service_requests import operations, schema_of, send_requests


def resident_mib() -> float:
    """Returns the memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def upload(client, name: str, files, seed: int, case: int) -> tuple[int, bool, float]:
    """Uploads one damaged recording; returns status, whether a traceback was told, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        first = write_case(Path(folder), name, files, seed, case)
        paths = [first, *(path for path in sorted(Path(folder).iterdir()) if path != first)]
        sent = [("file", (path.name, path.read_bytes())) for path in paths]
    began = time.perf_counter()
    answer = client.post("/v1/records", files=sent)
    return answer.status_code, "Traceback" in answer.text, time.perf_counter() - began


def uploads(client, count: int, seed: int) -> dict:
    statuses: Counter[int] = Counter()
    tracebacks, slowest, early = 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        kinds = {name: write(Path(folder)) for name, write in FILES.items()}
    for number in range(count):
        name = list(kinds)[number % len(kinds)]
        status, traced, seconds = upload(client, name, kinds[name], seed, 1 + number // len(kinds))
        statuses[status] += 1
        tracebacks += traced
        slowest = max(slowest, seconds)
        if number == count // 10:
            early = resident_mib()
    return {
        "uploads": count,
        "statuses": dict(sorted(statuses.items())),
        "tracebacks": tracebacks,
        "slowest_s": round(slowest, 3),
        "resident_mib_after_a_tenth": round(early, 1),
        "resident_mib_after_all": round(resident_mib(), 1),
    }


def requests(client, count: int) -> dict:
    statuses: Counter[int] = Counter()
    faults = {}
    found = operations(schema_of(client.app))
    handle = send(client).json()["record"]
    for name, operation in found.items():
        try:
            send_requests(operation, count, handle=handle, counts=statuses)
        except Exception as error:
            faults[name] = str(error)[:500]
    return {
        "operations": len(found),
        "requests": statuses.total(),
        "statuses": dict(sorted(statuses.items())),
        "faults": faults,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--uploads", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=100, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    bundle = make_bundle(classes=("AF",))
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.create(Path(folder) / "gallery", bundle, keep_signals=True) as gallery,
        client_of(gallery, bundle, ApiKeys(gallery.database), allowed_hosts=("testserver",)) as client,
    ):
        gallery.enrol(recording_of(person, session) for person in range(6) for session in range(2))
        result = {
            "seed": given.seed,
            "damaged": uploads(client, given.uploads, given.seed),
            "made_from_openapi": requests(client, given.requests),
        }
        result["alive_afterwards"] = client.get("/readyz").status_code == 200
    result["minutes"] = round((time.perf_counter() - began) / 60, 1)
    write_json(given.out, result | {"environment": environment()})
    print(result)


if __name__ == "__main__":
    main()
