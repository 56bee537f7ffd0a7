"""Matrix products in bfloat16, and the loss behind torch.compile."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_training import trained


def test_bfloat16_gives_nearly_the_loss_of_float32_and_keeps_weights_in_float32():
    _, plain = trained()
    state, short = trained(precision="bfloat16")
    again, _ = trained(precision="bfloat16")
    for a, b in zip(plain, short, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=0.02)
        assert b["contrast"] != a["contrast"], "nothing was computed in bfloat16"
    parameters = [p for m in (state.encoder, state.objective) for p in m.parameters()]
    assert {p.dtype for p in parameters} == {torch.float32}
    theirs = [p for m in (again.encoder, again.objective) for p in m.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(parameters, theirs, strict=True))


def in_a_process(mode):
    """Without the shape checks of the tests, which graphs cannot be captured through."""
    script = Path(__file__).with_name("small_training.py")
    done = subprocess.run(
        [sys.executable, str(script), mode], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_a_compiled_run_is_the_run_and_is_compiled_once():
    assert "does not work" not in in_a_process("works")


def test_where_it_cannot_be_compiled_a_sentence_says_so_and_the_run_goes_on():
    said = in_a_process("broken")
    assert said.count("torch.compile does not work here") == 1
