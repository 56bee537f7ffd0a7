"""Planted copies among synthetic recordings: how many are found, how many are false, how long it takes.

python benchmarks/near_duplicates.py --out benchmarks/near_duplicates.json

Synthetic patients have two recordings each, so that recordings of one heart are there to be confused. Copies
are of recordings of the collection, changed in one way or in all; each kind has the same number of copies.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from anylead.leads import STANDARD_12
from anylead.provenance import environment
from anylead.record import Record
from anylead.seeding import generator
from anylead.signal.filters import band_pass
from anylead.signal.near_duplicates import find_near_duplicates
from anylead.signal.resample import resample
from anylead.signal.signatures import signature
from anylead.sources.synthetic import Synthetic

RATES_HZ = (100.0, 128.0, 250.0, 257.0, 360.0, 1000.0)
SNR_DB = 10.0


def unchanged(record: Record, rng: np.random.Generator) -> Record:
    """Returns the same samples."""
    return record


def gain(record: Record, rng: np.random.Generator) -> Record:
    """Scales all leads by one factor of 0.4 to 2.5."""
    return with_signal(record, record.signal * np.float32(np.exp(rng.uniform(-0.9, 0.9))))


def gain_per_lead(record: Record, rng: np.random.Generator) -> Record:
    """Scales every lead by a factor of its own, 0.4 to 2.5."""
    factors = np.exp(rng.uniform(-0.9, 0.9, (len(record.leads), 1)))
    return with_signal(record, record.signal * factors.astype(np.float32))


def offset(record: Record, rng: np.random.Generator) -> Record:
    """Adds up to 2 mV and a wander of up to 0.3 mV at 0.05-0.3 Hz to every lead."""
    time_s = np.arange(record.samples) / record.sampling_rate_hz
    shape = (len(record.leads), 1)
    wander = np.sin(2 * np.pi * (rng.uniform(0.05, 0.3, shape) * time_s + rng.uniform(0, 1, shape)))
    added = rng.uniform(-2, 2, shape) + rng.uniform(0, 0.3, shape) * wander
    return with_signal(record, record.signal + added.astype(np.float32))


def rate(record: Record, rng: np.random.Generator) -> Record:
    """Brings it to another rate of `RATES_HZ`."""
    to_hz = RATES_HZ[rng.integers(len(RATES_HZ))]
    changed = resample(record.signal, from_hz=record.sampling_rate_hz, to_hz=to_hz)
    return Record(signal=changed, leads=record.leads, sampling_rate_hz=to_hz)


def shift(record: Record, rng: np.random.Generator) -> Record:
    """Cuts up to 3 s from the beginning and up to 2 s from the end."""
    first = int(rng.uniform(0, 3) * record.sampling_rate_hz)
    last = record.samples - int(rng.uniform(0, 2) * record.sampling_rate_hz)
    return with_signal(record, record.signal[:, first:last])


def lead_subset(record: Record, rng: np.random.Generator) -> Record:
    """Keeps one to three leads."""
    kept = sorted(rng.choice(len(record.leads), rng.integers(1, 4), replace=False).tolist())
    return record.select(tuple(record.leads[row] for row in kept))


def white_noise(record: Record, rng: np.random.Generator) -> Record:
    """Adds white noise to every lead, 10 dB below it."""
    return _noisy(record, rng.standard_normal(record.signal.shape))


def noise_in_band(record: Record, rng: np.random.Generator) -> Record:
    """Adds noise between 1 and 40 Hz, where the ECG is, to every lead, 10 dB below it."""
    white = rng.standard_normal(record.signal.shape).astype(np.float32)
    return _noisy(record, band_pass(white, rate_hz=record.sampling_rate_hz, low_hz=1.0, high_hz=40.0))


def all_together(record: Record, rng: np.random.Generator) -> Record:
    """Changes rate, gains, offset, place, leads and white noise."""
    for change in (white_noise, gain_per_lead, offset, shift, lead_subset, rate):
        record = change(record, rng)
    return record


KINDS: tuple[Callable[[Record, np.random.Generator], Record], ...] = (
    unchanged,
    gain,
    gain_per_lead,
    offset,
    rate,
    shift,
    lead_subset,
    white_noise,
    noise_in_band,
    all_together,
)


def with_signal(record: Record, signal: np.ndarray) -> Record:
    """Returns a recording of other samples."""
    return Record(
        signal=signal.astype(np.float32), leads=record.leads, sampling_rate_hz=record.sampling_rate_hz
    )


def _noisy(record: Record, noise: np.ndarray) -> Record:
    power = record.signal.var(axis=1, keepdims=True) / noise.var(axis=1, keepdims=True)
    return with_signal(record, record.signal + noise * np.sqrt(power * 10 ** (-SNR_DB / 10)))


def plant(recordings: int, copies: int, seed: int) -> tuple[list[Record], dict[tuple[int, int], str]]:
    """Returns recordings, the last ones copies, and the kind of change of each planted pair."""
    originals = recordings - copies
    source = Synthetic(patients=-(-originals // 2), sessions=2, seed=seed)
    made = [source.load(ref) for ref in source.scan(Path("."))[:originals]]
    copied = generator(seed, "copied").choice(originals, copies, replace=False).tolist()
    planted = {}
    for number, original in enumerate(copied):
        change = KINDS[number % len(KINDS)]
        planted[original, len(made)] = change.__name__
        made.append(change(made[original], generator(seed, "copy", number)))
    return made, planted


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recordings", type=int, default=5000, help="copies included")
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    recordings, planted = plant(options.recordings, options.copies, options.seed)
    with threadpool_limits(1):
        start, start_cpu = time.perf_counter(), time.process_time()
        signatures = [signature(r.signal, r.leads, rate_hz=r.sampling_rate_hz) for r in recordings]
        signed = time.perf_counter()
        found = {(match.a, match.b): match for match in find_near_duplicates(signatures)}
        searched, searched_cpu = time.perf_counter(), time.process_time()
    kinds = [change.__name__ for change in KINDS]
    result = {
        "recordings": len(recordings),
        "seed": options.seed,
        "planted": len(planted),
        "found": len(set(planted) & set(found)),
        "false": len(set(found) - set(planted)),
        "recall": {
            kind: {
                "planted": sum(name == kind for name in planted.values()),
                "found": sum(name == kind and pair in found for pair, name in planted.items()),
            }
            for kind in kinds
        },
        "missed": [
            {"pair": list(pair), "kind": kind, "leads": [x for x in recordings[pair[1]].leads]}
            for pair, kind in planted.items()
            if pair not in found
        ],
        "false_pairs": [
            {"pair": list(pair), "correlation": found[pair].correlation, "residual": found[pair].residual}
            for pair in found
            if pair not in planted
        ],
        "seconds": {
            "signatures": round(signed - start, 1),
            "search": round(searched - signed, 1),
            "cpu_of_both": round(searched_cpu - start_cpu, 1),
        },
        "threads": 1,
        "leads": len(STANDARD_12),
        "environment": environment(),
    }
    text = json.dumps(result, indent=1) + "\n"
    if options.out:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
