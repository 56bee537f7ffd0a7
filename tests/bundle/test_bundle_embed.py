"""What a bundle makes of recordings: any leads, any length, alone or in company."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

from anylead.bundle import Bundle
from anylead.bundle.inference import cut, record_means, run_windows
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.encoders.base import Readout
from anylead.errors import InputError, LeadError
from anylead.feed.collate import collate
from anylead.heads import ArcFaceConfig, ArcFaceHead, HeadConfig, LinearHead
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.record import Record

CONFIG = ConvTransformerConfig(
    conv_channels=16, dimension=16, layers=2, heads=2, feedforward=32, position_kernel=16, position_groups=4
)


def make_bundle(**heads) -> Bundle:
    torch.manual_seed(0)
    encoder = ConvTransformer(CONFIG)
    built = {name: kind(config, encoder) for name, (kind, config) in heads.items()}
    return Bundle.assemble(encoder, heads=built, preparation=Preparation.default()).eval()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle()


def signal(seconds: float, leads: int = 12, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.cumsum(random.normal(0, 0.02, (leads, round(seconds * 500))), axis=1).astype(np.float32)


def record(seconds: float, seed: int = 0, leads: tuple[str, ...] = STANDARD_12) -> Record:
    return Record.from_array(signal(seconds, len(leads), seed), fs=500.0, leads=leads, record_id=f"r{seed}")


def test_one_recording_gives_one_row(bundle):
    assert bundle.embed(signal(10), fs=500, leads=STANDARD_12).shape == (1, 16)
    wide = bundle.embed(record(10), readout=Readout(layer=1, pooling="mean_std"))
    assert wide.shape == (1, 32)
    assert wide.dtype == np.float32


def test_the_embedding_is_the_mean_over_windows_the_last_of_which_ends_with_the_recording(bundle):
    samples = record(7).signal
    parts = [(samples[:, start : start + 2500], STANDARD_12) for start in (0, 1000)]
    batch = collate(parts, leads=STANDARD_12, sampling_rate_hz=500.0)
    with torch.no_grad():
        expected = bundle.encoder.read(batch, Readout()).mean(dim=0)
    np.testing.assert_allclose(bundle.embed(record(7))[0], expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_company_and_batch_size_change_nothing(bundle, batch_size):
    records = [
        record(10, 1),
        record(7.3, 2),
        record(1, 3),
        record(5, 4, ("I",)),
        record(2.5, 5, ("V1", "II")),
    ]
    together = bundle.embed(records, batch_size=batch_size)
    alone = np.concatenate([bundle.embed(one) for one in records])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_lead_that_is_not_given_is_one_that_was_not_recorded(bundle):
    full = signal(6)
    given = bundle.embed(full[:2], fs=500, leads=["I", "II"])
    missing = full.copy()
    missing[2:] = np.nan
    np.testing.assert_allclose(bundle.embed(missing, fs=500, leads=STANDARD_12), given, atol=1e-6)
    # Zero filling is this encoder's lead mechanism: absent means a flat line at 0 mV.
    flat = full.copy()
    flat[2:] = 0.0
    np.testing.assert_allclose(bundle.embed(flat, fs=500, leads=STANDARD_12), given, atol=1e-6)
    assert not np.allclose(bundle.embed(full, fs=500, leads=STANDARD_12), given, atol=1e-3)


def test_rows_may_come_in_any_order_and_leads_select_those_of_a_record(bundle):
    full = signal(5)
    straight = bundle.embed(full[:3], fs=500, leads=["I", "II", "III"])
    turned = bundle.embed(full[[2, 0, 1]], fs=500, leads=["III", "DI", "ECG II"])
    np.testing.assert_array_equal(turned, straight)
    chosen = bundle.embed(Record.from_array(full, fs=500.0, leads=STANDARD_12), leads=("I", "II", "III"))
    np.testing.assert_array_equal(chosen, straight)


def test_other_rates_are_resampled(bundle):
    time = np.arange(0, 5, 1 / 250)
    wave = np.sin(2 * np.pi * 3 * time)[None]
    slow = bundle.embed(wave, fs=250, leads="II")
    fast = bundle.embed(np.sin(2 * np.pi * 3 * np.arange(0, 5, 1 / 500))[None], fs=500, leads="II")
    np.testing.assert_allclose(slow, fast, atol=0.05)


def test_training_mode_does_not_leak_into_embeddings():
    training = make_bundle().train()
    assert np.array_equal(training.embed(record(5)), training.embed(record(5)))
    assert training.training
    assert training.encoder.training


def test_a_window_in_which_a_lead_has_a_gap_is_read_without_it(bundle):
    holed = signal(10)
    holed[0, 100:400] = np.nan  # 0.6 s: too long to be filled
    windows, _ = bundle.embed_windows(holed, fs=500, leads=STANDARD_12)
    without = bundle.embed_windows(holed[1:], fs=500, leads=STANDARD_12[1:])[0]
    whole = bundle.embed_windows(signal(10), fs=500, leads=STANDARD_12)[0]
    np.testing.assert_allclose(windows[0], without[0], atol=1e-5)
    np.testing.assert_allclose(windows[1], whole[1], atol=1e-5)


def test_a_window_without_any_lead_is_skipped(bundle):
    holed = signal(10)
    holed[:, 100:400] = np.nan
    second = bundle.embed(signal(10)[:, 2500:], fs=500, leads=STANDARD_12)
    np.testing.assert_allclose(bundle.embed(holed, fs=500, leads=STANDARD_12), second, atol=1e-5)


def test_a_recording_with_gaps_everywhere_is_refused(bundle):
    holed = signal(10, 1)
    holed[:, 500:900] = holed[:, 3000:3500] = np.nan
    with pytest.raises(InputError, match=r"recording 0: no window of 5 s has a complete lead among II"):
        bundle.embed(holed, fs=500, leads="II")


def test_leads_the_encoder_does_not_know_are_named_once_and_not_fed(bundle, caplog):
    leads = ("I", "X", "II", "Resp")
    samples = signal(5, 4)
    with caplog.at_level(logging.WARNING):
        given = bundle.embed([Record.from_array(samples, fs=500.0, leads=leads)] * 2)
    assert [entry.message for entry in caplog.records if entry.name.startswith("anylead.bundle")] == [
        "not fed, as the encoder does not know them: leads X, Resp"
    ]
    np.testing.assert_allclose(given[:1], bundle.embed(samples[[0, 2]], fs=500, leads=("I", "II")), atol=1e-5)


def test_a_recording_of_unknown_leads_only_is_refused(bundle):
    with pytest.raises(
        LeadError, match=r"none of its leads \(X, Y\) is known to the encoder, which knows I, II"
    ):
        bundle.embed(signal(5, 2), fs=500, leads=("X", "Y"))


def test_a_file_is_read_and_embeds_as_its_record(bundle, tmp_path):
    samples = np.round(signal(5, 2) * 1000) / 1000
    wfdb.wrsamp(
        "one", fs=500, units=["mV"] * 2, sig_name=["I", "II"], p_signal=samples.T.astype(float),
        fmt=["16"] * 2, adc_gain=[1000.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path),
    )  # fmt: skip
    from_file = bundle.embed(tmp_path / "one.hea")
    np.testing.assert_allclose(from_file, bundle.embed(samples, fs=500, leads=("I", "II")), atol=1e-4)
    only = bundle.embed(str(tmp_path / "one.hea"), leads="II")
    np.testing.assert_allclose(only, bundle.embed(samples[1:], fs=500, leads="II"), atol=1e-4)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ([], {}, "got an empty list"),
        (signal(5, 1), {"leads": "I"}, "an array says neither its rate nor its leads"),
        (signal(5, 1), {"fs": 500}, "an array says neither its rate nor its leads"),
        (record(5), {"fs": 500}, "recording 0: got fs=500 with a record or a file"),
        ([record(5), 3], {}, "recording 1: got a int; accepted are an array"),
        (signal(5, 2).T, {"fs": 500, "leads": "I,II"}, "is it transposed"),
        (signal(5, 1) + 400, {"fs": 500, "leads": "I"}, "are these microvolts"),
        (record(5), {"batch_size": 0}, "got batch_size=0"),
        (
            signal(5, 1)[:, :5],
            {"fs": 500, "leads": "I"},
            "its 5 samples at 500 Hz are too few for the encoder",
        ),
    ],
)
def test_misuse_is_answered_with_a_sentence(bundle, x, options, message):
    with pytest.raises(InputError, match=message):
        bundle.embed(x, **options)


def test_a_lead_to_use_that_is_not_recorded_is_an_error(bundle):
    with pytest.raises(LeadError, match="lead V1 is not recorded"):
        bundle.embed(record(5, leads=("I", "II")), leads="I,V1")


def test_windows_come_in_order_of_recording_and_time(bundle):
    values, place = bundle.embed_windows([record(10, 1), record(2, 2), record(12, 3)], batch_size=2)
    assert place.tolist() == [0, 0, 1, 2, 2, 2]
    np.testing.assert_allclose(values[:2].mean(axis=0), bundle.embed(record(10, 1))[0], atol=1e-5)
    np.testing.assert_allclose(values[2], bundle.embed(record(2, 2))[0], atol=1e-5)


def test_a_long_recording_is_read_a_few_windows_at_a_time():
    asked = []

    def read(start: int, count: int) -> np.ndarray:
        asked.append(start)
        return np.zeros((1, count), dtype=np.float32)

    hour = cut(read, samples=3600 * 500, leads=("I",), known=("I",), length=2500, record=0)
    rows = run_windows(
        lambda batch: batch.signal.mean(dim=2), hour, leads=("I",), sampling_rate_hz=500.0,
        batch_size=8, device=torch.device("cpu"),
    )  # fmt: skip
    next(rows)
    assert len(asked) == 8
    means, seen = record_means(rows, 1)
    assert len(asked) == 720
    assert seen.all()
    assert means.tolist() == [[0.0]]


def test_probabilities_are_means_over_windows():
    model = make_bundle(rhythm=(LinearHead, HeadConfig(classes=("AF", "SB"), readout=Readout(layer=1))))
    torch.nn.init.normal_(model.heads["rhythm"].project.weight, std=3.0)
    found = model.predict_proba(record(10))
    batch = collate(
        [(record(10).signal[:, start : start + 2500], STANDARD_12) for start in (0, 2500)],
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
    )
    with torch.no_grad():
        expected = model.heads["rhythm"](model.encoder, batch).sigmoid().mean(dim=0)
    np.testing.assert_allclose(found[0], expected.numpy(), atol=1e-5)
    assert model.classes() == ("AF", "SB")
    assert model.thresholds() == (0.5, 0.5)


def test_the_head_must_be_clear():
    linear = (LinearHead, HeadConfig(classes=("A",)))
    several = make_bundle(first=linear, second=linear, who=(ArcFaceHead, ArcFaceConfig(classes=("p", "q"))))
    with pytest.raises(InputError, match=r"no head was named; the classification heads .* are first, second"):
        several.predict_proba(record(5))
    with pytest.raises(InputError, match="got head 'who'; the classification heads"):
        several.classes("who")
    assert several.predict_proba(record(5), head="second").shape == (1, 1)
    with pytest.raises(
        InputError, match="no head was named; it has none: name one of them, or fine-tune one"
    ):
        make_bundle().predict_proba(record(5))


@pytest.mark.real
def test_real_recordings_embed_from_any_of_their_leads(bundle):
    root = os.environ.get("ANYLEAD_REAL_DATA")
    if not root:
        pytest.skip("ANYLEAD_REAL_DATA does not name the folder of the real recordings")
    folders = [folder for folder in sorted(Path(root).iterdir()) if folder.is_dir()]
    headers = [next(iter(sorted(folder.rglob("*.hea"))), None) for folder in folders]
    files = [header for header in headers if header is not None]
    assert files
    together = bundle.embed(files)
    assert np.isfinite(together).all()
    for file, row in zip(files, together, strict=True):
        np.testing.assert_allclose(bundle.embed(file)[0], row, atol=1e-5)
        assert np.isfinite(bundle.embed(file, leads="I")).all()
