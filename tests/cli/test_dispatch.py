import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from anylead import __version__
from anylead.cli import export, main
from anylead.cli.dispatch import VERBS, suggestion
from anylead.errors import ConfigError, InputError, LeadError, RecordFileError, StoreError


@pytest.fixture
def verb(monkeypatch):
    """Puts a function in the place of `view`."""

    def put(run):
        module = type(sys)("anylead.cli.view")
        module.run = run
        monkeypatch.setitem(sys.modules, "anylead.cli.view", module)

    return put


def raises(error):
    def run(argv):
        raise error

    return run


def test_help_lists_every_verb_and_is_a_success(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\w", shown, re.MULTILINE) for name in VERBS)


def test_nothing_asked_for_is_misuse(capsys):
    assert main([]) == 2
    assert "usage: anylead" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"anylead {__version__}\n"


def test_every_verb_has_a_module():
    folder = Path(sys.modules["anylead.cli"].__file__).parent
    files = {p.stem for p in folder.glob("*.py")} - {"__init__", "dispatch", "arguments", "suite_arguments"}
    formats = {f"export_{name}" for name in export.FORMATS}
    assert files == {verb.replace("-", "_") for verb in VERBS} | formats


def test_a_typo_in_a_verb_suggests_the_nearest(capsys):
    assert main(["pretrian"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(
        "anylead: there is no command 'pretrian'; did you mean pretrain? Accepted are demo,"
    )
    assert message.count("\n") == 1


def test_suggestion_makes_no_wild_guess():
    assert suggestion("zzz", ["demo", "view"]) == "Accepted are demo, view."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x: bad."), 2),
        (ConfigError("x: bad."), 2),
        (LeadError("x: bad."), 2),
        (RecordFileError("x: bad."), 1),
        (StoreError("x: bad."), 1),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr(verb, capsys, error, code):
    verb(raises(error))
    assert main(["view"]) == code
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "anylead view: x: bad.\n")


def test_debug_shows_where_a_mistake_comes_from(verb, monkeypatch):
    monkeypatch.setenv("ANYLEAD_DEBUG", "1")
    verb(raises(InputError("x: bad.")))
    with pytest.raises(InputError, match=r"x: bad\."):
        main(["view"])


def test_what_nobody_foresaw_keeps_its_traceback(verb):
    verb(raises(ZeroDivisionError("by us")))
    with pytest.raises(ZeroDivisionError):
        main(["view"])


def test_interrupted_is_130(verb, capsys):
    verb(raises(KeyboardInterrupt()))
    assert main(["view"]) == 130
    assert capsys.readouterr().err == "anylead view: interrupted.\n"


def test_an_unknown_flag_is_misuse_and_is_answered_with_the_nearest(capsys):
    assert main(["view", "a.hea", "--secnods", "5"]) == 2
    assert "--seconds" in capsys.readouterr().err


def run_help(*words: str) -> tuple[float, set[str]]:
    """Processor seconds of a fresh process that shows help, and what it had loaded at the end."""
    code = (
        "import sys; from anylead.cli import main; code = main(sys.argv[1:]); assert code == 0, code;"
        "print('\\nLOADED', *{m.split('.')[0] for m in sys.modules})"
    )
    # Processor time, for the tests share their cores; a process that waits for nothing takes no longer alone.
    before = os.times()
    command = [sys.executable, "-c", code, *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = os.times()
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    return seconds, set(done.stdout.rpartition("LOADED")[2].split())


TASKS = [("finetune", "classify"), ("finetune", "identify")]
TASKS += [("evaluate", "classify"), ("evaluate", "identify"), ("evaluate", "leads")]
TASKS += [("evaluate", "suite"), ("evaluate", "embeddings"), ("evaluate", "conditions")]
TASKS += [("evaluate", "audit"), ("evaluate", "diff")]
TASKS += [("export", name) for name in export.FORMATS]


@pytest.mark.parametrize("words", [(), *[(name,) for name in VERBS], *TASKS], ids=" ".join)
def test_help_answers_within_a_second_and_without_torch(words):
    seconds, loaded = run_help(*words)
    assert not loaded & {"torch", "pyarrow", "matplotlib", "wfdb", "sklearn"}
    assert seconds < 1.0
