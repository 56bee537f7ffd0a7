"""What a model card says of measurements: the report's sentences, its tables, the any-lead curve."""

from collections.abc import Mapping, Sequence
from typing import Any

from anylead.bundle.markdown import flat, safe, table, without_paths
from anylead.bundle.measured import (
    KEY,
    Curve,
    CurvePoint,
    DataSet,
    Estimate,
    Measured,
    Role,
    Scores,
    measured,
)
from anylead.encoders.base import Readout

_KINDS = {
    "shift": "the probe was fitted on twelve leads and is asked about fewer",
    "information": "a probe of its own was fitted on the same leads",
}

_ROLES = {"other": "another model", "baseline": "baseline"}


def measured_section(numbers: Mapping[str, Any], *, heads: Sequence[str], figure: str | None) -> str:
    """Returns the section on what was measured, with whatever other figures came along.

    Args:
        numbers: Of a `BundleManifest`.
        heads: Names of the bundle's heads.
        figure: Name of the file that shows the any-lead curve, where there is one.
    """
    found = measured(numbers)
    told = ["## Measured"]
    if found is None:
        told.append("No evaluation came with this bundle: `anylead evaluate suite` makes one.")
    else:
        told += [*_protocol(found, heads), *_summary(found)]
        for scores in found.tables:
            told += [f"### {scores.title}", safe(scores.told), _scores(scores)]
        told += _any_leads(found, figure)
    return "\n\n".join([*told, *_other_numbers(numbers, evaluated=found is not None)]) + "\n"


def _protocol(found: Measured, heads: Sequence[str]) -> list[str]:
    size = ""
    if found.recordings is not None:
        size = f"{found.recordings} test recordings" + _patients(found)
        size = f" Classification: {size}, {found.classes} classes."
    told = [
        f"By `anylead evaluate suite{' --quick' if found.quick else ''}` ({safe(found.made)}) on "
        f"{_judged_on(found.data)}; the fingerprint of the bundle is `{found.bundle}`.{size} In brackets: "
        f"95 % intervals over patients, from {found.resamples} resamples."
    ]
    told.append(
        "What is judged is the **encoder**: frozen, with a probe (logistic regression) fitted on training "
        "recordings of the same data, unless a row says otherwise. **Baselines** have nothing of this "
        "pre-training: *untrained* encoders have random weights, *hand-made features* and the *median beat* "
        "need no learning, *supervised* networks and those *from scratch* learn from the labels alone."
        + (f" The probabilities of {_named(heads)} were not judged." if heads else "")
    )
    if found.readout is not None:
        told.append(_read(found.readout))
    if any(one.source == "synthetic" for one in found.data):
        told.append("**Synthetic patients do not exist**: these numbers say nothing about real ECGs.")
    return told


def _patients(found: Measured) -> str:
    if any(not one.patients_known for one in found.data):
        return f" of {found.patients} patients (a recording counts as one where patients are not published)"
    return f" of {found.patients} patients"


def _judged_on(data: Sequence[DataSet]) -> str:
    named = list(dict.fromkeys(one.shown for one in data))
    return ", ".join(named) if named else "recordings that the report does not name"


def _named(heads: Sequence[str]) -> str:
    return f"the head{'s' if len(heads) > 1 else ''} {', '.join(f'`{one}`' for one in heads)}"


def _read(readout: Readout) -> str:
    """Says how to get the embeddings that were judged."""
    return (
        f"The encoder was read at layer {readout.layer} with pooling `{readout.pooling}`, chosen on "
        "validation recordings. `embed` reads otherwise unless told: "
        f'`readout=Readout(layer={readout.layer}, pooling="{readout.pooling}")`, from `anylead.encoders`.'
    )


def _summary(found: Measured) -> list[str]:
    if not found.summary:
        return []
    sentences = "\n".join(f"- {safe(without_paths(sentence))}" for sentence in found.summary)
    return [f"The report's summary, word for word; `{safe(found.judged)}` is this bundle:", sentences]


def _scores(scores: Scores) -> str:
    return table(scores.columns, [(_named_by_role(row.name, row.role), *row.cells) for row in scores.rows])


def _named_by_role(name: str, role: Role | None) -> str:
    if role is None:
        return name
    return f"**{name}**" if role == "this" else f"{name} ({_ROLES[role]})"


def _any_leads(found: Measured, figure: str | None) -> list[str]:
    if not found.curves:
        why = (
            "is not in a short report: evaluate without `--quick`" if found.quick else "is not in this report"
        )
        return ["### Any leads", f"The curve over the number of leads {why}."]
    told = [
        "### Any leads",
        "Up to five subsets of each number of leads were drawn once and for all; each counts alike. "
        f"**Shift**: {_KINDS['shift']}, as when electrodes fall off. **Information**: "
        f"{_KINDS['information']}: how much can be known from them."
        + ("" if found.curve_recordings is None else f" {_curve_size(found)}"),
    ]
    if figure is not None:
        told.append(f"![{_described(found.curves)}]({figure})")
    for kind in _KINDS:
        told += _curve_table([one for one in found.curves if one.kind == kind], kind)
    return told


def _curve_size(found: Measured) -> str:
    return (
        f"Judged on the {found.curve_recordings} test recordings of {found.curve_patients} patients that "
        "have all twelve leads."
    )


def _curve_table(curves: Sequence[Curve], kind: str) -> list[str]:
    if not curves:
        return []
    sizes = sorted({point.leads for one in curves for point in one.points})
    rows: list[tuple[object, ...]] = [
        (str(size), *(_at(one.points, size) for one in curves)) for size in sizes
    ]
    rows.append(("**mean**", *(one.number for one in curves)))
    metric = curves[0].metric
    return [
        f"{metric[:1].upper()}{metric[1:]} by number of leads, {kind}:",
        table(("leads", *map(_curve_name, curves)), rows),
    ]


def _curve_name(curve: Curve) -> str:
    return _named_by_role("this encoder" if curve.role == "this" else curve.system, curve.role)


def _at(points: Sequence[CurvePoint], size: int) -> Estimate | str:
    return next((point.score for point in points if point.leads == size), "-")


def _described(curves: Sequence[Curve]) -> str:
    """Returns the curve in words, for those who do not see it."""
    told = []
    for one in (one for one in curves if one.role == "this" and one.points):
        first, last = one.points[0], one.points[-1]
        told.append(
            f"{one.kind}: {first.score} at the fewest leads ({first.leads}), {last.score} at the most "
            f"({last.leads})"
        )
    # Brackets would end the text early.
    plain = "; ".join(told).replace("[", "(").replace("]", ")")
    return safe(f"{curves[0].metric} of this encoder and of baselines by number of leads. {plain}")


def _other_numbers(numbers: Mapping[str, Any], *, evaluated: bool) -> list[str]:
    """Returns figures that came along and that nothing else on the card tells."""
    known = {"pretraining", *([KEY] if evaluated else [])}
    rest = {name: value for name, value in numbers.items() if name not in known}
    if not rest:
        return []
    rows = [(name, flat(value) if isinstance(value, Mapping) else value) for name, value in rest.items()]
    return ["### Further numbers", "As they were handed on:", table(("what", "value"), rows)]
