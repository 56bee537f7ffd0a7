"""How much of the library's own throughput does the service give, and what does it do when there is too much?

    python benchmarks/service.py --out benchmarks/results/service.json [--size mini] [--seconds 20]

A real process serves on loopback; 10-second 12-lead recordings lie in its memory and are embedded by 32
clients at a time. The library's own throughput is `Bundle.embed` of as many recordings in batches, in a
process of its own before and after; processors are shared by clients and service. Then twice that many
requests a second are sent, whatever comes back, and 10,000 requests while the memory is watched.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import httpx
import numpy as np
import torch

from anylead.bundle import Bundle
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.provenance import environment, write_json
from anylead.record import Record
from anylead.service.app import make_app
from anylead.service.server import serve
from anylead.service.settings import ServiceSettings
from service_parts import FakeGallery, FakeKeys, csv_of, samples

CLIENTS = 32
RECORDINGS = 64


def bundle_of(size: str) -> Bundle:
    torch.manual_seed(0)
    encoder = build_encoder(ConvTransformerConfig.named(size))
    return Bundle.assemble(encoder, preparation=Preparation.default()).eval()


def serve_forever(size: str, port: int) -> None:
    bundle = bundle_of(size)
    settings = ServiceSettings(port=port)
    serve(make_app(FakeGallery(bundle), bundle, settings, keys=FakeKeys()), settings)


def library_rate(bundle: Bundle, count: int) -> float:
    """Returns recordings a second of the library itself."""
    records = [Record.from_array(samples(10, 12, seed), fs=500, leads=STANDARD_12) for seed in range(count)]
    bundle.embed(records[:8])
    began = time.perf_counter()
    bundle.embed(records)
    return count / (time.perf_counter() - began)


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def upload(client: httpx.AsyncClient, seconds: float, seed: int) -> str:
    files = {"file": ("x.csv", csv_of(samples(seconds, 12, seed)))}
    answer = await client.post("/v1/records", files=files, data={"fs": "500", "unit": "mV"})
    return answer.json()["record"]


async def embed(client: httpx.AsyncClient, handle: str) -> tuple[int, float]:
    began = time.perf_counter()
    answer = await client.post("/v1/embed", json={"record": handle})
    return answer.status_code, time.perf_counter() - began


async def sustained(client: httpx.AsyncClient, handles: list[str], seconds: float) -> dict:
    """Lets each client ask again as soon as it has an answer."""
    until, times = time.perf_counter() + seconds, []

    async def one(place: int) -> None:
        while time.perf_counter() < until:
            status, took = await embed(client, handles[place % len(handles)])
            assert status == 200, status
            times.append(took)
            place += CLIENTS

    began = time.perf_counter()
    await asyncio.gather(*(one(place) for place in range(CLIENTS)))
    return {"rate": len(times) / (time.perf_counter() - began), **percentiles(times)}


async def overloaded(client: httpx.AsyncClient, handles: list[str], rate: float, seconds: float) -> dict:
    """Sends requests at a rate, whatever comes back."""
    tasks, began = [], time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        while len(tasks) < passed * rate:
            tasks.append(asyncio.create_task(embed(client, handles[len(tasks) % len(handles)])))
        await asyncio.sleep(0.005)
    answers = await asyncio.gather(*tasks)
    served = [took for status, took in answers if status == 200]
    refused = [took for status, took in answers if status == 429]
    other = sorted({status for status, _ in answers} - {200, 429})
    return {
        "offered_rate": round(rate, 1),
        "served": len(served),
        "refused": len(refused),
        "other_statuses": other,
        "served_rate": round(len(served) / seconds, 1),
        **percentiles(served),
        "refusal_p99_s": percentiles(refused)["p99_s"] if refused else None,
    }


async def remembered(client: httpx.AsyncClient, process: int, count: int) -> dict:
    """Uploads and embeds short recordings, and watches the memory of the service."""
    seen = []
    for start in range(0, count, 100):
        handles = [await upload(client, 1.0, seed) for seed in range(start, start + 50)]
        await asyncio.gather(*(embed(client, handle) for handle in handles))
        if start % (count // 10) == 0:
            seen.append(round(resident_mib(process), 1))
    return {"requests": count, "resident_mib": [*seen, round(resident_mib(process), 1)]}


def percentiles(times: list[float]) -> dict[str, float]:
    return {f"p{at}_s": round(float(np.percentile(times, at)), 4) for at in (50, 99)}


async def measure(given: argparse.Namespace, port: int, process: int) -> dict:
    limits = httpx.Limits(max_connections=400)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=300, limits=limits) as client:
        while True:
            try:
                await client.get("/readyz")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.1)
        handles = [await upload(client, 10, seed) for seed in range(RECORDINGS)]
        bundle, shares, rounds = bundle_of(given.size), [], []
        await sustained(client, handles, 2)
        for _ in range(given.repeats):
            library = library_rate(bundle, given.records)
            service = await sustained(client, handles, given.seconds)
            shares.append(service["rate"] / library)
            rounds.append({"library_per_s": round(library, 1), "service_per_s": round(service["rate"], 1)})
        rate = statistics.median(one["service_per_s"] for one in rounds)
        return {
            "encoder": given.size,
            "clients": CLIENTS,
            "rounds": rounds,
            "share_of_library": round(statistics.median(shares), 3),
            "sustained": percentiles_of(service),
            "twice_too_much": await overloaded(client, handles, 2 * rate, given.seconds),
            "memory": await remembered(client, process, given.requests),
        }


def percentiles_of(found: dict) -> dict:
    return {name: value for name, value in found.items() if name.startswith("p")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--records", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--serve", type=int, help="port; used by the script itself")
    given = parser.parse_args()
    if given.serve:
        serve_forever(given.size, given.serve)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(port), "--size", given.size]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        result = asyncio.run(measure(given, port, process.pid))
    finally:
        process.terminate()
        process.wait(40)
    result["threads"] = torch.get_num_threads()
    if given.out:
        write_json(given.out, result | {"environment": environment()})
    print(result)


if __name__ == "__main__":
    main()
