"""What the tests of the service are made of: a small bundle, a gallery of plain lists, keys, uploads."""

import io
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch
from starlette.testclient import TestClient

from anylead.bundle import Bundle
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.errors import GalleryError
from anylead.gallery.results import (
    Case,
    EnrolSummary,
    GalleryInfo,
    Identification,
    Interval,
    Match,
    Verification,
    Worklist,
)
from anylead.heads import HeadConfig, LinearHead
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.service.app import make_app
from anylead.service.settings import ServiceSettings

CONFIG = ConvTransformerConfig(
    conv_channels=16, dimension=16, layers=1, heads=2, feedforward=32, position_kernel=16, position_groups=4
)


def make_bundle(classes=()):
    torch.manual_seed(0)
    encoder = ConvTransformer(CONFIG)
    heads = {"classes": LinearHead(HeadConfig(classes=classes), encoder)} if classes else {}
    return Bundle.assemble(encoder, heads=heads, preparation=Preparation.default()).eval()


def samples(seconds=10.0, leads=12, seed=0):
    random = np.random.default_rng(seed)
    return np.cumsum(random.normal(0, 0.02, (leads, round(seconds * 500))), axis=1).astype(np.float32)


def csv_of(signal, leads=STANDARD_12):
    file = io.StringIO()
    np.savetxt(file, signal.T, delimiter=",", header=",".join(leads), comments="", fmt="%.4f")
    return file.getvalue().encode()


def match(patient, record, similarity):
    return Match(patient_id=patient, record_id=record, similarity=similarity, probability=None)


@dataclass
class FakeGallery:
    """Answers as a gallery does, from lists."""

    bundle: Bundle
    kept: dict = field(default_factory=dict)
    reviews: dict = field(default_factory=dict)
    fault: Exception | None = None
    identity = "the same"

    @property
    def database(self):
        return SimpleNamespace(
            version=self.version,
            identity=self.own_identity,
            patients=self.patients,
            enrolments=self.enrolments,
            where="/secret/gallery",
        )

    def own_identity(self):
        if self.fault:
            raise self.fault
        return self.identity

    def version(self):
        if self.fault:
            raise self.fault
        return len(self.kept)

    def patients(self):
        return {record.patient_id: 1 for record in self.kept.values()}

    def enrolments(self, *, patient_id):
        return [
            SimpleNamespace(record_id=r.record_id, recorded_at=None, leads=r.leads, flags=r.flags)
            for r in self.kept.values()
            if r.patient_id == patient_id
        ]

    def enrol(self, records, *, actor):
        (record,) = records
        there = self.kept.get(record.record_id)
        if there is not None and there.patient_id != record.patient_id:
            raise GalleryError(f"record {record.record_id}: it is there with another patient.")
        self.kept[record.record_id] = record
        self.actor = actor
        return EnrolSummary(enrolled=int(there is None), already=int(there is not None))

    def identify(self, record, *, top, known_prior, calibrate):
        if self.fault:
            raise self.fault
        found = [match(r.patient_id, r.record_id, 0.5) for r in self.kept.values()][:top]
        return Identification(
            record_id=record.record_id,
            lead_set="12",
            matches=found,
            nobody=Interval(value=0.2, low=0.1, high=float("nan")),
            verdict="undecided",
            threshold=None,
        )

    def verify(self, record, patient_id, *, prior, calibrate):
        return Verification(
            record_id=record.record_id,
            patient_id=patient_id,
            lead_set="12",
            similarity=0.5,
            probability=None,
            accepted=None,
            threshold=None,
            own=None,
            best_other=None,
        )

    def screen(self, *, prevalence, budget):
        case = Case(
            case_id="c1",
            kind="wrong patient",
            record_id="r",
            patient_id="p",
            lead_set="12",
            probability=None,
            own=None,
            other=None,
        )
        return Worklist(cases=[case][:budget], screened=1, not_screened=0, prevalence=prevalence)

    def calibrate_if_due(self):
        return False

    def knows_case(self, case_id):
        return case_id == "c1"

    def review(self, case_id, verdict, *, actor, note):
        if case_id != "c1":
            raise GalleryError(f"case {case_id}: there is none of this id.")
        self.reviews[case_id] = (verdict, actor, note)

    def remove(self, patient_id, *, actor):
        gone = [name for name, r in self.kept.items() if r.patient_id == patient_id]
        for name in gone:
            del self.kept[name]
        return len(gone)

    def info(self):
        return GalleryInfo(
            url="postgresql://user:secret@host/db",
            model="m",
            preparation="p",
            dimension=16,
            patients=len(self.patients()),
            recordings=len(self.kept),
            templates={"12": len(self.kept)},
            several=0,
            keep_signals=True,
            projected=False,
        )

    def map(self):
        return [
            {"record_id": r.record_id, "patient_id": r.patient_id, "x": 0.0, "y": 1.0}
            for r in self.kept.values()
        ]

    def map_lead_set(self):
        return "12"

    def record(self, record_id):
        return self.kept.get(record_id)


class FakeKeys:
    """Keys by name: the key is the name, the role what stands before the dash."""

    def __init__(self, *names):
        self.names = names

    def list(self):
        return self.names

    def check(self, key):
        return SimpleNamespace(name=key, roles=(key.split("-")[0],)) if key in self.names else None


def client_of(gallery, bundle, keys=None, **settings):
    app = make_app(gallery, bundle, ServiceSettings(**settings), keys=keys or FakeKeys())
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def send(client, signal=None, leads=STANDARD_12, **options):
    """Uploads a table and returns the answer."""
    content = csv_of(samples() if signal is None else signal, leads)
    data = {"fs": "500", "unit": "mV"} | options.pop("data", {})
    return client.post("/v1/records", files={"file": ("x.csv", content)}, data=data, **options)
