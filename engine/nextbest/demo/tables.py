"""The demo's tables: readable in 100 columns and without colour, each with what it rests on below it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from rich import box
from rich.table import Table

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2, explanation_pb2
from nextbest.demo import labels
from nextbest.demo.answers import AGENT, Answers, WhyNot
from nextbest.demo.population import Positions
from nextbest.facts import STAGE_NAMES
from nextbest.model import F64, I64
from nextbest.potential.position import QUINTILES, TASKS, Band

WIDTH = 100
_LEVELS = ("−3 to −1", "0", "+1, +2", "+3, +4")
_NAMES = {name: name.replace("_", " ").capitalize() for name in STAGE_NAMES}
_SHORT_STAGES = [_NAMES[name].split()[0] for name in STAGE_NAMES]


def table(title: str, *notes: str) -> Table:
    """An empty table with its notes below it."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption="\n".join(notes),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0, 0, 1),
        width=WIDTH,
    )


def thousands(amount: float) -> str:
    """Money in thousands, as a grid shows it."""
    return f"{amount / 1000:,.0f}k" if abs(amount) >= 10_000 else f"{amount / 1000:,.1f}k"


def whole(number: float) -> str:
    """A count."""
    return f"{number:,.0f}"


def position_table(found: Positions, currency: str) -> Table:
    """Ladder band × LTV quintile: households, value, gap and task."""
    bounds = " · ".join(f"{bound:,.0f}" for bound in found.bounds)
    grid = table(
        f"Position grid: ladder × lifetime value, {found.households:,} households ({currency} a year)",
        f"LTV quintiles are bounded by {bounds} {currency}. {labels.POTENTIAL_IS_A_BENCHMARK.capitalize()}.",
        labels.MODELLED,
    )
    grid.add_column("ladder and task", no_wrap=True)
    grid.add_column("", no_wrap=True)
    columns = [k for k in range(QUINTILES + 1) if found.customer.count[:, k].any()]
    for k in columns:
        grid.add_column(f"LTV {k + 1}" if k < QUINTILES else "no LTV", justify="right")
    grid.add_column("all", justify="right")
    for band in reversed(Band):
        _add_band(grid, found, band, columns)
    return grid


def _add_band(grid: Table, found: Positions, band: Band, columns: Sequence[int]) -> None:
    task = TASKS[band].replace(" and ", ", ")
    heads = [f"{_LEVELS[band]}: {task}", "", "", "", ""]
    lines: tuple[tuple[str, F64 | I64, Callable[[float], str]], ...] = (
        ("households", found.customer.count, whole),
        ("value to them", found.customer.value, thousands),
        ("  their gap", found.customer.gap, thousands),
        ("profit to us", found.company.value, thousands),
        ("  our gap", found.company.gap, thousands),
    )
    for head, (name, cells, show) in zip(heads, lines, strict=True):
        amounts = np.asarray(cells, np.float64)[band]
        shown = [show(float(amounts[k])) if found.customer.count[band, k] else "" for k in columns]
        grid.add_row(head, name, *shown, show(float(amounts.sum())), end_section=name == "  our gap")


def population_table(counts: Mapping[str, Mapping[str, Counter[int]]]) -> Table:
    """First answers of all households by situation and stage.

    Args:
        counts: by situation, then by action, households of each stage.
    """
    found = table(
        "If every household came to the till, or called an agent: its first answer, by stage",
        labels.MODELLED,
    )
    found.add_column("first answer", no_wrap=True)
    for situation in counts:
        for stage in _SHORT_STAGES:
            found.add_column(f"{situation}\n{stage}", justify="right")
    actions = Counter[str]()
    for by_action in counts.values():
        actions.update({action: by_stage.total() for action, by_stage in by_action.items()})
    for action, _ in actions.most_common():
        cells = [by_action.get(action, Counter())[s] for by_action in counts.values() for s in range(4)]
        found.add_row(action, *(f"{n:,}" if n else "" for n in cells))
    return found


def household_line(figures: customer_pb2.CustomerFigures, currency: str) -> str:
    """Where a household stands, in two lines."""
    stage = _NAMES[common_pb2.Stage.Name(figures.stage).removeprefix("STAGE_").lower()]
    alive = f", alive {figures.alive:.0%}" if figures.HasField("alive") else ""
    level = f"{figures.level:+d}" if figures.level else "0"
    return (
        f"{stage}, ladder level {level}{alive}, lifetime value {figures.ltv:,.0f} {currency}\n"
        f"value to them {figures.actual_value:,.0f} of {figures.potential_value:,.0f}, gap"
        f" {figures.value_gap:,.0f}; profit to us {figures.actual_profit:,.0f} of"
        f" {figures.potential_profit:,.0f}, gap {figures.profit_gap:,.0f} ({currency} a year)"
    )


def answer(answers: Answers, situation: str) -> Table | str:
    """One answer, ranked, with the score's breakdown; a line if doing nothing wins."""
    results = answers.by_situation[situation].results
    if len(results) == 1:
        place = f"{answers.chosen.customer_id} to the {situation}"
        return f"{place}: {results[0].action} ({results[0].score:.2f}), no action is worth more\n"
    intent = answers.chosen.intent if situation == AGENT.name else ""
    asked = f", calls with a {intent}" if intent else ""
    found = table(f"{answers.chosen.customer_id} to the {situation}{asked}", labels.MODELLED_BRIEFLY)
    found.add_column("", width=1)
    found.add_column("action, and what is said or printed", ratio=1)
    for name in ("p", "their\ngain", "our\ngain", "λ", "ρ", "W·L·q", "benefit", "cost", "score"):
        found.add_column(name, justify="right", no_wrap=True)
    for result in results:
        found.add_row(str(result.rank), _said(result), *_terms(result))
    return found


def _said(result: decision_pb2.RankedAction) -> str:
    if not result.treatment.say:
        return result.action
    must = " (mandatory)" if result.mandatory else ""
    place = f", {result.treatment.placement}" if result.treatment.placement else ""
    return f"{result.action}{place}{must}\n“{result.treatment.say}”{_payload(result.treatment.offer)}"


def _payload(offer: decision_pb2.Offer) -> str:
    if not offer.code:
        return ""
    kind = common_pb2.OfferType.Name(offer.type).removeprefix("OFFER_TYPE_").lower()
    return f" [{kind} {offer.value:g} {offer.product_set} {offer.code}]"


def _terms(result: decision_pb2.RankedAction) -> list[str]:
    if not result.HasField("breakdown"):
        return [*[""] * 8, f"{result.score:.2f}"]
    terms = result.breakdown
    base = f"\n−{share(terms.base_propensity)}" if terms.base_propensity > 0 else ""
    return [
        share(terms.propensity) + base,
        f"{terms.customer_gain:.2f}",
        f"{terms.profit_gain:.2f}",
        share(terms.customer_weight, 1),
        share(terms.relevance),
        share(terms.context_weight * terms.lever * terms.pressure_factor),
        f"{terms.benefit:.2f}",
        f"{terms.cost_contact + terms.cost_accepted:.2f}",
        f"{terms.score:.2f}",
    ]


def share(value: float, digits: int = 2) -> str:
    """A share without its leading zero."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


FORMULA = (
    "score = benefit − cost; benefit = p·(λ·their gain + (1−λ)·our gain)·ρ·W·L·q. A second number under p"
    " is what would happen anyway and is taken off. p: chance that it is accepted; gains: the share of the"
    " gaps that it closes, over the lifetime as far as it recurs, and rewards; λ: the customer's weight in"
    " this stage, or of keeping where our potential is reached; ρ: would they have asked for it; W: the"
    " situation; L: priority; q: what earlier contacts leave. Doing nothing scores 0."
)
"""Legend of `answer`."""


def why_table(found: WhyNot) -> Table:
    """One action that a household did not get, with what was measured and what was asked for."""
    candidate = found.candidate
    shown = table(f"Why does {found.customer_id} not get {candidate.action} from the {found.situation}?")
    shown.add_column("", no_wrap=True)
    shown.add_column("", ratio=1)
    shown.show_header = False
    unit = f" {candidate.unit}" if candidate.unit else ""
    rows = {
        "stopped at": _gate(candidate.gate),
        "because": candidate.sentence,
        "actual": f"{candidate.actual_value:.2f}{unit}",
        "required": f"{candidate.required_value:.2f}{unit}",
        "its score": _sum(candidate.breakdown) if candidate.HasField("breakdown") else "",
        "what would change it": candidate.remedy,
        "all actions": _funnel(found.funnel),
    }
    for name, text in rows.items():
        if text:
            shown.add_row(name, text)
    return shown


def _sum(terms: explanation_pb2.ScoreBreakdown) -> str:
    chance = share(terms.propensity)
    if terms.base_propensity > 0:
        chance = f"({chance} − {share(terms.base_propensity)})"
    ours = share(1 - terms.customer_weight, 1)
    factor = terms.relevance * terms.context_weight * terms.lever * terms.pressure_factor
    gains = f"{share(terms.customer_weight, 1)}·{terms.customer_gain:.2f} + {ours}·{terms.profit_gain:.2f}"
    cost = terms.cost_contact + terms.cost_accepted
    return f"p {chance} × ({gains}) × ρWLq {share(factor)} − cost {cost:.2f} = {terms.score:.2f}"


def _gate(gate: explanation_pb2.Gate.ValueType) -> str:
    return explanation_pb2.Gate.Name(gate).removeprefix("GATE_").replace("_", " ").lower()


def _funnel(steps: Iterable[explanation_pb2.FunnelStep]) -> str:
    stops = [f"{step.stopped} at {_gate(step.gate)}" for step in steps if step.stopped]
    return f"stopped {', '.join(stops)}" if stops else ""
