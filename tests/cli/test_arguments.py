from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from anylead.cli.arguments import choose, lead_sets, leads, merge, parse, plain
from anylead.errors import ConfigError, LeadError
from anylead.leads import STANDARD_12


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample of arguments."""

    path: tyro.conf.Positional[Path] = Path("here")
    """Where."""
    recipe: Path | None = None
    """A recipe."""
    learning_rate: float = 0.1
    """How fast."""
    steps: int | None = None
    """How long."""
    leads: tuple[str, ...] = ()
    """Which."""
    json: bool = False
    """As JSON."""


@pytest.fixture
def recipe(tmp_path):
    def write(text: str) -> str:
        (tmp_path / "r.yaml").write_text(text)
        return str(tmp_path / "r.yaml")

    return write


def test_flags_become_fields():
    given, nested = parse(Sample, ["there", "--learning-rate", "2e-3", "--leads", "I", "II"], prog="x")
    assert given == Sample(path=Path("there"), learning_rate=0.002, leads=("I", "II"))
    assert nested == {}


def test_a_recipe_means_what_the_same_flags_mean(recipe):
    path = recipe("learning_rate: 2e-3\nleads: [I, II]\njson: true\nsteps: null\nencoder: {layers: 4}\n")
    by_recipe, nested = parse(Sample, ["--recipe", path], prog="x")
    by_flags, dotted = parse(
        Sample,
        [
            "--learning-rate",
            "2e-3",
            "--leads",
            "I",
            "II",
            "--json",
            "True",
            "--steps",
            "None",
            "--encoder.layers=4",
        ],
        prog="x",
    )
    assert plain(by_recipe) == plain(by_flags)
    assert nested == dotted == {"encoder": {"layers": 4}}


def test_a_flag_wins_over_the_recipe(recipe):
    path = recipe("learning_rate: 1.0\nsteps: 7\nencoder: {layers: 4, width: 8}\n")
    given, nested = parse(
        Sample, ["--learning-rate", "3", f"--recipe={path}", "--encoder.layers", "2"], prog="x"
    )
    assert (given.learning_rate, given.steps, given.recipe) == (3.0, 7, Path(path))
    assert nested == {"encoder": {"layers": 2, "width": 8}}


def test_dotted_values_are_numbers_words_lists_and_nothing():
    words = [
        "--o.a-b",
        "5e-5",
        "--o.c",
        "word",
        "--o.d",
        "1",
        "2",
        "--o.e",
        "[3]",
        "--o.f",
        "None",
        "--o.g.h",
        "true",
    ]
    _, nested = parse(Sample, words, prog="x")
    assert nested == {"o": {"a_b": 5e-5, "c": "word", "d": [1, 2], "e": [3], "f": None, "g": {"h": True}}}


def test_yaml_words_that_are_numbers_are_numbers(recipe):
    _, nested = parse(Sample, ["--recipe", recipe("optimizer: {learning-rate: 5e-5}\n")], prog="x")
    assert nested == {"optimizer": {"learning_rate": 5e-5}}


@pytest.mark.parametrize(
    "words", [["--json"], ["--json", "there"], ["--json", "--steps", "1"], ["--json", "True"]]
)
def test_a_flag_may_stand_alone(words):
    given, _ = parse(Sample, words, prog="x")
    assert given.json is True


def test_names_of_the_recipe_that_are_no_flag_are_handed_on(recipe):
    _, other = parse(Sample, ["--recipe", recipe("learning_rte: 1\n")], prog="x")
    assert other == {"learning_rte": 1}


def test_refuses_a_value_of_another_kind_in_the_recipe(recipe, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Sample, ["--recipe", recipe("learning_rate: fast\n")], prog="x")
    assert stop.value.code == 2
    assert "--learning-rate" in capsys.readouterr().err


def test_refuses_an_absent_recipe():
    with pytest.raises(ConfigError, match="the recipe cannot be read"):
        parse(Sample, ["--recipe", "nowhere.yaml"], prog="x")


def test_refuses_a_recipe_flag_without_a_file():
    with pytest.raises(ConfigError, match="--recipe has no value; name a YAML file"):
        parse(Sample, ["--recipe"], prog="x")


def test_refuses_a_dotted_flag_without_a_value():
    with pytest.raises(ConfigError, match=r"--encoder\.layers has no value; give one"):
        parse(Sample, ["--encoder.layers", "--json"], prog="x")


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "1", "--steps", "2"],
        ["--steps=1", "--steps", "2"],
        ["--learning-rate", "1", "--learning_rate", "2"],
    ],
)
def test_refuses_a_flag_that_is_given_twice(words):
    with pytest.raises(ConfigError, match=r"^--[a-z-]+ is given more than once; give it once, with all its"):
        parse(Sample, words, prog="x")


def test_choose_takes_the_first_word():
    assert choose(["b", "--x"], {"a": "A", "b": "B"}, prog="p") == ("b", ["--x"])


def test_choose_explains_the_choices(capsys):
    with pytest.raises(SystemExit) as stop:
        choose(["--help"], {"classify": "findings"}, prog="anylead finetune")
    assert stop.value.code == 0
    assert "classify  findings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["clasify"],
            r"there is no 'clasify' here; did you mean classify\? Accepted are classify, identify\.",
        ),
        ([], r"it is not said what; Accepted are classify"),
    ],
)
def test_choose_refuses_other_words(words, message):
    with pytest.raises(ConfigError, match=message):
        choose(words, {"classify": "", "identify": ""}, prog="p")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ()),
        (("I,DII",), ("I", "II")),
        (("I", "V2"), ("I", "V2")),
        (("12",), STANDARD_12),
        (("1",), ("I",)),
    ],
)
def test_leads_are_names_or_a_set(words, expected):
    assert leads(words) == expected


def test_lead_sets_keep_what_they_were_called():
    assert lead_sets(("2", "V1,V2")) == {"2": ("I", "II"), "V1,V2": ("V1", "V2")}


def test_leads_refuse_a_lead_twice():
    with pytest.raises(LeadError, match="more than once"):
        leads(("I", "DI"))


def test_merge_goes_deep():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": {"e": 4}}) == {
        "a": {"b": 1, "c": 3},
        "d": {"e": 4},
    }
