"""`quality` on a store in which every fault was planted once."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest

from anylead.cli import main
from anylead.errors import ConfigError, StoreError
from anylead.evaluation.quality_section import FAULTS
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.record import Record
from anylead.signal import noise
from anylead.signal.lead_faults import swap_limb_leads
from anylead.sources import SOURCES
from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store
from anylead.store.layout import QUALITY
from anylead.store.quality_table import QUALITY_SCHEMA
from anylead.workflows.quality import QualityConfig, quality

RATE_HZ = 500.0


def planted() -> dict[str, np.ndarray]:
    """Recordings of patients who have nothing else wrong with them, each with one fault but the first."""
    source = Synthetic(patients=9, sessions=1, seed=3)
    clean = [source.load(ref).signal for ref in source.scan(Path())]
    leads = {"leads": STANDARD_12, "rate_hz": RATE_HZ}
    rng = np.random.default_rng(0)
    flat, gain, cut, rail = (clean[number].copy() for number in (1, 2, 3, 4))
    flat[6] = 0.0
    gain[1] *= 3
    cut[9] = np.minimum(cut[9], 0.5 * cut[9].max())
    rail[10, 2000:2600] = 4.0
    return {
        "good": clean[0],
        "flat": flat,
        "einthoven": gain,
        "clipped": cut,
        "saturated": rail,
        "reversed": swap_limb_leads(clean[5], leads=STANDARD_12, electrodes="LA/RA"),
        "powerline": noise.powerline(clean[6], **leads, snr_db=0.0, rng=rng),
        "wander": noise.baseline_wander(clean[7], **leads, snr_db=-12.0, rng=rng),
        "noise": noise.muscle(clean[8], **leads, snr_db=-3.0, rng=rng),
        "duplicate": 0.7 * clean[0],
    }


SIGNALS = planted()


@dataclass(frozen=True, kw_only=True)
class Planted(Source):
    """The recordings above."""

    name: ClassVar[str] = "planted"
    title: ClassVar[str] = "Planted faults"
    url: ClassVar[str] = ""
    licence: ClassVar[str] = "none"
    citation: ClassVar[str] = "none"
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False

    names: tuple[str, ...] = tuple(SIGNALS)

    def scan(self, root: Path) -> Sequence[RecordRef]:
        return [RecordRef(record_id=name, path=Path(name), patient_id=name) for name in self.names]

    def load(self, ref: RecordRef) -> Record:
        signal = SIGNALS[ref.record_id].astype(np.float32)
        return Record(signal=signal, leads=STANDARD_12, sampling_rate_hz=RATE_HZ, record_id=ref.record_id)

    def labels(self, ref: RecordRef) -> Labels:
        return Labels()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("quality") / "planted"
    write_store(Planted(), None, out, preparation=Preparation.default(), split=SplitConfig())
    return out


@pytest.fixture(scope="module")
def measured(store):
    config = QualityConfig(store=store)
    return config, quality(config)


def kinds(store: Path) -> dict[str, set[str]]:
    """Returns record_id -> kinds of its faults, from the table."""
    table = pq.read_table(store / QUALITY)
    return {
        name: {fault.partition(":")[0] for fault in faults}
        for name, faults in zip(table["record_id"].to_pylist(), table["faults"].to_pylist(), strict=True)
    }


def test_each_planted_fault_is_found_and_nothing_in_a_good_recording(store, measured):
    found = kinds(store)
    assert found.pop("good") == set()
    for name, faults in found.items():
        assert name in faults, (name, faults)


def test_the_counts_are_those_of_the_table(store, measured):
    _, result = measured
    found = kinds(store)
    assert result.recordings == len(SIGNALS)
    assert result.faulty == sum(map(bool, found.values()))
    assert dict(result.counts) == {kind: sum(kind in some for some in found.values()) for kind in FAULTS}
    assert result.headline.startswith(f"{result.faulty} of 10 recordings have a fault: ")


def test_the_table_is_joined_with_the_index_by_record_id(store, measured):
    table, index = pq.read_table(store / QUALITY), Store.open(store).index
    assert table.schema.names == QUALITY_SCHEMA.names
    assert table["record_id"].to_pylist() == index["record_id"].to_pylist()
    assert table.schema.metadata[b"anylead.store"].decode() == Store.open(store).manifest.fingerprint


def test_a_changed_copy_names_its_original(store, measured):
    table = pq.read_table(store / QUALITY)
    of = dict(zip(table["record_id"].to_pylist(), table["duplicate_of"].to_pylist(), strict=True))
    assert {name: first for name, first in of.items() if first} == {"duplicate": "good"}
    assert measured[1].copies == [("duplicate", "good")]


def test_the_page_draws_what_is_wrong_and_says_why(measured):
    config, _ = measured
    page = config.page.read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    told = {caption.partition(":")[0]: caption for caption in captions}
    assert set(told) >= set(SIGNALS) - {"good", "duplicate"}
    assert "good" not in told
    assert "a lead stands still (V1; 100 % of a lead" in told["flat"]
    assert re.search(r"left and right arm electrodes look exchanged \([34] of 4 signs\)", told["reversed"])
    assert "limb leads do not go together" in told["einthoven"]
    assert page.count("<svg") == len(captions)
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    report = json.loads((config.page.parent / "report.json").read_text())
    assert report["results"][0]["recordings"] == len(SIGNALS)


def small_store(out: Path) -> Path:
    source = Planted(names=("good", "duplicate"))
    write_store(source, None, out, preparation=Preparation.default(), split=SplitConfig())
    return out


def test_without_near_duplicates_changed_copies_are_not_found_and_the_page_says_so(tmp_path):
    config = QualityConfig(store=small_store(tmp_path / "s"), out=tmp_path / "out", near_duplicates=0)
    assert quality(config).counts["duplicate"] == 0
    assert "only those with equal samples were looked for" in config.page.read_text(encoding="utf-8")


def test_a_long_recording_is_measured_in_parts(tmp_path):
    source = Synthetic(patients=1, sessions=1, duration_s=130.0)
    write_store(source, None, tmp_path / "s", preparation=Preparation.default(), split=SplitConfig())
    result = quality(QualityConfig(store=tmp_path / "s"))
    assert result.partly_compared == 1
    assert result.spreads["noise"].known == 1


def test_the_command_ends_with_one_sentence(tmp_path, capsys):
    store = small_store(tmp_path / "s")
    assert main(["quality", str(store), "--out", str(tmp_path / "page")]) == 0
    out = capsys.readouterr().out.strip()
    assert out.endswith("report.html.")
    assert "\n" not in out
    assert (tmp_path / "page" / "report.html").exists()


def test_what_is_no_store_is_refused(tmp_path, capsys):
    assert main(["quality", str(tmp_path)]) == 1
    assert "this is not a store" in capsys.readouterr().err
    with pytest.raises(StoreError, match="this is not a store"):
        quality(QualityConfig(store=tmp_path))


def test_a_negative_number_of_recordings_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="near_duplicates is -1; give the largest number of recordings"):
        QualityConfig(store=tmp_path, near_duplicates=-1)


@pytest.mark.real
def test_the_copies_in_ptb_xl_are_found(real_data, tmp_path):
    source = SOURCES["ptb-xl"]()
    folder, split = real_data / "ptb-xl", SplitConfig()
    write_store(source, folder, tmp_path / "s", preparation=Preparation.default(), split=split)
    result = quality(QualityConfig(store=tmp_path / "s"))
    assert set(result.copies) >= {("138", "137"), ("144", "143")}
    assert result.counts["reversed"] <= 0.02 * result.recordings
    assert result.counts["einthoven"] <= 0.02 * result.recordings
