from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from anylead.config import from_plain, read_yaml, to_plain, yaml_flags
from anylead.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate_hz: float = 500.0
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, kw_only=True)
class Outer:
    steps: int
    inner: Inner = field(default_factory=Inner)
    leads: tuple[str, ...] = ()
    betas: tuple[float, float] = (0.9, 0.98)
    folder: Path | None = None
    on: bool = True


def test_round_trip():
    config = Outer(steps=3, inner=Inner(rate_hz=250.0), leads=("I", "II"), folder=Path("x"))
    plain = to_plain(config)
    assert plain["leads"] == ["I", "II"]
    assert plain["folder"] == "x"
    assert from_plain(Outer, plain) == config


def test_whole_numbers_are_accepted_where_numbers_are_meant():
    assert from_plain(Inner, {"rate_hz": 100}).rate_hz == 100.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 1, "stpes": 2}, "unknown name stpes; Outer has steps, inner"),
        ({}, "missing 1 required keyword-only argument: 'steps'"),
        ({"steps": "many"}, r"config\.steps: got 'many'; a value of type int is needed"),
        ({"steps": True}, r"config\.steps: got True; a value of type int"),
        ({"steps": 1, "inner": {"kind": "c"}}, r"config\.inner\.kind: got 'c'; accepted are a, b"),
        ({"steps": 1, "leads": "I"}, r"config\.leads: got 'I'; a list is needed"),
        ({"steps": 1, "leads": [1]}, r"config\.leads\[0\]: got 1"),
        ({"steps": 1, "betas": [0.9]}, "got 1 values; 2 are needed"),
        ({"steps": 1, "inner": 5}, "got 5; a mapping of names to values is needed"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        from_plain(Outer, values)


def test_recipes_are_read_or_refused(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("steps: 3\ninner: {rate_hz: 100}\n")
    assert read_yaml(path) == {"steps": 3, "inner": {"rate_hz": 100}}
    with pytest.raises(ConfigError, match="the recipe cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
    path.write_text("a: [1")
    with pytest.raises(ConfigError, match="the recipe is not valid YAML"):
        read_yaml(path)
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="the recipe holds list"):
        read_yaml(path)


def test_a_recipe_becomes_flags():
    flags = yaml_flags(
        {"steps": 3, "inner": {"rate_hz": 1.5, "on": True}, "leads": ["I", "II"], "none": None}
    )
    assert flags == [
        *("--steps", "3", "--inner.rate-hz", "1.5", "--inner.on", "True"),
        *("--leads", "I", "II", "--none", "None"),
    ]
