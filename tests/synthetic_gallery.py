"""A gallery of vectors that stand for hearts: a direction of each person, and noise of each recording."""

import numpy as np

from anylead.gallery.template import TemplateTable


def table(
    *,
    persons: int = 60,
    recordings: int = 3,
    noise: float = 0.6,
    dimension: int = 32,
    seed: int = 0,
    dated: bool = True,
) -> TemplateTable:
    """Returns a table of `persons` x `recordings` templates; noise is relative to a person's direction."""
    random = np.random.default_rng(seed)
    centre = random.normal(size=(persons, 1, dimension))
    vectors = centre + noise * random.normal(size=(persons, recordings, dimension))
    vectors = vectors.reshape(-1, dimension)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    count = persons * recordings
    days = random.integers(0, 400, count).astype("timedelta64[D]")
    dates = np.datetime64("2020-01-01", "s") + days
    return TemplateTable(
        record_ids=[f"r{row}" for row in range(count)],
        patient_ids=[f"p{row // recordings}" for row in range(count)],
        vectors=vectors.astype(np.float32),
        recorded_at=dates if dated else np.full(count, "NaT", "datetime64[s]"),
        duration_s=np.full(count, 10.0),
        hashes=[f"h{row}" for row in range(count)],
        flags=[()] * count,
    )
