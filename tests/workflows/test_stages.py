import json
from pathlib import Path

import pytest

from anylead.workflows.stages import Stages


@pytest.fixture
def work(tmp_path):
    """Two stages, the second built on the first; counts what is done."""
    done: list[str] = []

    def go(first: object = 1, second: object = 1, *, failing: bool = False) -> list[str]:
        done.clear()
        stages = Stages(tmp_path / "stages", total=2)

        def do(name: str) -> None:
            done.append(name)
            if failing and name == "b":
                raise KeyboardInterrupt
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "result").write_text(name)

        for name, settings, after in (("a", first, ()), ("b", second, ("a",))):
            folder = tmp_path / name
            stages.run(
                name,
                f"do {name}",
                lambda name=name: do(name),
                settings={"value": settings},
                after=after,
                makes=(folder / "result",),
                owns=(folder,),
            )
        return list(done)

    return go


def test_the_second_time_nothing_is_done(work):
    assert work() == ["a", "b"]
    assert work() == []


def test_a_stage_is_done_again_when_its_settings_change(work):
    work()
    assert work(second=2) == ["b"]


def test_what_builds_on_a_changed_stage_is_done_again_too(work):
    work()
    assert work(first=2) == ["a", "b"]


def test_a_stage_whose_result_is_gone_is_done_again(work, tmp_path):
    work()
    (tmp_path / "b" / "result").unlink()
    assert work() == ["b"]


def test_an_interrupted_stage_finds_its_folder_as_it_left_it(work, tmp_path):
    work(second=0)
    with pytest.raises(KeyboardInterrupt):
        work(failing=True)
    assert not (tmp_path / "b").exists()  # of other settings: removed before the interruption
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "half").touch()
    assert work() == ["b"]
    assert (tmp_path / "b" / "half").exists()


def test_a_folder_nobody_knows_is_not_removed(work, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").touch()
    work()
    assert (tmp_path / "a" / "mine").exists()


def test_a_damaged_mark_counts_as_none(work, tmp_path):
    work()
    Path(tmp_path / "stages" / "a.json").write_text("{")
    assert work() == ["a"]


def test_times_are_kept(work, tmp_path):
    work()
    assert json.loads((tmp_path / "stages" / "a.json").read_text())["seconds"] >= 0.0
