"""Making a store: shard by shard, atomically, in any number of processes, resumable."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from anylead.config import to_plain
from anylead.errors import ConfigError, StoreError
from anylead.preparation import Preparation
from anylead.provenance import atomic_path, environment, write_json
from anylead.sources.base import RecordRef, Source
from anylead.sources.checksums import scan_checked
from anylead.sources.packed_refs import PackedRefs
from anylead.store.backends import Backend, run_tasks
from anylead.store.index import open_index
from anylead.store.layout import FORMAT, INDEX, INDEX_SCHEMA, MANIFEST, REJECTED
from anylead.store.manifest import StoreManifest
from anylead.store.persons import same_person
from anylead.store.plan import StorePlan
from anylead.store.remote_tree import RemoteTree, reached_tree
from anylead.store.shards import Rejection
from anylead.store.splits import SPLITS, SplitConfig, assign_splits, require_disjoint, require_folds
from anylead.store.targets import Target, reached_target
from anylead.store.task import prepare_shard


@dataclass(frozen=True, kw_only=True)
class PrepareSummary:
    """What `write_store` did."""

    store: Path
    prepared: int
    """Recordings in the store."""
    rejected: int
    """Recordings that could not be used."""
    already: bool = False
    """Whether the store was there before."""
    patients_known: bool = True
    """Whether all patients are known; where they are not, the splits are by recording."""
    patients_unknown: int = 0
    """Recordings whose patient nobody knows."""

    def line(self) -> str:
        """Returns the last line a user sees."""
        verb = "already prepared" if self.already else "prepared"
        where = f" (see {REJECTED})" if self.rejected else ""
        return f"{verb} {self.prepared}, rejected {self.rejected}{where}{self._splits()}"

    def _splits(self) -> str:
        if self.patients_known:
            return ""
        if 0 < self.patients_unknown < self.prepared:
            return (
                f"; the patients of {self.patients_unknown} recordings are not known, so these are split by "
                "recording"
            )
        return "; the patients are not known, so the splits are by recording"


def write_store(
    source: Source,
    root: Path | str | None,
    out: Path | str,
    *,
    preparation: Preparation,
    split: SplitConfig,
    jobs: int = 1,
    backend: Backend = "loky",
    progress: bool = False,
    shard_records: int = 256,
) -> PrepareSummary:
    """Prepares all recordings of a source.

    A finished store made of the same things is left alone. After an interruption, however rude,
    the same call continues with the shards that are not there yet.

    Args:
        source: The data set.
        root: Its folder, or an address that fsspec knows (``s3://bucket/folder``); None for a source that
            needs no files.
        out: Folder or address of the store.
        preparation: Steps.
        split: How persons are dealt to the splits.
        jobs: Processes.
        backend: Who runs them; the store is the same. With ray and dask, give absolute paths that every
            machine of the cluster sees.
        progress: Show a progress bar on standard error.
        shard_records: Recordings a shard, which is also the unit of work.

    Raises:
        StoreError: If the folder holds something else, no recording was found, an id occurs twice,
            or every recording was rejected.
        RecordFileError: If the layout is not that of the data set, or a table is not the one whose checksum
            was published.
        FileError: If the disk refuses; what is finished stays and the same call continues there.
        ConfigError: If the splits cannot be made, or the backend is not there.
    """
    with (
        reached_tree(root, ignore=out, opened=source.opened_by_scan) as (folder, tree),
        reached_target(out) as target,
    ):
        plan = StorePlan.of(
            source,
            folder,
            target.folder,
            preparation=preparation.to_plain(),
            split=split,
            shard_records=shard_records,
        )
        state = plan.begin(target.folder)
        target.claim()
        if state == "finished":
            return _summary(Path(out), StoreManifest.read(target.folder), already=True)
        try:
            refs = PackedRefs(source.scan(Path()) if folder is None else scan_checked(source, folder))
            _require_unique(refs, source, folder)
            if split.use_folds:
                # Known before the first signal is read: nobody should wait an hour to hear it.
                require_folds([ref.fold for ref in refs], where=f"source {source.name}")
        except Exception:
            target.abandon()
            raise
        shards = math.ceil(len(refs) / shard_records)
        try:
            _write_shards(
                source,
                refs,
                preparation,
                target,
                tree,
                shard_records=shard_records,
                jobs=jobs,
                backend=backend,
                progress=progress,
            )
        except ConfigError:
            target.abandon()
            raise
        summary = _finish(source, preparation, split, plan, target, shards=shards)
        return replace(summary, store=Path(out))


def _require_unique(refs: Sequence[RecordRef], source: Source, root: Path | None) -> None:
    if not refs:
        raise StoreError(f"{root}: no recording of {source.name} was found; check the folder and the source.")
    digests = np.sort(np.fromiter((hash(ref.record_id) for ref in refs), np.int64, len(refs)))
    if not (digests[1:] == digests[:-1]).any():
        return
    # Two different ids may share a digest: only now is it worth to hold them all.
    twice = [name for name, count in Counter(ref.record_id for ref in refs).items() if count > 1]
    if twice:
        raise StoreError(
            f"{root}: {len(twice)} record ids of {source.name} occur more than once, the first is "
            f"{twice[0]}; every recording needs an id of its own."
        )


def _write_shards(
    source: Source,
    refs: PackedRefs,
    preparation: Preparation,
    target: Target,
    tree: RemoteTree | None,
    *,
    shard_records: int,
    jobs: int,
    backend: Backend,
    progress: bool,
) -> None:
    total, whole = len(refs), target.whole()
    starts = [start for start in range(0, total, shard_records) if start // shard_records not in whole]
    sizes = [min(shard_records, total - start) for start in starts]
    # Recordings in the store after so many tasks: they begin in order, so this is right within a few shards.
    there = list(accumulate(sizes, initial=total - sum(sizes)))

    def tasks() -> Iterator[tuple[Any, ...]]:
        for start in starts:
            chunk = refs[start : start + shard_records]
            files = tree and tree.files_of(chunk)
            yield source, chunk, preparation, target.shard(start // shard_records), files

    with tqdm(
        total=total, initial=there[0], desc=f"prepare {source.name}", unit="rec", disable=not progress
    ) as bar:
        run_tasks(
            prepare_shard,
            tasks(),
            jobs=jobs,
            backend=backend,
            finished=lambda tasks: bar.update(there[tasks] - bar.n),
        )


def _finish(
    source: Source,
    preparation: Preparation,
    split: SplitConfig,
    plan: StorePlan,
    target: Target,
    *,
    shards: int,
) -> PrepareSummary:
    out = target.folder
    tables, rejected = [], []
    for number in range(shards):
        table, failed = target.read(number)
        tables.append(_located(table, number))
        rejected += failed
    facts = pa.concat_tables(tables)
    if len(facts) == 0:
        target.remove_shards()
        target.abandon()
        raise StoreError(
            f"{out}: all {len(rejected)} recordings were rejected and no store was made; "
            f"the first: {rejected[0].reason}"
        )
    unknown = len(facts) - _known_patients(source, facts)
    patients, hashes = facts.column("patient_id"), facts.column("hash")
    splits = assign_splits(
        patients, hashes, facts.column("fold").to_pylist(), split, where=f"source {source.name}"
    )
    require_disjoint(patients, hashes, splits, where=str(out))
    index = facts.append_column("split", pa.array(splits, pa.string())).select(INDEX_SCHEMA.names)
    with atomic_path(out / INDEX) as temporary:
        pq.write_table(index, temporary, compression="zstd")
    _write_rejected(out / REJECTED, rejected)
    manifest = StoreManifest(
        format=FORMAT,
        source=source.name,
        source_options=_plain_options(source),
        licence=source.licence,
        citation=source.citation,
        preparation=preparation.to_plain(),
        preparation_fingerprint=preparation.fingerprint(),
        split=split,
        patients_known=unknown == 0,
        labelled=source.labelled,
        shards=shards,
        fingerprint=plan.fingerprint,
        parts=plan.parts,
        counts=_counts(index, rejected) | {"patients_unknown": unknown},
        provenance=environment(),
    )
    write_json(out / MANIFEST, manifest.to_plain())
    open_index(out, manifest)
    target.publish()
    return _summary(out, manifest)


def _known_patients(source: Source, facts: pa.Table) -> int:
    """Counts the recordings whose patient id is a person's, a batch at a time."""
    names = facts.select(["record_id", "patient_id"])
    return sum(
        sum(map(source.patient_known, *(column.to_pylist() for column in batch.columns)))
        for batch in names.to_batches()
    )


def _summary(out: Path, manifest: StoreManifest, *, already: bool = False) -> PrepareSummary:
    return PrepareSummary(
        store=out,
        prepared=manifest.counts["recordings"],
        rejected=manifest.counts["rejected"],
        already=already,
        patients_known=manifest.patients_known,
        patients_unknown=manifest.counts.get("patients_unknown", 0),
    )


def _located(facts: pa.Table, shard: int) -> pa.Table:
    rows = len(facts)
    return facts.append_column("shard", pa.array([shard] * rows, pa.int32())).append_column(
        "row", pa.array(range(rows), pa.int32())
    )


def _plain_options(source: Source) -> dict[str, Any]:
    options: dict[str, Any] = to_plain(source)
    return options


def _write_rejected(path: Path, rejected: Sequence[Rejection]) -> None:
    if not rejected:
        return
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["record_id", "path", "reason"])
        writer.writerows([item.record_id, item.path, item.reason] for item in rejected)


def _counts(index: pa.Table, rejected: Sequence[Rejection]) -> dict[str, Any]:
    person = same_person(index.column("patient_id"), index.column("hash"))
    patients, persons = pc.count_distinct(index.column("patient_id")).as_py(), len(np.unique(person))
    split = index.column("split")
    hours = pc.sum(pc.divide(index.column("samples"), index.column("sampling_rate_hz"))).as_py() / 3600
    chosen = {name: pc.equal(split, name).to_numpy() for name in SPLITS}
    return {
        "recordings": len(index),
        "rejected": len(rejected),
        "patients": patients,
        "persons": persons,
        "patients_linked_by_identical_recordings": patients - persons,
        "identical_recordings": len(index) - pc.count_distinct(index.column("hash")).as_py(),
        "hours": round(hours, 3),
        "splits": {
            name: {"recordings": int(rows.sum()), "persons": len(np.unique(person[rows]))}
            for name, rows in chosen.items()
        },
        "unknown_labels": _most_common(pc.list_flatten(index.column("unknown_labels"))),
        "flags": _most_common(_kinds(pc.list_flatten(index.column("flags")))),
    }


def _kinds(flags: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns what stands before the colon of ``kind:lead``."""
    return pc.list_element(pc.split_pattern(flags, ":", max_splits=1), 0)


def _most_common(names: pa.ChunkedArray) -> dict[str, int]:
    counted = {item["values"]: item["counts"] for item in pc.value_counts(names).to_pylist()}
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
