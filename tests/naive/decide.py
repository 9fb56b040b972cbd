"""The whole decision for one customer, by lists and sorts: what the kernels must agree with."""

import math
from dataclasses import dataclass, replace

from tests.naive import contact, exploration, gates, learning, score
from tests.naive import relevance as asking
from tests.naive.plain import (
    DECLARED,
    STAGES,
    Action,
    Answers,
    Customer,
    Learnt,
    Request,
    Rulebook,
    Treatment,
)


@dataclass(frozen=True)
class Verdict:
    """Where one action ended."""

    action: str
    reason: str
    treatment: str | None
    actual: float | None = None
    required: float | None = None
    terms: dict | None = None
    placement: str | None = None
    """The placement asked for that it takes, or would take were there room for its rank."""


@dataclass(frozen=True)
class Decision:
    """Ranked actions (without do-nothing, which ends every answer), and the verdict on every action."""

    ranked: tuple[Verdict, ...]
    verdicts: dict[str, Verdict]


def naive_decide(
    rulebook: Rulebook,
    customer: Customer,
    request: Request,
    answers: Answers,
    learnt: Learnt | None = None,
    *,
    limit: int = 3,
) -> Decision:
    """Decide for one customer."""
    learnt = learnt or Learnt()
    verdicts = {a.id: judge(rulebook, a, customer, request, answers, learnt) for a in rulebook.actions}
    if request.placements:
        return placed(rulebook, verdicts, customer, request, limit)
    if rulebook.learning.method != "epsilon":
        return arbitrate(rulebook, verdicts, limit)
    everyone = arbitrate(rulebook, verdicts, len(rulebook.actions))
    return shown(exploration.order(rulebook, everyone, request.seed, limit), everyone, limit)


def shown(order, everyone, limit):
    """The first few of an order of answers; of the others each group's first was beaten in rank."""
    final = {}
    for name, verdict in everyone.verdicts.items():
        reason = verdict.reason
        if reason in ("CHOSEN", "BEATEN_IN_GROUP", "MANDATORY"):
            reason = "BEATEN_IN_GROUP" if name not in order else "BEATEN_IN_RANK"
            if name in order[:limit]:
                reason = "MANDATORY" if verdict.reason == "MANDATORY" else "CHOSEN"
        final[name] = replace(verdict, reason=reason)
    return Decision(tuple(final[name] for name in order[:limit]), final)


def ranking_key(action, verdict):
    """Mandatory, score descending, priority descending, id."""
    return not action.mandatory, -verdict.terms["score"], -action.priority, action.id


def placed(rulebook, verdicts, customer, request, limit):
    """Walk down all survivors; each takes the free placement that the request prefers.

    At most one of a group is shown. Of those that found a placement the first `limit` are the answer.
    """
    action = {a.id: a for a in rulebook.actions}
    order = [
        name
        for name, v in verdicts.items()
        if v.reason == "SURVIVED" and (action[name].mandatory or v.terms["score"] > 0)
    ]
    order.sort(key=lambda name: ranking_key(action[name], verdicts[name]))
    order = exploration.lead(rulebook, order, request.seed)
    final, shown_at, ranked = dict(verdicts), {}, []
    for name, verdict in verdicts.items():
        if verdict.reason == "SURVIVED" and name not in order:
            final[name] = replace(verdict, reason="WORSE_THAN_DO_NOTHING")
    for name in order:
        group = action[name].group
        fitting = permitted(action[name], customer, request)
        taken = {
            place: next((t.id for t in fitting if t.placement in (None, place)), None)
            for place in request.placements
            if place not in shown_at
        }
        place = next((place for place, treatment in taken.items() if treatment is not None), None)
        if group is not None and any(action[other].group == group for other in shown_at.values()):
            final[name] = replace(verdicts[name], reason="BEATEN_IN_GROUP")
        elif place is None:
            final[name] = replace(verdicts[name], reason="DUPLICATE_PLACEMENT")
        else:
            shown_at[place] = name
            reason = "MANDATORY" if action[name].mandatory else "CHOSEN"
            if len(ranked) == limit:
                reason = "BEATEN_IN_RANK"
            final[name] = replace(verdicts[name], reason=reason, treatment=taken[place], placement=place)
            if reason != "BEATEN_IN_RANK":
                ranked.append(final[name])
    return Decision(tuple(ranked), final)


def permitted(action, customer, request):
    """Treatments with room that the customer consents to: of those of a channel nothing else differs."""
    consent = customer.consent or frozenset()
    return [t for t in offered(action, request) if request.direction == "inbound" or t.consent <= consent]


def offered(action: Action, request: Request) -> list[Treatment]:
    """The action's treatments that the request has room for."""
    return [
        t
        for t in action.treatments
        if t.channel == request.channel
        and (t.placement is None or not request.placements or t.placement in request.placements)
    ]


def propensity(action, stage, answers, learnt, m):
    """Give p: an expression's or a model's value, else the posterior by action and stage; None = unknown."""
    if action.propensity is not None:
        value = answers.value(action.propensity)
        return None if value is None or math.isnan(value) else min(1.0, max(0.0, float(value)))
    return learning.propensity(action.prior, captured(action, learnt), STAGES.index(stage), (), m)


def captured(action, learnt):
    """One action's outcomes by stage; these customers are all in the grid's root."""
    return {
        (STAGES.index(stage), ()): counts
        for (name, stage), counts in learnt.outcomes.items()
        if name == action.id
    }


def relevance_of(action, customer, request, answers):
    """ρ of the action now."""
    values = [(e.weight, answers.value(e.key)) for e in action.evidence]
    declared = any(
        e.kind in DECLARED and asking.strength(value) > 0
        for e, (_, value) in zip(action.evidence, values, strict=True)
    )
    return asking.relevance(
        asking.ask_likelihood(values),
        blocked=bool(action.topics & (customer.blocked_topics or frozenset()))
        or contact.opted_out(customer.history, request.now, action.id),
        rejected=contact.rejected_lately(customer.history, request.now, action.id),
        creates=action.creates_need,
        pushes=action.inside_out,
        declared=declared,
    )


def judge(rulebook, action, customer, request, answers, learnt):
    """The verdict on one action before it meets the others: SURVIVED with its terms, or why not.

    Of several treatments the first that gets furthest speaks for the action.
    """
    candidates = offered(action, request)
    if not candidates:
        return Verdict(action.id, "NO_TREATMENT", None)
    stage = STAGES[int(customer.figures["stage"])]
    p = propensity(action, stage, answers, learnt, rulebook.learning.parent_weight)
    if p is None and rulebook.classic:
        p = 1.0
    rho = relevance_of(action, customer, request, answers)
    furthest = None
    for treatment in candidates:
        case = gates.Case(rulebook, action, treatment, customer, request, answers, p, rho)
        stop = gates.first_stop(case)
        if stop is None:
            reach = exploration.reach(rulebook.learning, captured(action, learnt))
            if not exploration.may_be_shown(action, request, reach):
                lot = exploration.number(request.seed, exploration.REACH, action.id)
                return Verdict(action.id, "STILL_LEARNING", treatment.id, lot, reach)
            return survivor(case, learnt)
        if furthest is None or stop[0] > furthest[0]:
            furthest = (*stop, treatment)
    _, (reason, actual, required), treatment = furthest
    return Verdict(action.id, reason, treatment.id, actual, required)


def survivor(case, learnt):
    """What an action that passed every gate is worth."""
    action, figures, stage = case.action, case.customer.figures, case.stage
    matching = [weight for key, weight in action.context if case.answers.holds(key)]
    context = score.context_factor(matching)
    amount, cap = gates.effective_pressure(case), case.rulebook.pressure_cap[stage]
    p = exploration.scored_propensity(case, captured(action, learnt))
    terms = score.score(
        action,
        p=p,
        mean=case.p,
        value_gap=figures["value_gap"],
        profit_gap=figures["profit_gap"],
        life=figures["multiplier"],
        weight=score.customer_weight(
            STAGES[stage],
            figures.get("profit_reached"),
            dict(zip(STAGES, case.rulebook.customer_weight, strict=True)),
            case.rulebook.reached_weight,
        ),
        relevance=case.relevance,
        context=context,
        lever=action.lever,
        q=contact.pressure_factor(amount, cap, case.request.direction),
        pi=learnt.prices[stage],
        mu=learnt.contact_price,
        w_ch=gates.contact_weight(case),
    )
    if case.rulebook.classic:
        terms["score"] = terms["benefit"] = score.classic_priority(p, context, action.value, action.lever)
    if not math.isfinite(terms["score"]):
        terms["score"] = -math.inf
    return Verdict(action.id, "SURVIVED", case.treatment.id, terms=terms)


def arbitrate(rulebook, verdicts, limit):
    """Sort all survivors, then walk down: one of a group, no more than `limit`, none that is not worth it."""
    action = {a.id: a for a in rulebook.actions}
    survivors = [v for v in verdicts.values() if v.reason == "SURVIVED"]
    order = sorted(
        survivors,
        key=lambda v: (
            not action[v.action].mandatory,
            -v.terms["score"],
            -action[v.action].priority,
            v.action,
        ),
    )
    ranked, taken = [], set()
    final = dict(verdicts)
    for verdict in order:
        spec = action[verdict.action]
        if not spec.mandatory and not verdict.terms["score"] > 0:
            reason = "WORSE_THAN_DO_NOTHING"
        elif spec.group is not None and spec.group in taken:
            reason = "BEATEN_IN_GROUP"
        else:
            if spec.group is not None:
                taken.add(spec.group)
            reason = "BEATEN_IN_RANK"
            if len(ranked) < limit:
                reason = "MANDATORY" if spec.mandatory else "CHOSEN"
        final[verdict.action] = Verdict(
            verdict.action, reason, verdict.treatment, verdict.actual, verdict.required, verdict.terms
        )
        if reason in ("MANDATORY", "CHOSEN"):
            ranked.append(final[verdict.action])
    return Decision(tuple(ranked), final)
