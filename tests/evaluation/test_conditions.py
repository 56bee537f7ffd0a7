"""Conditions: names that stay, what each does, when it does not apply."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import ConfigError, LeadError
from anylead.evaluation.conditions import (
    DURATIONS_S,
    FAMILIES,
    condition,
    conditions_of,
    lead_subset,
    standard_conditions,
)
from anylead.leads import LEAD_SETS, STANDARD_12
from anylead.record import Record
from fake_trees import fake_ecg

STANDARD_NAMES = [one.name for one in standard_conditions()]


def ecg_record(seconds=10.0, leads=STANDARD_12, rate_hz=500.0, record_id="r"):
    signal = fake_ecg(np.random.default_rng(0), seconds=seconds, fs=rate_hz).astype(np.float32)
    rows = [STANDARD_12.index(lead) for lead in leads]
    return Record(signal=signal[rows], leads=leads, sampling_rate_hz=rate_hz, record_id=record_id)


def applied(name, record, seed=0):
    return condition(name).apply(record, seed=seed)


def test_the_standard_conditions_are_these():
    """Names are in other people's files: a change of one is a change of the protocol."""
    counts = {family: len(conditions_of(family)) for family in FAMILIES}
    assert counts == {
        "clean": 1, "lead_set": 8, "lead_subset": 0, "drop_lead": 12, "wrong_lead": 10, "noise": 24,
        "rate": 6, "duration": 5, "gain": 4, "offset": 4,
    }  # fmt: skip
    some = [
        "clean", "lead-set-12", "lead-set-II", "drop-aVR", "wrong-LA-RA", "wrong-RA-LL", "wrong-V1-V2",
        "wrong-flat-II", "wrong-noisy-V5", "noise-wander-24dB", "noise-muscle-6dB", "noise-powerline-0dB",
        "noise-motion-minus6dB", "rate-100Hz", "rate-1000Hz", "duration-2.5s", "duration-30s", "gain-x0.5",
        "gain-x1.25", "offset-minus1mV", "offset-0.2mV",
    ]  # fmt: skip
    assert set(some) <= set(STANDARD_NAMES)


def test_names_are_unique_and_safe_in_any_file_system():
    lower = [name.lower() for name in STANDARD_NAMES]
    assert len(set(lower)) == len(lower)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.,-]*", name) for name in STANDARD_NAMES)


@pytest.mark.parametrize("name", STANDARD_NAMES)
def test_a_name_gives_its_condition_back(name):
    assert condition(name).name == name
    assert condition(name) in conditions_of(condition(name).family)


@given(st.lists(st.sampled_from(STANDARD_12), min_size=1, unique=True))
def test_a_subset_has_one_name_whatever_its_order(leads):
    one = lead_subset(leads)
    assert one == lead_subset(sorted(leads)) == condition(one.name)
    assert one.leads == tuple(lead for lead in STANDARD_12 if lead in leads)
    assert (one.family, one.level) == ("lead_subset", float(len(leads)))


@pytest.mark.parametrize("name", STANDARD_NAMES)
def test_the_record_given_is_left_as_it_is_and_the_answer_is_repeatable(name):
    record = ecg_record(seconds=30.0, rate_hz=360.0)
    before = record.signal.copy()
    one, two = applied(name, record), applied(name, record)
    np.testing.assert_array_equal(record.signal, before)
    np.testing.assert_array_equal(one.signal, two.signal)
    assert (one.record_id, one.leads, one.sampling_rate_hz) == ("r", two.leads, two.sampling_rate_hz)
    changed = one.signal.shape != before.shape or not np.array_equal(one.signal, before)
    assert changed == (name not in {"clean", "lead-set-12", "duration-30s"})


@pytest.mark.parametrize("name", STANDARD_NAMES)
def test_only_what_changes_the_signal_says_so(name):
    record = ecg_record(seconds=31.0, rate_hz=360.0)
    one = applied(name, record)
    kept = record.select(one.leads)
    same = one.signal.shape == kept.signal.shape and np.array_equal(one.signal, kept.signal)
    assert condition(name).changes_signal == (not same)


@pytest.mark.parametrize("key", LEAD_SETS)
def test_a_lead_set_needs_all_its_leads(key):
    record = ecg_record()
    kept = applied(f"lead-set-{key}", record)
    assert kept.leads == LEAD_SETS[key]
    rows = [STANDARD_12.index(lead) for lead in kept.leads]
    np.testing.assert_array_equal(kept.signal, record.signal[rows])
    without = [lead for lead in STANDARD_12 if lead != LEAD_SETS[key][-1]]
    assert applied(f"lead-set-{key}", record.select(without)) is None


def test_a_subset_takes_leads_by_name():
    record = ecg_record(leads=("V2", "I", "II"))
    kept = applied("leads-II,V2", record)
    assert kept.leads == ("II", "V2")
    np.testing.assert_array_equal(kept.signal, record.signal[[2, 0]])
    assert applied("leads-II,V3", record) is None


def test_a_lead_is_dropped_where_it_is_and_not_the_only_one():
    assert applied("drop-V3", ecg_record()).leads == tuple(lead for lead in STANDARD_12 if lead != "V3")
    assert applied("drop-V3", ecg_record(leads=("I", "II"))) is None
    assert applied("drop-I", ecg_record(leads=("I",))) is None


def test_wrong_leads_are_what_their_names_say():
    record = ecg_record()
    lead = dict(zip(STANDARD_12, record.signal, strict=True))
    reversed_ = applied("wrong-LA-RA", record).signal
    np.testing.assert_array_equal(reversed_[:3], np.stack([-lead["I"], lead["III"], lead["II"]]))
    np.testing.assert_array_equal(applied("wrong-V1-V2", record).signal[[7, 6]], record.signal[[6, 7]])
    assert not applied("wrong-flat-V5", record).signal[10].any()
    noisy = applied("wrong-noisy-II", record).signal
    assert np.flatnonzero((noisy != record.signal).any(axis=1)).tolist() == [1]


@pytest.mark.parametrize(
    ("name", "leads"),
    [
        ("wrong-LA-RA", ("II", "V1")),
        ("wrong-LA-LL", ("V1", "V2")),
        ("wrong-V1-V2", ("I", "V1")),
        ("wrong-flat-II", ("I",)),
        ("wrong-noisy-V2", ("I",)),
    ],
)
def test_wrong_leads_do_not_apply_without_the_leads(name, leads):
    assert applied(name, ecg_record(leads=leads)) is None


def test_noise_is_one_for_a_curve_and_another_for_another_record_kind_or_seed():
    record = ecg_record()
    added = {
        (name, seed, record_id): applied(name, replace(record, record_id=record_id), seed).signal
        - record.signal
        for name in ("noise-muscle-24dB", "noise-muscle-minus6dB", "noise-motion-24dB")
        for seed in (0, 1)
        for record_id in ("r", "s")
    }
    mild = added["noise-muscle-24dB", 0, "r"]
    strong = added["noise-muscle-minus6dB", 0, "r"]
    np.testing.assert_allclose(strong, mild * 10**1.5, atol=1e-4)
    for other in [
        ("noise-muscle-24dB", 1, "r"),
        ("noise-muscle-24dB", 0, "s"),
        ("noise-motion-24dB", 0, "r"),
    ]:
        assert abs(np.corrcoef(mild.ravel(), added[other].ravel())[0, 1]) < 0.2


def test_noise_does_not_apply_to_silence_or_to_a_rate_too_low_for_it():
    record = ecg_record(rate_hz=100.0)
    assert applied("noise-powerline-6dB", record) is None
    assert applied("noise-muscle-6dB", record) is not None
    silent = replace(record, signal=np.zeros_like(record.signal))
    assert all(one.apply(silent, seed=0) is None for one in conditions_of("noise"))


@pytest.mark.parametrize("hz", [100, 125, 200, 250, 400, 1000])
def test_another_rate_is_the_same_ecg(hz):
    record = ecg_record()
    other = applied(f"rate-{hz}Hz", record)
    assert (other.sampling_rate_hz, other.samples) == (float(hz), 10 * hz)
    slow = replace(record, signal=np.cumsum(record.signal, axis=1, dtype=np.float64).astype(np.float32))
    expected = np.interp(np.arange(10 * hz) / hz, np.arange(5000) / 500.0, slow.signal[0])
    inside = slice(hz // 2, -hz // 2)
    np.testing.assert_allclose(
        applied(f"rate-{hz}Hz", slow).signal[0, inside], expected[inside], atol=0.02 * np.ptp(expected)
    )


@pytest.mark.parametrize("seconds", DURATIONS_S)
def test_a_duration_is_the_first_seconds_of_a_recording_that_has_them(seconds):
    record = ecg_record(seconds=10.0)
    cut = applied(f"duration-{seconds:g}s", record)
    if seconds > 10:
        assert cut is None
    else:
        np.testing.assert_array_equal(cut.signal, record.signal[:, : round(500 * seconds)])


def test_gain_and_offset():
    record = ecg_record()
    np.testing.assert_array_equal(applied("gain-x0.5", record).signal, record.signal / 2)
    np.testing.assert_allclose(applied("offset-minus0.2mV", record).signal, record.signal - 0.2, atol=1e-6)


@pytest.mark.parametrize("name", STANDARD_NAMES)
def test_a_missing_sample_stays_missing(name):
    record = ecg_record(seconds=30.0, rate_hz=250.0)
    record.signal[:, :200] = np.nan
    one = applied(name, record)
    there = ~np.isnan(one.signal)
    if name.startswith("rate"):
        assert not there[:, : round(0.7 * one.sampling_rate_hz)].any()
    else:
        assert not there[:, :200].any()
        assert there[:, 200:].all()


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(ConfigError, match=r"no condition 'noise-mucsle-6dB'; there are noise-wander-24dB"):
        condition("noise-mucsle-6dB")
    with pytest.raises(ConfigError, match="no condition 'what'; there are clean"):
        condition("what")


def test_an_unknown_family_is_told_what_there_is():
    with pytest.raises(ConfigError, match="no family 'noises'; there are clean, lead_set"):
        conditions_of("noises")


def test_a_subset_is_of_the_standard_leads_each_once():
    with pytest.raises(ConfigError, match="Vx is no standard lead"):
        lead_subset(("I", "Vx"))
    with pytest.raises(LeadError, match="I is named more than once"):
        condition("leads-I,DI")
    with pytest.raises(LeadError, match="empty lead name"):
        condition("leads-")
