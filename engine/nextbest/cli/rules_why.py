"""`nextbest rules why`: where each action ends for one customer, decided here from files alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from nextbest.action.reasons import Candidate, Explainer
from nextbest.action.weights import REACHED, weight_name, weight_named
from nextbest.assembly import Model, assemble
from nextbest.batch.situation import situation_of
from nextbest.behaviour.quality import NO_ATTITUDE, has_attitude
from nextbest.cli.options import AsOf, parse_time
from nextbest.cli.snapshot_file import read_snapshot
from nextbest.decide import explain
from nextbest.errors import InvalidInput, Violation
from nextbest.facts import Figure
from nextbest.facts_of import FactsOf, shown
from nextbest.fitted import read_artifacts
from nextbest.model import Contexts, DecisionState, Histories, Rows, Term
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean

_FIGURES = (Figure.STAGE, Figure.LEVEL, Figure.LTV, Figure.VALUE_GAP, Figure.PROFIT_GAP, Figure.DATA_QUALITY)
_FORGIVE = (
    Figure.FORGIVE_CAUSE,
    Figure.FORGIVE_MODE,
    Figure.LTV_BACK,
    Figure.EV_WIN_BACK,
    Figure.EV_DAMAGE_CONTROL,
)
"""Shown of customers in Forgive me: why they are there, and what the choice of the mode rests on."""


def why(
    customer: Annotated[str, typer.Argument(help="The customer's id in the snapshot file.")],
    snapshot: Annotated[
        Path,
        typer.Option(help="Parquet, CSV, YAML or JSON file with the customer.", exists=True, dir_okay=False),
    ],
    actions: Annotated[list[str] | None, typer.Argument(help="Actions to explain; none = all.")] = None,
    rulebook: Annotated[Path, typer.Option(help="Directory of the rulebook.")] = Path("rules/grocery"),
    channel: Annotated[str, typer.Option(help="Channel that asks, as the rulebook names it.")] = "pos",
    outbound: Annotated[bool, typer.Option("--outbound", help="The company starts the contact.")] = False,
    placement: Annotated[
        list[str] | None, typer.Option(help="Placement asked for, the preferred one first; none = any.")
    ] = None,
    role: Annotated[str, typer.Option(help="Role of the caller; none = the least authority.")] = "",
    phase: Annotated[str, typer.Option(help="Phase of the purchase, such as `at_payment`.")] = "unspecified",
    key: Annotated[list[str] | None, typer.Option(help="A context key, as `intent=service`.")] = None,
    artifact: Annotated[
        list[Path] | None,
        typer.Option(help="Fitted model (`.nbart`); without any, models' priors hold.", exists=True),
    ] = None,
    language: Annotated[str, typer.Option(help="Language of the sentences, such as en or da.")] = "en",
    as_of: AsOf = None,
    as_json: Annotated[bool, typer.Option("--json", help="As data.")] = False,
) -> None:
    """Say where each action ends for a customer, and what its gate saw and asked for; needs no service.

    The customer has no history here, and nothing is learnt or spent yet. Time is `--as-of`, else the
    snapshot's own.
    """
    book = compile_rulebook(rulebook)
    chosen = [_index(book.action_index, name, "action") for name in actions or book.action_index]
    asked = situation_of(
        book,
        channel=channel,
        outbound=outbound,
        placements=placement or (),
        role=role,
        phase=phase,
        keys=key or (),
    )
    time = None if as_of is None else parse_time(as_of)
    rows = read_snapshot(snapshot, customer, book.catalogue, time)
    model = assemble(book, read_artifacts([path.read_bytes() for path in artifact or ()]))
    explainer = _explained(model, rows, asked.contexts(1), time, language)
    candidates = sorted((explainer.candidate(a) for a in chosen), key=_order)
    if as_json:
        typer.echo(json.dumps(_data(customer, explainer, candidates, model), ensure_ascii=False, indent=2))
    else:
        _print(customer, channel, explainer, candidates, model)


def _index(codes: Mapping[str, int], name: str, noun: str) -> int:
    if name not in codes:
        hint = did_you_mean(name, codes)
        raise InvalidInput([Violation(noun, f"`{name}` is not in the rulebook" + (f": {hint}" * bool(hint)))])
    return codes[name]


def _explained(model: Model, rows: Rows, contexts: Contexts, time: float | None, language: str) -> Explainer:
    now = rows.as_of.copy() if time is None else np.array([time])
    state = DecisionState.initial(len(model.rulebook.actions))
    decisions, trace = explain(model, rows, Histories.empty(1), contexts, state, now, np.zeros(1, np.uint64))
    facts = FactsOf(model.rulebook.catalogue, rows, decisions.figures, 0)
    channel, placements = int(contexts.channel[0]), contexts.preference[0].tolist()
    return Explainer(model.rulebook, facts, decisions, trace, channel, language, placements)


def _order(candidate: Candidate) -> tuple[int, int, int]:
    """Ranked ones first, then those that came furthest."""
    return (candidate.rank or 1000, -int(candidate.gate), candidate.action)


def _print(
    customer: str, channel: str, explainer: Explainer, candidates: Sequence[Candidate], model: Model
) -> None:
    console = Console(highlight=False)
    wanted = _FIGURES + (_FORGIVE if explainer.facts.value("forgive_mode") is not None else ())
    figures = [f"{f.name.lower().replace('_', ' ')} {explainer.facts.text(f.name.lower())}" for f in wanted]
    console.print(f"{' · '.join(figures)} ({model.rulebook.currency})", markup=False)
    console.print(_weight(explainer), markup=False)
    if not _has_attitude(explainer, model):
        console.print(NO_ATTITUDE, markup=False)
    table = Table(title=f"{customer} · {channel}")
    for heading in ("action", "ended at", "actual", "required", "because"):
        table.add_column(heading, overflow="fold")
    for c in candidates:
        name = model.rulebook.actions[c.action].id
        because = c.sentence + (f" ({c.remedy})" if c.remedy else "")
        actual, required = _values(c)
        table.add_row(name, f"rank {c.rank}" if c.rank else c.gate.name.lower(), actual, required, because)
    console.print(table)
    for line in _notes(model):
        console.print(line, markup=False)


def _weight(explainer: Explainer) -> str:
    """By how much the customer's gain is weighed, and why."""
    name = weight_name(explainer.facts.figures[explainer.facts.row])
    why = "the profit potential is reached, so the goal is to keep" if name == REACHED else f"stage {name}"
    weight = weight_named(explainer.rulebook.strategy, name)
    return f"the customer's gain weighs {weight:g}, ours {1 - weight:g} ({why})"


def _has_attitude(explainer: Explainer, model: Model) -> bool:
    return has_attitude(explainer.facts.rows, explainer.facts.row, model.attitude)


def _values(candidate: Candidate) -> tuple[str, str]:
    """What the gate saw and asked for; the score where an action came to it."""
    if candidate.rank and candidate.terms is not None:
        return f"score {shown(float(candidate.terms[Term.SCORE]))}", ""
    return candidate.actual_text, candidate.required_text


def _notes(model: Model) -> list[str]:
    """What is not there, so that nobody wonders about unknown figures."""
    fitted = {"ltv": model.ltv_parameters, "grid": model.peers}
    missing = " and ".join(name for name, there in fitted.items() if there is None)
    notes = [f"priors stand in for {', '.join(model.unfitted)}"] if model.unfitted else []
    if missing:
        notes.append(f"no fitted {missing}: figures that need them are unknown (--artifact FILE)")
    return notes


def _data(
    customer: str, explainer: Explainer, candidates: Sequence[Candidate], model: Model
) -> dict[str, object]:
    facts = explainer.facts
    name = weight_name(facts.figures[facts.row])
    return {
        "customer": customer,
        "rulebook": explainer.rulebook.revision,
        "figures": {figure.name.lower(): facts.value(figure.name.lower()) for figure in Figure},
        "customer_weight": {"of": name, "weight": weight_named(explainer.rulebook.strategy, name)},
        "attitude_known": _has_attitude(explainer, model),
        "candidates": [_candidate_data(explainer.rulebook, c) for c in candidates],
    }


def _candidate_data(book: Rulebook, c: Candidate) -> dict[str, object]:
    terms = (
        None if c.terms is None else dict(zip((t.name.lower() for t in Term), c.terms.tolist(), strict=True))
    )
    return {
        "action": book.actions[c.action].id,
        "treatment": book.treatments[c.treatment].id if c.treatment >= 0 else None,
        "placement": book.placements[c.placement] if c.placement >= 0 else None,
        "rank": c.rank,
        "gate": c.gate.name.lower(),
        "reason": c.reason.name.lower(),
        "actual": _finite(c.actual),
        "required": _finite(c.required),
        "actual_text": c.actual_text,
        "required_text": c.required_text,
        "unit": c.unit,
        "because": c.sentence,
        "remedy": c.remedy,
        "terms": terms,
        "lost_to": None if c.lost_to is None else book.actions[c.lost_to].id,
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if value is not None and np.isfinite(value) else None
