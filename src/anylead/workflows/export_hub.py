"""export hub: a bundle and its report become a folder for the Hugging Face Hub, and go there if asked to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi, get_token

from anylead.bundle import Bundle, load
from anylead.bundle.card_data import weights_licence
from anylead.bundle.folder import CURVE_NAME, atomic_folder, not_pushed
from anylead.bundle.measured import KEY, Measured, measured
from anylead.config import to_plain
from anylead.errors import BundleError, ConfigError
from anylead.heads import Head
from anylead.interop.fairseq import ecg_fm
from anylead.provenance import version
from anylead.workflows.any_lead_figure import draw_any_lead_curve
from anylead.workflows.measured_report import measured_of, read_report
from anylead.workflows.systems import bundle_folder

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_LICENCE = re.compile(r"^[a-z0-9][a-z0-9.+-]*$")


@dataclass(frozen=True, kw_only=True)
class ExportHubConfig:
    """What to release, and where to.

    Raises:
        ConfigError: If the repository or the licence cannot be one, or the folder is that of the bundle.
    """

    bundle: Path
    """Folder of a bundle, or of its run."""
    out: Path
    """Folder to write."""
    report: Path | None = None
    """Folder that ``anylead evaluate suite`` wrote about this bundle; what the bundle carries where None."""
    licence: str | None = None
    """Of the weights, as the Hub names it, such as ``cc-by-4.0``. None states none, but for published weights
    that are known by their hash: those keep their own."""
    push: str | None = None
    """Repository on the Hub to push the folder to, ``owner/name``; None pushes nothing."""
    private: bool = False
    """Make the repository a private one, where it does not exist yet."""

    def __post_init__(self) -> None:
        if self.push is not None and not _REPOSITORY.match(self.push):
            raise ConfigError(f"export hub: got push {self.push!r}; give a repository as owner/name.")
        if self.licence is not None and not _LICENCE.match(self.licence):
            raise ConfigError(
                f"export hub: got licence {self.licence!r}; give it as the Hub names it, such as mit, "
                "apache-2.0, cc-by-4.0 or other."
            )
        if self.private and self.push is None:
            raise ConfigError("export hub: private says how to push, and nothing is pushed; name --push too.")
        if bundle_folder(self.bundle).resolve() == self.out.resolve():
            raise ConfigError(
                f"export hub: {self.out} is the folder of the bundle itself; give another one to write to."
            )


@dataclass(frozen=True, kw_only=True)
class ExportedHub:
    """What was written."""

    out: Path
    files: tuple[str, ...]
    url: str | None
    """Where it was pushed to."""
    notes: tuple[str, ...]
    """What a user should know, one sentence each."""


def export_hub(config: ExportHubConfig) -> ExportedHub:
    """Writes the folder, whole or not at all, and pushes it if asked to.

    Raises:
        BundleError: If the bundle cannot be read, the folder holds something else or cannot be written, or
            the Hub does not take it.
        InputError: If the report is not about this bundle.
        FileError: If the report cannot be read.
    """
    if config.push is not None and get_token() is None:
        raise BundleError(
            f"{config.push}: nothing can be pushed, as no token of the Hugging Face Hub is known here; run "
            "`hf auth login`, or set HF_TOKEN to a token that may write."
        )
    bundle = load(bundle_folder(config.bundle))
    found, notes = _measured(bundle, config)
    released = _released(bundle, found, config)
    if weights_licence(released.manifest.provenance) is None:
        notes.append("nobody stated a licence of the weights, and the card says so; --licence states one.")
    curves = found.curves if found is not None else ()
    with atomic_folder(config.out) as folder:
        released.save_pretrained(folder, model_card_kwargs={"figure": CURVE_NAME if curves else None})
        if curves:
            draw_any_lead_curve(curves, folder / CURVE_NAME)
    files = tuple(sorted(path.name for path in config.out.iterdir()))
    url = None if config.push is None else _push(config.push, config, files)
    return ExportedHub(out=config.out, files=files, url=url, notes=tuple(notes))


def _measured(bundle: Bundle, config: ExportHubConfig) -> tuple[Measured | None, list[str]]:
    """Returns what is known of the bundle's quality, and what should be said of that."""
    own = bundle.fingerprint()
    if config.report is not None:
        found = measured_of(
            read_report(config.report), bundle=own, own=bundle.manifest.readout, where=str(config.report)
        )
        if found.curves:
            return found, []
        return found, ["the report has no any-lead curve: anylead evaluate suite without --quick makes one."]
    carried = measured(bundle.manifest.numbers)
    if carried is None:
        return None, ["nothing was measured, and the card says so; --report takes the folder of a report."]
    if carried.bundle != own:
        return None, [
            f"the numbers that the bundle carries are of another one, {carried.bundle}, and are left out; "
            "--report takes those of this one."
        ]
    return carried, []


def _released(bundle: Bundle, found: Measured | None, config: ExportHubConfig) -> Bundle:
    """Returns the bundle with what its card needs, and without what only this machine knows."""
    provenance = {name: value for name, value in bundle.manifest.provenance.items() if name != "release"}
    before: Mapping[str, Any] = bundle.manifest.provenance.get("release") or {}
    licence = config.licence or before.get("licence") or _published_licence(provenance.get("imported") or {})
    release = {"name": config.push or before.get("name"), "licence": licence}
    stated = {name: value for name, value in release.items() if value}
    if isinstance(provenance.get("command"), list | tuple):
        provenance["command"] = [_without_folders(str(word)) for word in provenance["command"]]
    numbers = {name: value for name, value in bundle.manifest.numbers.items() if name != KEY}
    manifest = replace(
        bundle.manifest,
        provenance={**provenance, **({"release": stated} if stated else {})},
        numbers={**numbers, **({KEY: to_plain(found)} if found is not None else {})},
    )
    heads = {name: cast(Head, module) for name, module in bundle.heads.items()}
    return Bundle(encoder=bundle.encoder, heads=heads, manifest=manifest).eval()


def _published_licence(imported: Mapping[str, Any]) -> str | None:
    """Returns the licence of imported weights that are known by their hash: a file's name proves nothing."""
    known = imported.get("sha256") in ecg_fm.SHA256
    return ecg_fm.LICENCE.lower() if known else None


def _without_folders(word: str) -> str:
    """Returns a word of a command, of a path its last part: folders of this machine are nobody's business."""
    flag, equals, value = word.rpartition("=")
    return flag + equals + value.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _push(repository: str, config: ExportHubConfig, files: tuple[str, ...]) -> str:
    api = HfApi()
    try:
        url = str(api.create_repo(repository, private=config.private or None, exist_ok=True))
        api.upload_folder(
            repo_id=repository,
            folder_path=config.out,
            allow_patterns=list(files),
            commit_message=f"Release of anylead {version()}",
        )
    except Exception as error:  # the Hub's client raises errors of more than one package for networks
        raise not_pushed(repository, error, kept=config.out) from error
    return url
