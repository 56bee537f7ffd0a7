"""The benchmark of objectives: a case for each, what it counts, what it keeps; no times are looked at."""

import json
import sys
from pathlib import Path

import pytest
import torch

from anylead.objectives import OBJECTIVES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def objective_step():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import objective_step
    finally:
        sys.path.pop(0)
    return objective_step


@pytest.fixture(scope="module")
def small(objective_step):
    return {case.name: case for case in objective_step.cases("tiny", objective_step.NAMES)}


def test_every_objective_has_an_encoder_that_it_accepts(objective_step, small):
    assert set(small) == set(OBJECTIVES) | set(objective_step.OTHER_SETTINGS)
    assert small["simclr"].encoder_name == "conv_transformer:tiny"
    assert small["st_mem"].encoder_name == "lead_time_transformer:tiny"
    assert small["cpc"].encoder_name == "s4:tiny"
    assert small["cpc"].encoder.causal
    with pytest.raises(ValueError, match="st_mem: it accepts none of s4:tiny; give the benchmark one"):
        objective_step.case_of("st_mem", small["st_mem"].config, ("s4:tiny",))


def test_passes_are_counted_a_second_view_twice_and_a_teacher_without_its_gradient(objective_step, small):
    batch = objective_step.noise_batch(2)
    plain = objective_step.counted_flops(objective_step.plain_of(small["crlc"], batch))
    twice = objective_step.counted_flops(objective_step.update_of(small["crlc"], batch))
    with_teacher = objective_step.counted_flops(objective_step.update_of(small["byol"], batch))
    assert twice == pytest.approx(2 * plain, rel=0.02)
    assert with_teacher == pytest.approx(4 / 3 * plain, rel=0.06)


def test_what_comes_in_stages_has_come_to_the_encoder(objective_step, small):
    batch = objective_step.noise_batch(2)
    plain = objective_step.counted_flops(objective_step.plain_of(small["heartlang"], batch))
    assert objective_step.counted_flops(objective_step.update_of(small["heartlang"], batch)) > plain


def test_hidden_tokens_that_are_left_out_are_not_paid_for(objective_step, small):
    found = objective_step.hiding(small["jepa_time"])
    assert found["left_out"]
    assert found["student_layers_paid"] < 0.4  # a fifth is shown, the positional convolution sees all places
    replaced = objective_step.hiding(small["data2vec"])
    assert not replaced["left_out"]
    assert replaced["student_layers_paid"] == 1.0
    assert not objective_step.hides_tokens(small["adversarial_masking"].config)


def test_results_of_other_objectives_are_kept(objective_step, monkeypatch, tmp_path, capsys):
    out = tmp_path / "found.json"
    out.write_text(json.dumps({"cases": {"byol": {"ratio_of_rates": 0.5}}}))
    flags = ["--only", "cmsc", "--size", "tiny", "--pairs", "1", "--rounds", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["objective_step.py", *flags])
    monkeypatch.setattr(objective_step, "keep_freed_memory", lambda: None)
    threads = torch.get_num_threads()
    objective_step.main()
    torch.set_num_threads(threads)
    result = json.loads(out.read_text())
    assert set(result["cases"]) == {"byol", "cmsc"}
    assert "byol" in result["below_aim"]
    found = result["cases"]["cmsc"]
    assert found["update_gflop"] == pytest.approx(found["plain_gflop"], rel=0.02)
    assert found["hidden"] is None
    assert json.loads(capsys.readouterr().out)["byol"] == 0.5
