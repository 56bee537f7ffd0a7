"""Gallery: enrolled patients, and what can be asked of them."""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32
from tqdm import tqdm

from anylead.bundle import Bundle, load
from anylead.bundle.on_store import require_own_steps
from anylead.errors import AnyleadError, ConfigError, GalleryError, GalleryUnavailableError
from anylead.gallery import decision
from anylead.gallery.calibration import Calibration, fit_calibration
from anylead.gallery.database import Database
from anylead.gallery.decision import Enrolled
from anylead.gallery.embedding import embed_prepared, template_dimension, usable_lead_sets
from anylead.gallery.median_beats import MODEL as MEDIAN_BEAT
from anylead.gallery.median_beats import median_beat_dimension, median_beat_templates
from anylead.gallery.misfiling import Evidence, gather_evidence
from anylead.gallery.open_database import create_database, open_database
from anylead.gallery.projection import Projection
from anylead.gallery.results import (
    Case,
    EnrolSummary,
    GalleryInfo,
    Identification,
    Verification,
    Worklist,
)
from anylead.gallery.screening import screen
from anylead.gallery.search import PatientOrder, Precision, in_precision
from anylead.gallery.signals import pack_signal, unpack_signal
from anylead.gallery.swap_simulation import BUDGETS, PREVALENCES, SwapStudy, study_swaps
from anylead.gallery.template import (
    LEAD_SETS,
    Enrolment,
    GalleryIdentity,
    LeadSet,
    TemplateKind,
    TemplateTable,
)
from anylead.gallery.transfer import export_gallery, import_gallery
from anylead.record import Record
from anylead.signal.recording_quality import QualityLimits, recording_quality
from anylead.store import Store
from anylead.store.quantise import recording_hash

logger = logging.getLogger(__name__)

VERDICTS = ("accept", "reject", "unsure")
"""What a reviewer may say of a case: it is what the worklist says, it is not, or it cannot be told."""
STALE_SHARE = 0.2
"""A calibration is made again when the number of recordings has changed by so much."""
_BATCH = 64
_QUALITY_S = 60.0
"""Of a longer recording the first minute is looked at for faults."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """What screening rests on, at one version of the gallery."""

    version: int
    tables: dict[str, TemplateTable]
    calibration: Calibration
    evidence: Sequence[Evidence]
    study: SwapStudy | None
    """None where no patient has several recordings."""


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """What a worklist was made of."""

    compared: _Compared
    prevalence: float
    budget: int


class Gallery(AbstractContextManager["Gallery"]):
    """Enrolled patients: whose heart is this, and which recordings are filed under the wrong patient?

    Made by `create` or `open`. What it says are similarities and probabilities for a person to judge; it
    changes no file and no record of a patient.
    """

    def __init__(
        self,
        database: Database,
        *,
        bundle: Bundle | None = None,
        precision: Precision = "float32",
    ) -> None:
        """Takes a database over; `Gallery.open` is the usual way.

        Raises:
            GalleryError: If the bundle or its preparation is another than the gallery was made with.
        """
        self.database = database
        self.identity = database.identity()
        self.bundle = bundle
        self._precision = precision
        self._version = self._not_calibrated = -1
        self._enrolled: dict[str, Enrolled] = {}
        self._cases: dict[str, tuple[str, ...]] = {}
        self._calibration: tuple[dict[str, Any], Calibration] | None = None
        self._screened: _Compared | None = None
        self._listed: tuple[_Listed, Worklist] | None = None
        # One gallery may answer several threads; screening must not keep the others waiting.
        self._lock, self._screening = threading.RLock(), threading.RLock()
        self._projection = self._own_projection()
        if bundle is not None:
            _require_same_model(self.identity, bundle, database.where)

    # -- making and opening ----------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        url: str | Path,
        bundle: Bundle | Path | str,
        *,
        lead_sets: Sequence[LeadSet] = LEAD_SETS,
        keep_signals: bool = False,
        projected: bool = False,
        templates: TemplateKind = "encoder",
    ) -> "Gallery":
        """Makes an empty gallery.

        Args:
            url: A new folder, or ``postgresql://...``.
            bundle: What makes its vectors, or where that is.
            lead_sets: Through which recordings are compared, largest first; those that the bundle does not
                know all leads of are left out.
            keep_signals: Keep prepared recordings, too: to draw them, and to change to another model.
            projected: Turn vectors by a secret rotation, so that a stolen gallery can be cancelled.
            templates: ``median-beat`` compares the shape of beats instead of the encoder's vectors; the
                bundle prepares the recordings then, and any with the same preparation will do.

        Raises:
            GalleryError: If there is a gallery already, or no lead set is left.
            BundleError: If the bundle cannot be read.
        """
        bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
        identity = _identity(
            bundle, lead_sets, keep_signals=keep_signals, projected=projected, templates=templates
        )
        return cls(create_database(url, identity), bundle=bundle)

    @classmethod
    def open(
        cls,
        url: str | Path,
        bundle: Bundle | Path | str | None = None,
        *,
        precision: Precision = "float32",
    ) -> "Gallery":
        """Opens a gallery.

        Args:
            url: Its folder, or ``postgresql://...``.
            bundle: The one it was made with; not needed for what compares nothing new: `screen`, `info`,
                `remove`, `export`.
            precision: How vectors are held in memory: ``bfloat16`` takes half of it.

        Raises:
            GalleryError: If there is none, it is damaged, of a newer format or of another model.
            BundleError: If the bundle cannot be read.
        """
        database = open_database(url)
        try:
            loaded = load(bundle) if isinstance(bundle, Path | str) else bundle
            return cls(database, bundle=loaded, precision=precision)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Gives up files, connections and what is held in memory."""
        self._forget()
        self.database.close()

    def refresh(self) -> None:
        """Opens the gallery again, after another process rebuilt it.

        Raises:
            GalleryError: If it was rebuilt for another model than the bundle.
        """
        identity = self.database.identity()
        if self.bundle is not None:
            _require_same_model(identity, self.bundle, self.database.where)
        with self._lock:
            self.identity = self.database.refresh()
            self._projection = self._own_projection()
            self._forget()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- putting in and taking out ---------------------------------------------------------------------

    def enrol(
        self, records: Iterable[Record], *, actor: str = "local", progress: bool = False
    ) -> EnrolSummary:
        """Enrols recordings of known patients, some at a time; one that cannot be enrolled stops no other.

        Args:
            records: As they were read; each needs `Record.patient_id`.
            actor: Who does it, for the audit trail.
            progress: Show a progress bar.

        Raises:
            GalleryError: If the gallery was opened without a bundle, or cannot be written to.
        """
        self._own_bundle()
        return self._enrol(records, prepared=False, actor=actor, progress=progress)

    def enrol_store(self, store: Store, *, actor: str = "local", progress: bool = False) -> EnrolSummary:
        """Enrols the recordings of a store made by the bundle's own preparation; see `enrol`.

        Raises:
            StoreError: If it was prepared by other steps.
            GalleryError: As `enrol`.
        """
        require_own_steps(self._own_bundle(), store)
        records = (store.record(row) for row in range(len(store)))
        return self._enrol(records, prepared=True, actor=actor, progress=progress)

    def remove(self, patient_id: str, *, actor: str = "local") -> int:
        """Removes everything of a patient; returns how many recordings that were, 0 of an unknown one.

        Reviews of cases that name one of the recordings go with them, notes included.
        """
        gone = set(self.database.record_ids(patient_id=patient_id))
        self._drop_reviews(gone, actor=actor, subject=patient_id)
        return self.database.remove(patient_id, actor=actor)

    def remove_before(self, date: datetime, *, actor: str = "local") -> int:
        """Removes all recordings taken before a date, as a retention period asks; returns how many.

        Those that nobody knows the date of stay. Reviews go as `remove` says.
        """
        gone = set(self.database.record_ids(before=date))
        self._drop_reviews(gone, actor=actor)
        return self.database.remove_before(date, actor=actor)

    # -- asking ----------------------------------------------------------------------------------------

    def embed(self, record: Record) -> dict[str, Float32[np.ndarray, "dimension"]]:
        """Returns the vector of each lead set that a recording has all leads of, largest set first.

        The first one is what the recording is compared through.

        Raises:
            GalleryError: If there is no bundle, or the recording has all leads of no lead set.
            InputError: If it cannot be prepared.
        """
        prepared = self._own_bundle().preparation(record)
        return self._templates([prepared])[0] or self._no_lead_set(prepared)

    def identify(
        self,
        record: Record,
        *,
        top: int = 10,
        known_prior: float = 0.5,
        false_acceptance: float = 0.01,
        calibrate: bool = True,
    ) -> Identification:
        """Says who a recording may be of.

        Args:
            record: As it was read; its own `patient_id` is not looked at.
            top: Patients to name.
            known_prior: Probability, before looking, that the person is in the gallery.
            false_acceptance: Share of recordings of strangers that may be taken for somebody enrolled.
            calibrate: Calibrate first where that is due, which takes seconds; otherwise the calibration that
                there is must do, and without one nothing is decided.

        Raises:
            ConfigError: If the numbers are not those of probabilities and places.
            GalleryError: As `embed`.
        """
        probe = self._probe(record)
        lead_set = next(iter(probe.templates))
        return decision.identify(
            probe,
            lead_set,
            self._table(lead_set),
            self._current_calibration() if calibrate else self._kept_calibration(),
            top=top,
            known_prior=known_prior,
            false_acceptance=false_acceptance,
        )

    def verify(
        self,
        record: Record,
        patient_id: str,
        *,
        prior: float = 0.9995,
        false_acceptance: float = 0.01,
        calibrate: bool = True,
    ) -> Verification:
        """Says whether a recording is of a patient, through the largest lead set that both have.

        Args:
            record: As it was read.
            patient_id: Who it is said to be of.
            prior: Probability, before looking, that this is so.
            false_acceptance: Share of comparisons with strangers that may be accepted.
            calibrate: As `identify`.

        Raises:
            GalleryError: As `embed`; or if the patient is not enrolled, or through other leads only.
        """
        probe = self._probe(record)
        for lead_set in probe.templates:
            enrolled = self._table(lead_set)
            if patient_id in enrolled.order.patients:
                return decision.verify(
                    probe,
                    patient_id,
                    lead_set,
                    enrolled,
                    self._current_calibration() if calibrate else self._kept_calibration(),
                    prior=prior,
                    false_acceptance=false_acceptance,
                )
        if patient_id in self.database.patients():
            raise GalleryError(
                f"patient {patient_id}: enrolled, but not through {', '.join(probe.templates)}, which this "
                "recording has; enrol a recording with these leads, or verify one with more."
            )
        raise GalleryError(f"patient {patient_id}: not enrolled in this gallery; enrol a recording first.")

    def calibrate(self, *, seed: int = 0, actor: str = "local") -> Calibration:
        """Learns from the gallery's own patients what a similarity is worth, and keeps it.

        Raises:
            GalleryError: If too few patients have several recordings.
        """
        calibration = fit_calibration(self.tables(), seed=seed)
        document = {"recordings": self._recordings(), "calibration": calibration.to_plain()}
        self.database.put_document("calibration", document, actor=actor, action="calibrate")
        return calibration

    def calibrate_if_due(self) -> bool:
        """Calibrates where there is no calibration, or one of other recordings; says whether there is one."""
        return self._current_calibration() is not None

    def screen(self, *, prevalence: float = 0.0005, budget: int = 50, progress: bool = False) -> Worklist:
        """Compares every recording with its patient's others and with everybody's.

        The comparisons, and the exchanges that are simulated to say what a budget would catch, are kept in
        memory until the gallery changes.

        Args:
            prevalence: Share of recordings believed to be filed under the wrong patient.
            budget: Cases that somebody can review.
            progress: Show a progress bar over the comparisons and the simulated exchanges.

        Returns:
            The suspects, the most worth a look first, with what was said of them so far.

        Raises:
            ConfigError: If the prevalence is not between 0 and 1, or the budget below 1.
        """
        with self._screening:
            worklist = self._worklist(prevalence, budget, progress=progress)
        reviews = (self.database.document("reviews") or {}).get("cases", {})
        cases = [
            replace(case, review=reviews[case.case_id]["verdict"]) if case.case_id in reviews else case
            for case in worklist.cases
        ]
        return replace(worklist, cases=cases)

    def review(self, case_id: str, verdict: str, *, actor: str, note: str = "") -> None:
        """Keeps what a reviewer says of a case; a later verdict replaces it, the audit trail has both.

        Args:
            case_id: From the worklist.
            verdict: One of `VERDICTS`.
            actor: Who says so.
            note: Why. It goes when a patient of one of the case's recordings is removed.

        Raises:
            ConfigError: If there is no such verdict.
            GalleryError: If there is no such case in the last worklist, or one of its recordings was removed.
        """
        if verdict not in VERDICTS:
            raise ConfigError(f"review: got {verdict!r}; accepted are {', '.join(VERDICTS)}.")
        known = (self.database.document("reviews") or {}).get("cases", {})
        records = self._cases.get(case_id) or tuple(known.get(case_id, {}).get("records", ()))
        if not records:
            # Another process may have made the worklist, with another budget.
            self.screen(budget=max(1, self._recordings()))
            records = self._cases.get(case_id, ())
        if not records or not set(records) <= set(self.database.record_ids()):
            raise GalleryError(
                f"review: there is no case {case_id[:80]!r} on the worklist; screen the gallery again."
            )
        said = {
            "verdict": verdict,
            "note": note,
            "actor": actor,
            "at": datetime.now(UTC).isoformat(),
            "records": list(records),
        }

        def add(document: dict[str, Any]) -> dict[str, Any]:
            return {**document, "cases": {**document.get("cases", {}), case_id: said}}

        # The trail outlives the recordings, by whose names the case could be told: it gets a keyed hash.
        details = {"verdict": verdict}
        self.database.update_document(
            "reviews", add, actor=actor, action="review", subject=case_id, details=details
        )

    def knows_case(self, case_id: str) -> bool:
        """Says whether a case is of a worklist made here, so that a review of it needs no screening."""
        return case_id in self._cases

    # -- looking ---------------------------------------------------------------------------------------

    def tables(self) -> dict[str, TemplateTable]:
        """Returns all templates, lead set by lead set."""
        return {one.name: self.database.templates(one.name) for one in self.identity.lead_sets}

    def info(self) -> GalleryInfo:
        """Says what the gallery holds."""
        patients = self.database.patients()
        calibration = self._kept_calibration()
        return GalleryInfo(
            url=self.database.where,
            model=self.identity.model,
            preparation=self.identity.preparation,
            dimension=self.identity.dimension,
            patients=len(patients),
            recordings=sum(patients.values()),
            templates=self.database.template_counts(),
            several=sum(count > 1 for count in patients.values()),
            keep_signals=self.identity.keep_signals,
            projected=self.identity.projected,
            calibrated=decision.genuine_persons(calibration, self.identity.lead_sets),
            audit_lines=len(self.database.audit()),
            bytes=self.database.size(),
        )

    def record(self, record_id: str) -> Record | None:
        """Returns the prepared recording as it was kept; None where it is not enrolled or not kept."""
        found = self.database.enrolments(record_ids=[record_id])
        return unpack_signal(found[0].signal) if found and found[0].signal is not None else None

    def map(self) -> list[dict[str, Any]]:
        """Returns the first two principal components of the commonest lead set's vectors.

        One mapping a recording: ``record_id``, ``patient_id``, ``x`` and ``y``.
        """
        name = self.map_lead_set()
        table = self.database.templates(name)
        if not len(table.record_ids):
            return []
        centred = table.vectors - table.vectors.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        # The largest last; a dimension of 1 has one axis only.
        places = np.zeros((len(centred), 2))
        places[:, : min(2, axes.shape[1])] = centred @ axes[:, ::-1][:, :2]
        return [
            {"record_id": record, "patient_id": patient, "x": float(x), "y": float(y)}
            for record, patient, (x, y) in zip(table.record_ids, table.patient_ids, places, strict=True)
        ]

    def map_lead_set(self) -> str:
        """Returns the lead set that most recordings have, of equals the largest."""
        counts = self.database.template_counts()
        return max((one.name for one in self.identity.lead_sets), key=lambda name: counts.get(name, 0))

    # -- moving ----------------------------------------------------------------------------------------

    def export(self, path: str | Path, *, passphrase: str, actor: str = "local") -> None:
        """Writes the whole gallery into one encrypted file.

        Raises:
            GalleryError: If the file cannot be written or the passphrase is too short.
        """
        export_gallery(self.database, Path(path), passphrase=passphrase, actor=actor)

    @classmethod
    def import_(cls, path: str | Path, url: str | Path, *, passphrase: str) -> "Gallery":
        """Makes a gallery of an exported file.

        Raises:
            GalleryError: If the passphrase is wrong, the file damaged, or there is a gallery already.
        """
        return cls(import_gallery(Path(path), url, passphrase=passphrase))

    def rebuild(self, bundle: Bundle | Path | str, *, actor: str = "local", progress: bool = False) -> None:
        """Changes to another model: makes all vectors again, of the recordings that were kept.

        The calibration and the reviews belong to the old vectors and go.

        Raises:
            GalleryError: If recordings were not kept.
        """
        bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
        enrolments = self.database.enrolments()
        absent = sum(one.signal is None for one in enrolments)
        if absent:
            raise GalleryError(
                f"{self.database.where}: {absent} of {len(enrolments)} recordings were not kept, so "
                "another model cannot read them; create a new gallery with it and enrol the files again."
            )
        old = self.identity
        identity = _identity(
            bundle,
            old.lead_sets,
            keep_signals=old.keep_signals,
            projected=old.projected,
            templates=old.templates,
        )
        projection = self._own_projection(identity)
        renewed = []
        for batch in _batches(tqdm(enrolments, desc="rebuild", unit=" recordings", disable=not progress)):
            records = [bundle.preparation(unpack_signal(one.signal or b"")) for one in batch]
            templates = _turned(_made(bundle, records, identity), projection)
            renewed += [replace(one, templates=new) for one, new in zip(batch, templates, strict=True)]
        self.database.replace_all(identity, renewed, actor=actor, action="rebuild")
        self.identity, self.bundle, self._projection = identity, bundle, projection
        self._forget()

    # -- what the above are made of --------------------------------------------------------------------

    def _own_projection(self, identity: GalleryIdentity | None = None) -> Projection | None:
        identity = identity or self.identity
        if not identity.projected:
            return None
        return Projection(self.database.secret("projection"), identity.dimension)

    def _forget(self) -> None:
        """Gives up all that is held in memory of the patients."""
        with self._lock:
            self._version = -1
            self._enrolled.clear()
            self._screened = self._listed = None

    def _drop_reviews(self, records: set[str], *, actor: str, subject: str = "") -> None:
        """Drops what was said of cases that name recordings; called before these are removed and wiped."""

        def dropped(document: dict[str, Any]) -> dict[str, Any]:
            cases = document.get("cases", {})
            kept = {name: said for name, said in cases.items() if not records & set(said.get("records", ()))}
            return {**document, "cases": kept}

        self._forget()
        self._cases = {name: about for name, about in self._cases.items() if not records & set(about)}
        document = self.database.document("reviews") or {}
        if dropped(document) != document:
            self.database.update_document("reviews", dropped, actor=actor, action="remove", subject=subject)

    def _own_bundle(self) -> Bundle:
        if self.bundle is None:
            raise GalleryError(
                f"{self.database.where}: opened without a bundle, which reads recordings; open it with "
                f"the bundle it was made with (model {self.identity.model})."
            )
        return self.bundle

    def _templates(self, prepared: Sequence[Record]) -> list[dict[str, np.ndarray]]:
        return _turned(_made(self._own_bundle(), prepared, self.identity), self._projection)

    def _no_lead_set(self, record: Record) -> dict[str, np.ndarray]:
        raise GalleryError(
            f"record {record.record_id}: has the leads {', '.join(record.leads)}, and no stretch with all "
            f"leads of one of the lead sets {', '.join(one.name for one in self.identity.lead_sets)}."
        )

    def _probe(self, record: Record) -> Enrolment:
        prepared = self._own_bundle().preparation(record)
        templates = self._templates([prepared])[0] or self._no_lead_set(prepared)
        return Enrolment(
            record_id=record.record_id,
            patient_id=record.patient_id or "",
            templates=templates,
            recorded_at=record.recorded_at,
            duration_s=prepared.duration_s,
            hash=recording_hash(prepared),
            leads=prepared.leads,
            flags=_flags(record, prepared),
        )

    def _enrol(
        self, records: Iterable[Record], *, prepared: bool, actor: str, progress: bool
    ) -> EnrolSummary:
        enrolled, already = 0, 0
        failed: list[tuple[str, str]] = []
        bar = tqdm(desc="enrol", unit=" recordings", disable=not progress)
        for batch in _batches(records):
            enrolments = self._enrolments(batch, failed, prepared=prepared)
            try:
                added = self.database.enrol(enrolments, actor=actor) if enrolments else 0
            except GalleryUnavailableError:
                raise
            except GalleryError as error:
                added, refused = self._one_by_one(enrolments, actor, error)
                failed += refused
                already -= len(refused)
            enrolled, already = enrolled + added, already + len(enrolments) - added
            bar.update(len(batch))
        bar.close()
        return EnrolSummary(enrolled=enrolled, already=already, failed=failed)

    def _one_by_one(
        self, enrolments: Sequence[Enrolment], actor: str, error: GalleryError
    ) -> tuple[int, list[tuple[str, str]]]:
        """Enrols what can be of a batch of which nothing was added, as one of it was refused."""
        if len(enrolments) == 1:
            return 0, [(enrolments[0].record_id, str(error))]
        added, refused = 0, []
        for one in enrolments:
            try:
                added += self.database.enrol([one], actor=actor)
            except GalleryUnavailableError:
                raise
            except GalleryError as reason:
                refused.append((one.record_id, str(reason)))
        return added, refused

    def _enrolments(
        self, batch: Sequence[Record], failed: list[tuple[str, str]], *, prepared: bool
    ) -> list[Enrolment]:
        """Makes what is kept of recordings; those that cannot be are added to `failed`."""
        ready: list[tuple[Record, Record]] = []
        for record in batch:
            try:
                ready.append((record, record if prepared else self._own_bundle().preparation(_named(record))))
                _named(record)
            except AnyleadError as error:
                failed.append((record.record_id, str(error)))
        found = self._templates([steady for _, steady in ready])
        enrolments = []
        for (record, steady), templates in zip(ready, found, strict=True):
            try:
                templates = templates or self._no_lead_set(steady)
            except GalleryError as error:
                failed.append((record.record_id, str(error)))
                continue
            enrolments.append(
                Enrolment(
                    record_id=record.record_id,
                    patient_id=record.patient_id or "",
                    templates=templates,
                    recorded_at=record.recorded_at,
                    duration_s=steady.duration_s,
                    hash=recording_hash(steady),
                    leads=steady.leads,
                    flags=_flags(record, steady),
                    signal=pack_signal(steady) if self.identity.keep_signals else None,
                )
            )
        return enrolments

    def _table(self, lead_set: str) -> Enrolled:
        """Returns templates from memory; they are read again after any process has written."""
        with self._lock:
            version = self.database.version()
            if version != self._version:
                self._enrolled.clear()
                self._version = version
            if lead_set not in self._enrolled:
                table = self.database.templates(lead_set)
                vectors = in_precision(table.vectors, self._precision)
                self._enrolled[lead_set] = Enrolled(
                    table=replace(table, vectors=table.vectors[:0].copy()),
                    vectors=vectors,
                    order=PatientOrder.of(table.patient_ids),
                )
            return self._enrolled[lead_set]

    def _worklist(self, prevalence: float, budget: int, *, progress: bool = False) -> Worklist:
        """Returns a worklist without reviews; the last one comes from memory unless the gallery changed."""
        found = self._compared(progress=progress)
        listed = _Listed(compared=found, prevalence=prevalence, budget=budget)
        if self._listed is not None and self._listed[0] == listed:
            return self._listed[1]
        worklist = screen(
            found.tables, found.calibration, prevalence=prevalence, budget=budget, evidence=found.evidence
        )
        lines = [
            found.study.line(prevalence=share, budget=most)
            for share in sorted({*PREVALENCES, prevalence})
            for most in sorted({*BUDGETS, budget})
            if found.study is not None
        ]
        too_small = () if found.study is None else (found.study.sentence(),)
        worklist = replace(worklist, budget_table=lines, notes=(*worklist.notes, *too_small))
        with self._lock:
            if self._screened is found:  # and no patient was removed meanwhile
                self._cases |= {case.case_id: _records_of(case) for case in worklist.cases}
                self._listed = listed, worklist
        return worklist

    def _compared(self, *, progress: bool = False) -> "_Compared":
        """Returns what screening rests on, from memory unless the gallery or its calibration changed."""
        calibration = self._current_calibration() or _UNCALIBRATED
        version = self.database.version()
        found = self._screened
        if found is not None and found.version == version and found.calibration is calibration:
            return found
        tables = self.tables()
        evidence = gather_evidence(tables, calibration, progress=progress)
        study = study_swaps(tables, calibration, evidence=evidence, progress=progress)
        self._screened = _Compared(
            version=version, tables=tables, calibration=calibration, evidence=evidence, study=study
        )
        return self._screened

    def _recordings(self) -> int:
        return sum(self.database.patients().values())

    def _kept_calibration(self) -> Calibration | None:
        """Returns the calibration that is kept, read anew only where it is another."""
        document = self.database.document("calibration")
        if document is None:
            return None
        if self._calibration is None or self._calibration[0] != document:
            self._calibration = document, Calibration.from_plain(document["calibration"])
        return self._calibration[1]

    def _current_calibration(self) -> Calibration | None:
        """Returns a calibration of about as many recordings as there are now, made where there is none."""
        with self._screening:
            document, recordings = self.database.document("calibration"), self._recordings()
            if document and abs(recordings - document["recordings"]) <= STALE_SHARE * document["recordings"]:
                return self._kept_calibration()
            version = self.database.version()
            if version == self._not_calibrated:
                return None
            try:
                self.calibrate(actor="gallery")
            except GalleryUnavailableError:
                raise
            except GalleryError as error:
                logger.info("not calibrated: %s", error)
                self._not_calibrated = version
                return None
            return self._kept_calibration()


_UNCALIBRATED = Calibration()


def _records_of(case: Case) -> tuple[str, ...]:
    """Returns the recordings that a case is about."""
    matches = [one.record_id for one in (case.own, case.other) if one is not None]
    return tuple(dict.fromkeys([case.record_id, *matches, *([case.partner] if case.partner else [])]))


def _identity(
    bundle: Bundle,
    lead_sets: Sequence[LeadSet],
    *,
    keep_signals: bool,
    projected: bool,
    templates: TemplateKind,
) -> GalleryIdentity:
    if templates == "median-beat":
        usable = tuple(lead_sets)
        dimension = median_beat_dimension(usable, rate_hz=float(bundle.manifest.sampling_rate_hz))
    else:
        usable = usable_lead_sets(bundle, lead_sets)
        dimension = template_dimension(bundle, usable[0])
    return GalleryIdentity(
        model=_model(bundle, templates),
        preparation=bundle.preparation.fingerprint(),
        dimension=dimension,
        lead_sets=usable,
        keep_signals=keep_signals,
        projected=projected,
        templates=templates,
    )


def _model(bundle: Bundle, templates: TemplateKind) -> str:
    return MEDIAN_BEAT if templates == "median-beat" else bundle.fingerprint()


def _made(
    bundle: Bundle, prepared: Sequence[Record], identity: GalleryIdentity
) -> list[dict[str, np.ndarray]]:
    """Returns the templates of prepared recordings, before any projection."""
    if identity.templates == "median-beat":
        return median_beat_templates(prepared, identity.lead_sets, dimension=identity.dimension)
    return embed_prepared(bundle, prepared, identity.lead_sets)


def _require_same_model(identity: GalleryIdentity, bundle: Bundle, where: str) -> None:
    for what, kept, given in (
        ("preparation", identity.preparation, bundle.preparation.fingerprint()),
        ("model", identity.model, _model(bundle, identity.templates)),
    ):
        if kept != given:
            raise GalleryError(
                f"{where}: its vectors are of {what} {kept} and the bundle is of {given}; "
                "vectors of two do not compare: use the bundle it was made with, or `gallery rebuild`."
            )


def _named(record: Record) -> Record:
    if not record.patient_id:
        raise GalleryError(
            f"record {record.record_id}: it is not known whose it is; give its patient_id, on the command "
            "line by --patient-from."
        )
    return record


def _flags(record: Record, prepared: Record) -> tuple[str, ...]:
    """Returns what reading, preparing and the quality measures noticed."""
    signal = record.signal[:, : round(_QUALITY_S * record.sampling_rate_hz)]
    quality = recording_quality(signal, leads=record.leads, rate_hz=record.sampling_rate_hz)
    return tuple(dict.fromkeys((*prepared.flags, *quality.faults(record.leads, QualityLimits()))))


def _turned(
    templates: list[dict[str, np.ndarray]], projection: Projection | None
) -> list[dict[str, np.ndarray]]:
    if projection is None:
        return templates
    return [{name: projection.apply(vector) for name, vector in one.items()} for one in templates]


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
