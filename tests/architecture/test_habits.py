"""Habits that hold in every file: docstrings, frozen configurations, a complete map, no machine's paths."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import anylead

PACKAGE = Path(anylead.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = sorted(PACKAGE.rglob("*.py"))


def public(tree: ast.Module):
    """Yields the public classes and functions of a module and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")
                )


def overrides(node: ast.AST) -> bool:
    """Says whether a method is an `override` or an overload, whose docstring stands elsewhere."""
    names = {ast.unparse(d).split(".")[-1] for d in getattr(node, "decorator_list", [])}
    return bool(names & {"override", "overload"})


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_is_public_says_what_it_is(path):
    silent = [
        f"{path.name}:{node.lineno} {node.name}"
        for node in public(ast.parse(path.read_text()))
        if ast.get_docstring(node) is None and not overrides(node)
    ]
    assert silent == []


def loose_configs(source: str) -> list[str]:
    """Returns the classes named ``...Config`` that are not frozen keyword-only dataclasses."""
    loose = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.ClassDef) and node.name.endswith("Config")):
            continue
        arguments = {
            keyword.arg
            for decorator in node.decorator_list
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("dataclass")
            for keyword in decorator.keywords
            if ast.unparse(keyword.value) == "True"
        }
        if not {"frozen", "kw_only"} <= arguments:
            loose.append(node.name)
    return loose


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_configurations_are_frozen_and_keyword_only(path):
    assert loose_configs(path.read_text()) == []


def test_a_loose_configuration_is_noticed():
    assert loose_configs("@dataclass(frozen=True)\nclass AConfig: pass") == ["AConfig"]


def test_readme_maps_every_folder():
    readme = (ROOT / "README.md").read_text()
    folders = {p.parent.relative_to(PACKAGE).as_posix() for p in MODULES if p.parent != PACKAGE}
    missing = sorted(folder for folder in folders if f"{folder}/" not in readme)
    assert missing == []


def tracked_files() -> list[Path]:
    """Returns the files git knows, or those of the usual folders outside a checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode == 0:
        return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [
        p for folder in ("src", "tests", "docs", "recipes") for p in (ROOT / folder).rglob("*") if p.is_file()
    ]


def test_no_file_names_a_machine():
    # An absolute path of somebody's machine in a public file is of no use to anybody else.
    homes = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/[\w.-]+")
    named = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        named += [f"{path.relative_to(ROOT)}: {match}" for match in homes.findall(text)]
    assert named == []
