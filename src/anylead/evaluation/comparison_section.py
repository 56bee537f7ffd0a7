"""The page of a comparison: the answer in sentences, then tables and figures for each task."""

import math
from collections.abc import Sequence

from anylead.evaluation.comparison import (
    METRICS,
    ClassDifference,
    OneSided,
    Pair,
    PairedDifference,
    PairedPart,
    Verdict,
)
from anylead.evaluation.comparison_figure import difference_figure
from anylead.evaluation.figures import Figure
from anylead.evaluation.multiplicity import SIGNIFICANCE
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.report_comparison import Comparison, PublishedPair, Side
from anylead.evaluation.results import Interval
from anylead.evaluation.sections import condition_name

_NAMES = {
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "rank1": "Rank-1",
    "rank1_cross_session": "Rank-1 on another date",
}
_OPENINGS: dict[Verdict, str] = {
    "A better": "A is better than B in",
    "B better": "B is better than A in",
    "not shown": "No difference is shown in",
    "identical": "A and B are identical in",
    "undefined": "There is no answer in",
}
"""In the order of the sentences."""
_TITLES = {"classification": "Classification", "identification": "Whose heart is it?"}
_FIGURE_ROWS = 30
"""A figure of more conditions could not be read."""
_SHOWN_ROWS = 15
"""Longer tables are folded."""
_NAMED = 3


def comparison_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Returns the answer: where A is better, where nothing is shown, where B is better, on whom."""
    paired = comparison.paired
    sentences = [f"{_side('A', comparison.a)}; {_side('B', comparison.b)}."]
    means = [one for one in paired.means if one.pair in comparison.main]
    for verdict, opening in _OPENINGS.items():
        sentences += [f"{opening} {_told(one, comparison.main)}." for one in means if one.verdict == verdict]
    if means:
        sentences.append(
            f"Paired on what both judged: {_range([one.records for one in means])} recordings of "
            f"{_range([one.patients for one in means])} patients. In brackets are 95 % intervals over "
            f"{comparison.resamples} resamples of the patients; p is corrected by Holm for the "
            f"{len(means)} differences above. A difference is shown where p is below {SIGNIFICANCE:g} and "
            "the interval leaves out zero."
        )
    elif comparison.published:
        sentences.append(
            "Nothing could be paired, so which is better cannot be said with certainty: "
            "only the published intervals stand side by side below, unpaired."
        )
    else:
        sentences.append("The two have nothing in common that could be compared.")
    return (*sentences, *comparison.notes)


def comparison_sections(comparison: Comparison) -> tuple[Section, ...]:
    """Returns a section for each task, one for what could not be paired, one for systems of the same name."""
    sections = []
    main = [one for one in comparison.paired.differences if one.pair in comparison.main]
    for task, title in _TITLES.items():
        chosen = [one for one in main if one.task == task]
        if chosen:
            classes = comparison.paired.classes if task == "classification" else ()
            shown = [one for one in classes if one.pair in comparison.main]
            sections.append(_task_section(title, chosen, shown, comparison))
    if comparison.published:
        sections.append(_published_section(comparison.published, comparison.main))
    others = [one for one in comparison.paired.differences if one.pair not in comparison.main]
    if others:
        sections.append(_same_name_section(others))
    left_out = _left_out_section(comparison.paired)
    return (*sections, *([left_out] if left_out else []))


def _side(letter: str, side: Side) -> str:
    return f"{letter} is {side.judged} in {side.folder}" if side.judged else f"{letter} is {side.folder}"


def _told(one: PairedDifference, main: Sequence[Pair]) -> str:
    where = f"{one.task} by {one.protocol}"
    where += f", {one.pair.a}" if len(main) > 1 else ""
    over = f"mean of {one.conditions} conditions" if one.conditions > 1 else condition_name(one.condition)
    p = "" if one.p_holm is None else f"; p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{_p(one.p_holm)}"
    return f"{where}: {_NAMES[one.metric]} {_signed(one.difference)} ({over}{p})"


def _task_section(
    title: str,
    differences: Sequence[PairedDifference],
    classes: Sequence[ClassDifference],
    comparison: Comparison,
) -> Section:
    groups: dict[tuple[Pair, str, str], list[PairedDifference]] = {}
    for one in differences:
        groups.setdefault((one.pair, one.protocol, one.metric), []).append(one)
    first = METRICS[differences[0].task][0]
    notes = [
        "A difference is A minus B: above zero, A is better. p is corrected by Holm for the rows of its "
        "table, or, where a row stands among the answers at the top of the page, for these. A row reads as "
        f"better where p is below {SIGNIFICANCE:g} and the interval leaves out zero. Not shown does not mean "
        "equal: the interval says how large a difference may still be."
    ]
    tables: list[Table] = []
    figures: list[Figure] = []
    for (pair, protocol, metric), rows in sorted(groups.items(), key=lambda item: item[0][2] != first):
        name = f"{_NAMES[metric]}, {protocol}"
        name += f", {pair.a}" if len(comparison.main) > 1 else ""
        tables.append(_difference_table(name, rows, folded=metric != first or len(rows) > _SHOWN_ROWS))
        if metric != first:
            continue
        notes += [_counted(name, rows)] if len(rows) > 1 else []
        notes += _too_few_resamples(name, rows, comparison.resamples)
        if 1 < len(rows) <= _FIGURE_ROWS:
            figures.append(difference_figure(rows, caption=name, axis=f"{_NAMES[metric]}, A minus B"))
    tables += _class_tables(classes)
    return Section(title=title, notes=tuple(notes), tables=tuple(tables), figures=tuple(figures))


def _difference_table(name: str, rows: Sequence[PairedDifference], *, folded: bool) -> Table:
    return Table(
        caption=name,
        columns=("Condition", "A", "B", "A minus B", "p (Holm)", "Reads as", "Judged on"),
        rows=tuple(
            (
                condition_name(one.condition),
                _number(one.a),
                _number(one.b),
                _signed(one.difference),
                "" if one.p_holm is None else _p(one.p_holm),
                one.verdict,
                f"{one.records} recordings, {one.patients} patients",
            )
            for one in rows
        ),
        folded=folded,
    )


def _counted(name: str, rows: Sequence[PairedDifference]) -> str:
    found = {
        verdict: [condition_name(one.condition) for one in rows if one.verdict == verdict]
        for verdict in _OPENINGS
    }
    told = [f"{verdict} in {len(where)} ({_some(where)})" for verdict, where in found.items() if where]
    return f"{name}, of {len(rows)} conditions: {'; '.join(told)}."


def _too_few_resamples(name: str, rows: Sequence[PairedDifference], resamples: int) -> list[str]:
    """Says so where even the smallest p that the resamples allow could not be below 5 % after correction."""
    family = sum(one.p_value is not None for one in rows)
    least = 2.0 / (resamples + 1)
    if least * family < SIGNIFICANCE:
        return []
    return [
        f"{name}: {resamples} resamples allow no p below {least:.2g}, which {family} rows raise to "
        f"{min(1.0, least * family):.2g}: compare again with {math.floor(2.0 * family / SIGNIFICANCE)} "
        "resamples to tell more."
    ]


def _class_tables(classes: Sequence[ClassDifference]) -> list[Table]:
    """Returns the classes under the first condition of each pair and protocol."""
    first: dict[tuple[Pair, str], str] = {}
    chosen: dict[tuple[Pair, str], list[ClassDifference]] = {}
    for one in classes:
        where = one.pair, one.protocol
        if first.setdefault(where, one.condition) == one.condition:
            chosen.setdefault(where, []).append(one)
    return [
        Table(
            caption=f"AUROC of each class, {protocol}, {condition_name(first[pair, protocol])}, "
            "without correction",
            columns=("Class", "Positives", "A", "B", "A minus B"),
            rows=tuple(
                (one.name, str(one.positives), _number(one.a), _number(one.b), _signed(one.difference))
                for one in rows
            ),
            folded=True,
        )
        for (pair, protocol), rows in chosen.items()
    ]


def _published_section(published: Sequence[PublishedPair], main: Sequence[Pair]) -> Section:
    shown = [one for one in published if one.pair in main] or list(published)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            ", ".join(part for part in (_NAMES[one.metric], one.protocol, one.condition, one.subset) if part),
            one.a,
            one.b,
            {True: "yes", False: "no", None: "not known"}[one.apart],
        )
        for one in shown
    )
    table = Table(
        caption="Published values",
        columns=("What", "A", "B", "Intervals apart"),
        rows=rows,
        folded=len(rows) > 40,
    )
    return Section(
        title="Not paired: what each report published",
        notes=(
            "These stand side by side without a test: they may be of other recordings. Intervals that "
            "overlap do not show that there is no difference.",
        ),
        tables=(table,),
    )


def _same_name_section(differences: Sequence[PairedDifference]) -> Section:
    groups: dict[tuple[str, str, str], list[PairedDifference]] = {}
    for one in differences:
        if one.metric == METRICS[one.task][0]:
            groups.setdefault((_pair(one.pair), one.task, one.protocol), []).append(one)
    rows: list[tuple[Cell, ...]] = []
    for (name, task, protocol), members in groups.items():
        counts = [sum(one.verdict == verdict for one in members) for verdict in ("A better", "B better")]
        same = sum(one.verdict == "identical" for one in members)
        largest = max((abs(one.difference.value or 0.0) for one in members), default=0.0)
        numbers = (str(len(members)), str(same), f"{largest:.3f}", *map(str, counts))
        rows.append((name, f"{task}, {protocol}", *numbers))
    columns = ("System", "Judged by", "Conditions", "Identical", "Largest difference", "A better", "B better")
    return Section(
        title="Systems of the same name in both reports",
        notes=(
            "Baselines made with the same seed on the same recordings should be identical: where they are "
            "not, something else than the judged systems differs between the reports.",
        ),
        tables=(Table(caption="First metric of each task", columns=columns, rows=tuple(rows)),),
    )


def _left_out_section(paired: PairedPart) -> Section | None:
    notes = [f"{one.a} and {one.b.system} are not paired: {one.reason}" for one in paired.refused]
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[OneSided]] = {}
    for one in paired.one_sided:
        groups.setdefault((one.only_a, one.only_b), []).append(one)
    for (only_a, only_b), members in groups.items():
        told = [
            f"{len(names)} recordings that only {letter} judged ({_some(names)})"
            for letter, names in (("A", only_a), ("B", only_b))
            if names
        ]
        where = _some(list(dict.fromkeys(str(one.a) for one in members)))
        notes.append(f"Left out: {' and '.join(told)}, in {where}.")
    return Section(title="What was left out", notes=tuple(notes)) if notes else None


def _pair(pair: Pair) -> str:
    return pair.a if pair.a == pair.b else f"{pair.a} / {pair.b}"


def _signed(interval: Interval) -> str:
    if interval.value is None:
        return "undefined"
    bounds = "" if interval.low is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.value:+.3f}{bounds}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _p(value: float) -> str:
    return "1" if value >= 1.0 else f"{value:.3f}"


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
