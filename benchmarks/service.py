"""How much of the library's own throughput does the service give, and what does it do when there is too much?

    python benchmarks/service.py --out benchmarks/results/service.json [--size mini] [--seconds 20]

A real process serves a real gallery on loopback; 10-second 12-lead recordings lie in its memory, prepared
when they were uploaded, and are embedded by 32 clients at a time, which are one asyncio process on the same
processors. The library's own throughput is `Bundle.embed` of recordings in memory in batches, before and
after each round, and the same without preparing them, which is what the service does. Milliseconds of
processor are told for each request, the clients' and the service's. Then twice as many requests a second are
sent as were served, whatever comes back, and 10,000 requests (half of them uploads of one second) while the
memory is watched.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import torch

from anylead.bundle import Bundle
from anylead.bundle.inference import record_means
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.gallery.gallery import Gallery
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.provenance import environment, write_json
from anylead.record import Record
from anylead.service.app import make_app
from anylead.service.server import serve
from anylead.service.settings import ServiceSettings
from service_parts import csv_of, samples

CLIENTS = 32
RECORDINGS = 64


def bundle_of(size: str) -> Bundle:
    torch.manual_seed(0)
    encoder = build_encoder(ConvTransformerConfig.named(size))
    return Bundle.assemble(encoder, preparation=Preparation.default()).eval()


def serve_forever(size: str, port: int) -> None:
    """Serves a gallery of a few patients, in which every request looks for API keys."""
    bundle = bundle_of(size)
    settings = ServiceSettings(port=port)
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.create(Path(folder) / "gallery", bundle) as gallery,
    ):
        gallery.enrol(replace(record_of(seed), patient_id=f"patient {seed // 2}") for seed in range(8))
        serve(make_app(gallery, bundle, settings), settings)


def record_of(seed: int) -> Record:
    signal = samples(10, 12, seed)
    return Record.from_array(signal, fs=500, leads=STANDARD_12, record_id=f"record {seed}")


def library_rates(bundle: Bundle, count: int) -> np.ndarray:
    """Returns recordings a second of the library itself: with preparing them, and without."""
    records = [record_of(seed) for seed in range(count)]
    bundle.embed(records[:8])
    began = time.perf_counter()
    bundle.embed(records)
    embedded = time.perf_counter()
    prepared = [bundle.preparation(record) for record in records]
    model, start = bundle.reader(), time.perf_counter()
    windows = bundle.windows_of(prepared, prepared=True)
    record_means(bundle.run(model, windows, batch_size=64), count)
    return count / np.array([embedded - began, time.perf_counter() - start])


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Client:
    """Speaks HTTP over connections that are kept, with as little work as that takes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes, kind: str = "application/json") -> tuple[int, bytes]:
        """Returns status and body of the answer."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        reader, writer, told = await self._ask(head.encode() + body)
        length = int(told.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        answer = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(told[9:12]), answer

    async def _ask(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Sends a request over a kept connection, or another where the service has closed it by now."""
        while True:
            kept = bool(self._idle)
            reader, writer = self._idle.pop() if kept else await self._connect()
            try:
                writer.write(request)
                return reader, writer, await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if not kept:
                    raise

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)


async def upload(client: Client, seconds: float, seed: int) -> str:
    fields = {"fs": b"500", "unit": b"mV", 'file"; filename="x.csv': csv_of(samples(seconds, 12, seed))}
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in fields.items()
    ]
    body = b"".join(parts) + b"--b--\r\n"
    status, answer = await client.post("/v1/records", body, "multipart/form-data; boundary=b")
    assert status == 201, answer
    return json.loads(answer)["record"]


async def embed(client: Client, handle: str) -> tuple[int, float]:
    began = time.perf_counter()
    status, _ = await client.post("/v1/embed", b'{"record":"%s"}' % handle.encode())
    return status, time.perf_counter() - began


async def sustained(client: Client, handles: list[str], seconds: float, process: int) -> dict:
    """Lets each client ask again as soon as it has an answer."""
    until, times = time.perf_counter() + seconds, []

    async def one(place: int) -> None:
        while time.perf_counter() < until:
            status, took = await embed(client, handles[place % len(handles)])
            assert status == 200, status
            times.append(took)
            place += CLIENTS

    began, client_cpu, service_cpu = time.perf_counter(), time.process_time(), cpu_s(process)
    await asyncio.gather(*(one(place) for place in range(CLIENTS)))
    took = time.perf_counter() - began
    return {
        "per_s": round(len(times) / took, 1),
        "client_cpu_ms": round(1000 * (time.process_time() - client_cpu) / len(times), 2),
        "service_cpu_ms": round(1000 * (cpu_s(process) - service_cpu) / len(times), 2),
        **percentiles(times),
    }


async def overloaded(client: Client, handles: list[str], rate: float, seconds: float) -> dict:
    """Sends requests at a rate, whatever comes back."""
    tasks, began = [], time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        while len(tasks) < passed * rate:
            tasks.append(asyncio.create_task(embed(client, handles[len(tasks) % len(handles)])))
        await asyncio.sleep(0.005)
    answers = await asyncio.gather(*tasks)
    took = time.perf_counter() - began
    served = [took for status, took in answers if status == 200]
    refused = [took for status, took in answers if status == 429]
    other = sorted({status for status, _ in answers} - {200, 429})
    return {
        "offered_per_s": round(len(tasks) / seconds, 1),
        "served": len(served),
        "refused": len(refused),
        "other_statuses": other,
        "served_per_s": round(len(served) / took, 1),
        **percentiles(served),
        "refusal_p99_s": percentiles(refused)["p99_s"] if refused else None,
    }


async def remembered(client: Client, process: int, count: int) -> dict:
    """Uploads and embeds short recordings, and watches the memory of the service."""
    seen, done, step = [], 0, max(count // 10, 1)
    while done < count:
        handles = [await upload(client, 1.0, done + seed) for seed in range(25)]
        await asyncio.gather(*(embed(client, handle) for handle in handles))
        done += 50
        if done // step > len(seen):
            seen.append(round(resident_mib(process), 1))
    return {"requests": done, "resident_mib_after_each_tenth": seen}


def percentiles(times: list[float]) -> dict[str, float]:
    return {f"p{at}_s": round(float(np.percentile(times, at)), 4) for at in (50, 99)}


async def measure(given: argparse.Namespace, port: int, process: int) -> dict:
    client = Client(port)
    handles = [await upload(client, 10, seed) for seed in range(RECORDINGS)]
    bundle, rounds = bundle_of(given.size), []
    await sustained(client, handles, 2, process)
    for _ in range(given.repeats):
        before = library_rates(bundle, given.records)
        service = await sustained(client, handles, given.seconds, process)
        whole, model = ((before + library_rates(bundle, given.records)) / 2).tolist()
        rounds.append(
            {
                "library_per_s": round(whole, 1),
                "library_without_preparing_per_s": round(model, 1),
                "share_of_library": round(service["per_s"] / whole, 3),
                "share_without_preparing": round(service["per_s"] / model, 3),
                **service,
            }
        )
        print(rounds[-1], file=sys.stderr)
    rate = statistics.median(one["per_s"] for one in rounds)
    return {
        "encoder": given.size,
        "clients": CLIENTS,
        "threads": torch.get_num_threads(),
        "share_of_library": statistics.median(one["share_of_library"] for one in rounds),
        "share_without_preparing": statistics.median(one["share_without_preparing"] for one in rounds),
        "rounds": rounds,
        "twice_too_much": await overloaded(client, handles, 2 * rate, given.seconds),
        "memory": await remembered(client, process, given.requests),
    }


async def listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)


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
        asyncio.run(asyncio.wait_for(listening(port), 120))
        result = asyncio.run(measure(given, port, process.pid))
    finally:
        process.terminate()
        process.wait(40)
    if given.out:
        write_json(given.out, result | {"environment": environment()})
    print(result)


if __name__ == "__main__":
    main()
