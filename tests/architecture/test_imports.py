"""The floors of the house: who may import whom. The table is the design; this file enforces it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import anylead

PACKAGE = Path(anylead.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"record", "leads", "config", "seeding", "provenance", "errors"}
_FILES = GROUND | {"formats", "signal"}
DATA_TOWER = {"formats", "signal", "sources", "preparation", "store"}
_MODEL = GROUND | {"batch", "nn"}
MODEL_TOWER = {"nn", "encoders", "objectives", "heads", "engine"}
_TRAINED = GROUND | DATA_TOWER | MODEL_TOWER | {"batch", "feed"}
_RELEASED = _TRAINED | {"bundle", "interop"}
_JUDGED = _RELEASED | {"evaluation"}
_USED = _JUDGED | {"gallery", "export"}

MAY_IMPORT = {
    # the ground knows only itself; `test_ground_has_no_cycle` orders it
    **{name: GROUND for name in GROUND},
    # data tower: numpy, never torch
    "formats": GROUND,
    "signal": GROUND,
    "sources": _FILES,
    "preparation": _FILES,
    "store": _FILES | {"sources", "preparation"},
    # model tower: torch, opens no data file
    "batch": GROUND,
    "nn": GROUND | {"batch"},
    "encoders": _MODEL,
    "objectives": _MODEL | {"encoders"},
    "heads": _MODEL | {"encoders"},
    "engine": _MODEL | {"encoders", "objectives", "heads"},
    # the bridge
    "feed": GROUND | DATA_TOWER | {"batch", "nn"},
    # above both towers
    "bundle": _TRAINED,
    "interop": _TRAINED,
    "evaluation": _RELEASED,
    "gallery": _JUDGED - {"objectives", "engine"},
    "export": _JUDGED,
    "workflows": _USED,
    "cli": _USED | {"workflows", "service"},  # `anylead serve` is the one door that opens the other
    "service": (_USED | {"workflows"}) - {"objectives", "engine"},
    "__main__": {"cli"},
}


def owner(path: Path) -> str:
    """Returns the folder below the package, or the module's own name on the ground."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, path: Path) -> list[tuple[int, str]]:
    """Returns line and dotted name of every import, relative ones resolved."""
    package = ("anylead", *path.relative_to(PACKAGE).parent.parts)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found += [
                (node.lineno, f"{module}.{a.name}" if module == "anylead" else module) for a in node.names
            ]
    return found


def upward(path: Path, source: str) -> list[str]:
    """Returns the imports of a file that the table forbids."""
    where = owner(path)
    problems = []
    for line, name in imports(ast.parse(source), path):
        parts = name.split(".")
        if parts[0] != "anylead" or len(parts) == 1:
            continue
        if parts[1] != where and parts[1] not in MAY_IMPORT[where]:
            problems.append(f"{path.name}:{line}: {where} may not import {name}")
    return problems


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    if path == PACKAGE / "__init__.py":
        pytest.skip("the front of the package resolves its names lazily; see test_front_is_light")
    assert owner(path) in MAY_IMPORT, f"{owner(path)}: give this folder a line in MAY_IMPORT"
    assert upward(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("store/reader.py", "from anylead.feed import windows"),
        ("encoders/mine.py", "import anylead.store.reader"),
        ("objectives/mine.py", "from anylead.heads.base import Head"),
        ("sources/mine.py", "from ..preparation import Preparation"),
        ("engine/fit.py", "from anylead import feed"),
    ],
)
def test_an_upward_import_is_noticed(file, line):
    assert len(upward(PACKAGE / file, line)) == 1


# Imports that may wait for their first use outside the doors, each with its reason.
LATE = {"formats/wfdb.py": {"wfdb"}}  # 0.7 s, and a store is read without it


def extras(tree: ast.AST) -> list[ast.AST]:
    """Returns the imports of optional packages: those tried, with an ImportError caught."""
    return [
        node
        for attempt in ast.walk(tree)
        if isinstance(attempt, ast.Try)
        and any(handler.type and "ImportError" in ast.unparse(handler.type) for handler in attempt.handlers)
        for node in attempt.body
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stand_at_the_top(path):
    if owner(path) in {"cli", "workflows", "interop"}:
        pytest.skip("the doors and the scripts import torch only when they need it")
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    nested = {
        f"{path.name}:{n.lineno}"
        for function in functions
        for n in ast.walk(function)
        if isinstance(n, ast.Import | ast.ImportFrom) and n not in extras(tree)
        if not {name for _, name in imports(n, path)} <= LATE.get(path.relative_to(PACKAGE).as_posix(), set())
    }
    assert nested == set()


@pytest.mark.parametrize(
    "path", [p for p in MODULES if owner(p) in DATA_TOWER | GROUND], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_data_tower_names_no_torch(path):
    names = [name for _, name in imports(ast.parse(path.read_text()), path)]
    assert not [name for name in names if name.split(".")[0] in {"torch", "safetensors"}]


@pytest.mark.parametrize(
    "path", [p for p in MODULES if owner(p) in MODEL_TOWER], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_model_tower_opens_no_recordings(path):
    names = [name.split(".")[0] for _, name in imports(ast.parse(path.read_text()), path)]
    assert not set(names) & {"wfdb", "pyarrow", "pandas"}


def test_ground_has_no_cycle():
    needs = {
        name: {
            full.split(".")[1]
            for _, full in imports(ast.parse((PACKAGE / f"{name}.py").read_text()), PACKAGE / f"{name}.py")
            if full.startswith("anylead.")
        }
        for name in GROUND
    }
    while needs:
        free = {name for name, needed in needs.items() if not needed & set(needs)}
        assert free, f"these import each other: {sorted(needs)}"
        needs = {name: needed for name, needed in needs.items() if name not in free}


def loaded_by(*modules: str) -> set[str]:
    """Returns the top-level packages a fresh Python holds after importing the modules."""
    code = f"import sys, {', '.join(modules)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def dotted(path: Path) -> str:
    """Returns the name a module is imported by."""
    parts = ("anylead", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def test_front_is_light():
    assert not loaded_by("anylead") & {"torch", "pyarrow", "wfdb", "scipy", "matplotlib"}


def test_data_tower_never_loads_torch():
    assert "torch" not in loaded_by(*[dotted(p) for p in MODULES if owner(p) in DATA_TOWER | GROUND])


def test_metrics_never_load_torch():
    """The modules of evaluation that name no bundle and no batch are the metrics."""
    metrics = [
        path
        for path in MODULES
        if owner(path) == "evaluation"
        and path.name != "__init__.py"
        and not {"bundle", "batch", "feed", "torch"}
        & {part for _, name in imports(ast.parse(path.read_text()), path) for part in name.split(".")[:2]}
    ]
    if metrics:
        assert "torch" not in loaded_by(*[dotted(p) for p in metrics])
