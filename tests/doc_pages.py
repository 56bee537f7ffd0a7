"""Pages of the documentation as blocks of code, and running them as a reader would."""

import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anylead.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_FENCE = re.compile(
    r"^(?P<note><!-- not run: [^\n]+ -->\n)?```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.M | re.S
)
_TOLD = re.compile(r"^(?:    )*print\(.*\)  # (.*)$", re.M)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block."""

    language: str
    code: str
    runs: bool
    """Whether it is run: a comment ``<!-- not run: reason -->`` above it says when not."""

    @property
    def commands(self) -> list[str]:
        """The shell commands, with lines that go on in the next one joined."""
        return [line for line in self.code.replace("\\\n", " ").splitlines() if line and line[0] != "#"]

    @property
    def told(self) -> list[str]:
        """What the comments behind the `print` calls say they print."""
        return _TOLD.findall(self.code)


def blocks(page: Path) -> list[Block]:
    """Returns the fenced blocks of a page."""
    return [
        Block(language=found["language"], code=found["code"], runs=found["note"] is None)
        for found in _FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


def anylead_commands(page: Path) -> Iterator[list[str]]:
    """Yields the words after ``anylead`` of each command of a page that is given in full, or to torchrun."""
    for block in blocks(page):
        for command in block.commands:
            placeholder = re.search(r"\[--|\.\.\.|\|", command.split(" || ")[0])
            if re.match(r"(torchrun .* -m )?anylead ", command) and not placeholder:
                words = shlex.split(command.split(" || ")[0], comments=True)
                yield words[words.index("anylead") + 1 :]


def run_page(page: Path) -> None:
    """Runs the blocks of a page in order, in the current folder: Python ones in one namespace."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.runs and block.language == "bash":
            for command in block.commands:
                _run_command(command)
        elif block.runs and block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.code, page.name, "exec"), namespace)
            said = printed.getvalue().splitlines()
            assert said == block.told, f"{page.name} prints {said} and says {block.told}"


def _run_command(command: str) -> None:
    wanted, _, _ = command.partition(" || true")
    words = shlex.split(wanted, comments=True)
    if words[0] == "anylead":
        code = main(_expand(words[1:]))
    else:
        code = subprocess.run(wanted, shell=True, check=False).returncode
    # What the page expects to fail says so, and then has to.
    assert (code != 0) == (wanted != command), f"{command}: exit code {code}"


def _expand(words: Sequence[str]) -> list[str]:
    """Does what a shell does with ``*``."""
    return [
        name
        for word in words
        for name in (sorted(str(path) for path in Path().glob(word)) if "*" in word else [word])
    ]
