"""Whose heart is this, and is it filed right? The numbers of docs/results/identification.md.

    python benchmarks/identification_results.py --stores STORES --bundle BUNDLE

STORES holds the stores of `benchmarks/first_real_run.py`, BUNDLE is its pre-trained encoder. Each gallery
gets a JSON in docs/results/identification/, and the tables of the page are written anew: some minutes on one
CPU.
"""

import argparse
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anylead.bundle import load
from anylead.config import to_plain
from anylead.errors import InputError
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.conditions import condition
from anylead.evaluation.identification import unit_length
from anylead.evaluation.identity_parts import ANOTHER_DAY
from anylead.evaluation.identity_suite import evaluate_identity_suite, identity_difference
from anylead.evaluation.whitening import fit_whitening
from anylead.gallery.calibration import fit_calibration
from anylead.gallery.misfiling import gather_evidence
from anylead.gallery.swap_simulation import study_swaps
from anylead.gallery.template import TemplateTable
from anylead.store import Store
from anylead.workflows.selection import Selection
from anylead.workflows.suite.embedders import BundleEmbedder, FeatureEmbedder
from anylead.workflows.suite.untrained import Untrained, untrained_embedder

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "identification.md"
PREVALENCES = (0.0001, 0.0005, 0.001, 0.01)
BUDGETS = (0, 10, 30)
PAGE_BUDGETS = (0, 10)
SCATTER = ("ptb-xl", "cinc2020", "cinc2021", "ludb")
"""Stores whose training recordings whiten by the scatter between their windows."""


@dataclass(frozen=True)
class Gallery:
    """One data set through one lead set."""

    name: str
    store: str
    lead_set: str
    one_a_day: bool
    title: str


GALLERIES = (
    Gallery("ecg-id-I", "ecg-id", "I", False, "ECG-ID, lead I, all recordings"),
    Gallery("ecg-id-I-days", "ecg-id", "I", True, "ECG-ID, lead I, one recording a person and day"),
    Gallery("ptb-xl-12", "ptb-xl", "12", False, "PTB-XL, 12 leads"),
    Gallery("ptb-xl-I", "ptb-xl", "I", False, "PTB-XL, lead I"),
)


def whole(store: Store) -> Selection:
    rows = range(len(store.column("record_id")))
    return Selection(stores=(store,), recordings=tuple((0, row) for row in rows)).of_known_persons()


def vectors_of(stores: Path, bundle_path: Path, store: str, lead_set: str) -> tuple[dict, Selection]:
    """Returns the embeddings of every system, and the recordings."""
    bundle = load(bundle_path)
    selection = whole(Store.open(stores / store))
    asked = condition(f"lead-set-{lead_set}")
    trained = BundleEmbedder(name="pre-trained", bundle=bundle, readout=bundle.manifest.readout)
    fresh = untrained_embedder(trained, Untrained(), seed=0)
    training = Selection.of([Store.open(stores / name) for name in SCATTER], "train")
    found = {}
    for name, one in (("pre-trained", trained), ("untrained", fresh)):
        values = one.embed(selection, asked).astype(np.float64)
        windows, places = one.embed_windows(training, asked)
        found[name] = values
        found[f"{name}, whitened"] = fit_whitening(windows.astype(np.float64), places.tolist())(values)
    beat = FeatureEmbedder(name="median beat", kind="median beat").embed(selection, asked)
    found["median beat"] = beat.astype(np.float64)
    return found, selection


def dates_of(selection: Selection) -> np.ndarray:
    given = selection.column("recorded_at")
    return np.array([np.datetime64("NaT") if d is None else np.datetime64(d) for d in given], "datetime64[s]")


def one_a_day(persons: list[str], dates: np.ndarray) -> np.ndarray:
    """Returns the rows of the earliest recording of each person and day; one without a date stays."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for row in np.argsort(dates, kind="stable"):
        key = (persons[row], str(dates[row].astype("datetime64[D]")))
        if np.isnat(dates[row]) or key not in seen:
            kept.append(int(row))
        seen.add(key)
    return np.array(sorted(kept))


def judge(gallery: Gallery, vectors: dict[str, np.ndarray], selection: Selection) -> dict[str, Any]:
    persons, dates = selection.persons, dates_of(selection)
    usable = np.all([np.isfinite(one).all(axis=1) & one.any(axis=1) for one in vectors.values()], axis=0)
    rows = np.flatnonzero(usable)
    if gallery.one_a_day:
        rows = rows[one_a_day([persons[row] for row in rows], dates[rows])]
    hashes, seconds = selection.column("hash"), durations(selection)
    draws = patient_draws(persons, resamples=1000, seed=0)
    table = {
        "record_ids": [selection.record_ids[row] for row in rows],
        "patient_ids": [persons[row] for row in rows],
        "recorded_at": dates[rows],
        "duration_s": seconds[rows],
        "hashes": [hashes[row] for row in rows],
    }
    counts = np.unique(table["patient_ids"], return_counts=True)[1]
    told: dict[str, Any] = {
        "title": gallery.title,
        "recordings": len(rows),
        "persons": len(counts),
        "persons_with_several": int((counts > 1).sum()),
        "systems": {},
        "differences": [],
    }
    judged = {}
    for name, values in vectors.items():
        started = time.perf_counter()
        told["systems"][name] = one = {}
        try:
            judged[name] = evaluate_identity_suite(
                values[rows],
                table["patient_ids"],
                recorded_at=table["recorded_at"],
                hashes=table["hashes"],
                draws=draws,
                system=name,
                lead_set=gallery.lead_set,
            )
            one["identification"] = identification(judged[name].result)
        except InputError as error:
            one["identification"] = {"reason": str(error)}
        one |= decision(gallery.lead_set, TemplateTable(vectors=unit(values[rows]), **table))
        one["seconds"] = round(time.perf_counter() - started, 1)
        print(gallery.name, name, one["seconds"], flush=True)
    for metric, subset in (("rank1", "all"), ("eer", "all"), ("rank1", "cross_session")):
        for other in ("untrained", "median beat"):
            try:
                apart = identity_difference(judged["pre-trained"], judged[other], metric, subset=subset)
                told["differences"].append(to_plain(apart))
            except (InputError, KeyError):
                continue
    return told


def unit(values: np.ndarray) -> np.ndarray:
    return unit_length(values).astype(np.float32)


def durations(selection: Selection) -> np.ndarray:
    samples = np.array(selection.column("samples"), dtype=np.float64)
    return samples / np.array(selection.column("sampling_rate_hz"), dtype=np.float64)


def identification(result: Any) -> dict[str, Any]:
    """Returns what the page shows of the suite."""
    kept = ("recordings", "enrolled", "probes", "persons", "impostor_comparisons", "rank1", "rank5", "eer")
    told = {key: to_plain(getattr(result, key)) for key in (*kept, "tar", "gaps", "missing")}
    told["dir"] = None if result.open_set is None else to_plain(result.open_set.dir)
    return told


def decision(lead_set: str, table: TemplateTable) -> dict[str, Any]:
    """Returns the calibration and what screening would catch."""
    tables = {lead_set: table}
    calibration = fit_calibration(tables)
    told: dict[str, Any] = {"notes": list(calibration.notes), "calibration": None, "swaps": None}
    if not calibration.has(lead_set):
        return told
    plain = calibration.to_plain()["lead_sets"][lead_set]
    told["calibration"] = {key: value for key, value in plain.items() if key != "draws"}
    study = study_swaps(tables, calibration, evidence=gather_evidence(tables, calibration))
    if study is not None:
        told["swaps"] = {
            "simulated": len(study.scores),
            "possible": study.possible,
            "recordings": len(study.filed_scores),
            "lowest_prevalence": study.lowest_prevalence(),
            "sentence": study.sentence(),
            "lines": [to_plain(study.line(prevalence=p, budget=b)) for p in PREVALENCES for b in BUDGETS],
        }
    return told


def number(interval: dict[str, Any] | None, digits: int = 3) -> str:
    if interval is None or interval.get("value") is None:
        return "-"
    if interval.get("low") is None:
        return f"{interval['value']:.{digits}f}"
    ends = (interval["low"], interval["high"])
    return f"{interval['value']:.{digits}f} [{ends[0]:.{digits - 1}f}, {ends[1]:.{digits - 1}f}]"


def rate(entry: dict[str, Any] | None) -> str:
    if entry is None or entry.get("rate") is None:
        return "not resolved"
    return number(entry["rate"])


def tables(results: dict[str, dict[str, Any]]) -> str:
    lines = ["## Who is recognised", ""]
    for told in results.values():
        lines += [
            f"**{told['title']}**: {told['recordings']} recordings of {told['persons']} persons, "
            f"{told['persons_with_several']} with several",
            "",
            "| | Rank-1 | Rank-1, another day | EER | TAR at FAR 1 % | TAR at FAR 0.1 % | DIR at FAR 10 % |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, system in told["systems"].items():
            one = system["identification"]
            if "reason" in one:
                lines.append(f"| {name} | {one['reason']} | | | | | |")
                continue
            day = next((gap for gap in one["gaps"] if gap["name"] == ANOTHER_DAY), None)
            cells = [
                number(one["rank1"]),
                "-" if day is None or day["rank1"] is None else number(day["rank1"]),
                number(one["eer"]),
                rate(one["tar"].get("0.01")),
                rate(one["tar"].get("0.001")),
                rate((one["dir"] or {}).get("0.1")),
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## What a similarity is worth", ""]
    lines += [
        "| gallery | system | persons with a pair | cost before | cost after | lowest possible |",
        "|---|---|---|---|---|---|",
    ]
    for told in results.values():
        for name, system in told["systems"].items():
            report = (system["calibration"] or {}).get("report")
            if report is None:
                why = "; ".join(system["notes"]) or "too few persons to leave some out"
                lines.append(f"| {told['title']} | {name} | not judged: {why} | | | |")
                continue
            cells = [number(report[key]) for key in ("cllr_before", "cllr", "cllr_min")]
            lines.append(f"| {told['title']} | {name} | {report['persons']} | " + " | ".join(cells) + " |")
    lines += ["", "## What screening would catch", ""]
    for told in results.values():
        lines += [*swap_table(told), ""]
    return "\n".join(lines)


def swap_table(told: dict[str, Any]) -> list[str]:
    head = [
        f"**{told['title']}**",
        "",
        "| | cases looked at | share caught | false alerts | "
        + " | ".join(f"right at {100 * p:g} %" for p in PREVALENCES)
        + " | cannot tell below |",
        "|---|---|---|---|" + "---|" * len(PREVALENCES) + "---|",
    ]
    for name, system in told["systems"].items():
        swaps = system["swaps"]
        if swaps is None:
            head.append(f"| {name} | not calibrated |" + " |" * (3 + len(PREVALENCES)))
            continue
        lowest = swaps["lowest_prevalence"]
        for budget in PAGE_BUDGETS:
            lines = [one for one in swaps["lines"] if one["budget"] == budget]
            label = f"the first {budget}" if budget else "clear"
            end = ("-" if lowest is None else f"{100 * lowest:.2g} %") if budget == 0 else ""
            alerts = lines[0]["false_alerts"]
            alone = f"{alerts['value']:.2g}"
            cells = [name, label, number(lines[0]["sensitivity"])]
            cells += [f"none; up to {alone}" if lines[0]["bounded"] else alone, *map(precision, lines), end]
            head.append("| " + " | ".join(cells) + " |")
    return head


def precision(line: dict[str, Any]) -> str:
    value = line["precision"]
    if line["bounded"]:
        return f"from {percent(value['low'])} on"
    return f"{percent(value['value'])} [{percent(value['low'])}, {percent(value['high'])}]"


def percent(share: float) -> str:
    return f"{100.0 * share:.2g} %"


def write_page(results: dict[str, dict[str, Any]]) -> None:
    text = PAGE.read_text() if PAGE.exists() else "<!-- tables -->\n<!-- end of tables -->\n"
    new = f"<!-- tables -->\n\n{tables(results)}\n<!-- end of tables -->"
    PAGE.write_text(re.sub(r"<!-- tables -->.*<!-- end of tables -->", lambda _: new, text, flags=re.DOTALL))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    names = [gallery.name for gallery in GALLERIES]
    parser.add_argument("--galleries", nargs="+", choices=names, default=names)
    given = parser.parse_args()
    folder = PAGE.with_suffix("")
    folder.mkdir(exist_ok=True)
    embedded: dict[tuple[str, str], Any] = {}
    for gallery in (one for one in GALLERIES if one.name in given.galleries):
        key = (gallery.store, gallery.lead_set)
        if key not in embedded:
            embedded[key] = vectors_of(given.stores, given.bundle, *key)
        told = judge(gallery, *embedded[key])
        (folder / f"{gallery.name}.json").write_text(json.dumps(told, indent=1) + "\n")
    files = {name: folder / f"{name}.json" for name in names}
    write_page({name: json.loads(file.read_text()) for name, file in files.items() if file.exists()})


if __name__ == "__main__":
    main()
