"""The commonest WFDB record, decoded without the `wfdb` package: 16-bit integers, all channels in one file.

The package takes 4 to 7 ms for a header (it goes through a pandas table field by field) and little for the
samples. Nearly every large corpus is in this format, so that this decides how long a million recordings take.
What is not of exactly this kind is left to the package, and what is comes out equal to it.

Source: WFDB signal file formats, https://physionet.org/physiotools/wag/signal-5.htm (format 16).
"""

import numpy as np
from jaxtyping import Float64

from anylead.formats.wfdb_header import WfdbHeader

MISSING = -32768
"""What format 16 stores for a missing sample."""


def is_plain(header: WfdbHeader, *, calibrated: bool) -> bool:
    """Tells whether `read_format_16` reads a record: no frames, no skew, gains known.

    Args:
        header: Of a record of one segment.
        calibrated: Whether gains are given and those of the header don't matter.
    """
    return header.samples is not None and all(
        line.format == 16
        and line.file == header.signals[0].file
        and line.byte_offset == header.signals[0].byte_offset
        and line.samples_per_frame == 1
        and line.skew == 0
        and (line.gain != 0 or calibrated)
        for line in header.signals
    )


def read_format_16(
    header: WfdbHeader, *, counts_per_mv: float | None = None
) -> Float64[np.ndarray, "leads samples"]:
    """Reads the channels in their physical unit, NaN where a sample is missing.

    Args:
        header: For which `is_plain` holds; its file has as many bytes as it promises.
        counts_per_mv: Instead of the gains of the header, with a baseline of 0.

    Raises:
        OSError: If the file cannot be read.
    """
    channels, samples = len(header.signals), header.samples or 0
    stored = np.fromfile(
        header.path.with_name(header.signals[0].file),
        dtype="<i2",
        count=channels * samples,
        offset=header.signals[0].byte_offset,
    )
    counts = stored.reshape(samples, channels).T
    gain = [counts_per_mv or line.gain for line in header.signals]
    baseline = [0 if counts_per_mv else line.baseline for line in header.signals]
    # In the package's order of operations, so that the results are equal to the last bit.
    signal = np.ascontiguousarray(counts, dtype=np.float64)
    signal -= np.array(baseline, dtype=np.float64)[:, None]
    with np.errstate(over="ignore"):  # of a gain beyond all numbers nothing is left
        signal /= np.array(gain, dtype=np.float64)[:, None]
    if stored.size and stored.min() == MISSING:
        signal[counts == MISSING] = np.nan
    return signal
