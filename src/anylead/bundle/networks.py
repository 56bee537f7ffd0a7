"""Networks from a manifest, and what a manifest says of networks."""

from collections.abc import Mapping
from typing import Any

from anylead.bundle.manifest import BundleManifest, HeadManifest
from anylead.config import from_plain, to_plain
from anylead.encoders import ENCODERS, Encoder, build_encoder
from anylead.errors import BundleError, ConfigError
from anylead.heads import HEADS, Head, build_head, head_kind
from anylead.preparation import Preparation


def describe_head(
    head: Head, *, thresholds: tuple[float, ...] = (), leads: tuple[str, ...] | None = None
) -> HeadManifest:
    """Returns what a manifest says of a head."""
    return HeadManifest(
        kind=head_kind(head), config=to_plain(head.config), thresholds=thresholds, leads=leads
    )


def build_networks(manifest: BundleManifest, *, where: str = "bundle") -> tuple[Encoder, dict[str, Head]]:
    """Builds the encoder and the heads that a manifest describes, with fresh weights.

    Raises:
        BundleError: If a kind is unknown, or a configuration cannot be used.
    """
    _require_known("an encoder", manifest.encoder_kind, ENCODERS, where=where)
    for head in manifest.heads.values():
        _require_known("a head", head.kind, HEADS, where=where)
    try:
        config_class, _ = ENCODERS[manifest.encoder_kind]
        encoder = build_encoder(from_plain(config_class, manifest.encoder, where=f"{where}.encoder"))
        heads = {
            name: build_head(
                head.kind,
                from_plain(HEADS[head.kind][0], head.config, where=f"{where}.heads.{name}"),
                encoder,
            )
            for name, head in manifest.heads.items()
        }
    except ConfigError as error:
        raise BundleError(f"{error} The bundle's config.json cannot be used: save it again.") from error
    return encoder, heads


def build_preparation(manifest: BundleManifest) -> Preparation:
    """Builds the steps that a manifest names.

    Raises:
        BundleError: If a step or a setting is unknown.
    """
    try:
        return Preparation.from_plain(manifest.preparation)
    except ConfigError as error:
        raise BundleError(f"{error} The bundle's config.json cannot be used: save it again.") from error


def _require_known(what: str, kind: str, known: Mapping[str, Any], *, where: str) -> None:
    if kind not in known:
        raise BundleError(
            f"{where}: the bundle holds {what} of kind {kind!r} and this anylead knows {', '.join(known)}; "
            "install the version that wrote it."
        )
