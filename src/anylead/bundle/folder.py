"""A bundle on disk: `config.json`, `model.safetensors`, `preprocessor_config.json`, `README.md`."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from anylead.bundle.manifest import BundleManifest
from anylead.bundle.preprocessor import preprocessor_config
from anylead.errors import BundleError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
PREPROCESSOR_NAME = "preprocessor_config.json"
CARD_NAME = "README.md"
CURVE_NAME = "any_leads.png"
_OWN = (
    *(CONFIG_NAME, WEIGHTS_NAME, PREPROCESSOR_NAME, CARD_NAME, CURVE_NAME, ".gitattributes", ".cache"),
    *("model.onnx", "model_int8.onnx"),
)
"""What a new bundle may replace: its own files, what is made of them, and what a download leaves beside."""
_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def find_folder(name: str | Path, **download: Any) -> Path:
    """Returns the folder of a bundle, fetching it from the Hugging Face Hub where there is no such folder.

    Args:
        name: A folder, or a repository id such as ``owner/name``.
        download: Options of `huggingface_hub.snapshot_download`.

    Raises:
        BundleError: If it is a file, or is neither here nor on the Hub.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise BundleError(f"{name}: this is a file; give the folder of a bundle, which holds {CONFIG_NAME}.")
    if not _REPOSITORY.match(str(name)):
        raise BundleError(f"{name}: there is no such folder; give the folder of a bundle or a repository id.")
    try:
        return Path(
            snapshot_download(
                str(name),
                allow_patterns=[CONFIG_NAME, WEIGHTS_NAME, PREPROCESSOR_NAME, CARD_NAME],
                **download,
            )
        )
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BundleError(
            f"{name}: there is no such folder here, and the Hugging Face Hub did not give it ({reason}); "
            "check the path, or the repository id and the connection."
        ) from error


def read_manifest(folder: Path) -> BundleManifest:
    """Reads what a bundle says about itself, without its weights.

    Raises:
        BundleError: If a file is missing or cannot be used, or the format is newer.
    """
    missing = [name for name in (CONFIG_NAME, WEIGHTS_NAME) if not (folder / name).is_file()]
    if missing:
        raise BundleError(
            f"{folder}: the bundle is incomplete, {' and '.join(missing)} is missing; "
            "give a folder written by save_pretrained."
        )
    try:
        values = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{folder}: {CONFIG_NAME} cannot be read ({error}); save the bundle again."
        ) from error
    return BundleManifest.from_plain(values if isinstance(values, dict) else {}, where=str(folder))


def read_weights(folder: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reads the weights and compares them with what the manifest describes.

    Raises:
        BundleError: If the file is damaged, or names or shapes differ.
    """
    try:
        weights: dict[str, Tensor] = load_file(folder / WEIGHTS_NAME)
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"{folder}: {WEIGHTS_NAME} cannot be read ({error}); copy or download the bundle again."
        ) from error
    for problem, names in (
        ("lacks", sorted(set(expected) - set(weights))),
        ("has the unknown", sorted(set(weights) - set(expected))),
    ):
        if names:
            raise BundleError(
                f"{folder}: {WEIGHTS_NAME} {problem} {names[0]}{' and others' if len(names) > 1 else ''}; "
                f"it does not belong to this {CONFIG_NAME}."
            )
    for name, tensor in expected.items():
        if weights[name].shape != tensor.shape:
            raise BundleError(
                f"{folder}: {WEIGHTS_NAME} holds {name} with shape {tuple(weights[name].shape)} and "
                f"{CONFIG_NAME} describes {tuple(tensor.shape)}; the two files do not belong together."
            )
    return weights


def write_files(folder: Path, manifest: BundleManifest, weights: Mapping[str, Tensor]) -> None:
    """Writes weights, manifest and preparation into a folder that nobody reads yet.

    The preparation is a copy for other libraries: reading a bundle takes it from the manifest.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    save_file(plain, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    for name, values in (
        (CONFIG_NAME, manifest.to_plain()),
        (PREPROCESSOR_NAME, preprocessor_config(manifest)),
    ):
        text = json.dumps(values, indent=1, allow_nan=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def not_pushed(repository: str, error: Exception, *, kept: Path | None = None) -> BundleError:
    """Returns what to raise where the Hugging Face Hub did not take a bundle.

    Args:
        repository: Where to.
        error: What its client raised.
        kept: The folder that was to be pushed, where it is still there.
    """
    reason = next(iter(str(error).strip().splitlines()), "").rstrip(".") or type(error).__name__
    later = "try again" if kept is None else f"run `hf upload {repository} {kept}`, for {kept} is complete"
    return BundleError(
        f"{repository}: could not be pushed to the Hugging Face Hub ({reason}); check the connection, the "
        f"token and its rights, then {later}."
    )


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `folder` when the block ends without an error.

    Raises:
        BundleError: If `folder` is a file or holds something that is not a bundle, or the disk refuses;
            nothing is changed then.
    """
    folder = Path(os.path.abspath(folder))
    if folder.exists() and not folder.is_dir():
        raise BundleError(f"{folder}: this is a file; choose another folder for the bundle.")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in there if name not in _OWN] if CONFIG_NAME in there else there
    if others:
        raise BundleError(
            f"{folder}: the folder holds other files ({others[0]}{' and more' if len(others) > 1 else ''}); "
            "choose an empty or a new one for the bundle."
        )
    work: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        fresh, old = work / "new", work / "old"
        fresh.mkdir()
        yield fresh
        for path in fresh.rglob("*"):
            if path.is_file():
                _flush(path)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except (OSError, SafetensorError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(
            f"{folder}: the bundle could not be written ({getattr(error, 'strerror', None) or error}); "
            "nothing was changed: make room or choose another folder and try again."
        ) from error
    finally:
        if work is not None:
            if (work / "old").exists() and not folder.exists():
                (work / "old").rename(folder)
            shutil.rmtree(work, ignore_errors=True)


def _flush(path: Path) -> None:
    path.chmod(0o644)
    with path.open("rb") as file:
        os.fsync(file.fileno())
