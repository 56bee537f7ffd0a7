"""What a model card says of the recordings behind the weights, of licences, and of whom to cite."""

from collections.abc import Mapping, Sequence
from typing import Any

from anylead.bundle.manifest import BundleManifest
from anylead.bundle.markdown import flat, safe, table, without_paths
from anylead.bundle.measured import DataSet, measured
from anylead.config import to_plain
from anylead.sources import SOURCES

_METHOD = (
    "The method of pre-training begins with: Oh J. et al., Lead-agnostic Self-supervised Learning for Local "
    "and Global Representations of Electrocardiogram, CHIL, PMLR 174, 2022, arXiv:2203.06889."
)


def weights_licence(provenance: Mapping[str, Any]) -> str | None:
    """Returns the licence of the weights as front matter names it, None where nobody stated one.

    That of the recordings says nothing of the weights.
    """
    stated = _mapping(provenance.get("release")).get("licence")
    return str(stated) if stated else None


def public_data(manifest: BundleManifest) -> list[DataSet]:
    """Returns the published data sets the weights were trained on."""
    provenance = manifest.provenance
    stores = [*data_sets(_learned_before(provenance)), *data_sets(provenance.get("stores"))]
    return list({one.source: one for one in stores if one.url}.values())


def data_sets(stores: object) -> list[DataSet]:
    """Reads what provenance says of stores, with what is known of their sources, each source once."""
    found: dict[str, DataSet] = {}
    for store in stores if isinstance(stores, list | tuple) else ():
        if not isinstance(store, Mapping) or not store.get("source"):
            continue
        source = SOURCES.get(str(store["source"]))
        found.setdefault(
            str(store["source"]),
            DataSet(
                source=str(store["source"]),
                fingerprint=str(store.get("fingerprint", "")),
                licence=str(store.get("licence") or (source.licence if source else "unknown")),
                citation=str(store.get("citation") or (source.citation if source else "unknown")),
                patients_known=bool(
                    store.get("patients_known", source is None or source.patient_ids == "known")
                ),
            ),
        )
    return list(found.values())


def data_section(manifest: BundleManifest) -> str:
    """Returns the sections on training data, and on licence and citation."""
    return "\n\n".join(["## Training data", *_training(manifest), *_licence(manifest)]) + "\n"


def _training(manifest: BundleManifest) -> list[str]:
    provenance = manifest.provenance
    stores = data_sets(provenance.get("stores"))
    before = data_sets(_learned_before(provenance))
    told = _imported(_imported_facts(provenance))
    if before:
        told += [
            "The weights it started from had learned from the training part of:",
            _data_table(before),
        ]
    if stores and "pretraining" in provenance:
        told += ["Pre-trained, without labels, on the training part of:", _data_table(stores)]
        told += [_pretraining(manifest)]
    elif stores:
        counts = provenance.get("training_recordings"), provenance.get("training_persons")
        size = f"{counts[0]} recordings of {counts[1]} persons in " if None not in counts else ""
        heads = f" the head {', '.join(f'`{n}`' for n in manifest.heads)}" if manifest.heads else ""
        told += [f"Fine-tuned{heads} on {size}the training part of:", _data_table(stores)]
        told += _started_from(provenance.get("started_from"), known=bool(before))
    if not told:
        return ["The bundle does not say what its weights were trained on."]
    if any(one.source == "synthetic" for one in (*stores, *before)):
        told.append(
            "**Synthetic patients do not exist**: weights that learned from them show that the code works, "
            "and nothing about real ECGs."
        )
    return told


def _learned_before(provenance: Mapping[str, Any]) -> object:
    return _mapping(provenance.get("started_from")).get("trained_on")


def _imported_facts(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    own = provenance.get("imported") or _mapping(provenance.get("started_from")).get("imported")
    return _mapping(own)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _data_table(data: Sequence[DataSet]) -> str:
    rows = [(one.shown, one.licence, one.citation) for one in data]
    return table(("data set", "licence of the recordings", "to be cited as"), rows)


def _pretraining(manifest: BundleManifest) -> str:
    settings = _mapping(manifest.provenance["pretraining"])
    size = f"{manifest.provenance.get('steps', 'An unknown number of')} updates, seed {settings.get('seed')}"
    told = f"{size}; every setting is in `config.json` under `provenance.pretraining`."
    last = _mapping(manifest.numbers.get("pretraining"))
    shown = {name: last[name] for name in last if name == "loss" or name.endswith("accuracy")}
    if shown:
        told += f" At the end of the training log, which is no measure of quality: {safe(flat(shown))}."
    return told


def _started_from(started: object, *, known: bool) -> list[str]:
    facts = _mapping(started)
    if facts.get("weights") == "fresh":
        return ["It started from random weights: nothing was pre-trained."]
    if known or not facts or facts.get("imported"):
        return []
    return [
        f"It started from the weights of the bundle `{facts.get('bundle')}`, and does not say what those "
        "were trained on."
    ]


def _imported(facts: Mapping[str, Any]) -> list[str]:
    if not facts:
        return []
    taken = f", and are taken to be those of <{facts['url']}>" if facts.get("url") else ""
    told = [
        f"Weights were imported from the file `{facts.get('file')}` (SHA-256 `{facts.get('sha256')}`), were "
        f"made with <{facts.get('framework')}>{taken}. What they were trained on is for their authors to say."
    ]
    assumed = [f"- {safe(without_paths(str(sentence)))}" for sentence in facts.get("assumed") or ()]
    return [*told, *(["The file does not say everything. Assumed:", "\n".join(assumed)] if assumed else [])]


def _licence(manifest: BundleManifest) -> list[str]:
    provenance = manifest.provenance
    licence, imported = weights_licence(provenance), _imported_facts(provenance)
    if licence:
        stated = f"The weights: `{licence}`."
    else:
        stated = "Nobody has stated a licence for these weights: ask who released them before you use them."
    if imported.get("licence"):
        stated += f" Licence of the weights that were imported: {safe(imported['licence'])}."
    cited = [
        str(facts)
        for facts in (imported.get("citation"), _METHOD)
        if facts and (facts is not _METHOD or "pretraining" in provenance or _learned_before(provenance))
    ]
    found = measured(manifest.numbers)
    trained = {
        one.source for one in (*data_sets(provenance.get("stores")), *data_sets(_learned_before(provenance)))
    }
    judged_on = data_sets(to_plain(found.data)) if found else []
    cited += [one.citation for one in judged_on if one.source not in trained]
    return [
        "## Licence and citation",
        f"{stated} The recordings have licences of their own; the package `anylead` is under Apache-2.0.",
        f"Please cite the package{' and the data sets above' if trained else ''}{', and:' if cited else '.'}",
        *(["\n".join(f"- {safe(one)}" for one in cited)] if cited else []),
    ]
