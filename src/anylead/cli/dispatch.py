"""From ``anylead VERB ...`` to the verb's file: table, help, errors, exit codes."""

import difflib
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Sequence

from anylead.errors import AnyleadError, InputError
from anylead.provenance import version

OK, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130

VERBS: dict[str, str] = {
    "demo": "synthetic patients end to end, with a report",
    "prepare": "read recordings, resample them, split the patients, write a store",
    "pretrain": "learn an encoder from the stores' recordings, without labels",
    "finetune": "train a head on an encoder: classify | identify",
    "evaluate": "score models, with intervals: suite | classify | probe | identify | leads | ...",
    "compare": "pre-train and judge every cell of a grid at one budget, in one table",
    "embed": "turn recordings into vectors",
    "import-checkpoint": "make a bundle of a checkpoint of fairseq-signals, ECG-FM or ECG-JEPA",
    "export": "write a model in another format: fairseq | hub | onnx",
    "convert": "write recordings in another format, without names and dates where asked",
    "quality": "measure the recordings of a store: table, and a page with the worst drawn",
    "view": "draw a recording on ECG paper",
    "gallery": "enrolled patients: whose heart is this, and what is filed under the wrong one?",
    "keys": "who may use a gallery through the service: make | list | revoke",
    "serve": "serve a gallery over HTTP: API and page",
    "info": "say what a file, store, run or bundle is",
    "sources": "list the data sets that can be prepared",
}
"""Verb -> what it does. The verb's code is `run` in the module of the same name, with ``_`` for ``-``, loaded
when it is called; it returns an exit code where that is not 0."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: What follows ``anylead``; that of the process where None.

    Returns:
        0 when it worked, 1 when it failed, 2 when it does not accept what was given, 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return OK if arguments else MISUSE
    if arguments[0] in ("-V", "--version"):
        print(f"anylead {version()}")
        return OK
    verb, *rest = arguments
    if verb not in VERBS:
        return _say(f"anylead: there is no command {verb!r}; {suggestion(verb, VERBS)}", MISUSE)
    _log_to_stderr()
    try:
        run = importlib.import_module(f"anylead.cli.{verb.replace('-', '_')}").run
        return run(rest) or OK
    except AnyleadError as error:
        if os.environ.get("ANYLEAD_DEBUG"):
            raise
        return _say(
            f"anylead {verb}: {_sentence(error)}", MISUSE if isinstance(error, InputError) else FAILED
        )
    except KeyboardInterrupt:
        return _say(f"anylead {verb}: interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else MISUSE if stop.code else OK


def usage() -> str:
    """Returns the help of the command itself."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {what}" for verb, what in VERBS.items()]
    return "\n".join(
        [
            "usage: anylead COMMAND ...",
            "",
            "Self-supervised ECG representations that work with any set of leads.",
            "",
            *lines,
            "",
            "`anylead COMMAND --help` explains a command. ANYLEAD_DEBUG=1 shows where an error comes from.",
        ]
    )


def suggestion(given: str, accepted: Iterable[str]) -> str:
    """Returns the end of an error message: the nearest accepted word, and all of them."""
    accepted = list(accepted)
    near = difflib.get_close_matches(given.lower(), accepted, n=1, cutoff=0.5)
    question = f"did you mean {near[0]}? " if near else ""
    return f"{question}Accepted are {', '.join(accepted)}."


def _sentence(error: AnyleadError) -> str:
    # str(OSError("a", "b")) would show a tuple of errno and text; ours carry one text.
    return " ".join(str(error.args[0] if error.args else error).split())


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _log_to_stderr() -> None:
    logger = logging.getLogger("anylead")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
