"""The audit finds what is in two places, says so where nothing is, and says what it cannot know."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from downstream_setup import CONFIG

from anylead.bundle import Bundle
from anylead.config import to_plain
from anylead.encoders import ConvTransformer
from anylead.errors import ConfigError, StoreError
from anylead.evaluation.audit_section import audit_section
from anylead.evaluation.report import Report, render_html
from anylead.preparation import Preparation
from anylead.record import Record
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store
from anylead.workflows.audit import AuditConfig, audit

ORIGINALS = Synthetic(patients=12, sessions=2, seed=5)
SPLIT = SplitConfig(test_fraction=0.3, valid_fraction=0.2)


@dataclass(frozen=True, kw_only=True)
class Copies(Synthetic):
    """The same recordings under other patient ids: 4 as they are, 4 cut, 4 changed; the rest are others."""

    name: ClassVar[str] = "copies"

    def scan(self, root):
        return [
            type(ref)(
                record_id=f"copy-{ref.record_id}",
                path=ref.path,
                patient_id=f"copies:{number}",
                details={**ref.details, "number": str(number)},
            )
            for number, ref in enumerate(super().scan(root))
        ]

    def load(self, ref):
        number = int(ref.details["number"])
        original = super().load(ref)
        signal = original.signal
        if number < 4:
            pass
        elif number < 8:
            signal = signal[:, 500:]
        elif number < 12:
            signal = np.float32(0.4) * signal + np.float32(0.2)
        else:
            other = Synthetic(patients=12, sessions=2, seed=6)
            return other.load(other.scan(Path())[number])
        return Record(signal=signal, leads=original.leads, sampling_rate_hz=500.0)


def write(source, out, *, seed=0, preparation=None):
    split = SplitConfig(test_fraction=SPLIT.test_fraction, valid_fraction=SPLIT.valid_fraction, seed=seed)
    write_store(source, None, out, preparation=preparation or Preparation.default(), split=split)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def originals(folder):
    return write(ORIGINALS, folder / "originals")


@pytest.fixture(scope="module")
def copies(folder):
    return write(Copies(patients=12, sessions=2, seed=5), folder / "copies")


@pytest.fixture(scope="module")
def found(originals, copies, folder):
    """Pre-trained on copies, judged on the originals."""
    return audit(AuditConfig(stores=(originals,), pretraining_stores=(copies,), out=folder / "report"))


def bundle_of(folder, provenance):
    Bundle.assemble(
        ConvTransformer(CONFIG), preparation=Preparation.default(), provenance=provenance
    ).save_pretrained(folder)
    return folder


def said(*stores):
    named = [
        {"source": s.manifest.source, "fingerprint": s.manifest.fingerprint} for s in map(Store.open, stores)
    ]
    return {"pretraining": {"steps": 1}, "stores": named}


def used(store, splits):
    opened = Store.open(store)
    rows = zip(opened.column("record_id"), opened.column("split"), strict=True)
    return {name for name, split in rows if split in splits}


def test_every_copy_is_found_with_its_kind(found, copies):
    numbered = {name: k for k, name in enumerate(Store.open(copies).column("record_id"))}
    training = used(copies, {"train"})
    expected = {
        (name.removeprefix("copy-"), name): ("exact", "excerpt", "near")[number // 4]
        for name, number in numbered.items()
        if number < 12 and name in training
    }
    assert {(p.a.record_id, p.b.record_id): p.kind for p in found.pairs} == expected
    assert set(expected.values()) == {"exact", "excerpt", "near"}
    for pair in found.pairs:
        assert pair.lag_s == pytest.approx(1.0 if pair.kind == "excerpt" else 0.0, abs=0.01)
        assert pair.correlation > 0.99
        assert len(pair.correlations) == 12
        assert not pair.same_patient


def test_leaks_are_those_between_learning_and_judging(found, originals, copies):
    judged = used(originals, {"valid", "test"})
    pairs = [p for p in found.pairs if p.leak]
    assert {p.a.record_id for p in pairs} == {p.a.record_id for p in found.pairs} & judged
    assert pairs == list(found.pairs[: len(pairs)])
    assert pairs
    for overlap in found.overlaps:
        if overlap.earlier == "pre-training":
            of_role = [p for p in pairs if overlap.later in p.a.roles]
            assert overlap.recordings == sum(p.kind == "exact" for p in of_role)
            assert overlap.near_duplicates == sum(p.kind != "exact" for p in of_role)
            assert (overlap.patients, overlap.absent) == (0, not of_role)
            # Identical recordings under two ids are one person.
            assert overlap.persons == len({p.a.patient_id for p in of_role if p.kind == "exact"})
        else:
            assert overlap.absent


def test_the_report_tells_it(found, folder):
    assert found.pretraining == "given"
    assert found.headline.startswith("Leakage: overlap between pre-training and ")
    plain = json.loads((folder / "report" / "report.json").read_text())
    assert plain["results"][0] == json.loads(json.dumps(to_plain(found)))
    page = (folder / "report" / "report.html").read_text()
    assert "samples equal where they overlap" in page
    assert "leak: test / pre-training" in page or "leak: validation / pre-training" in page


def test_absence_is_stated(originals):
    result = audit(AuditConfig(stores=(originals,)))
    assert result.pairs == ()
    assert [(o.earlier, o.later, o.absent) for o in result.overlaps] == [
        ("training", "validation", True),
        ("training", "test", True),
        ("validation", "test", True),
    ]
    lines = result.lines()
    assert lines[1] == "Training and test share no patient, no exact and no near duplicate."
    assert lines[3] == "Pairs of duplicate recordings among all: 0 exact, 0 excerpt, 0 near."
    assert result.pretraining == "unknown"
    assert lines[4].startswith("What pre-training used is unknown")
    assert result.headline == (
        "Leakage: none found; validation and test share no patient, no exact and no near duplicate; "
        "what pre-training used is not fully known."
    )
    counts = Store.open(originals).manifest.counts["splits"]
    assert {role: n.recordings for role, n in result.roles.items()} == {
        "training": counts["train"]["recordings"],
        "validation": counts["valid"]["recordings"],
        "test": counts["test"]["recordings"],
    }


def test_pre_training_on_other_splits_of_the_same_recordings_is_a_leak(originals, folder):
    other = write(ORIGINALS, folder / "other-split", seed=3)
    result = audit(AuditConfig(stores=(originals,), pretraining_stores=(other,), near_duplicates=False))
    overlap = next(o for o in result.overlaps if (o.earlier, o.later) == ("pre-training", "test"))
    shared = used(other, {"train"}) & used(originals, {"test"})
    assert shared
    assert overlap.recordings == len(shared)
    assert overlap.patients == overlap.persons == len(shared) / 2
    assert "near duplicates were not looked for" in " ".join(result.lines())
    assert {pair.kind for pair in result.pairs} == {"exact"}


def test_recordings_an_evaluation_leaves_out_are_told_apart(originals, copies):
    """Stores that are judged together protect each other by identical recordings, not by changed ones."""
    result = audit(AuditConfig(stores=(originals, copies)))
    assert result.roles["left out"].recordings > 0
    for pair in result.pairs:
        if pair.kind == "exact":
            assert not pair.leak
        if "left out" in (*pair.a.roles, *pair.b.roles):
            assert not pair.leak
    assert all(o.persons == o.recordings == 0 for o in result.overlaps)
    assert sum(pair.leak for pair in result.pairs) > 0


def test_what_the_bundle_says_goes_first(originals, copies, folder):
    trained = bundle_of(folder / "b1", said(originals))
    result = audit(
        AuditConfig(stores=(originals,), pretraining_stores=(copies,), bundle=trained, near_duplicates=False)
    )
    assert (result.pretraining, result.pretraining_stores) == ("bundle", ("originals",))
    assert result.roles["pre-training"] == result.roles["training"]
    told = "Leakage: none found; validation and test share no patient, no exact duplicate."
    assert result.headline == told


def test_a_store_the_bundle_names_and_nobody_has_is_missing(originals, copies, folder):
    trained = bundle_of(folder / "b2", said(originals, copies))
    result = audit(AuditConfig(stores=(originals,), bundle=trained, near_duplicates=False))
    fingerprint = Store.open(copies).manifest.fingerprint
    assert result.pretraining == "partly"
    assert result.pretraining_missing == (f"copies ({fingerprint})",)
    assert "overlap with it cannot be excluded" in result.lines()[-1]


@pytest.mark.parametrize(
    "provenance", [{}, {"task": "classify", "stores": [{"source": "x", "fingerprint": "y"}]}]
)
def test_a_bundle_that_does_not_say_leaves_it_unknown(originals, folder, provenance):
    trained = bundle_of(folder / f"b-{len(provenance)}", provenance)
    result = audit(AuditConfig(stores=(originals,), bundle=trained, near_duplicates=False))
    assert (result.pretraining, result.pretraining_stores) == ("unknown", ())


def test_recordings_without_a_beat_are_counted(folder):
    short = write(Synthetic(patients=4, sessions=1, duration_s=2.0), folder / "short")
    result = audit(AuditConfig(stores=(short,)))
    assert result.not_searched == 4
    (note,) = [line for line in audit_section(result).notes if "shorter than 2.5 s" in line]
    assert note.startswith("4 recordings")


def test_section_stands_where_nothing_was_found(originals):
    section = audit_section(audit(AuditConfig(stores=(originals,), near_duplicates=False)))
    assert [table.caption for table in section.tables] == ["What is used for what", "Shared by two roles"]
    assert "Training and test share no patient" in render_html(
        Report(title="t", summary=(), sections=(section,))
    )


def test_no_store_is_refused():
    with pytest.raises(ConfigError, match="audit: no store was given"):
        AuditConfig(stores=())


def test_stores_of_other_steps_are_refused(originals, folder):
    slow = write(ORIGINALS, folder / "slow", preparation=Preparation.default(rate_hz=100.0))
    with pytest.raises(StoreError, match="was prepared by other steps"):
        audit(AuditConfig(stores=(originals, slow)))
    # Pre-training on them is no reason to refuse: the search is made for other rates.
    result = audit(AuditConfig(stores=(originals,), pretraining_stores=(slow,)))
    assert sum(pair.leak for pair in result.pairs) == 0
    assert {pair.kind for pair in result.pairs} == {"near"}
