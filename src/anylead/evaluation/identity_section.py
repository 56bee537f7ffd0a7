"""The section of the report on identification by every protocol."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

from anylead.evaluation.figures import Figure, interval_figure, line_figure
from anylead.evaluation.identity_figures import det_figure, dir_figure
from anylead.evaluation.identity_results import IdentitySuite
from anylead.evaluation.open_set import SPLITS
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import Difference, Interval
from anylead.evaluation.sections import INTERVAL_NOTE, column_name
from anylead.evaluation.verification import MINIMUM_FALSE_ACCEPTANCES

_MOST_DRAWN = 6
_METRICS = {"rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "eer": "equal error rate"}
_PROBES = {"all": "all later recordings", "same_day": "same day", "cross_session": "another date"}


def identity_suite_section(
    suites: Sequence[IdentitySuite],
    differences: Sequence[Difference] = (),
    *,
    title: str = "Whose heart is it?",
    notes: Sequence[str] = (),
    drawn: Sequence[str] | None = None,
) -> Section:
    """Returns tables of systems against lead sets, and figures of the lead set that has the most probes.

    Args:
        suites: Any systems and lead sets; missing pairs stay empty.
        differences: Between systems, from `identity_difference`.
        title: Of the section.
        notes: Sentences of the caller, put first.
        drawn: Systems in the figures; None draws the first six.
    """
    if not suites:
        return Section(title=title, notes=(*notes, "Identification: nothing was judged."))
    lead_sets = list(dict.fromkeys(one.lead_set for one in suites))
    systems = list(dict.fromkeys(one.system for one in suites))
    names = systems[:_MOST_DRAWN] if drawn is None else [name for name in drawn if name in systems]
    main = max(suites, key=lambda one: one.probes).lead_set
    in_main = {one.system: one for one in suites if one.lead_set == main}
    shown = {name: in_main[name] for name in names if name in in_main}
    tables = _rate_tables(suites)
    for lead_set in lead_sets:
        own = [one for one in suites if one.lead_set == lead_set]
        tables += _curve_tables(own, column_name(lead_set), folded=lead_set != main)
    told = [*notes, INTERVAL_NOTE, *_sizes(suites), _HOW]
    told += [_HOW_OPEN_SET] if any(one.open_set for one in suites) else []
    told += [_HOW_GAP] if any(one.gaps for one in suites) else []
    told += [_HOW_SIZE] if any(one.gallery_sizes for one in suites) else []
    told += [_HOW_ENROLMENT] if any(one.enrolment for one in suites) else []
    told += _missing(suites)
    left = [name for name in systems if name not in shown]
    if left:
        told.append(f"In the tables, not in the figures: {', '.join(left)}.")
    return Section(
        title=title,
        notes=tuple(told),
        tables=(*tables, *_difference_table(differences)),
        figures=tuple(_figures(shown, column_name(main))) if shown else (),
    )


_HOW = (
    "The gallery holds each person's earliest recording; ties count against the system; persons weigh the "
    "same. True acceptance is given where a false acceptance rate means "
    f"{MINIMUM_FALSE_ACCEPTANCES} impostor comparisons or more."
)
_HOW_OPEN_SET = (
    f"Open set: half of the persons are not enrolled, mean over {SPLITS} such halves. A probe of an enrolled "
    "person counts where the person is the most similar entry and is accepted; the threshold accepts no "
    "more of the others' recordings than the false acceptance rate, which is looked at where it means "
    f"{MINIMUM_FALSE_ACCEPTANCES} of these or more."
)
_HOW_GAP = "By time since enrolment: the persons differ from column to column, not the time alone."
_HOW_SIZE = "By persons in the gallery: the exact mean over all galleries of so many of the persons."
_HOW_ENROLMENT = (
    "By recordings enrolled: an entry is the mean of a person's first recordings, each at unit length; the "
    "probes, later ones, are the same along the curve."
)


def _rate_tables(suites: Sequence[IdentitySuite]) -> list[Table]:
    """Returns systems against lead sets, one table a number."""
    picks: list[tuple[str, Callable[[IdentitySuite], Interval | None]]] = [
        ("Rank-1", lambda one: one.rank1),
        ("Rank-5", lambda one: one.rank5),
        ("Rank-10", lambda one: one.rank10),
        ("Equal error rate", lambda one: one.eer),
    ]
    for rate in dict.fromkeys(rate for one in suites for rate in one.tar):
        caption = f"True acceptance at a false acceptance rate of {rate}"
        picks.append((caption, partial(_acceptance, rate)))
    for rate in dict.fromkeys(rate for one in suites if one.open_set for rate in one.open_set.dir):
        caption = f"Open set: detection and identification at a false acceptance rate of {rate}"
        picks.append((caption, partial(_detection, rate)))
    tables = []
    for caption, pick in picks:
        grid: dict[str, dict[str, Interval]] = {}
        for one in suites:
            value = pick(one)
            if value is not None:
                grid.setdefault(one.system, {})[column_name(one.lead_set)] = value
        tables += _grid_table(caption, grid)
    return tables


def _acceptance(rate: str, one: IdentitySuite) -> Interval | None:
    return one.tar[rate].rate if rate in one.tar else None


def _detection(rate: str, one: IdentitySuite) -> Interval | None:
    return one.open_set.dir[rate].rate if one.open_set and rate in one.open_set.dir else None


def _curve_tables(suites: Sequence[IdentitySuite], leads: str, *, folded: bool) -> list[Table]:
    """Returns what recognition depends on, one lead set."""
    sizes = {one.system: {str(point.at): point.rate for point in one.gallery_sizes} for one in suites}
    enrolled = {
        one.system: {str(point.recordings): point.rank1 for point in one.enrolment.points}
        for one in suites
        if one.enrolment
    }
    enrolled_eer = {
        one.system: {str(point.recordings): point.eer for point in one.enrolment.points}
        for one in suites
        if one.enrolment
    }
    tables = [
        *_grid_table(f"Rank-1 by time since enrolment, {leads}", _by_gap(suites, "rank1"), folded),
        *_grid_table(f"Equal error rate by time since enrolment, {leads}", _by_gap(suites, "eer"), folded),
        *_grid_table(f"Rank-1 by persons in the gallery, {leads}", sizes, folded),
        *_grid_table(f"Rank-1 by recordings enrolled, {leads}", enrolled, folded),
        *_grid_table(f"Equal error rate by recordings enrolled, {leads}", enrolled_eer, folded),
    ]
    bands = sorted({(count.first, str(count)) for one in suites for count in one.ranks})
    rows = tuple(
        (
            one.system,
            f"{one.median_rank:g}",
            *({str(count): str(count.probes) for count in one.ranks}.get(band, "0") for _, band in bands),
        )
        for one in suites
    )
    columns = ("System", "median", *(band for _, band in bands))
    caption = f"Probes by the place of their person, {leads}"
    return [*tables, Table(caption=caption, columns=columns, rows=rows, folded=True)]


def _by_gap(
    suites: Sequence[IdentitySuite], metric: Literal["rank1", "eer"]
) -> dict[str, dict[str, Interval]]:
    """Returns systems to gaps, those that are scored."""
    grid: dict[str, dict[str, Interval]] = {}
    for one in suites:
        for gap in one.gaps:
            value = gap.rank1 if metric == "rank1" else gap.eer
            if value is not None:
                grid.setdefault(one.system, {})[gap.name] = value
    return grid


def _grid_table(
    caption: str, grid: Mapping[str, Mapping[str, Interval]], folded: bool = False
) -> list[Table]:
    """Returns one table, or none where there is nothing to show."""
    columns = tuple(dict.fromkeys(column for row in grid.values() for column in row))
    rows = tuple(
        (system, *(row.get(column, "not evaluated") for column in columns)) for system, row in grid.items()
    )
    if not columns:
        return []
    return [Table(caption=caption, columns=("System", *columns), rows=rows, folded=folded)]


def _difference_table(differences: Sequence[Difference]) -> list[Table]:
    if not differences:
        return []
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{difference.a} minus {difference.b}",
            _METRICS.get(difference.metric, difference.metric),
            column_name(difference.lead_set),
            _PROBES[difference.subset or "all"],
            "undefined" if difference.interval.value is None else _signed(difference.interval),
            "yes" if difference.excludes_zero else "no",
        )
        for difference in differences
    )
    columns = ("Systems", "Metric", "Leads", "Probes", "Difference", "Excludes zero")
    return [Table(caption="Paired differences, on the same resamples", columns=columns, rows=rows)]


def _signed(interval: Interval) -> str:
    bounds = "" if interval.low is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.value:+.3f}{bounds}"


def _figures(suites: Mapping[str, IdentitySuite], leads: str) -> list[Figure]:
    cmc = {name: [(point.at, point.rate) for point in one.cmc] for name, one in suites.items()}
    sizes = {name: [(point.at, point.rate) for point in one.gallery_sizes] for name, one in suites.items()}
    figures = [
        line_figure(
            cmc,
            caption=f"Cumulative match (CMC), {leads}",
            axis="person among them",
            x_axis="candidates looked at",
            log_x=True,
        ),
        det_figure(suites, caption=f"Detection error trade-off, {leads} (dotted: equal errors)"),
    ]
    dir_curves = {name: one.open_set.curve for name, one in suites.items() if one.open_set}
    if dir_curves:
        figures.append(dir_figure(dir_curves, caption=f"Open set, {leads}"))
    # Two lines a name: in one line they would run into each other.
    gaps = {
        name: {gap.replace(" ", "\n", 1): rate for gap, rate in row.items()}
        for name, row in _by_gap(list(suites.values()), "rank1").items()
    }
    if gaps:
        figures.append(
            interval_figure(
                gaps,
                caption=f"Rank-1 by time since enrolment, {leads}",
                axis="Rank-1",
                columns_axis="time since enrolment",
            )
        )
    if any(sizes.values()):
        figures.append(
            line_figure(
                sizes,
                caption=f"Rank-1 by persons in the gallery, {leads}",
                axis="Rank-1",
                x_axis="persons in the gallery",
                log_x=True,
            )
        )
    enrolled = {
        name: [(point.recordings, point.rank1) for point in one.enrolment.points]
        for name, one in suites.items()
        if one.enrolment
    }
    if enrolled:
        figures.append(
            line_figure(
                enrolled,
                caption=f"Rank-1 by recordings enrolled, {leads}",
                axis="Rank-1",
                x_axis="recordings enrolled of each person",
            )
        )
    return figures


def _sizes(suites: Sequence[IdentitySuite]) -> list[str]:
    """Returns what was judged, once where it is the same for all."""
    told: dict[str, list[str]] = {}
    for one in suites:
        sentence = (
            f"{one.probes} probes of {one.persons} persons among {one.enrolled} enrolled, "
            f"{one.impostor_comparisons} impostor comparisons"
        )
        sentence += f"; duplicates left out: {one.duplicates_dropped}" if one.duplicates_dropped else ""
        sentence += f"; without an embedding: {one.not_embedded}" if one.not_embedded else ""
        told.setdefault(sentence, []).append(_where(one))
    return [f"{_of(places, suites)}{sentence}." for sentence, places in told.items()]


def _missing(suites: Sequence[IdentitySuite]) -> list[str]:
    """Returns what could not be made, and why, once where it is the same for all."""
    told: dict[str, list[str]] = {}
    for one in suites:
        sentences = list(one.missing)
        sentences += [f"Not scored, {gap.name}: {gap.reason}." for gap in one.gaps if gap.reason]
        sentences += [
            f"No true acceptance at a false acceptance rate of {rate}: {entry.reason}."
            for rate, entry in one.tar.items()
            if entry.reason
        ]
        if one.open_set:
            sentences += [
                f"No open-set rate at a false acceptance rate of {rate}: {found.reason}."
                for rate, found in one.open_set.dir.items()
                if found.reason
            ]
        for sentence in sentences:
            told.setdefault(sentence, []).append(_where(one))
    return [f"{_of(places, suites)}{sentence}" for sentence, places in told.items()]


def _where(one: IdentitySuite) -> str:
    return column_name(one.lead_set)


def _of(places: Sequence[str], suites: Sequence[IdentitySuite]) -> str:
    """Returns the lead sets in front of a sentence, nothing where they are all."""
    own = dict.fromkeys(places)
    return "" if len(own) == len({one.lead_set for one in suites}) else f"{', '.join(own)}: "
