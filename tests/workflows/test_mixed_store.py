"""Data sets and formats of every kind into one store, and out as embeddings: nothing is lost on the way."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from downstream_setup import make_bundle

from anylead.cli import main
from anylead.store import Store
from every_format import RECORDINGS, REFUSED, write_every_format
from fake_trees import write_cinc2020, write_cinc2021, write_code_15, write_ecg_id, write_ludb, write_ptb_xl

TREES = {
    "ptb-xl": lambda root: write_ptb_xl(root, patients=2, seconds=2),
    "cinc2021": write_cinc2021,
    "cinc2020": write_cinc2020,
    "ludb": write_ludb,
    "ecg-id": write_ecg_id,
    "code-15": write_code_15,
}


def through(place: Path, parts: dict[str, Path]) -> tuple[Store, dict[str, list[float]], dict[str, str]]:
    """Prepares the parts as one store and embeds it: the store, the vectors, and what was refused and why."""
    text = "".join(f"  - {{source: {name}, path: {path}}}\n" for name, path in parts.items())
    (place / "parts.yaml").write_text(f"parts:\n{text}")
    out, table = place / "store", place / "e.parquet"
    assert main(["prepare", "mixed", str(place / "parts.yaml"), "--out", str(out)]) == 0
    assert main(["embed", str(make_bundle(place / "bundle")), str(out), "--out", str(table)]) == 0
    refused = {}
    if (out / "rejected.csv").exists():
        with (out / "rejected.csv").open() as file:
            refused = {row["record_id"]: row["reason"] for row in csv.DictReader(file)}
    vectors = {row["record_id"]: row["embedding"] for row in pq.read_table(table).to_pylist()}
    return Store.open(out), vectors, refused


def ids_of(parts: dict[str, Path]) -> list[str]:
    """Returns the ids of all recordings, from each part alone."""
    from anylead.sources import SOURCES

    return [f"{name}/{ref.record_id}" for name, path in parts.items() for ref in SOURCES[name]().scan(path)]


def test_nothing_is_lost_from_the_files_to_the_embeddings(tmp_path, capsys):
    parts = {name: write(tmp_path / name) for name, write in TREES.items()}
    parts["files"] = write_every_format(tmp_path / "clinic")
    store, vectors, refused = through(tmp_path, parts)
    assert sorted((*vectors, *refused)) == sorted(ids_of(parts))
    assert set(refused) >= {f"files/{name}" for name in REFUSED}
    assert set(vectors) >= {f"files/{name}" for name in RECORDINGS}
    assert all(refused.values())
    assert np.isfinite(list(vectors.values())).all()
    assert set(store.column("source")) == set(parts)
    assert f"prepared {len(vectors)}, rejected {len(refused)}" in capsys.readouterr().out


def test_options_beside_the_parts_and_no_parts_are_refused(tmp_path, capsys):
    words = ["prepare", "mixed", "--out", str(tmp_path / "s")]
    assert main(words) == 2
    assert "prepare: mixed needs a YAML file of its parts; give it as PATH" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "parts.yaml"), "--fs", "500"]) == 2
    assert "options of sources stand in" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "parts.yaml")]) == 2
    assert "parts.yaml: the recipe cannot be read" in capsys.readouterr().err


REAL = {
    "ptb-xl": ("ptb-xl", 400),
    "cinc2021": ("cinc2021", 60),
    "cinc2020": ("cinc2020-cpsc2018", 120),
    "ludb": ("ludb", 200),
    "ecg-id": ("ecg-id", 310),
}
"""Source -> folder of the real recordings, and how many there are."""


def few(real_data: Path, name: str, place: Path, count: int = 4) -> Path:
    """Copies the tables of a real data set and its first recordings, so that the test stays fast."""
    from anylead.sources import SOURCES

    source, root, out = SOURCES[name](), real_data / REAL[name][0], place / name
    out.mkdir()
    kept = source.scan(root)[:count]
    for table in root.glob("*.csv"):
        lines = table.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        own = {ref.record_id for ref in kept}
        chosen = (
            [line for line in lines[1:] if line.partition(",")[0] in own] if name == "ptb-xl" else lines[1:]
        )
        (out / table.name).write_text("".join([lines[0], *chosen]), encoding="utf-8")
    for ref in kept:
        target = out / ref.path.relative_to(root).parent
        target.mkdir(parents=True, exist_ok=True)
        for path in ref.path.parent.glob(f"{ref.path.name}.*"):
            shutil.copy(path, target)
    return out


@pytest.mark.real
def test_nothing_is_lost_of_real_recordings_and_of_every_format(real_data, tmp_path):
    parts = {name: few(real_data, name, tmp_path) for name in REAL}
    parts["files"] = write_every_format(tmp_path / "clinic")
    store, vectors, refused = through(tmp_path, parts)
    assert sorted((*vectors, *refused)) == sorted(ids_of(parts))
    for name in REAL:
        assert sum(one.startswith(f"{name}/") for one in vectors) == 4
    assert set(vectors) >= {f"files/{name}" for name in RECORDINGS}
    assert np.isfinite(list(vectors.values())).all()
    assert set(store.column("source")) == set(parts)
