"""audit: patients and recordings that are in two places: pre-training, training, validation, test."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from anylead.bundle import read_manifest
from anylead.config import to_plain
from anylead.errors import ConfigError
from anylead.evaluation.audit_section import (
    ROLES,
    AuditedRecording,
    AuditResult,
    DuplicatePair,
    Role,
    RoleCount,
    RoleOverlap,
    audit_section,
)
from anylead.evaluation.report import Report, write_report
from anylead.feed.overlap import training_indices, usable_indices
from anylead.provenance import environment
from anylead.signal.near_duplicates import Match, equal_samples, find_near_duplicates
from anylead.signal.signatures import LOWEST_RATE_HZ, Signature, nothing_to_compare, signature
from anylead.store import Split, Store, same_person

_OF_SPLIT: dict[Split, Role] = {"train": "training", "valid": "validation", "test": "test"}
_FOR_LEARNING = {"pre-training", "training"}
"""A recording may be in both."""


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """Configuration of `audit`.

    Raises:
        ConfigError: If there is no store.
    """

    stores: tuple[Path, ...]
    """Stores of the evaluation; their splits are training, validation and test."""
    pretraining_stores: tuple[Path, ...] = ()
    """Stores the encoder was pre-trained on; empty takes those of `stores` that the bundle names."""
    bundle: Path | None = None
    """What it says of its pre-training is believed, whatever `pretraining_stores` says."""
    near_duplicates: bool = True
    """Look for changed copies too; costs about 10 ms a recording, and minutes from 5,000 recordings on."""
    out: Path | None = None
    """Folder for report.html and report.json; None writes nothing."""
    progress: bool = False
    """Show progress bars."""

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("audit: no store was given; name at least one made by anylead prepare.")


@dataclass(kw_only=True)
class _Collection:
    """All recordings that have a role, store by store."""

    stores: list[Store]
    place: list[tuple[int, int]] = field(default_factory=list)
    """(number of the store, row of its index)."""
    roles: list[tuple[Role, ...]] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        return [self.stores[number].column(name)[row] for number, row in self.place]


@dataclass(frozen=True, kw_only=True)
class _Pretraining:
    status: Literal["bundle", "given", "partly", "unknown"]
    stores: tuple[Store, ...]
    missing: tuple[str, ...]


def audit(config: AuditConfig) -> AuditResult:
    """Looks for patients and recordings shared between pre-training, training, validation and test.

    Patients are compared by id, persons also by identical recordings; recordings by the hash of their samples
    and by `anylead.signal.near_duplicates`. What an evaluation of these stores together leaves out, because
    the person is in a more protected split, has the role ``left out``; what pre-training leaves out of its
    own stores has none and is not looked at.

    Args:
        config: What to compare.

    Raises:
        StoreError: If a store cannot be read, or stores used together were made by different steps.
        BundleError: If the bundle cannot be read.
        FileError: If the report cannot be written.
    """
    stores = [Store.open(path) for path in dict.fromkeys(config.stores)]
    given = [Store.open(path) for path in dict.fromkeys(config.pretraining_stores)]
    pretraining = _pretraining(config, stores, given)
    collection = _collect(stores, pretraining.stores)
    matches, not_searched = _search(collection, near=config.near_duplicates, progress=config.progress)
    pairs = [_pair(collection, match) for match in matches]
    result = AuditResult(
        roles=_role_counts(collection),
        overlaps=tuple(_overlaps(collection, matches)),
        pairs=tuple(sorted(pairs, key=lambda pair: (not pair.leak, pair.kind))),
        searched=config.near_duplicates,
        not_searched=not_searched,
        pretraining=pretraining.status,
        pretraining_stores=tuple(store.path.name for store in pretraining.stores),
        pretraining_missing=pretraining.missing,
        patients_unknown=tuple(
            store.path.name for store in collection.stores if not store.manifest.patients_known
        ),
    )
    if config.out is not None:
        write_report(_report(config, collection, result), config.out)
    return result


def _pretraining(config: AuditConfig, stores: Sequence[Store], given: Sequence[Store]) -> _Pretraining:
    """Finds out what pre-training used: what the bundle says goes before what the caller says."""
    said = _said(config.bundle)
    if said is None:
        return _Pretraining(status="given" if given else "unknown", stores=tuple(given), missing=())
    here = {store.manifest.fingerprint: store for store in (*given, *stores)}
    missing = tuple(f"{name} ({print_})" for print_, name in said.items() if print_ not in here)
    return _Pretraining(
        status="partly" if missing else "bundle",
        stores=tuple(here[print_] for print_ in said if print_ in here),
        missing=missing,
    )


def _said(bundle: Path | None) -> Mapping[str, str] | None:
    """Returns fingerprint -> data set of the pre-training stores a bundle names; None where it names none.

    A fine-tuned bundle names the stores of its fine-tuning, and not what its encoder had seen before.
    """
    if bundle is None:
        return None
    provenance = read_manifest(bundle).provenance
    named = provenance.get("stores")
    if "pretraining" not in provenance or not isinstance(named, list | tuple) or not named:
        return None
    return {
        str(store.get("fingerprint")): str(store.get("source"))
        for store in named
        if isinstance(store, Mapping)
    }


def _collect(stores: Sequence[Store], pretraining: Sequence[Store]) -> _Collection:
    numbers: dict[str, int] = {}
    collection = _Collection(stores=[])
    for store in (*stores, *pretraining):
        if numbers.setdefault(store.manifest.fingerprint, len(numbers)) == len(collection.stores):
            collection.stores.append(store)
    roles: dict[tuple[int, int], list[Role]] = {}
    if pretraining:
        for which, row in training_indices(pretraining)[0]:
            place = (numbers[pretraining[which].manifest.fingerprint], row)
            roles.setdefault(place, []).append("pre-training")
    # A store that was given twice, under two paths, counts once.
    judged = [
        collection.stores[number] for number in sorted({numbers[s.manifest.fingerprint] for s in stores})
    ]
    for split, role in _OF_SPLIT.items():
        for place in usable_indices(judged, split)[0]:
            roles.setdefault(place, []).append(role)
    for number, store in enumerate(judged):
        for row in range(len(store)):
            roles.setdefault((number, row), ["left out"])
    for place in sorted(roles):
        collection.place.append(place)
        collection.roles.append(tuple(roles[place]))
    return collection


def _search(collection: _Collection, *, near: bool, progress: bool) -> tuple[list[Match], int]:
    """Returns the duplicates, and the number of recordings in which there is nothing to look for."""
    hashes = collection.column("hash")
    times = Counter(hashes)
    signatures = [
        # Exact duplicates are known by their hash; the signature is their evidence.
        _signature(collection.stores[number], row, compared=near or times[digest] > 1)
        for (number, row), digest in zip(
            tqdm(collection.place, unit="rec", desc="signatures", disable=not progress), hashes, strict=True
        )
    ]
    matches = find_near_duplicates(signatures, hashes=hashes)
    if not near:
        matches = [match for match in matches if match.kind == "exact"]
    return matches, sum(not one.leads for one in signatures) if near else 0


def _signature(store: Store, row: int, *, compared: bool) -> Signature:
    rate_hz = store.column("sampling_rate_hz")[row]
    if not compared or rate_hz < LOWEST_RATE_HZ:
        return nothing_to_compare()
    return signature(store.signal(row), store.leads[row], rate_hz=rate_hz)


def _pair(collection: _Collection, match: Match) -> DuplicatePair:
    a, b = _recording(collection, match.a), _recording(collection, match.b)
    return DuplicatePair(
        a=a,
        b=b,
        kind="excerpt" if match.kind == "near" and _is_excerpt(collection, match) else match.kind,
        correlation=match.correlation,
        correlations=match.correlations,
        residual=match.residual,
        lag_s=match.lag_s,
        overlap_s=match.overlap_s,
        same_patient=a.patient_id == b.patient_id,
        leak=any(_leaks(one, other) for one in a.roles for other in b.roles),
    )


def _recording(collection: _Collection, number: int) -> AuditedRecording:
    which, row = collection.place[number]
    store = collection.stores[which]
    return AuditedRecording(
        source=store.manifest.source,
        store=store.path.name,
        record_id=store.column("record_id")[row],
        patient_id=store.column("patient_id")[row],
        roles=collection.roles[number],
    )


def _is_excerpt(collection: _Collection, match: Match) -> bool:
    (which_a, row_a), (which_b, row_b) = collection.place[match.a], collection.place[match.b]
    a, b = collection.stores[which_a], collection.stores[which_b]
    rate_hz = a.column("sampling_rate_hz")[row_a]
    return rate_hz == b.column("sampling_rate_hz")[row_b] and equal_samples(
        a.signal(row_a), b.signal(row_b), a.leads[row_a], b.leads[row_b], rate_hz=rate_hz, lag_s=match.lag_s
    )


def _leaks(one: Role, other: Role) -> bool:
    return one != other and "left out" not in (one, other) and not {one, other} <= _FOR_LEARNING


def _role_counts(collection: _Collection) -> dict[Role, RoleCount]:
    patients = collection.column("patient_id")
    counts = {}
    for role in ROLES:
        those = [who for who, roles in zip(patients, collection.roles, strict=True) if role in roles]
        if those:
            counts[role] = RoleCount(recordings=len(those), patients=len(set(those)))
    return counts


def _overlaps(collection: _Collection, matches: Sequence[Match]) -> list[RoleOverlap]:
    """Compares every role with those judged on that come after it."""
    patients, hashes = collection.column("patient_id"), collection.column("hash")
    persons = [str(number) for number in same_person(patients, hashes)]
    partners: dict[int, list[int]] = defaultdict(list)
    for match in matches:
        partners[match.a].append(match.b)
        partners[match.b].append(match.a)
    members = {
        role: [number for number, roles in enumerate(collection.roles) if role in roles] for role in ROLES
    }
    found = []
    for earlier, later in itertools.combinations([role for role in ROLES if members[role]], 2):
        if {earlier, later} <= _FOR_LEARNING or later == "left out":
            continue
        before = set(members[earlier])
        equal = {hashes[number] for number in before}
        exact = {number for number in members[later] if hashes[number] in equal}
        near = {number for number in members[later] if before & set(partners[number])} - exact
        found.append(
            RoleOverlap(
                earlier=earlier,
                later=later,
                recordings=len(exact),
                near_duplicates=len(near),
                patients=_shared(patients, before, members[later]),
                persons=_shared(persons, before, members[later]),
            )
        )
    return found


def _shared(names: Sequence[str], some: Iterable[int], others: Iterable[int]) -> int:
    return len({names[number] for number in some} & {names[number] for number in others})


def _report(config: AuditConfig, collection: _Collection, result: AuditResult) -> Report:
    return Report(
        title="Leakage audit",
        summary=(result.headline,),
        sections=(audit_section(result, title="Patients and recordings in two places"),),
        provenance={
            "config": to_plain(config),
            "stores": {str(store.path): store.manifest.fingerprint for store in collection.stores},
            "environment": environment(),
        },
        results=(result,),
    )
