import ast
import json
from pathlib import Path

import numpy as np
import pytest

import anylead.preparation
from anylead.errors import ConfigError
from anylead.preparation import STEPS, FillGaps, FlagQuality, Preparation, Resample, StandardizeLeads, Step
from anylead.record import Record


def test_steps_run_in_order():
    signal = np.full((2, 1000), 2.0, dtype=np.float32)
    signal[0, 100:110] = np.nan
    signal[1] = np.nan
    record = Record(signal=signal, leads=("I", "II"), sampling_rate_hz=250.0)
    prepared = Preparation.default()(record)
    assert prepared.leads == ("I",)
    assert prepared.sampling_rate_hz == 500.0
    assert prepared.flags == ("absent:II", "gap_filled:I", "flat:I")
    np.testing.assert_allclose(prepared.signal, 2.0, atol=1e-6)


def test_plain_values_bring_every_step_back():
    every = Preparation(steps=tuple(kind() for kind in STEPS.values()))
    assert Preparation.from_plain(json.loads(json.dumps(every.to_plain()))) == every
    changed = Preparation(steps=(FillGaps(max_gap_s=0.5), Resample(rate_hz=250.0)))
    assert Preparation.from_plain(changed.to_plain()) == changed


def test_the_fingerprint_is_of_steps_settings_and_order():
    preparations = [
        Preparation.default(),
        Preparation.default(rate_hz=250.0),
        Preparation(steps=()),
        Preparation(steps=(FillGaps(), FlagQuality())),
        Preparation(steps=(FlagQuality(), FillGaps())),
        Preparation(steps=(FillGaps(max_gap_s=0.1), FlagQuality())),
    ]
    assert len({preparation.fingerprint() for preparation in preparations}) == len(preparations)
    assert Preparation.default().fingerprint() == Preparation.default().fingerprint()


def test_the_rate_is_that_of_the_last_resampling():
    assert Preparation.default(rate_hz=250.0).rate_hz == 250.0
    assert Preparation(steps=(StandardizeLeads(),)).rate_hz is None


def test_integers_in_a_file_are_numbers():
    plain = {"steps": [{"kind": "resample", "rate_hz": 250}]}
    assert Preparation.from_plain(plain).rate_hz == 250.0


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (
            {"steps": [{"kind": "magic"}]},
            r"preparation.steps\[0\]: unknown step 'magic'; known are drop_absent",
        ),
        ({"steps": [{"kind": "fill_gaps", "gap": 1}]}, r"preparation.steps\[0\]: unknown name gap"),
        ({}, "a list of steps under the name 'steps' is needed"),
        ({"steps": ["resample"]}, "a list of steps under the name 'steps' is needed"),
    ],
)
def test_what_is_unknown_is_refused(plain, message):
    with pytest.raises(ConfigError, match=message):
        Preparation.from_plain(plain)


def test_every_step_of_the_folder_is_in_the_union():
    folder = Path(anylead.preparation.__file__).parent
    defined = {
        node.name
        for path in folder.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Step" for base in node.bases)
    }
    assert defined == {step.__name__ for step in STEPS.values()}
    assert all(issubclass(step, Step) for step in STEPS.values())


def test_names_of_steps_in_files_never_change():
    assert sorted(STEPS) == [
        "band_pass",
        "drop_absent_leads",
        "fill_gaps",
        "flag_quality",
        "high_pass",
        "linear_resample",
        "resample",
        "scale_leads",
        "standardize_leads",
    ]
