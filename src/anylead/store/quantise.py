"""Millivolts to 16-bit counts and back, and the fingerprint of a recording."""

import hashlib

import numpy as np
from jaxtyping import Float32, Int16

from anylead.leads import STANDARD_12
from anylead.record import Record

MISSING = -32768
"""The count that stands for a missing sample."""
MAXIMUM_COUNT = 32767
QUANTUM_MV = 0.001
"""One count is 1 µV wherever the lead stays within ±32.767 mV."""


def quantise(
    signal: Float32[np.ndarray, "leads samples"],
) -> tuple[Int16[np.ndarray, "leads samples"], Float32[np.ndarray, "leads"]]:
    """Rounds a signal to 16-bit counts.

    Args:
        signal: Millivolts; NaN or infinite where a sample is missing.

    Returns:
        Counts, `MISSING` where a sample is missing, and millivolts per count of each lead. What comes
        back is within half a count.
    """
    present = np.isfinite(signal)
    values = np.where(present, signal, np.float32(0)).astype(np.float64)
    peak = np.abs(values).max(axis=1)
    scale = np.maximum(QUANTUM_MV, peak / MAXIMUM_COUNT).astype(np.float32)
    counts = np.rint(values / scale[:, None].astype(np.float64)).clip(-MAXIMUM_COUNT, MAXIMUM_COUNT)
    return np.where(present, counts, MISSING).astype(np.int16), scale


def dequantise(
    counts: Int16[np.ndarray, "leads samples"], scale_mv: Float32[np.ndarray, "leads"]
) -> Float32[np.ndarray, "leads samples"]:
    """Returns millivolts, NaN where a sample is missing."""
    signal = counts.astype(np.float32)
    signal *= scale_mv[:, None]
    # Looking for the smallest count costs a tenth of comparing each one and writing NaN.
    if counts.size and counts.min() == MISSING:
        signal[counts == MISSING] = np.nan
    return signal


def recording_hash(record: Record) -> str:
    """Returns 32 hexadecimal digits that are the same for the same recording, whatever data set it is in.

    It is the SHA-256 of the samples rounded to 1 µV, lead after lead in canonical order, with the
    names of the leads and the sampling rate. Ids, labels and file formats don't enter. A copy at
    another sampling rate, or filtered, has another hash.
    """
    order = sorted(record.leads, key=_canonical_place)
    signal = record.signal[[record.leads.index(lead) for lead in order]]
    present = np.isfinite(signal)
    microvolts = np.rint(np.where(present, signal, 0).astype(np.float64) * 1000).clip(-(2**30), 2**30)
    values = np.where(present, microvolts, -(2**31)).astype("<i4")
    digest = hashlib.sha256(f"{','.join(order)}|{record.sampling_rate_hz:.6f}|{values.shape[1]}|".encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]


def _canonical_place(lead: str) -> tuple[int, str]:
    return (STANDARD_12.index(lead) if lead in STANDARD_12 else len(STANDARD_12), lead)
