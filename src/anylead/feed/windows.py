"""Windows of a recording."""

from anylead.errors import InputError


def windows(samples: int, *, length: int) -> list[tuple[int, int]]:
    """Cuts a recording into windows that cover it.

    Windows follow each other without overlap; what is left over is covered by one more window that
    ends with the recording (and overlaps the one before). A recording shorter than a window is one
    short window.

    Args:
        samples: Of the recording.
        length: Of a window, in samples.

    Returns:
        (start, number of samples) of each window, in order.

    Raises:
        InputError: If there is nothing to cut or the length is not positive.
    """
    if samples < 1 or length < 1:
        raise InputError(f"windows: got {samples} samples and a length of {length}; both must be at least 1.")
    if samples <= length:
        return [(0, samples)]
    starts = [*range(0, samples - length + 1, length)]
    if starts[-1] + length < samples:
        starts.append(samples - length)
    return [(start, length) for start in starts]
