"""How many passes over recordings a report takes: said before the first one is made."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from anylead.encoders.base import Readout
from anylead.workflows.suite.classification import classification_passes
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.embedders import BundleEmbedder
from anylead.workflows.suite.identity import identity_passes
from anylead.workflows.suite.leads import lead_passes
from anylead.workflows.suite.networks import network_passes, recipes
from anylead.workflows.suite.passes import Pass
from anylead.workflows.suite.plan import CLEAN
from anylead.workflows.suite.readouts import cells_of, readout_passes
from anylead.workflows.suite.robustness import robustness_passes


def planned_passes(contest: Contest) -> list[Pass]:
    """Returns all passes that the parts of a report ask for."""
    planned: list[Pass] = []
    if contest.task is not None:
        planned += classification_passes(contest) + lead_passes(contest)
        planned += network_passes(contest.networks, CLEAN)
        if not contest.quick:
            planned += robustness_passes(contest)
    return planned + identity_passes(contest)


def forecast(contest: Contest) -> str:
    """Returns a table of the passes, one row a kind of system, before anything is trained or chosen.

    Those that an earlier run made are counted too: which they are shows once the networks and read-outs are
    there.
    """
    like, cells = contest.architecture, cells_of(contest)
    expected = contest
    if like is not None:
        # Stand-ins: whoever is not built yet is counted under its name.
        trains = not contest.quick and contest.task is not None
        names = {name: one.protocol for name, one in recipes(contest.config).items()} if trains else {}
        expected = replace(
            contest,
            cells=cells,
            untrained=tuple(replace(like, name=cell.name) for cell in cells),
            networks={name: replace(like, name=shown) for name, shown in names.items()},
        )
    kinds = _kinds(expected)
    choice = readout_passes(contest)
    rows = [("choice of the read-out", *_counts(choice, contest))] if choice else []
    planned = planned_passes(expected)
    rows += [
        (kind, *_counts([one for one in planned if belongs(one)], contest)) for kind, belongs in kinds.items()
    ]
    rows = [row for row in rows if row[1]]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    width = max(len(row[0]) for row in rows)
    table = [f"  {kind:<{width}}  {passes:>6,}  {recordings:>10,}" for kind, passes, recordings in rows]
    return "\n".join(
        [
            "passes of a model over recordings; those that an earlier run made are not made again",
            f"  {'':<{width}}  {'passes':>6}  {'recordings':>10}",
            *table,
        ]
    )


def _kinds(contest: Contest) -> dict[str, Callable[[Pass], bool]]:
    """Returns the rows: the judged model, each beside it, and the kinds of baseline."""

    def named(*names: str) -> Callable[[Pass], bool]:
        return lambda one: one.embedder.name in names

    kinds = {one.name: named(one.name) for one in (contest.judged, *contest.beside)}
    kinds[f"untrained encoders ({len(contest.untrained)})"] = named(*(one.name for one in contest.untrained))
    networks: Sequence[BundleEmbedder] = tuple(contest.networks.values())
    kinds[f"networks trained with labels ({len(networks)})"] = named(*(one.name for one in networks))
    for one in (contest.handmade, contest.median_beat):
        kinds[one.name] = named(one.name)
    return kinds


def _counts(passes: Sequence[Pass], contest: Contest) -> tuple[int, int]:
    """Returns how many different ones there are, and over how many recordings altogether."""
    part_key = contest.passes.part_key
    distinct = {
        (one.embedder.name, _read_of(one), one.condition.name, part_key(one.part), one.gives): one
        for one in passes
    }
    return len(distinct), sum(len(contest.passes.parts[one.part]) for one in distinct.values())


def _read_of(one: Pass) -> Readout | None:
    """Returns what is read of a network: what is tried of one is as many passes."""
    return one.embedder.readout if isinstance(one.embedder, BundleEmbedder) else None
