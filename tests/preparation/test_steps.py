from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import ConfigError, InputError
from anylead.preparation import (
    BandPass,
    DropAbsentLeads,
    FillGaps,
    FlagQuality,
    HighPass,
    LinearResample,
    Resample,
    ScaleLeads,
    StandardizeLeads,
)
from anylead.record import Record


def a_record(samples=1000, leads=("I", "II", "V1"), rate_hz=500.0) -> Record:
    signal = np.random.default_rng(0).normal(size=(len(leads), samples)).astype(np.float32)
    return Record(signal=signal, leads=leads, sampling_rate_hz=rate_hz)


def with_gap(record: Record, lead: str, start: int, stop: int | None) -> Record:
    signal = record.signal.copy()
    signal[record.leads.index(lead), start:stop] = np.nan
    return replace(record, signal=signal)


def test_an_all_nan_lead_is_absent():
    record = with_gap(a_record(), "II", 0, None)
    prepared = DropAbsentLeads()(record)
    assert prepared.leads == ("I", "V1")
    assert prepared.flags == ("absent:II",)
    np.testing.assert_array_equal(prepared.signal, record.signal[[0, 2]])


def test_a_record_without_any_lead_is_refused():
    record = replace(a_record(), signal=np.full((3, 10), np.nan, dtype=np.float32), record_id="x")
    with pytest.raises(InputError, match="record x: every sample of every lead is missing"):
        DropAbsentLeads()(record)


def test_gaps_up_to_the_limit_are_filled_and_flagged_and_longer_ones_flagged():
    record = with_gap(a_record(), "I", 100, 200)  # 0.2 s
    record = with_gap(record, "II", 100, 201)
    record = with_gap(record, "V1", 300, 310)
    record = with_gap(record, "V1", 500, 700)
    prepared = FillGaps(max_gap_s=0.2)(record)
    assert set(prepared.flags) == {"gap_filled:I", "missing:II", "gap_filled:V1", "missing:V1"}
    assert np.isnan(prepared.signal).sum(axis=1).tolist() == [0, 101, 200]


def test_resampling_changes_rate_and_length():
    prepared = Resample()(a_record(samples=2000, rate_hz=1000.0))
    assert (prepared.sampling_rate_hz, prepared.samples) == (500.0, 1000)
    record = a_record()
    assert Resample()(record) is record


def test_linear_resampling_changes_rate_and_length_and_keeps_the_ends():
    record = a_record(samples=2934, rate_hz=400.0)
    prepared = LinearResample()(record)
    assert (prepared.sampling_rate_hz, prepared.samples) == (500.0, 3667)
    np.testing.assert_allclose(prepared.signal[:, [0, -1]], record.signal[:, [0, -1]], atol=1e-6)
    assert LinearResample()(prepared) is prepared
    with pytest.raises(ConfigError, match="linear_resample: rate_hz is 5; rates from 50"):
        LinearResample(rate_hz=5.0)


def test_quality_is_flagged_and_the_lead_kept():
    record = a_record()
    signal = record.signal.copy()
    signal[0] = 0.25
    signal[2] = signal[2].clip(-1.2, 1.2)
    signal[2, 400:450] = 1.2
    prepared = FlagQuality()(replace(record, signal=signal))
    assert prepared.flags == ("flat:I", "saturated:V1")
    assert prepared.leads == record.leads
    assert prepared.signal is signal


def test_a_lead_that_loses_its_electrode_for_a_second_is_flat():
    record = a_record(samples=2000)
    signal = record.signal.copy()
    signal[0, 600:1100] = 0.3
    signal[1, 600:1099] = 0.3
    assert FlagQuality()(replace(record, signal=signal)).flags == ("flat:I",)


def test_filters_filter():
    record = a_record(samples=5000)
    level = replace(record, signal=record.signal + np.float32(5))
    for step in (HighPass(), BandPass()):
        prepared = step(level)
        assert abs(prepared.signal.mean()) < 0.05
        assert prepared.samples == 5000


@pytest.mark.parametrize("step", [BandPass(high_hz=60.0), HighPass(cutoff_hz=50.0)])
def test_a_cutoff_beyond_the_signal_is_refused(step):
    record = a_record(rate_hz=100.0)
    with pytest.raises(
        InputError, match=r"record record: \w+_pass at \d+ Hz needs more than \d+ samples per sec"
    ):
        step(record)


def test_standardised_leads_have_mean_0_and_deviation_1():
    record = a_record()
    signal = record.signal * np.float32(3) + np.float32(100)
    signal[1] = 0.7
    signal[2, 10:50] = np.nan
    prepared = StandardizeLeads()(replace(record, signal=signal)).signal
    np.testing.assert_allclose(np.nanmean(prepared, axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(prepared, axis=1), [1, 0, 1], atol=1e-6)
    assert (prepared[1] == 0).all()
    assert np.isnan(prepared[2, 10:50]).all()
    by_hand = (signal[0] - signal[0].astype(float).mean()) / signal[0].astype(float).std()
    np.testing.assert_allclose(prepared[0], by_hand, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FillGaps(max_gap_s=-1.0), "fill_gaps: max_gap_s is -1; give 0 s or more"),
        (lambda: Resample(rate_hz=20.0), "resample: rate_hz is 20; rates from 50 to 10000 Hz are accepted"),
        (
            lambda: FlagQuality(saturated_share=0.0),
            "flag_quality: got flat_mv 0.001, flat_s 1, saturated_share 0 and .* a share in",
        ),
        (lambda: HighPass(cutoff_hz=0.0), "high_pass: got cutoff_hz 0 and order 2; give a cutoff above 0 Hz"),
        (lambda: BandPass(low_hz=50.0), "band_pass: got low_hz 50, high_hz 40 and order 2; give 0 < low_hz"),
        (
            lambda: ScaleLeads(leads=("I",)),
            "scale_leads: got 1 leads, 12 means and 12 deviations; give one of",
        ),
        (
            lambda: ScaleLeads(deviation_mv=(0.0,) * 12),
            "got deviations from 0 mV on and the limit None; give",
        ),
        (
            lambda: ScaleLeads(limit=0.0),
            "got deviations from 1 mV on and the limit 0.0; give numbers above 0",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    "step",
    [
        DropAbsentLeads(),
        FillGaps(),
        FlagQuality(),
        Resample(),
        HighPass(),
        BandPass(),
        ScaleLeads(),
        StandardizeLeads(),
    ],
)
def test_steps_leave_the_record_they_are_given_alone(step):
    record = with_gap(with_gap(a_record(rate_hz=250.0), "I", 10, 20), "II", 0, None)
    before = record.signal.copy()
    step(record)
    np.testing.assert_array_equal(record.signal, before)
    assert record.flags == ()


SCALE = ScaleLeads(leads=("V1", "I"), mean_mv=(0.5, -0.25), deviation_mv=(2.0, 0.5), limit=3.0)


def test_leads_are_scaled_by_the_constants_of_their_names_and_limited():
    record = with_gap(a_record(), "I", 10, 20)
    prepared = SCALE(record)
    assert prepared.leads == ("I", "V1")
    assert prepared.flags == ("unscaled:II",)
    expected = np.stack([(record.signal[0] + 0.25) / 0.5, (record.signal[2] - 0.5) / 2.0]).clip(-3, 3)
    np.testing.assert_allclose(prepared.signal, expected, rtol=1e-6)
    assert (np.nanmax(prepared.signal), prepared.signal.dtype) == (3.0, np.float32)
    np.testing.assert_array_equal(ScaleLeads()(record).signal, record.signal)


def test_a_record_without_a_lead_that_can_be_scaled_is_refused():
    with pytest.raises(
        InputError, match=r"record record: none of its leads \(II\) has constants to scale it by"
    ):
        SCALE(a_record(leads=("II",)))
