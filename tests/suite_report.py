"""A report of the evaluation suite in small, made of the same results and written by the same code."""

from pathlib import Path

import numpy as np

from anylead.evaluation.identity_parts import ANOTHER_DAY
from anylead.evaluation.identity_results import GapScore, IdentitySuite
from anylead.evaluation.lead_protocol import lead_curve, sample_subsets
from anylead.evaluation.lead_section import PROBES
from anylead.evaluation.report import Report, write_report
from anylead.evaluation.results import ClassificationResult, ClassScore, Difference, Interval

PTB_XL = {
    "source": "ptb-xl",
    "fingerprint": "f1",
    "licence": "CC BY 4.0",
    "citation": "Wagner P. et al., PTB-XL.",
    "patients_known": True,
}


def around(value: float) -> Interval:
    return Interval(value=value, low=value - 0.05, high=value + 0.05, resamples_used=1000)


def classification(system: str, value: float, lead_set: str = "as recorded") -> ClassificationResult:
    return ClassificationResult(
        system=system,
        lead_set=lead_set,
        macro_auroc=around(value),
        macro_auprc=around(value - 0.2),
        challenge_score=Interval(value=None),
        per_class=tuple(
            ClassScore(name=name, positives=20, auroc=around(value), auprc=around(value - 0.2))
            for name in ("AF", "CLBBB|LBBB")
        ),
        records=120,
        patients=80,
        clean_classes=("AF",),
        clean_macro_auroc=around(value + 0.01),
    )


def identification(system: str, value: float) -> IdentitySuite:
    return IdentitySuite(
        system=system,
        lead_set="12",
        recordings=90,
        enrolled=40,
        probes=50,
        persons=30,
        impostor_comparisons=1950,
        duplicates_dropped=0,
        not_embedded=0,
        rank1=around(value),
        rank5=around(value + 0.1),
        rank10=around(value + 0.2),
        cmc=(),
        ranks=(),
        median_rank=1.0,
        eer=around(0.2),
        tar={},
        det=(),
        open_set=None,
        gaps=(
            GapScore(name="same day", probes=3, persons=3, reason="persons: 3; 10 are needed"),
            GapScore(name=ANOTHER_DAY, probes=47, persons=28, rank1=around(value - 0.1), eer=around(0.2)),
        ),
        gallery_sizes=(),
        enrolment=None,
    )


def difference(a: str, b: str, metric: str, value: float, *, shown: bool) -> Difference:
    return Difference(
        a=a,
        b=b,
        metric=metric,
        interval=around(value),
        excludes_zero=shown,
        lead_set="12",
        p_value=0.001 if shown else 0.5,
        p_holm=0.004 if shown else 1.0,
    )


def write_suite_report(
    folder: Path,
    bundle: str,
    *,
    name: str = "mine",
    wins: bool = False,
    quick: bool = False,
    readout: tuple[int | None, str] | None = None,
    provenance: dict[str, object] | None = None,
    summary: tuple[str, ...] = ("That pre-training helps is not shown.",),
) -> Path:
    """Writes ``report.json`` and ``report.html`` as the suite does.

    Args:
        folder: Where to.
        bundle: Fingerprint of what is judged.
        name: What it is called.
        wins: Whether it beats every baseline.
        quick: Without curves and networks.
        readout: Layer and pooling that were chosen, where they were.
        provenance: Over what the suite would say.
        summary: What stands first.
    """
    mine = 0.85 if wins else 0.75
    rows = {f"{name}, probe": mine, f"{name}, k-NN": mine - 0.02, "theirs, probe": 0.74}
    rows |= {
        "untrained 0, probe": 0.70,
        "untrained 1, gain 2, probe": 0.72,
        "hand-made features, probe": 0.82,
    }
    if not quick:
        rows |= {f"{name}, fine-tuned": mine + 0.01, "supervised S4": 0.68}
    baselines = [one for one in rows if not one.startswith((f"{name}, ", "theirs, "))]
    finding = [
        difference(f"{name}, probe", one, "macro_auroc", mine - rows[one], shown=wins or rows[one] < 0.69)
        for one in baselines
    ]
    persons = {f"{name}, whitened": 0.6, f"{name}, cosine": 0.5, "untrained 0, whitened": 0.3}
    persons |= {"untrained 0, cosine": 0.2, "median beat, cosine": 0.7}
    who = [
        difference(f"{name}, whitened", one, "rank1", 0.6 - persons[one], shown=persons[one] < 0.5)
        for one in ("untrained 0, whitened", "median beat, cosine")
    ]
    fixed = [
        classification(f"{system}, {probe}", value, lead_set)
        for lead_set in ("12", "I")
        for system, value in ((name, mine), ("untrained 0", 0.7))
        for probe in PROBES.values()
    ]
    spread = np.concatenate([[0.0], np.linspace(-0.05, 0.05, 20)])
    curves = [
        lead_curve(
            {leads: value - (12 - len(leads)) / 100 + spread for leads in sample_subsets()},
            system=system,
            kind=kind,
        )
        for system, value in ((name, mine), ("untrained 0", 0.7))
        for kind in PROBES
    ]
    chosen = dict(zip(("layer", "pooling"), readout or (None, ""), strict=True))
    report = Report(
        title=f"{name}: evaluation",
        summary=summary,
        sections=(),
        provenance={
            "judged": name,
            "config": {"bundles": ["here", "there"], "names": [], "resamples": 1000, "quick": quick},
            "bundles": {name: bundle, "theirs": "1234", "untrained 0": "5678"},
            "data": [PTB_XL],
            "environment": {"anylead": "9.9", "commit": "abc", "time": "2030-01-02T03:04:05+00:00"},
            **(provenance or {}),
        },
        results=(
            *([{"readouts": {name: {"chosen": chosen}}}] if readout else ()),
            *(classification(system, value) for system, value in rows.items()),
            *fixed,
            *(identification(system, value) for system, value in persons.items()),
            *(() if quick else curves),
            *(() if quick else [{"any_leads_recordings": {"test": {"recordings": 110, "patients": 75}}}]),
            {"claims": {"Classification": finding, "Identification": who}},
        ),
    )
    write_report(report, folder)
    return folder
