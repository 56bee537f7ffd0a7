import json
import logging

import pytest

from anylead.errors import ConfigError
from anylead.workflows.demo import LEAD_SETS, DemoConfig, demo

SIZES = {"patients": 48, "steps": 2, "finetune_steps": 2, "resamples": 20, "jobs": 1, "progress": False}


@pytest.mark.slow
def test_the_whole_way_once_and_then_for_nothing(tmp_path, caplog):
    config = DemoConfig(out=tmp_path / "demo", **SIZES)
    report = demo(config)
    page = report.read_text()
    assert report == tmp_path / "demo" / "report.html"
    assert "Every patient here is synthetic" in page
    results = json.loads((tmp_path / "demo" / "report.json").read_text())["results"]
    judged = {(r["system"], r["lead_set"]) for r in results if "macro_auroc" in r}
    named = {(r["system"], r["lead_set"]) for r in results if "rank1" in r}
    assert {("pre-trained", "12"), ("untrained", "12")} <= judged
    for leads in LEAD_SETS:
        assert {("fine-tuned", leads), ("from scratch", leads)} <= judged
        assert {("pre-trained", leads), ("fine-tuned", leads), ("untrained", leads)} <= named

    before = report.stat().st_mtime_ns
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="anylead"):
        assert demo(config) == report
    assert report.stat().st_mtime_ns == before
    assert sum("already there" in record.message for record in caplog.records) == 6


@pytest.mark.parametrize("change", [{"patients": 39}, {"steps": 0}, {"finetune_steps": 0}])
def test_refuses_sizes_at_which_a_stage_has_nothing_to_do(change):
    with pytest.raises(ConfigError, match="at least 40 patients and 1 step of each are needed"):
        DemoConfig(**change)
