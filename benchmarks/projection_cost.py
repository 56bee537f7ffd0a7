"""What do cancellable vectors cost?

    python benchmarks/projection_cost.py --out benchmarks/results/projection_cost.json

For vectors of 256 and 768 numbers: seconds to draw the rotation from its key, once a process; microseconds to
turn a vector, and the same as a share of one exact query among 100,000 vectors, in turns; and the largest
change of a similarity over 100,000 pairs of random vectors, which is all that a decision can notice.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from anylead.gallery.projection import Projection
from anylead.gallery.search import top_k
from anylead.provenance import environment, write_json

VECTORS = 100_000


def measured(dimension: int) -> dict[str, float]:
    """Measures vectors of one length."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(VECTORS, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    began = time.perf_counter()
    projection = Projection(b"k" * 32, dimension)
    draw_s = time.perf_counter() - began
    turning, searching = [], []
    for probe in vectors[:20, None]:
        began = time.perf_counter()
        projection.apply(probe)
        turning.append(time.perf_counter() - began)
        began = time.perf_counter()
        top_k(probe, vectors, 10)
        searching.append(time.perf_counter() - began)
    turned = projection.apply(vectors)
    pairs = rng.integers(0, VECTORS, (2, VECTORS))
    before, after = (
        np.einsum("nd,nd->n", kept[pairs[0]].astype(np.float64), kept[pairs[1]]) for kept in (vectors, turned)
    )
    return {
        "draw_s": round(draw_s, 3),
        "turn_us": round(1e6 * statistics.median(turning), 1),
        "of_a_query_among_100000": round(statistics.median(turning) / statistics.median(searching), 5),
        "largest_change_of_a_similarity": float(f"{np.abs(after - before).max():.1e}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    made = environment()
    del made["command"]
    result = {str(dimension): measured(dimension) for dimension in (256, 768)}
    print(result)
    write_json(given.out, {"dimensions": result, "environment": made})


if __name__ == "__main__":
    main()
