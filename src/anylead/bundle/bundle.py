"""Bundle: what is released — encoder, heads, preparation, input contract, provenance."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.bundle.card import model_card
from anylead.bundle.folder import (
    atomic_folder,
    find_folder,
    not_pushed,
    read_manifest,
    read_weights,
    write_files,
)
from anylead.bundle.inference import Window, WindowRows, cut, record_means, run_windows, stack_rows
from anylead.bundle.inputs import Recording, as_list, as_records, known_leads
from anylead.bundle.manifest import BundleManifest
from anylead.bundle.networks import build_networks, build_preparation, describe_head
from anylead.config import to_plain
from anylead.encoders import Encoder, encoder_kind
from anylead.encoders.base import Readout, device_of
from anylead.errors import BundleError, InputError
from anylead.heads import ClassificationHead, Head
from anylead.preparation import Preparation
from anylead.provenance import canonical_json, environment
from anylead.record import Record

logger = logging.getLogger(__name__)

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")


class Bundle(nn.Module, PyTorchModelHubMixin, library_name="anylead", tags=["ecg"]):
    """An encoder with everything needed to use it on recordings as they come.

    Every recording takes the steps of `preparation`, is cut into windows of `manifest.window_s` (the last one
    ends with the recording) and is read a few windows at a time; what belongs to the recording is the mean
    over its windows. What a recording gives depends neither on its batch mates nor on the batch size.

    Args:
        encoder: With its weights.
        heads: By name; each as described in the manifest.
        manifest: Everything else.

    Raises:
        BundleError: If the manifest names a step of preparation that is unknown.
    """

    def __init__(self, *, encoder: Encoder, heads: Mapping[str, Head], manifest: BundleManifest) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(heads)
        self.manifest = manifest
        self.preparation = build_preparation(manifest)

    @classmethod
    def assemble(
        cls,
        encoder: Encoder,
        *,
        preparation: Preparation,
        readout: Readout | None = None,
        heads: Mapping[str, Head] | None = None,
        thresholds: Mapping[str, Sequence[float]] | None = None,
        head_leads: Mapping[str, tuple[str, ...] | None] | None = None,
        window_s: float = 5.0,
        provenance: Mapping[str, Any] | None = None,
        numbers: Mapping[str, Any] | None = None,
    ) -> "Bundle":
        """Makes a bundle of trained parts.

        Args:
            encoder: With its weights.
            preparation: The steps its training data went through.
            readout: What `embed` reads unless told otherwise.
            heads: By name: letters, digits, ``_`` and ``-``.
            thresholds: Probability from which each class counts as found, for the heads that have them.
            head_leads: The lead set a head was trained for, where it was not any.
            window_s: Length of what the encoder sees at a time.
            provenance: Added to versions, host and command.
            numbers: Measured figures worth carrying along.

        Raises:
            BundleError: If a head has a name that cannot be stored.
        """
        heads = heads or {}
        for name in heads:
            if not _NAME.match(name) or hasattr(nn.ModuleDict, name):
                raise BundleError(f"head {name!r}: this name cannot be stored; use letters, digits, _ and -.")
        described = {
            name: describe_head(
                head,
                thresholds=tuple((thresholds or {}).get(name, ())),
                leads=(head_leads or {}).get(name),
            )
            for name, head in heads.items()
        }
        manifest = BundleManifest(
            encoder_kind=encoder_kind(encoder),
            encoder=to_plain(encoder.config),
            preparation=preparation.to_plain(),
            readout=readout or Readout(),
            window_s=window_s,
            sampling_rate_hz=encoder.sampling_rate_hz,
            leads=encoder.leads,
            heads=described,
            provenance={**environment(), **(provenance or {})},
            numbers=numbers or {},
        )
        return cls(encoder=encoder, heads=heads, manifest=manifest)

    def with_thresholds(self, head: str, thresholds: Sequence[float]) -> "Bundle":
        """Returns the same networks with the thresholds of one head set.

        Raises:
            BundleError: If there is not one threshold for each class.
        """
        described = replace(self.manifest.heads[head], thresholds=tuple(thresholds))
        manifest = replace(self.manifest, heads={**self.manifest.heads, head: described})
        heads = {name: cast(Head, module) for name, module in self.heads.items()}
        return Bundle(encoder=self.encoder, heads=heads, manifest=manifest).train(self.training)

    # -- on disk ---------------------------------------------------------------------------------------

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Writes weights, `config.json`, `preprocessor_config.json` and `README.md`: all of them, or nothing.

        Args:
            save_directory: A new or empty folder, or one that holds a bundle, which is replaced.
            options: Of `huggingface_hub.PyTorchModelHubMixin.save_pretrained`: ``model_card_kwargs``;
                ``push_to_hub`` with ``repo_id`` (the folder's name where it is not said) and what
                `push_to_hub` takes.

        Raises:
            BundleError: If the folder holds something else, or the disk refuses; or the Hub, and then the
                folder is complete.
        """
        push, repository = options.pop("push_to_hub", False), options.pop("repo_id", None)
        card = {"model_card_kwargs": options.pop("model_card_kwargs", None)}
        with atomic_folder(Path(save_directory)) as temporary:
            super().save_pretrained(temporary, **card)
        return self.push_to_hub(repository or Path(save_directory).name, **card, **options) if push else None

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Pushes the files that `save_pretrained` writes to the Hugging Face Hub, and returns the address.

        Args:
            repo_id: Repository, ``owner/name``; made where it does not exist.
            options: Of `huggingface_hub.PyTorchModelHubMixin.push_to_hub` (``private``, ``token``, ...).

        Raises:
            BundleError: If the Hub cannot be reached or does not take it.
        """
        try:
            return str(super().push_to_hub(repo_id, **options))
        except Exception as error:  # its client raises errors of more than one package for networks
            raise not_pushed(repo_id, error) from error

    def _save_pretrained(self, save_directory: Path) -> None:
        write_files(save_directory, self.manifest, self.state_dict())

    def generate_model_card(self, *args: Any, **options: Any) -> ModelCard:
        """Returns the card that becomes `README.md`.

        Args:
            args: Ignored; `PyTorchModelHubMixin` gives none.
            options: ``figure`` of `model_card`.
        """
        return ModelCard(model_card(self.manifest, figure=options.get("figure")))

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, map_location: str = "cpu", **download: Any
    ) -> "Bundle":
        """Reads a bundle, in evaluation mode.

        Args:
            pretrained_model_name_or_path: A folder, or a repository id on the Hugging Face Hub.
            map_location: Device to put it on.
            download: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download``.

        Raises:
            BundleError: If it is absent, incomplete, damaged or of a newer format.
        """
        folder = find_folder(pretrained_model_name_or_path, **download)
        manifest = read_manifest(folder)
        encoder, heads = build_networks(manifest, where=str(folder))
        bundle = cls(encoder=encoder, heads=heads, manifest=manifest)
        bundle.load_state_dict(read_weights(folder, bundle.state_dict()))
        return bundle.eval().to(map_location)

    def fingerprint(self) -> str:
        """Returns 16 hexadecimal digits that depend on the weights and on how they are used."""
        described = {**self.manifest.to_plain(), "provenance": None, "numbers": None}
        digest = hashlib.sha256(canonical_json(described).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    # -- on recordings ---------------------------------------------------------------------------------

    def embed(
        self,
        x: Recording | Sequence[Recording],
        *,
        fs: float | int | None = None,
        leads: Sequence[str] | str | None = None,
        batch_size: int = 64,
        readout: Readout | None = None,
    ) -> Float32[np.ndarray, "n E"]:
        """Returns one vector a recording, through whichever leads it has.

        Args:
            x: An array (leads, samples) in mV with NaN where samples are missing, a `Record`, a path, or a
                list of any of these. From 1 s up; an hour is read window by window.
            fs: Sampling rate of the arrays in Hz.
            leads: One name a row for arrays; for records and files, the leads to use.
            batch_size: Windows at a time.
            readout: Layer and pooling; the bundle's own where None.

        Raises:
            InputError: If an array lacks rate or names, looks transposed or exceeds 20 mV, or a recording has
                no window with a lead that is present.
            LeadError: If a recording has no lead the encoder knows, or lacks one of the leads to use.
            RecordFileError: If a file cannot be read.
        """
        items = as_list(x)
        windows = self.windows_of(items, fs=fs, leads=leads)
        rows = self.run(self.reader(readout), windows, batch_size=batch_size)
        return record_means(rows, len(items))[0]

    def embed_windows(
        self,
        x: Recording | Sequence[Recording],
        *,
        fs: float | int | None = None,
        leads: Sequence[str] | str | None = None,
        batch_size: int = 64,
        readout: Readout | None = None,
    ) -> tuple[Float32[np.ndarray, "W E"], Int64[np.ndarray, "W"]]:
        """Returns one vector a window, in order of time, and the place in `x` of the recording of each.

        Arguments and errors are those of `embed`.
        """
        items = as_list(x)
        windows = self.windows_of(items, fs=fs, leads=leads)
        return stack_rows(self.run(self.reader(readout), windows, batch_size=batch_size))

    def predict_proba(
        self,
        x: Recording | Sequence[Recording],
        *,
        fs: float | int | None = None,
        leads: Sequence[str] | str | None = None,
        head: str | None = None,
        batch_size: int = 64,
    ) -> Float32[np.ndarray, "n C"]:
        """Returns the probability of each class for each recording: the mean over its windows.

        Args:
            x: As for `embed`.
            fs: As for `embed`.
            leads: As for `embed`.
            head: Name of a classification head; not needed where there is one only.
            batch_size: Windows at a time.

        Raises:
            InputError: If there is no such head, or none is named and there are several. And as `embed`.
            LeadError: As `embed`.
        """
        items = as_list(x)
        windows = self.windows_of(items, fs=fs, leads=leads)
        rows = self.run(self.classifier(head), windows, batch_size=batch_size)
        return record_means(rows, len(items))[0]

    def classes(self, head: str | None = None) -> tuple[str, ...]:
        """Returns the names of the columns of `predict_proba`.

        Raises:
            InputError: As `predict_proba`.
        """
        return self.manifest.heads[self.classification_head(head)].classes

    def thresholds(self, head: str | None = None) -> tuple[float, ...]:
        """Returns the probability from which each class counts as found; 0.5 where none was chosen.

        Raises:
            InputError: As `predict_proba`.
        """
        described = self.manifest.heads[self.classification_head(head)]
        return described.thresholds or (0.5,) * len(described.classes)

    def classification_head(self, head: str | None = None) -> str:
        """Returns the name of the classification head that is meant.

        Raises:
            InputError: If there is no such head, or none is named and there is not exactly one.
        """
        names = [name for name, module in self.heads.items() if isinstance(module, ClassificationHead)]
        if head in names:
            return str(head)
        if head is None and len(names) == 1:
            return names[0]
        asked = "no head was named" if head is None else f"got head {head!r}"
        there = f"the classification heads of this bundle are {', '.join(names)}" if names else "it has none"
        raise InputError(f"bundle: {asked}; {there}: name one of them, or fine-tune one.")

    # -- what the above are made of --------------------------------------------------------------------

    def reader(self, readout: Readout | None = None) -> Callable[[Batch], Tensor]:
        """Returns what makes (B, E) of a batch."""
        chosen = readout or self.manifest.readout
        return lambda batch: self.encoder.read(batch, chosen)

    def classifier(self, head: str | None = None) -> Callable[[Batch], Tensor]:
        """Returns what makes probabilities (B, C) of a batch.

        Raises:
            InputError: As `predict_proba`.
        """
        module = cast(ClassificationHead, self.heads[self.classification_head(head)])
        return lambda batch: module.probabilities(self.encoder, batch)

    def run(
        self, model: Callable[[Batch], Tensor], windows: Iterable[Window], *, batch_size: int = 64
    ) -> Iterator[WindowRows]:
        """Runs `reader()` or `classifier()` over windows, without gradients and dropout.

        Raises:
            InputError: If the batch size is below 1.
        """
        if batch_size < 1:
            raise InputError(f"bundle: got batch_size={batch_size}; at least one window at a time is needed.")
        with _evaluating(self):
            yield from run_windows(
                model,
                windows,
                leads=self.encoder.leads,
                sampling_rate_hz=self.manifest.sampling_rate_hz,
                batch_size=batch_size,
                device=device_of(self.encoder),
            )

    def windows_of(
        self,
        items: Sequence[Recording],
        *,
        fs: float | int | None = None,
        leads: Sequence[str] | str | None = None,
        prepared: bool = False,
    ) -> Iterator[Window]:
        """Prepares and cuts recordings, one after the other, as `run` takes them.

        Arguments and errors are those of `embed`; `prepared` says that `preparation` was applied already.
        """
        unknown: dict[str, None] = {}
        for number, raw in enumerate(as_records(items, fs=fs, leads=leads)):
            usable = known_leads(raw, self.encoder.leads)
            unknown |= dict.fromkeys(name for name in raw.leads if name not in usable)
            record = raw if prepared else self.preparation(raw)
            if self.encoder.num_tokens(record.samples) < 1:
                raise InputError(
                    f"record {raw.record_id}: its {raw.samples} samples at {raw.sampling_rate_hz:g} Hz are "
                    "too few for the encoder; give a recording of 1 s or more."
                )
            found = 0
            for window in self._cut(record, number):
                found += 1
                yield window
            if not found:
                raise InputError(
                    f"record {raw.record_id}: no window of {self.manifest.window_s:g} s has a complete lead "
                    f"among {', '.join(usable)}; give a recording with fewer gaps."
                )
        if unknown:
            logger.warning("not fed, as the encoder does not know them: leads %s", ", ".join(unknown))

    def _cut(self, record: Record, number: int) -> Iterator[Window]:
        return cut(
            lambda start, count: record.signal[:, start : start + count],
            samples=record.samples,
            leads=record.leads,
            known=self.encoder.leads,
            length=self.manifest.window_samples,
            record=number,
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def load(path: str | Path) -> Bundle:
    """Reads a bundle, in evaluation mode: a folder, or a repository id on the Hugging Face Hub.

    Raises:
        BundleError: If it is absent, incomplete, damaged or of a newer format.
    """
    return Bundle.from_pretrained(path)
