"""`anylead evaluate conditions`: recordings of stores under every condition, for anybody to embed."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from anylead.config import to_plain
from anylead.errors import AnyleadError, ConfigError, FileError
from anylead.evaluation.conditions import (
    FAMILIES,
    Condition,
    condition,
    conditions_of,
    lead_subset,
    standard_conditions,
)
from anylead.evaluation.lead_protocol import sample_subsets
from anylead.formats.wfdb_writer import encode_wfdb
from anylead.leads import STANDARD_12
from anylead.provenance import atomic_path, environment, fingerprint, write_json
from anylead.store import SPLITS, Split, Store
from anylead.workflows.conditions_readme import readme
from anylead.workflows.selection import Selection

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of a folder; raised when the same names would mean other samples."""
MARKER = "condition.json"
"""Written last: a folder without it is not one of ours."""
RECORDS = "records.parquet"
"""The rows of one condition."""
TABLE = "conditions.parquet"
README = "README.txt"

TRAINED_ON = ("clean", "lead_set", "lead_subset")
"""Families in which probes are fitted and chosen, and which are therefore written for every split; the others
are written for the test split only."""

SCHEMA = pa.schema(
    [
        pa.field("condition", pa.string()),
        pa.field("family", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("level", pa.float64()),
        pa.field("source", pa.string()),
        pa.field("record_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("split", pa.string()),
    ]
)
"""Columns of `conditions.parquet`: `record_id` is ``source/record``, `path` is below the folder, without
suffix."""


@dataclass(frozen=True, kw_only=True)
class ConditionsConfig:
    """What to write, and where.

    Raises:
        ConfigError: If there is no store or split, a family or condition is unknown, a condition would be
            written for no split, or the number of jobs is 0.
    """

    stores: tuple[Path, ...]
    """Where the recordings are, used together."""
    out: Path
    """A folder for each condition, `conditions.parquet` and `README.txt`."""
    splits: tuple[Split, ...] = SPLITS
    """Whose recordings. Conditions on which nothing is fitted are written for the test split only."""
    families: tuple[str, ...] = ()
    """Families of conditions; all of them where neither families nor conditions are given."""
    conditions: tuple[str, ...] = ()
    """Names of further conditions, such as ``noise-muscle-6dB`` or ``leads-I,V2``."""
    seed: int = 0
    """Of the noise."""
    jobs: int = 1
    """Processes; -1 takes all cores. Each writes one condition at a time."""
    progress: bool = False
    """Show a progress bar on standard error."""

    def __post_init__(self) -> None:
        for what, given in (("store", self.stores), ("split", self.splits)):
            if not given:
                raise ConfigError(f"evaluate conditions: got no {what}; give at least one.")
        if self.jobs == 0:
            raise ConfigError(
                "evaluate conditions: jobs is 0; give the number of processes, or -1 for all cores."
            )
        for one in self.chosen:
            if not self.splits_of(one):
                raise ConfigError(
                    f"evaluate conditions: {one.name} is written for the test split only, and the splits are "
                    f"{', '.join(self.splits)}; add test, or choose from {', '.join(TRAINED_ON)}."
                )

    @property
    def chosen(self) -> tuple[Condition, ...]:
        """The conditions to write, each once."""
        families = self.families or (() if self.conditions else FAMILIES)
        listed = [one for family in families for one in conditions_of(family)]
        if "lead_subset" in families:
            # The protocol's sample, and each lead alone: what a lead says by itself.
            listed += [lead_subset(leads) for leads in sample_subsets()]
            listed += [lead_subset((lead,)) for lead in STANDARD_12]
        return tuple(dict.fromkeys([*listed, *map(condition, self.conditions)]))

    def splits_of(self, one: Condition) -> tuple[Split, ...]:
        """Returns the splits a condition is written for."""
        return tuple(
            split
            for split in SPLITS
            if split in self.splits and (split == "test" or one.family in TRAINED_ON)
        )


@dataclass(frozen=True, kw_only=True)
class ConditionCount:
    """What became of one condition."""

    name: str
    written: int
    """Recordings in its folder."""
    not_applicable: int
    """Recordings it does not apply to: a lead is not recorded, the recording is too short, has no signal."""
    kept: bool
    """Whether the folder was there before."""


@dataclass(frozen=True, kw_only=True)
class ConditionsSummary:
    """What `write_conditions` did."""

    out: Path
    counts: tuple[ConditionCount, ...]
    """One a condition, in order."""

    def lines(self) -> list[str]:
        """Returns what a user sees at the end."""
        written = sum(one.written for one in self.counts if not one.kept)
        kept = [one for one in self.counts if one.kept]
        lines = [f"wrote {written} recordings of {len(self.counts) - len(kept)} conditions to {self.out}"]
        if kept:
            lines.append(f"{len(kept)} conditions were there already and stay as they are")
        lines += [
            f"{one.name}: does not apply to {one.not_applicable} of {one.not_applicable + one.written} "
            "recordings"
            for one in self.counts
            if one.not_applicable
        ]
        return [*lines, f"see {self.out / README} for how to hand embeddings back"]


def write_conditions(config: ConditionsConfig) -> ConditionsSummary:
    """Writes recordings of stores under each condition as WFDB, with a table and a README.

    A folder appears when all its recordings are in it; one that is there is left as it is, so that the same
    call continues after an interruption, and a later one adds conditions.

    Raises:
        StoreError: If a store cannot be opened, or the stores were prepared by different steps.
        ConfigError: If there is no recording in the splits.
        FileError: If a folder holds something else, or the disk refuses; what is finished stays.
    """
    stores = tuple(Store.open(path) for path in config.stores)
    selections = {split: Selection.of(stores, split) for split in SPLITS if split in config.splits}
    if not any(map(len, selections.values())):
        raise ConfigError(
            f"evaluate conditions: the stores have no recording in {', '.join(config.splits)}; "
            "give other splits or stores."
        )
    before = _finished(config, stores)
    _announce(config, selections, before)
    tasks = (
        joblib.delayed(_write)(config, one, {s: selections[s] for s in config.splits_of(one)}, stores)
        for one in config.chosen
        if one.name not in before
    )
    made = joblib.Parallel(n_jobs=config.jobs, return_as="generator")(tasks)
    left = len(config.chosen) - sum(one.name in before for one in config.chosen)
    for _ in tqdm(made, total=left, desc="conditions", unit="condition", disable=not config.progress):
        pass
    after = _finished(config, stores)
    _write_summary(config.out, after, stores)
    counts = tuple(
        ConditionCount(
            name=one.name,
            written=after[one.name]["written"],
            not_applicable=after[one.name]["not_applicable"],
            kept=one.name in before,
        )
        for one in config.chosen
    )
    return ConditionsSummary(out=config.out, counts=counts)


def _announce(
    config: ConditionsConfig, selections: Mapping[Split, Selection], before: Mapping[str, Any]
) -> None:
    """Says how much is to come before it comes."""
    size = {
        split: sum(
            2 * samples * len(leads)
            for samples, leads in zip(selection.column("samples"), selection.column("leads"), strict=True)
        )
        for split, selection in selections.items()
    }
    left = [one for one in config.chosen if one.name not in before]
    most = sum(size[split] for one in left for split in config.splits_of(one))
    logger.info("%d conditions to write, about %.1f GB at most", len(left), most / 1e9)


def _request(config: ConditionsConfig, one: Condition, stores: Sequence[Store]) -> str:
    """Returns the fingerprint of all that decides what is in a folder."""
    return fingerprint(
        {
            "format": FORMAT,
            "condition": to_plain(one),
            "splits": sorted(config.splits_of(one)),
            "seed": config.seed,
            "stores": [store.manifest.fingerprint for store in stores],
        }
    )


def _finished(config: ConditionsConfig, stores: Sequence[Store]) -> dict[str, dict[str, Any]]:
    """Returns the markers of the conditions that are there, by name.

    Raises:
        FileError: If a folder is in the way, or was made of something else.
    """
    names = {one.name for one in config.chosen}
    present = {path.parent.name for path in config.out.glob(f"*/{MARKER}")}
    found = {}
    for name in sorted(present | {name for name in names if (config.out / name).exists()}):
        marker = config.out / name / MARKER
        try:
            values = json.loads(marker.read_text(encoding="utf-8"))
            made_of = values["request"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"{marker.parent}: this is no finished condition of ours ({type(error).__name__} at {MARKER})"
                "; move it away or choose another folder."
            ) from error
        if made_of != _request(config, condition(name), stores):
            raise FileError(
                f"{marker.parent}: was written from other stores, for other splits or with another seed; "
                "choose another folder, or delete it."
            )
        found[name] = values
    return found


def _write(
    config: ConditionsConfig, one: Condition, selections: Mapping[Split, Selection], stores: Sequence[Store]
) -> None:
    """Writes the folder of one condition, all or nothing."""
    folder, partial = config.out / one.name, config.out / f".{one.name}.partial"
    rows, seen = [], 0
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for split, selection in selections.items():
            for row, files in _encoded(one, split, selection, config.seed):
                seen += 1
                if row is None:
                    continue
                for suffix, content in files.items():
                    (partial / f"{Path(row['path']).name}.{suffix}").write_bytes(content)
                rows.append(row)
        with atomic_path(partial / RECORDS) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)
        marker = {
            "request": _request(config, one, stores),
            "condition": to_plain(one),
            "written": len(rows),
            "not_applicable": seen - len(rows),
            "seed": config.seed,
            "environment": environment(),
        }
        write_json(partial / MARKER, marker)
        os.replace(partial, folder)
    except OSError as error:
        if isinstance(error, AnyleadError):
            raise
        raise FileError(
            f"{folder}: could not be written ({error.strerror or error}); finished conditions stay: make "
            "room and run the command again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _encoded(
    one: Condition, split: Split, selection: Selection, seed: int
) -> Iterator[tuple[dict[str, Any] | None, dict[str, bytes]]]:
    """Yields the row and the files of each recording; None and nothing where the condition does not apply.

    A recording's file has the same name in every condition.
    """
    ids, sources = selection.record_ids, selection.column("source")
    for number, (store, row) in enumerate(selection.recordings):
        changed = one.apply(selection.stores[store].record(row), seed=seed)
        if changed is None:
            yield None, {}
            continue
        name = f"{split}-{number:06d}"
        comments = (f"record_id: {ids[number]}", f"condition: {one.name}")
        header, data = encode_wfdb(changed, name, comments=comments)
        facts = {
            "condition": one.name,
            "family": one.family,
            "kind": one.kind,
            "level": one.level,
            "source": sources[number],
            "record_id": ids[number],
            "path": f"{one.name}/{name}",
            "split": split,
        }
        yield facts, {"dat": data, "hea": header}


def _write_summary(out: Path, finished: Mapping[str, Mapping[str, Any]], stores: Sequence[Store]) -> None:
    """Writes the table and the README of all conditions that are there."""
    order = {one.name: place for place, one in enumerate(standard_conditions())}
    names = sorted(finished, key=lambda name: (order.get(name, len(order)), name))
    table = pa.concat_tables([pq.read_table(out / name / RECORDS) for name in names])
    with atomic_path(out / TABLE) as temporary:
        pq.write_table(table, temporary)
    text = readme({name: finished[name] for name in names}, [store.manifest for store in stores])
    with atomic_path(out / README) as temporary:
        temporary.write_text(text, encoding="utf-8")
