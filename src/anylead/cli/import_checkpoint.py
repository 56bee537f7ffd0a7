"""anylead import-checkpoint: other people's weights as a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from anylead.cli.arguments import leads, parse


@dataclass(frozen=True, kw_only=True)
class ImportCheckpointArguments:
    """Makes a bundle of a checkpoint of fairseq-signals (W2V, CMSC, both, fine-tuned), ECG-FM or an ECG-JEPA.

    Nothing in the file is run. What it does not say is assumed, and each assumption is printed with the flag
    that changes it.
    """

    checkpoint: tyro.conf.Positional[Path]
    """File, such as mimic_iv_ecg_physionet_pretrained.pt."""
    out: Path
    """Folder of the bundle."""
    preparation: Literal["auto", "ecg-fm", "fairseq-signals", "mimic-iv-ecg", "ptb-xl"] = "auto"
    """How its training recordings were prepared: ecg-fm standardises each lead, fairseq-signals does not;
    mimic-iv-ecg and ptb-xl are constants for the ECG-JEPA of Weimann and Conrad."""
    classes: tuple[str, ...] = ()
    """Names of the outputs of its head, in order."""
    leads: tuple[str, ...] = ()
    """What its input columns are: I,II or a set (12, 8, 6, 4, 3, 2)."""


def run(argv: list[str]) -> None:
    """Runs ``anylead import-checkpoint``."""
    given, _ = parse(ImportCheckpointArguments, argv, prog="anylead import-checkpoint")

    from anylead.workflows.import_checkpoint import ImportCheckpointConfig, import_checkpoint

    made = import_checkpoint(
        ImportCheckpointConfig(
            checkpoint=given.checkpoint,
            out=given.out,
            preparation=given.preparation,
            classes=given.classes,
            leads=leads(given.leads),
        )
    )
    print("\n".join([f"{made.out}: {made.model}", *made.assumed]))
