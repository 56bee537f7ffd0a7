"""Every command and every Python block of the documentation runs, or at least has flags that exist."""

import shutil

import pytest

from anylead.cli import arguments, main
from doc_pages import DOCS, ROOT, anylead_commands, blocks, run_page

FIRST = DOCS / "index.md"
RUN = [*sorted((DOCS / "tutorials").glob("*.md")), DOCS / "extending.md", DOCS / "data.md"]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.slow
def test_readers_can_follow(tmp_path, monkeypatch):
    """The first page, then each other one in a copy of what it left behind."""
    first = tmp_path / "first"
    shutil.copytree(ROOT / "recipes", first / "recipes")
    monkeypatch.chdir(first)
    run_page(FIRST)
    for page in RUN:
        monkeypatch.chdir(shutil.copytree(first, tmp_path / page.stem))
        run_page(page)


class Understood(BaseException):
    """Raised in place of doing what a command says."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_understood(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    parse = arguments.tyro.cli

    def parse_only(*given, **options):
        parse(*given, **options)
        raise Understood

    monkeypatch.setattr(arguments.tyro, "cli", parse_only)
    for words in anylead_commands(page):
        try:
            code = main(words)
        except Understood:
            continue
        pytest.fail(f"anylead {' '.join(words)}: exit code {code}")


def test_a_command_with_a_flag_that_is_not_there_is_noticed(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("```\nanylead info there --jsn\n```\n")
    with pytest.raises(pytest.fail.Exception, match="exit code 2"):
        test_every_command_is_understood(page, monkeypatch)


def test_what_is_printed_must_be_what_the_page_says(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)  # 3\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md"):
        run_page(page)


def test_what_is_not_run_says_why_and_is_not_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: it would fail -->\n```bash\nfalse\n```\n")
    run_page(page)
    assert [block.runs for block in blocks(page)] == [False]


def test_tutorials_run_most_of_what_they_show():
    for page in RUN:
        shown = [block for block in blocks(page) if block.language in ("bash", "python")]
        assert sum(block.runs for block in shown) >= len(shown) / 2, page.name
