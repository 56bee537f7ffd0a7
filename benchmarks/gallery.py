"""What does exact search in a gallery cost beside the matrix product it cannot do without?

    OMP_NUM_THREADS=1 python benchmarks/gallery.py --out benchmarks/results/gallery.json [--only search ...]

Vectors of length 1 of persons with four recordings each, which resemble each other. What is compared takes
turns in one process, so that the machine's noise meets both; a ratio is that of the medians.

- search: 512 queries among 100,000 vectors of 256 and 768 numbers. Bare: the same tiles multiplied, nothing
  selected. One query at a time: 95th percentile, beside one pass over the vectors in memory (a dot product).
- pairs: every recording of 100,000 with every other one, 256 numbers, by `all_pairs`, and by what
  `Gallery.screen` does (`strangers_alike`); beside the product of the tiles alone.
- growth: 10,000 to 1,000,000 vectors of 256 numbers, in float32 and bfloat16.
- pgvector: 20,000 vectors in a PostgreSQL that pgserver brings: loading, exact queries, and HNSW with its
  recall; beside the search in memory.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anylead.gallery.misfiling import LOOKED_AT
from anylead.gallery.neighbours import strangers_alike
from anylead.gallery.search import BLOCK, QUERIES, all_pairs, in_precision, top_k
from anylead.provenance import environment, write_json

PARTS = ("search", "pairs", "growth", "pgvector")
PER_PERSON = 4
K = 10


def vectors_of(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    result = np.empty((count, dimension), dtype=np.float32)
    for start in range(0, count, 20_000):
        stop = min(start + 20_000, count)
        persons = draw.standard_normal((-(-(stop - start) // PER_PERSON), dimension), dtype=np.float32)
        rows = np.repeat(persons, PER_PERSON, axis=0)[: stop - start]
        rows += 0.7 * draw.standard_normal(rows.shape, dtype=np.float32)
        result[start:stop] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return result


def patients_of(count: int) -> list[str]:
    return [f"p{row // PER_PERSON}" for row in range(count)]


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(repeats: int, **works: Callable[[], Any]) -> dict[str, list[float]]:
    """Times works in turns, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repeats + 1):
        for name, work in works.items():
            spent = seconds(work)
            if number:
                taken[name].append(spent)
    return taken


def bare_product(queries: np.ndarray, vectors: np.ndarray) -> None:
    for first in range(0, len(queries), QUERIES):
        across = np.ascontiguousarray(queries[first : first + QUERIES].T)
        for start in range(0, len(vectors), BLOCK):
            vectors[start : start + BLOCK] @ across


def bare_pairs(vectors: np.ndarray) -> None:
    for i in range(0, len(vectors), BLOCK):
        for j in range(i, len(vectors), BLOCK):
            vectors[i : i + BLOCK] @ vectors[j : j + BLOCK].T


def singles(queries: Sequence[np.ndarray], vectors: np.ndarray) -> list[float]:
    return [seconds(lambda query=query: top_k(query[None], vectors, K)) for query in queries]


def search_part(count: int, repeats: int) -> dict[str, Any]:
    return {str(dimension): search_of(count, dimension, repeats) for dimension in (256, 768)}


def search_of(count: int, dimension: int, repeats: int) -> dict[str, Any]:
    vectors, queries = vectors_of(count, dimension), vectors_of(512, dimension, seed=1)
    taken = in_turns(
        repeats, bare=lambda: bare_product(queries, vectors), search=lambda: top_k(queries, vectors, K)
    )
    flat = vectors.reshape(-1)
    alone: list[float] = []
    passes: list[float] = []
    for start in range(0, 200, 10):
        passes += [seconds(lambda: flat @ flat) for _ in range(3)]
        alone += singles(queries[start : start + 10], vectors)
    bare, search = (statistics.median(taken[name]) for name in ("bare", "search"))
    p95, one_pass = float(np.percentile(alone, 95)), statistics.median(passes)
    return {
        "vectors": count,
        "queries": len(queries),
        "bare_product_s": bare,
        "search_s": search,
        "share_of_bare_product": bare / search,
        "gigaflops_bare": 2e-9 * count * dimension * len(queries) / bare,
        "single_query_median_ms": 1e3 * statistics.median(alone),
        "single_query_p95_ms": 1e3 * p95,
        "memory_pass_ms": 1e3 * one_pass,
        "memory_pass_p95_ms": 1e3 * float(np.percentile(passes, 95)),
        "single_query_p95_in_passes": p95 / one_pass,
    }


def pairs_part(count: int) -> dict[str, Any]:
    vectors, patients = vectors_of(count, 256), patients_of(count)
    person = np.arange(count) // PER_PERSON
    own = np.arange(count)
    bare = seconds(lambda: bare_pairs(vectors))
    both = seconds(lambda: all_pairs(vectors, patients))
    screening = seconds(lambda: strangers_alike(vectors, person, queries=own, most=LOOKED_AT, same=own))
    return {
        "recordings": count,
        "dimension": 256,
        "bare_product_s": bare,
        "all_pairs_s": both,
        "share_of_bare_product": bare / both,
        "screening_neighbours_s": screening,
        "neighbours_kept": LOOKED_AT,
    }


def growth_part(counts: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for count in counts:
        whole, queries = vectors_of(count, 256), vectors_of(QUERIES, 256, seed=1)
        exact = top_k(queries, whole, K)
        for precision in ("float32", "bfloat16"):
            vectors = in_precision(whole, precision)
            alone = singles(queries[:20], vectors)
            start = time.perf_counter()
            found = top_k(queries, vectors, K)
            batched = time.perf_counter() - start
            rows.append(
                {
                    "vectors": count,
                    "precision": precision,
                    "mebibytes": vectors.nbytes / 2**20,
                    "single_query_median_ms": 1e3 * statistics.median(alone),
                    "batched_query_ms": 1e3 * batched / len(queries),
                    "same_first_place": float(np.mean(found.rows[:, 0] == exact.rows[:, 0])),
                }
            )
            print(rows[-1], flush=True)
    return rows


def pgvector_part(count: int, folder: Path) -> dict[str, Any]:
    import pgserver
    import psycopg
    from pgvector.psycopg import register_vector

    vectors, queries = vectors_of(count, 256), vectors_of(100, 256, seed=1)
    # Queries of enrolled persons: a stranger has no neighbour worth recalling.
    draw = np.random.default_rng(2)
    queries = vectors[draw.choice(count, len(queries), replace=False)] + 0.03 * queries
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    exact = top_k(queries, vectors, K)
    server = pgserver.get_server(folder / "pg", cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as link:
            link.execute("CREATE EXTENSION vector")
            register_vector(link)
            link.execute("CREATE TABLE templates (id integer PRIMARY KEY, vector vector(256))")

            def load() -> None:
                with link.cursor().copy("COPY templates FROM STDIN WITH (FORMAT BINARY)") as copy:
                    copy.set_types(["int4", "vector"])
                    for row, vector in enumerate(vectors):
                        copy.write_row((row, vector))

            def ask() -> tuple[list[float], list[list[int]]]:
                taken, rows = [], []
                for query in queries:
                    start = time.perf_counter()
                    found = link.execute(
                        "SELECT id FROM templates ORDER BY vector <#> %s LIMIT %s", (query, K)
                    ).fetchall()
                    taken.append(time.perf_counter() - start)
                    rows.append([row for (row,) in found])
                return taken, rows

            loading = seconds(load)
            result: dict[str, Any] = {
                "vectors": count,
                "load_s": loading,
                "exact": _asked(*ask(), exact.rows),
                "in_memory_single_query_median_ms": 1e3 * statistics.median(singles(queries, vectors)),
            }
            build = "CREATE INDEX ON templates USING hnsw (vector vector_ip_ops)"
            result["hnsw_build_s"] = seconds(lambda: link.execute(build))
            for width in (40, 200):
                link.execute(f"SET hnsw.ef_search = {width}")
                result[f"hnsw_ef_search_{width}"] = _asked(*ask(), exact.rows)
            return result
    finally:
        server.cleanup()


def _asked(taken: list[float], rows: list[list[int]], exact: np.ndarray) -> dict[str, float]:
    shared = [
        len(set(found) & set(best.tolist())) / len(best) for found, best in zip(rows, exact, strict=True)
    ]
    first = [found[:1] == best[:1].tolist() for found, best in zip(rows, exact, strict=True)]
    return {
        "median_ms": 1e3 * statistics.median(taken),
        "p95_ms": 1e3 * float(np.percentile(taken, 95)),
        "recall_at_10": float(np.mean(shared)),
        "same_first_place": float(np.mean(first)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file; other parts in it are kept")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--count", type=int, default=100_000, help="vectors of search and pairs")
    parser.add_argument("--growth", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--pgvector", type=int, default=20_000, help="vectors in PostgreSQL")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    result: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            parts: dict[str, Callable[[], Any]] = {
                "search": lambda: search_part(given.count, given.repeats),
                "pairs": lambda: pairs_part(given.count),
                "growth": lambda: growth_part(given.growth),
                "pgvector": lambda folder=folder: pgvector_part(given.pgvector, Path(folder)),
            }
            result[name] = parts[name]()
        made = environment()
        del made["command"]
        result.setdefault("environment", {})[name] = made
        write_json(given.out, result)
        print(name, json.dumps(result[name], indent=1), flush=True)


if __name__ == "__main__":
    main()
