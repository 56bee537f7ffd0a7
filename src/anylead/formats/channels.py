"""Channels of a recording that need not begin together or be equally long, and the array they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from anylead.errors import RecordFileError

MAXIMUM_SPARSITY = 16
"""How many times larger than what it holds an array of channels may be; the rest is missing samples."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Channel:
    """One decoded channel."""

    name: str
    millivolts: np.ndarray
    """NaN where a sample is missing."""
    start: int = 0
    """Samples from the beginning of the recording to the first one here."""


def stack(path: Path, channels: Sequence[Channel]) -> Float32[np.ndarray, "leads samples"]:
    """Returns the channels as rows; what a channel does not cover is missing.

    Raises:
        RecordFileError: If there is no sample, the channels lie too far apart, or a value is infinite.
    """
    held = sum(channel.millivolts.size for channel in channels)
    samples = max((channel.start + channel.millivolts.size for channel in channels), default=0)
    if held == 0:
        raise RecordFileError(f"{path}: the file holds no sample of any lead; give a complete one.")
    if samples * len(channels) > MAXIMUM_SPARSITY * held:
        raise RecordFileError(
            f"{path}: the leads span {samples} samples and hold {held} in all; leads that lie so far apart "
            "are not one recording: check the file."
        )
    signal = np.full((len(channels), samples), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):
        for row, channel in zip(signal, channels, strict=True):
            row[channel.start : channel.start + channel.millivolts.size] = channel.millivolts
    if np.isinf(signal).any():
        raise RecordFileError(
            f"{path}: a sample is infinite once scaled; samples are finite: check the file's scale."
        )
    return signal
