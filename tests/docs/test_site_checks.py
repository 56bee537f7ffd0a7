"""`tools/site.py` brings files along and notices what is broken; the reference names what is public."""

import importlib.util
import logging
import re
import shutil
import subprocess

import griffe
import pytest

import anylead
from doc_pages import DOCS, ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --virtual-time-budget=3000 --dump-dom"""

spec = importlib.util.spec_from_file_location("site_tool", ROOT / "tools" / "site.py")
site_tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site_tool)


@pytest.fixture
def site(tmp_path):
    """A finished site of two pages, inside a repository."""
    for name, text in {
        "recipes/a.yaml": "steps: 1",
        "docs/index.md": "",
        "site/index.html": '<h1 id="top"></h1><a href="results/r.html#deep"></a><a href="https://there.org/">',
        "site/results/r.html": '<b id="deep"></b><a href="../../recipes/a.yaml"><a href="../index.html#top">',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "site"


def test_files_of_the_repository_come_along(site):
    assert [str(path) for path in site_tool.bring_files(site, site.parent)] == ["recipes/a.yaml"]
    assert (site / "repository/recipes/a.yaml").read_text() == "steps: 1"
    assert '"../repository/recipes/a.yaml"' in (site / "results/r.html").read_text()
    assert site_tool.problems(site) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<a href="nowhere.html">', "links to nowhere.html, which is not there."),
        ('<a href="results/r.html#no">', "links to results/r.html#no, a page without that heading."),
        ('<a href="#no">', "links to #no, a page without that heading."),
        ('<a href="../recipes/a.yaml">', "links to ../recipes/a.yaml, which is not there."),
        ('<img src="no.png">', "links to no.png, which is not there."),
        ('<script src="https://there.org/a.js">', "fetches https://there.org/a.js; a page must"),
        ('<link rel="stylesheet" href="//there.org/a.css">', "fetches //there.org/a.css"),
        ('<pre class="mermaid">', r"fetches https://unpkg.com/ \(mermaid\)"),
    ],
)
def test_what_is_broken_is_named(site, text, problem):
    site_tool.bring_files(site, site.parent)
    (site / "other.html").write_text(text)
    (found,) = site_tool.problems(site)
    assert re.match(f"other.html: {problem}", found)


def test_a_style_from_elsewhere_is_named(site):
    site_tool.bring_files(site, site.parent)
    (site / "a.css").write_text("@import url('https://there.org/font.css');")
    assert site_tool.problems(site) == ["a.css: a style fetches from another host."]


def test_a_broken_site_is_a_failure(site, monkeypatch, capsys):
    monkeypatch.setattr(site_tool, "ROOT", site.parent)
    assert site_tool.main(site) == 0
    assert "2 pages, all links lead somewhere" in capsys.readouterr().out
    (site / "index.html").write_text('<a href="no.html">')
    assert site_tool.main(site) == 1
    assert "index.html: links to no.html" in capsys.readouterr().out


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_the_search_s_worker_runs_on_a_page_opened_as_a_file(tmp_path):
    (tmp_path / "worker.js").write_text("self.onmessage = (m) => self.postMessage(m.data * 2);")
    (tmp_path / "page.html").write_text(
        f"<script>{(DOCS / 'assets/iframe-worker.js').read_text()}</script><body><p id=told></p><script>"
        "const worker = new Worker('worker.js');"
        "worker.onmessage = (m) => { told.textContent += `got ${m.data} `;"
        "if (m.data < 50) worker.postMessage(m.data); };"
        "worker.postMessage(21);</script>"
    )
    words = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*words, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    assert '<p id="told">got 42 got 84 </p>' in done.stdout


def documented() -> list[str]:
    return [
        name
        for page in (DOCS / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.M)
    ]


def test_the_reference_names_everything_public():
    assert {f"anylead.{name}" for name in anylead.__all__} - {"anylead.__version__"} <= set(documented())


def test_docstrings_are_understood(caplog):
    """The builder passes over a docstring that names an argument that is not there; here it counts."""
    with caplog.at_level(logging.WARNING):
        package = griffe.load("anylead", search_paths=[str(ROOT / "src")], docstring_parser="google")
        parse(package)
    assert [record.getMessage() for record in caplog.records] == []


def parse(thing: griffe.Object) -> None:
    """Parses every docstring below a module or class."""
    for member in thing.members.values():
        if not member.is_alias:
            if member.docstring:
                _ = member.docstring.parsed
            parse(member)


def test_a_docstring_with_a_wrong_argument_is_noticed(caplog):
    with (
        caplog.at_level(logging.WARNING),
        griffe.temporary_visited_module(
            'def f(a: int):\n    """Does.\n\n    Args:\n        b: No.\n    """\n', docstring_parser="google"
        ) as module,
    ):
        parse(module)
    assert "'b' does not appear in the function signature" in caplog.text
