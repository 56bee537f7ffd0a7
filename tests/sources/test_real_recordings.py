"""Every real recording is read, and what is known about the real files holds."""

from collections import Counter

import numpy as np
import pytest

from anylead.sources import SOURCES
from anylead.sources.ecg_id import EcgId
from anylead.sources.ptb_xl import PtbXl

pytestmark = pytest.mark.real

FOLDERS = {
    "ptb-xl": ("ptb-xl", 400, 369),
    "cinc2021": ("cinc2021", 60, 60),
    "cinc2020": ("cinc2020-cpsc2018", 120, 120),
    "ludb": ("ludb", 200, 200),
    "ecg-id": ("ecg-id", 310, 90),
}


def opened(real_data, name):
    source = SOURCES[name]()
    return source, {ref.record_id: ref for ref in source.scan(real_data / FOLDERS[name][0])}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_recording_is_found_and_read(real_data, name):
    source, refs = opened(real_data, name)
    _, records, patients = FOLDERS[name]
    assert len(refs) == records
    assert len({ref.patient_id for ref in refs.values()}) == patients
    for ref in refs.values():
        record = source.load(ref)
        assert len(record.leads) == (1 if name == "ecg-id" else 12)
        assert np.isfinite(record.signal).all()
        assert 6 <= record.duration_s <= 120


def test_what_no_table_maps_is_what_we_know_of(real_data):
    unknown = Counter()
    for name in FOLDERS:
        source, refs = opened(real_data, name)
        for ref in refs.values():
            unknown.update(text.split(":")[0] for text in source.labels(ref).unknown)
    assert unknown == {
        "heart_axis": 4,
        "undefined ischemia/scar/supp.nstemi": 51,
        "left ventricular overload": 11,
        "pacemaker presence, undefined": 9,
        "aberrant conduction": 1,
    }


def test_ptb_xl_and_its_copy_in_the_challenge(real_data):
    """HR00001-HR00010 are ECGs 1-10: the same samples, and the same codes but for 3 and 10, changed since."""
    ptb_xl, ours = opened(real_data, "ptb-xl")
    challenge, theirs = opened(real_data, "cinc2021")
    changed = []
    for number in range(1, 11):
        mine, copy = ours[str(number)], theirs[f"HR{number:05d}"]
        np.testing.assert_array_equal(ptb_xl.load(mine).signal, challenge.load(copy).signal)
        assert (mine.age_years, mine.sex) == (copy.age_years, copy.sex)
        if ptb_xl.labels(mine) != challenge.labels(copy):
            changed.append(number)
    assert changed == [3, 10]


def test_cpsc_2018_in_both_releases(real_data):
    early, before = opened(real_data, "cinc2020")
    late, after = opened(real_data, "cinc2021")
    for number in range(1, 11):
        name = f"A{number:04d}"
        np.testing.assert_array_equal(early.load(before[name]).signal, late.load(after[name]).signal)
        assert early.labels(before[name]) == late.labels(after[name])
        assert before[name].patient_id == after[name].patient_id


def test_ptb_xl_has_the_same_recording_twice(real_data):
    source, refs = opened(real_data, "ptb-xl")
    for first, second in (("137", "138"), ("143", "144")):
        np.testing.assert_array_equal(source.load(refs[first]).signal, source.load(refs[second]).signal)


def test_ptb_xl_at_100_hz(real_data):
    source = PtbXl(sampling_rate_hz=100)
    refs = source.scan(real_data / "ptb-xl")
    assert len(refs) == 400
    assert source.load(refs[-1]).signal.shape == (12, 1000)


def test_the_database_ptb_is_at_1000_hz(real_data):
    source, refs = opened(real_data, "cinc2021")
    records = [source.load(ref) for ref in refs.values() if ref.patient_id.startswith("ptb:")]
    assert {record.sampling_rate_hz for record in records} == {1000.0}
    assert min(record.duration_s for record in records) == 38.4


def test_ludb_obeys_einthoven_in_stored_integers(real_data):
    source, refs = opened(real_data, "ludb")
    worst = 0.0
    for ref in refs.values():
        first, second, third = 1000 * source.load(ref).signal[:3].astype(np.float64)
        worst = max(worst, np.abs(first + third - second).max())
    assert worst < 2.001


def test_ecg_id_persons_dates_and_spikes(real_data):
    source, refs = opened(real_data, "ecg-id")
    dates: dict[str, set] = {}
    for ref in refs.values():
        dates.setdefault(ref.patient_id, set()).add(ref.recorded_at)
    assert sum(len(days) >= 2 for days in dates.values()) == 20
    assert max(source.load(ref).signal.max() for ref in refs.values()) > 10
    assert isinstance(source, EcgId)
