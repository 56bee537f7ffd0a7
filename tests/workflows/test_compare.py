import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from anylead.cli import dispatch, main
from anylead.config import read_yaml
from anylead.errors import ConfigError
from anylead.store import Store
from anylead.workflows.compare import Budget, CompareConfig, Table, compare, read_grid
from anylead.workflows.compare.cost import bought, cost_of_pretraining
from anylead.workflows.compare.grid import cells_of, merged
from anylead.workflows.compare.one import RUN, carry_out, read_run, read_values
from anylead.workflows.compare.run import runs_of

ENCODER = {"kind": "resnet1d", "stem_channels": 8, "stage_channels": [8, 16], "dilations": [1]}
GRID_ENCODER = {
    "kind": "lead_time_transformer",
    "patch_samples": 250,
    "dimension": 16,
    "layers": 1,
    "heads": 2,
    "feedforward": 16,
}
RECIPE = {
    "encoder": ENCODER,
    "objective": {"kind": "cmsc"},
    "feed": {"pairs_per_batch": 4, "micro_batches": 1, "crop": "random"},
    "optimizer": {"learning_rate": 1e-3},
}


def settings(store: Path, out: Path, **changes) -> CompareConfig:
    plain = {
        "tables": (Table(title="All", rows={"cmsc": {}, "st_mem": {"objective": {"kind": "st_mem"}}}),),
        "budget": Budget(segments=32.0),
        "stores": (store,),
        "out": out,
        "recipe": RECIPE,
        "lead_sets": ("12", "I"),
        "untrained_seeds": 1,
        "supervised": (),
        "minimum_positives": 2,
        "resamples": 100,
        "progress": False,
    }
    return CompareConfig(**{**plain, **changes})


@pytest.fixture(scope="module")
def compared(synthetic_store, tmp_path_factory):
    """A comparison that was carried out: a cell, one that is refused, and what they stand beside."""
    config = settings(synthetic_store, tmp_path_factory.mktemp("compare") / "out")
    return config, compare(config)


def only_run(config: CompareConfig, name: str):
    (cell,) = [cell for cell in cells_of(config) if cell.name == name]
    return runs_of(cell, config, None)[0]


def test_a_grid_is_trained_judged_and_shown(compared):
    config, result = compared
    assert (result.done, result.failed, result.not_applicable, result.waiting) == (3, 0, 1, 0)
    report = json.loads((config.out / "report.json").read_text())
    found = {one["name"]: one for one in report["results"]}
    cell = found["cmsc"]
    assert cell["segments"] == 32
    assert cell["steps"] == 4
    assert cell["tera_flops"] > 0.0
    assert set(cell["scores"]) == {"macro_auroc 12", "macro_auroc I", "rank1"}
    assert [point["share"] for point in cell["curve"]] == [0.25, 0.5]
    assert cell["last"]["effective_rank"] > 1.0
    assert {"hand-made features", "untrained resnet1d"} <= set(found)
    page = result.page.read_text()
    overview = report["sections"][0]
    assert {row[0] for row in overview["tables"][0]["rows"]} == {
        "cmsc",
        "hand-made features",
        "untrained resnet1d",
    }
    assert overview["notes"][-1].startswith("st_mem: not applicable: st_mem: it hides tokens of single leads")
    assert "Gain on untrained" in page
    assert "first lead set" in page
    assert not list(config.out.rglob("passes"))


def test_what_an_objective_refuses_is_a_cell_with_its_reason(compared):
    config, _ = compared
    found = read_run(only_run(config, "st_mem").folder)
    assert found["status"] == "not applicable"
    assert found["reason"].startswith("st_mem: it hides tokens of single leads")


def test_what_is_there_is_used_again(compared):
    config, _ = compared
    files = {path: path.stat().st_mtime_ns for path in config.out.rglob(RUN)}
    again = compare(config)
    assert again.done == 3
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob(RUN)} == files


def test_refuses_runs_of_another_budget(compared):
    config, _ = compared
    with pytest.raises(ConfigError, match=r"holds .* of other settings, recordings or budget; take another"):
        compare(replace(config, budget=Budget(segments=64.0)))


def test_a_failure_is_a_cell(synthetic_store, tmp_path):
    config = settings(synthetic_store, tmp_path, recipe={**RECIPE, "optimizer": {"learning_rate": 1e30}})
    run = only_run(config, "cmsc")
    carry_out(run, config)
    found = read_run(run.folder)
    assert found["status"] == "failed"
    assert "not finite" in found["reason"]


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(compared, tmp_path):
    """A real process, asked to stop in the middle of training."""
    config, _ = compared
    longer = replace(config, out=tmp_path / "out", budget=Budget(segments=480.0), curve_at=())
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump(_plain(longer)))
    line = [sys.executable, "-m", "anylead", "compare", str(grid), "--out", str(longer.out), "--only", "cmsc"]
    training = only_run(longer, "cmsc").folder / "training"
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 90.0
        while not (training / "metrics.jsonl").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=90.0)
    finally:
        process.kill()
    assert "to be made" in said
    assert not read_run(training.parent)
    assert read_yaml(training / "config.yaml")["steps"] == 60
    carry_out(only_run(longer, "cmsc"), longer)
    straight = replace(longer, out=tmp_path / "straight")
    carry_out(only_run(straight, "cmsc"), straight)
    one, other = (read_values(only_run(each, "cmsc").folder) for each in (longer, straight))
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def _plain(config: CompareConfig) -> dict:
    return {
        "budget": {"segments": config.budget.segments},
        "stores": [str(path) for path in config.stores],
        "recipe": dict(config.recipe),
        "lead_sets": list(config.lead_sets),
        "curve_at": list(config.curve_at),
        "untrained_seeds": config.untrained_seeds,
        "supervised": [],
        "minimum_positives": config.minimum_positives,
        "resamples": config.resamples,
        "tables": [{"title": table.title, "rows": table.rows} for table in config.tables],
    }


def test_equal_cells_are_trained_once(synthetic_store, tmp_path):
    tables = (
        Table(
            title="Rows", rows={"cmsc": {}, "simclr": {"objective": {"kind": "simclr"}}}, seeds={"cmsc": 3}
        ),
        Table(
            title="Grid",
            rows={"cmsc": {}},
            columns={"resnet1d": {}, "grid": {"encoder": GRID_ENCODER}},
            seeds={"cmsc, grid": 2},
        ),
    )
    cells = {cell.name: cell for cell in cells_of(settings(synthetic_store, tmp_path, tables=tables))}
    assert set(cells) == {"cmsc", "simclr", "cmsc-grid"}
    assert [(place.table, place.column) for place in cells["cmsc"].places] == [
        ("Rows", ""),
        ("Grid", "resnet1d"),
    ]
    assert cells["cmsc"].seeds == 3
    assert cells["cmsc-grid"].seeds == 2
    assert cells["cmsc-grid"].pretrain.encoder.patch_samples == 250


def test_other_kinds_keep_no_settings():
    before = {"objective": {"kind": "w2v", "negatives": 3}, "feed": {"window_s": 5.0}}
    after = merged(before, {"objective": {"kind": "cmsc"}, "feed": {"crop": "random"}})
    assert after == {"objective": {"kind": "cmsc"}, "feed": {"window_s": 5.0, "crop": "random"}}
    assert merged(before, {"objective": {"negatives": 4}})["objective"] == {"kind": "w2v", "negatives": 4}


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (Budget(tera_flops=1.0), 500),
        (Budget(segments=640.0), 10),
        (Budget(minutes=2.0), 240),
        (Budget(segments=1.0), 1),
    ],
)
def test_a_budget_buys_whole_updates(budget, steps):
    assert bought(budget, flops=2e9, segments=64, seconds=0.5).steps == steps


def test_operations_grow_with_the_batch(synthetic_store, tmp_path):
    config = settings(synthetic_store, tmp_path)
    (cell, _) = cells_of(config)
    stores, budget = [Store.open(synthetic_store)], Budget(segments=64.0)
    small = cost_of_pretraining(cell.pretrain, stores, budget)
    double = replace(cell.pretrain, feed=replace(cell.pretrain.feed, pairs_per_batch=8))
    large = cost_of_pretraining(double, stores, budget)
    assert (small.segments, large.segments) == (8, 16)
    assert large.flops == pytest.approx(2.0 * small.flops, rel=0.02)


def test_the_rate_is_the_one_that_validation_prefers(synthetic_store, tmp_path, monkeypatch):
    from anylead.workflows.compare import run as module

    config = settings(
        synthetic_store,
        tmp_path,
        tables=(Table(title="All", rows={"cmsc": {}}),),
        learning_rates=(1e-3, 1e-2),
        seeds=2,
    )
    trained = []

    def pretended(self, runs):
        for one in runs:
            if one.pretrain is not None and not read_run(one.folder):
                trained.append((one.seed, one.pretrain.optimizer.learning_rate))
                score = one.pretrain.optimizer.learning_rate
                found = {"key": one.key(config, self.stores), "readout": {"score": score}, "status": "failed"}
                one.folder.mkdir(parents=True)
                (one.folder / RUN).write_text(json.dumps(found))

    monkeypatch.setattr(module._Work, "carry_out", pretended)
    compare(config)
    assert trained == [(0, 1e-3), (0, 1e-2), (1, 1e-2)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stores": ()}, "got no store; give at least one"),
        ({"tables": ()}, "got no table; give at least one"),
        ({"seeds": 0}, "got 0 seeds, 1 untrained seeds"),
        ({"curve_at": (1.5,)}, "curve_at is 1.5; give shares between 0 and 1"),
    ],
)
def test_refuses_settings(synthetic_store, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        settings(synthetic_store, tmp_path, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(), "budget: got none; give one of tera_flops, segments and minutes"),
        (lambda: Budget(segments=1.0, minutes=2.0), "budget: got segments 1, minutes 2; give one"),
        (lambda: Budget(minutes=0.0), "budget: got minutes 0; give one"),
        (lambda: Table(title="T", rows={"a": {}}, seeds={"b": 1}), "T: seeds names the row b; there are a"),
        (
            lambda: Table(title="T", rows={"a": {}}, not_applicable={"a": {"x": "no"}}),
            "T: not_applicable names the column x in row a; there are",
        ),
    ],
)
def test_refuses_budgets_and_tables(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_refuses_two_cells_of_one_name(synthetic_store, tmp_path):
    tables = (
        Table(title="One", rows={"a": {}}),
        Table(title="Two", rows={"a": {"objective": {"kind": "simclr"}}}),
    )
    with pytest.raises(ConfigError, match="two different cells are called a; give the rows or columns other"):
        cells_of(settings(synthetic_store, tmp_path, tables=tables))


def test_refuses_a_row_that_is_not_there(synthetic_store, tmp_path):
    with pytest.raises(ConfigError, match="there is no row or cell 'other'; there are cmsc, st_mem"):
        compare(settings(synthetic_store, tmp_path, only=("other",)))


def test_a_cell_of_impossible_settings_is_named(synthetic_store, tmp_path):
    tables = (Table(title="One", rows={"a": {"objective": {"kind": "cmsc", "temperatur": 1.0}}}),)
    (cell,) = cells_of(settings(synthetic_store, tmp_path, tables=tables))
    assert cell.pretrain is None
    assert "unknown name temperatur" in cell.refused


def test_a_grid_may_name_recipes(tmp_path, synthetic_store):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(RECIPE))
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        yaml.safe_dump(
            {
                "budget": {"segments": 64},
                "recipe": "mine.yaml",
                "tables": [
                    {"title": "T", "rows": {"a": None, "b": {"recipe": "mine.yaml", "clip_norm": 1.0}}}
                ],
            }
        )
    )
    config = read_grid(grid, stores=[str(synthetic_store)], out=str(tmp_path / "out"))
    assert config.recipe == RECIPE
    assert config.tables[0].rows == {"a": {}, "b": {**RECIPE, "clip_norm": 1.0}}


def test_refuses_a_grid_without_tables(tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("budget: {segments: 64}\n")
    with pytest.raises(ConfigError, match="tables is None; give a list of tables with title and rows"):
        read_grid(grid)


def test_the_command_says_what_is_missing(tmp_path, capsys):
    grid = tmp_path / "grid.yaml"
    grid.write_text("budget: {segments: 64}\ntables: [{title: T, rows: {a: null}}]\n")
    assert main(["compare", str(grid), "--out", str(tmp_path / "out")]) == dispatch.MISUSE
    assert "missing a required argument: 'stores'" in capsys.readouterr().err


def test_the_grid_of_the_benchmark_can_be_read(synthetic_store, tmp_path):
    file = Path(__file__).parents[2] / "benchmarks" / "objectives_grid.yaml"
    cells = cells_of(read_grid(file, stores=[str(synthetic_store)], out=str(tmp_path)))
    assert not [cell.refused for cell in cells if cell.refused]
    assert len(cells) == 40


def test_a_killed_process_is_a_failed_cell(synthetic_store, tmp_path, monkeypatch):
    from anylead.workflows.compare import run as module

    def killed(run, config):
        process = multiprocessing.get_context("fork").Process(target=lambda: os.kill(os.getpid(), 9))
        process.start()
        return process

    monkeypatch.setattr(module, "_started", killed)
    config = settings(synthetic_store, tmp_path)
    run = only_run(config, "cmsc")
    work = module._Work(config, (Store.open(synthetic_store),), lambda: False)
    work.carry_out([run])
    assert work.ended(run) == "failed"
    assert "its process ended by signal 9" in read_run(run.folder)["reason"]
