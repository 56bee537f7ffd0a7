"""From a report of ``anylead evaluate suite`` to what a bundle carries and its card tells."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anylead.bundle.measured import Curve, CurvePoint, DataSet, Estimate, Measured, Role, Row, Scores
from anylead.config import from_plain
from anylead.encoders.base import Readout
from anylead.errors import ConfigError, FileError, InputError
from anylead.evaluation.identity_parts import ANOTHER_DAY
from anylead.evaluation.lead_section import PROBES, QUESTIONS
from anylead.evaluation.multiplicity import beats_all
from anylead.evaluation.report import FORMAT
from anylead.evaluation.results import Difference
from anylead.evaluation.sections import column_name
from anylead.sources.challenge import SCORED_CLASSES

REPORT = "report.json"
_PROBE = "probe"
_UNTRAINED = "untrained"
_KINDS = (_UNTRAINED, "hand-made features", "median beat")
"""Baselines that come in several readings or seeds, of which the hardest is shown; any other is a kind of its
own."""

_FINDINGS = {one.abbreviation: one.name for one in SCORED_CLASSES}

Plain = Mapping[str, Any]


def read_report(path: Path) -> dict[str, Any]:
    """Reads a report.

    Args:
        path: ``report.json``, or the folder that holds it.

    Raises:
        FileError: If there is none, or it is not a report of this version.
    """
    file = path / REPORT if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            f"{file}: the report cannot be read ({str(error).splitlines()[0]}); give the folder that anylead "
            "evaluate suite wrote."
        ) from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise FileError(
            f"{file}: is no report of format {FORMAT}; give the folder that anylead evaluate suite wrote."
        )
    return report


def measured_of(report: Plain, *, bundle: str, own: Readout, where: str) -> Measured:
    """Returns what a report says of one bundle.

    Args:
        report: From `read_report`.
        bundle: Fingerprint of the bundle, which must be the one the report judges.
        own: The bundle's read-out.
        where: What to call the report in an error.

    Raises:
        InputError: If the report judges no bundle, or another one.
        FileError: If its content cannot be understood.
    """
    provenance = report.get("provenance") or {}
    name = provenance.get("judged")
    judged = (provenance.get("bundles") or {}).get(name)
    if not isinstance(judged, str):
        raise InputError(
            f"{where}: judges no bundle; give a report that anylead evaluate suite made of this one."
        )
    if judged != bundle:
        raise InputError(
            f"{where}: is about {name}, a bundle with the fingerprint {judged}, and this one has {bundle}; "
            "give the report of this bundle, or make it with anylead evaluate suite."
        )
    try:
        return _Reading(report, own=own).measured()
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise FileError(
            f"{where}: the report cannot be understood ({type(error).__name__}: {error}); evaluate the "
            "bundle again with this version."
        ) from error


class _Reading:
    """One report, and what its names mean."""

    def __init__(self, report: Plain, *, own: Readout) -> None:
        self.report, self.own = report, own
        self.provenance: Plain = report["provenance"]
        self.config: Plain = self.provenance["config"]
        self.name: str = self.provenance["judged"]
        self.results = [one for one in report["results"] if isinstance(one, Mapping)]
        # The judged bundle stands first, then those that were given beside it, then what the suite made.
        self.others = list(self.provenance["bundles"])[1 : len(self.config["bundles"])]
        self.claims: dict[str, list[Difference]] = {
            task: [from_plain(Difference, one) for one in found]
            for part in self.results
            for task, found in (part.get("claims") or {}).items()
        }

    def measured(self) -> Measured:
        environment: Plain = self.provenance.get("environment") or {}
        made = [
            f"anylead {environment.get('anylead', 'unknown')}",
            f"commit {environment['commit']}" if environment.get("commit") else "",
            str(environment.get("time", ""))[:10],
        ]
        probe = self._result(f"{self.name}, {_PROBE}")
        return Measured(
            judged=self.name,
            bundle=self.provenance["bundles"][self.name],
            made=", ".join(part for part in made if part),
            data=tuple(from_plain(DataSet, one) for one in self.provenance.get("data", ())),
            recordings=probe["records"] if probe else None,
            patients=probe["patients"] if probe else None,
            classes=len(probe["per_class"]) if probe else None,
            readout=self._readout(),
            resamples=self.config["resamples"],
            quick=bool(self.config.get("quick")),
            summary=tuple(self.report["summary"]),
            tables=tuple(self._tables(probe)),
            curves=tuple(self._curves()),
            curve_recordings=self._curve_count("recordings"),
            curve_patients=self._curve_count("patients"),
        )

    def _tables(self, probe: Plain | None) -> Iterable[Scores]:
        if probe:
            yield self._classification()
            yield _classes(probe)
        yield from self._identification()
        for kind in QUESTIONS:
            yield from self._fixed_leads(kind)

    def _role(self, system: str) -> Role:
        if any(system == other or system.startswith(f"{other}, ") for other in self.others):
            return "other"
        # What the judged model has to beat is no reading of it, whatever it is called.
        beaten = {one.b for found in self.claims.values() for one in found}
        mine = system == self.name or system.startswith(f"{self.name}, ")
        return "this" if mine and system not in beaten else "baseline"

    def _shown(self, system: str) -> str:
        """Returns what a system is called on the card."""
        if self._role(system) != "this":
            return system
        return f"this encoder{system.removeprefix(self.name)}"

    def _result(self, system: str) -> Plain | None:
        return next((one for one in self._as_recorded() if one["system"] == system), None)

    def _as_recorded(self) -> list[Plain]:
        return [one for one in self.results if "macro_auroc" in one and one.get("lead_set") == "as recorded"]

    def _classification(self) -> Scores:
        found = {one["system"]: one for one in self._as_recorded()}
        rows = self._rows(
            list(found),
            claims=self.claims.get("Classification", []),
            order=lambda name: _number(found[name]["macro_auroc"]),
            cells=lambda name: (
                _estimate(found[name]["macro_auroc"]),
                _estimate(found[name]["clean_macro_auroc"]),
            ),
        )
        clean = next(iter(found.values()))["clean_classes"]
        return Scores(
            title="Finding classes, with the leads as recorded",
            told="AUROC is 0.5 by chance and 1 at best; macro is the mean over classes. Clean: over the "
            f"{len(clean)} classes that 10 recordings or more have and 10 or more have not. The last columns "
            "compare this encoder's probe with the baselines, on the same resamples and corrected for their "
            "number: how far it is from the hardest, and how many it is shown to beat. Pre-training is said "
            "to help only where that is all of them.",
            columns=(
                "system",
                "macro AUROC",
                "clean macro AUROC",
                "the probe minus it",
                "beaten",
            ),
            rows=tuple(rows),
        )

    def _identification(self) -> Iterable[Scores]:
        everything = [one for one in self.results if "rank1" in one and "gaps" in one]
        if not everything:
            return
        claims = self.claims.get("Identification", [])
        most = max(everything, key=lambda one: one["probes"])["lead_set"]
        leads = claims[0].lead_set if claims else most
        found = {one["system"]: one for one in everything if one["lead_set"] == leads}
        mine = claims[0].a if claims else next(iter(found))
        first = found[mine]
        whitened = (
            " Whitened: by the scatter between windows of unlabelled training recordings."
            if any(system.endswith(", whitened") for system in found)
            else ""
        )
        yield Scores(
            title=f"Whose heart it is, with {_spoken(leads)}",
            told=f"{first['probes']} later recordings of {first['persons']} persons are looked up among "
            f"{first['enrolled']} enrolled by their earliest. Rank-1: part of them whose person comes first. "
            f"Equal error rate (EER): less is better.{whitened} The claim rests on: {self._shown(mine)}.",
            columns=(
                "system",
                "Rank-1",
                f"Rank-1, {ANOTHER_DAY}",
                "EER",
                "this encoder minus it",
                "beaten",
            ),
            rows=tuple(
                self._rows(
                    list(found),
                    claims=claims,
                    order=lambda name: _number(found[name]["rank1"]),
                    cells=lambda name: (
                        _estimate(found[name]["rank1"]),
                        _another_day(found[name]),
                        _estimate(found[name]["eer"]),
                    ),
                )
            ),
        )

    def _rows(
        self,
        systems: Sequence[str],
        *,
        claims: Sequence[Difference],
        order: Callable[[str], float],
        cells: Callable[[str], tuple[Estimate | str, ...]],
    ) -> list[Row]:
        """Yields this encoder, other models, and the hardest baseline of each kind, the best first."""
        compared = {one.b: one for one in claims}
        groups: dict[str, list[str]] = {}
        for system in systems:
            role = self._role(system)
            if role == "baseline" and compared and system not in compared:
                continue
            groups.setdefault(_kind(system) if role == "baseline" else f"{role} {system}", []).append(system)
        rows = []
        for named in groups.values():
            met = [compared[name] for name in named if name in compared]
            hardest = min(met, key=_difference) if met else None
            shown = hardest.b if hardest else max(named, key=order)
            role, told = self._role(shown), self._shown(shown)
            against = (
                ("", "")
                if hardest is None or role != "baseline"
                else (_signed(hardest), f"{sum(beats_all([one]) for one in met)} of {len(met)}")
            )
            many = f"; hardest of {len(named)}" if len(named) > 1 else ""
            rows.append((order(shown), Row(name=f"{told}{many}", role=role, cells=(*cells(shown), *against))))
        places: tuple[Role | None, ...] = ("this", "other", "baseline")
        return [row for _, row in sorted(rows, key=lambda one: (places.index(one[1].role), -one[0]))]

    def _fixed_leads(self, kind: str) -> Iterable[Scores]:
        ending = f", {PROBES[kind]}"  # type: ignore[index]
        grid: dict[str, dict[str, Estimate]] = {}
        systems: dict[str, Role] = {}
        for one in self.results:
            system = one.get("system")
            if "macro_auroc" in one and isinstance(system, str) and system.endswith(ending):
                short = system.removesuffix(ending)
                systems[short] = self._role(short)
                grid.setdefault(one["lead_set"], {})[short] = _estimate(one["macro_auroc"])
        if not grid:
            return
        names = [_headed(self._shown(name), role) for name, role in systems.items()]
        yield Scores(
            title=f"Fixed sets of leads: {kind}",
            told=f"Macro AUROC. {QUESTIONS[kind]}",  # type: ignore[index]
            columns=("leads", *names),
            rows=tuple(
                Row(name=_spoken(leads), cells=tuple(row.get(name, "-") for name in systems))
                for leads, row in grid.items()
            ),
        )

    def _curves(self) -> Iterable[Curve]:
        for one in self.results:
            if "sizes" not in one or "kind" not in one:
                continue
            yield Curve(
                system=one["system"],
                role=self._role(one["system"]),
                kind=one["kind"],
                metric=one["metric"],
                number=_estimate(one["number"]),
                points=tuple(
                    CurvePoint(leads=size["size"], subsets=size["subsets"], score=_estimate(size["score"]))
                    for size in one["sizes"]
                ),
            )

    def _curve_count(self, of: str) -> int | None:
        """Returns on how many test recordings or patients the curves rest, as far as the report says."""
        for one in self.results:
            if "any_leads_recordings" in one:
                return int(one["any_leads_recordings"]["test"][of])
        return None

    def _readout(self) -> Readout | None:
        """Returns how the bundle was read, None where it was read as it reads itself."""
        for one in self.results:
            chosen = (one.get("readouts") or {}).get(self.name)
            if chosen:
                found = Readout(layer=chosen["chosen"]["layer"], pooling=chosen["chosen"]["pooling"])
                return None if found == self.own else found
        return None


def _classes(probe: Plain) -> Scores:
    """Returns each class, as this encoder's probe finds it."""
    return Scores(
        title="Each class",
        told="This encoder's probe; recordings: how many have the class. AUPRC by chance is the part of all "
        "that have it. A class that fewer than 10 recordings have, or have not, has no interval: read it as "
        "unknown.",
        columns=("class", "finding", "recordings", "AUROC", "AUPRC"),
        rows=tuple(
            Row(
                name=one["name"],
                cells=(
                    _FINDINGS.get(one["name"], ""),
                    str(one["positives"]),
                    _estimate(one["auroc"]),
                    _estimate(one["auprc"]),
                ),
            )
            for one in probe["per_class"]
        ),
    )


def _kind(system: str) -> str:
    return next((kind for kind in _KINDS if system.startswith(kind)), system)


def _headed(name: str, role: Role) -> str:
    return f"**{name}**" if role == "this" else f"{name} ({'baseline' if role == 'baseline' else 'another'})"


def _spoken(leads: str) -> str:
    return "leads as recorded" if leads == "as recorded" else column_name(leads)


def _another_day(one: Plain) -> Estimate | str:
    gap = next((gap for gap in one["gaps"] if gap["name"] == ANOTHER_DAY), None)
    if gap is None or gap["rank1"] is None:
        return "-"
    return _estimate(gap["rank1"])


def _estimate(plain: Plain) -> Estimate:
    return Estimate(value=plain["value"], low=plain.get("low"), high=plain.get("high"))


def _number(plain: Plain) -> float:
    return -1.0 if plain["value"] is None else float(plain["value"])


def _difference(one: Difference) -> float:
    return float("inf") if one.interval.value is None else one.interval.value


def _signed(one: Difference) -> str:
    found = one.interval
    if found.value is None:
        return "undefined"
    bounds = "" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
    return f"{found.value:+.3f}{bounds}"
