"""What the engine decided → answers of the contract."""

from collections.abc import Iterable

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, decision_pb2, explanation_pb2
from nextbest.action.comparison import business_value
from nextbest.action.propensity_words import PropensityLevel
from nextbest.action.reasons import Candidate, Explainer, FunnelStep
from nextbest.action.weights import weight_name
from nextbest.assembly import Model
from nextbest.model import F64, Degraded, DesiredAction, Reason, Term
from nextbest.rulebook.actions import Offer, Treatment
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.texts import text_in
from nextbest.server.requests import Question

DO_NOTHING = "do_nothing"

DESIRED_ACTIONS = {a: common_pb2.DesiredAction.Value(f"DESIRED_ACTION_{a.name}") for a in DesiredAction}
TERM_FIELDS = {
    Term.PROPENSITY: "propensity",
    Term.BASE_PROPENSITY: "base_propensity",
    Term.CUSTOMER_GAIN: "customer_gain",
    Term.PROFIT_GAIN: "profit_gain",
    Term.CUSTOMER_WEIGHT: "customer_weight",
    Term.MULTIPLIER: "multiplier",
    Term.RELEVANCE: "relevance",
    Term.CONTEXT_WEIGHT: "context_weight",
    Term.LEVER: "lever",
    Term.PRESSURE_FACTOR: "pressure_factor",
    Term.BENEFIT: "benefit",
    Term.CONTACT_COST: "cost_contact",
    Term.ACCEPTED_COST: "cost_accepted",
    Term.SHADOW_PRICE: "shadow_price",
    Term.CONTACT_PRICE: "contact_price",
    Term.SCORE: "score",
    Term.MEAN_PROPENSITY: "mean_propensity",
}
"""Field of ScoreBreakdown of each term."""
_MESSAGES = {
    Degraded.CUSTOMER_UNKNOWN: "no snapshot of the customer is stored",
    Degraded.SNAPSHOT_STORE_UNAVAILABLE: "the snapshot store does not answer",
    Degraded.SNAPSHOT_UNREADABLE: "the stored snapshot cannot be read",
    Degraded.DEADLINE: "the deadline left no time to decide",
    Degraded.RULEBOOK_MISSING: "no rulebook is active",
}


def degraded(
    question: Question, model: Model, now: float, decision_id: str, reason: Degraded
) -> decision_pb2.DecideResponse:
    """A fallback decision: do nothing, and why nothing better could be said."""
    response = _frame(question, model, now, decision_id)
    response.fallback.reason = decision_pb2.FallbackReason.Value(f"FALLBACK_REASON_{reason.name}")
    response.fallback.message = _MESSAGES[reason]
    response.results.append(do_nothing(1))
    return response


def breakdown(terms: F64, weight_of: str, value: float | None) -> explanation_pb2.ScoreBreakdown:
    """Every term of a score that is known, whose weight the customer's is, and V of a classic priority."""
    known = {field: float(terms[term]) for term, field in TERM_FIELDS.items() if not np.isnan(terms[term])}
    return explanation_pb2.ScoreBreakdown(**known, customer_weight_of=weight_of, business_value=value)


def timestamp(time: float) -> Timestamp:
    """Epoch seconds as a timestamp, to the microsecond."""
    seconds, microseconds = divmod(round(time * 1e6), 1_000_000)
    return Timestamp(seconds=seconds, nanos=1000 * microseconds)


def _frame(question: Question, model: Model, now: float, decision_id: str) -> decision_pb2.DecideResponse:
    return decision_pb2.DecideResponse(
        decision_id=decision_id,
        request_id=question.request_id,
        customer_id=question.customer_id,
        rulebook_revision=model.rulebook.revision,
        model_digest=model.digest,
        evaluation_time=timestamp(now),
        currency=model.rulebook.currency,
    )


def do_nothing(rank: int) -> decision_pb2.RankedAction:
    """The last row of every answer."""
    return decision_pb2.RankedAction(
        rank=rank,
        action=DO_NOTHING,
        desired_action=DESIRED_ACTIONS[DesiredAction.DO_NOTHING],
        score=0.0,
    )


def treatment_message(
    rulebook: Rulebook, treatment: Treatment, placement: int, language: str
) -> decision_pb2.Treatment:
    """A treatment in one language; its text may still quote facts.

    Args:
        rulebook: names the placements.
        treatment: which.
        placement: which of those asked for shows it; -1 = none was named, so that its own is told.
        language: of the text.
    """
    message = decision_pb2.Treatment(
        treatment_id=treatment.id,
        channel=rulebook.channels[treatment.channel].id,
        placement=_placement_name(rulebook, placement if placement >= 0 else treatment.placement),
        say=text_in(treatment.say, language),
        language=language if language in treatment.say else next(iter(treatment.say), ""),
    )
    if treatment.offer is not None:
        until = float(rulebook.action_tables.valid_until[treatment.action])
        message.offer.CopyFrom(_offer(treatment.offer, until))
    return message


def _placement_name(rulebook: Rulebook, placement: int) -> str:
    return "" if placement < 0 else rulebook.placements[placement]


def _offer(offer: Offer, valid_until: float) -> decision_pb2.Offer:
    """The typed payload that a till can act on."""
    message = decision_pb2.Offer(
        type=common_pb2.OfferType.Value(f"OFFER_TYPE_{offer.type.upper()}"),
        product_set=offer.products,
        code=offer.code,
    )
    if not np.isnan(offer.value):
        message.value = offer.value
    if np.isfinite(valid_until):
        message.valid_until.CopyFrom(timestamp(valid_until))
    return message


def candidate(explainer: Explainer, action: int) -> explanation_pb2.CandidateExplanation:
    """Where one action ended and why, as the contract says it."""
    found = explainer.candidate(action)
    rulebook = explainer.rulebook
    message = explanation_pb2.CandidateExplanation(
        action=rulebook.actions[action].id,
        gate=_gate(found),
        code=explanation_pb2.ReasonCode.ValueType(int(found.reason)),
        actual_text=found.actual_text,
        required_text=found.required_text,
        unit=rulebook.currency if found.unit == "money" else found.unit,
        sentence=found.sentence,
        remedy=found.remedy,
        lost_to=_lost_to(rulebook, found),
        decisive_term=_decisive_name(found),
    )
    if found.treatment >= 0:
        message.treatment_id = rulebook.treatments[found.treatment].id
        message.placement = _placement_name(rulebook, found.placement)
    _set_known(message, found)
    if found.terms is not None:
        facts = explainer.facts
        weight_of = weight_name(facts.figures[facts.row])
        message.breakdown.CopyFrom(breakdown(found.terms, weight_of, business_value(rulebook, action)))
    message.propensity_reason = found.propensity_sentence
    message.propensity_levels.extend(_level(level) for level in found.levels)
    return message


def _decisive_name(found: Candidate) -> str:
    """The field of the breakdown that it lost most by."""
    if found.decisive is None:
        return ""
    return TERM_FIELDS[found.decisive] if isinstance(found.decisive, Term) else found.decisive


def _level(level: PropensityLevel) -> explanation_pb2.PropensityLevel:
    message = explanation_pb2.PropensityLevel(
        level=level.kind, name=level.name, trials=round(level.trials), successes=round(level.successes)
    )
    if not np.isnan(level.propensity):
        message.propensity = level.propensity
    return message


def _gate(found: Candidate) -> explanation_pb2.Gate.ValueType:
    if found.reason in (Reason.CHOSEN, Reason.MANDATORY):
        return explanation_pb2.GATE_UNSPECIFIED
    return explanation_pb2.Gate.ValueType(int(found.gate))


def _lost_to(rulebook: Rulebook, found: Candidate) -> str:
    if found.reason is Reason.WORSE_THAN_DO_NOTHING:
        return DO_NOTHING
    return "" if found.lost_to is None else rulebook.actions[found.lost_to].id


def _set_known(message: explanation_pb2.CandidateExplanation, found: Candidate) -> None:
    if found.actual is not None:
        message.actual_value = found.actual
    if found.required is not None:
        message.required_value = found.required
    if found.rank is not None:
        message.rank = found.rank
    if found.margin is not None:
        message.margin = found.margin
    if found.opens is not None:
        message.opens_at.CopyFrom(timestamp(found.opens))
    if found.chance is not None:
        message.selection_probability = found.chance


def funnel(steps: Iterable[FunnelStep]) -> list[explanation_pb2.FunnelStep]:
    """How many actions each gate stopped."""
    return [
        explanation_pb2.FunnelStep(
            gate=explanation_pb2.Gate.ValueType(int(step.gate)), entered=step.entered, stopped=step.stopped
        )
        for step in steps
    ]
