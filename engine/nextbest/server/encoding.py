"""Ranked answers as bytes of the contract: what never changes about a treatment is encoded once.

Building the same messages and serializing them is three times the work (measured: 7 µs instead of 2 for
three actions), and an answer is kept, sent and put into batches as bytes anyway.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from loyalty.nextbest.v1 import decision_pb2, explanation_pb2
from nextbest.action.comparison import business_value
from nextbest.action.weights import weight_name
from nextbest.assembly import Model
from nextbest.facts_of import FactsOf, Template, is_quoting, shown
from nextbest.figures import Valued
from nextbest.model import Decisions, DesiredAction, Rows, Term
from nextbest.rulebook.texts import text_in
from nextbest.server.customer_figures import customer_figures
from nextbest.server.requests import MAX_RESULTS, Question
from nextbest.server.responses import (
    DESIRED_ACTIONS,
    TERM_FIELDS,
    do_nothing,
    timestamp,
    treatment_message,
)
from nextbest.server.wire import bytes_tag, double_tag, number_tag, pack_double, sized, text, varint

_RESPONSE = decision_pb2.DecideResponse.DESCRIPTOR.fields_by_name
_DECISION_ID, _REQUEST_ID = bytes_tag(_RESPONSE, "decision_id"), bytes_tag(_RESPONSE, "request_id")
_CUSTOMER_ID = bytes_tag(_RESPONSE, "customer_id")
_NOW, _AS_OF = bytes_tag(_RESPONSE, "evaluation_time"), bytes_tag(_RESPONSE, "snapshot_as_of")
_FIGURES, _RESULTS = bytes_tag(_RESPONSE, "figures"), bytes_tag(_RESPONSE, "results")

_RANKED = decision_pb2.RankedAction.DESCRIPTOR.fields_by_name
_TREATMENT = bytes_tag(_RANKED, "treatment")
_SCORE, _PROPENSITY = double_tag(_RANKED, "score"), double_tag(_RANKED, "propensity")
_BREAKDOWN, _TRIGGERS = bytes_tag(_RANKED, "breakdown"), bytes_tag(_RANKED, "triggers")
_CUSTOMER_REASON, _STAFF_REASON = bytes_tag(_RANKED, "customer_reason"), bytes_tag(_RANKED, "staff_reason")

_RANKS = [number_tag(_RANKED, "rank") + varint(rank) for rank in range(1, MAX_RESULTS + 2)]
"""The field by place."""
_SCORE_TERM, _CHANCE_TERM = int(Term.SCORE), int(Term.MEAN_PROPENSITY)

_SAY = bytes_tag(decision_pb2.Treatment.DESCRIPTOR.fields_by_name, "say")
_TERMS = [
    (int(term), double_tag(explanation_pb2.ScoreBreakdown.DESCRIPTOR.fields_by_name, field))
    for term, field in TERM_FIELDS.items()
]
_WEIGHT_OF = bytes_tag(explanation_pb2.ScoreBreakdown.DESCRIPTOR.fields_by_name, "customer_weight_of")
_VALUE = double_tag(explanation_pb2.ScoreBreakdown.DESCRIPTOR.fields_by_name, "business_value")
_DO_NOTHING = [sized(_RESULTS, do_nothing(rank).SerializeToString()) for rank in range(MAX_RESULTS + 2)]
"""The last row of an answer by its rank."""


class Answer(NamedTuple):
    """One row of a batch of decisions, ready to be put into words."""

    question: Question
    rows: Rows
    decisions: Decisions
    valued: Valued | None
    """Of all rows; None if no question of the batch wants figures."""
    row: int
    now: float
    decision_id: str


@dataclass(frozen=True, slots=True)
class _Words:
    """What is known of a treatment in a placement and language before anyone asks for it."""

    always: bytes
    """Fields of RankedAction that are the same in every answer."""
    treatment: bytes
    """Fields of Treatment but what is said, if that quotes facts; else empty."""
    say: Template | None
    """None where it quotes no fact: then it is among what is always the same. So the next."""
    reason: Template | None
    staff: Template
    value: bytes
    """Field of ScoreBreakdown: V of a classic priority; empty where the score is none."""
    triggers: tuple[tuple[int, bytes], ...]
    """Index and field of each trigger of the action."""


class AnswerEncoder:
    """Writes the answers of one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._catalogue = model.rulebook.catalogue
        self._always = decision_pb2.DecideResponse(
            rulebook_revision=model.rulebook.revision,
            model_digest=model.digest,
            currency=model.rulebook.currency,
        ).SerializeToString()
        self._words = lru_cache(maxsize=None)(self._words_of)

    def encode(self, answer: Answer) -> bytes:
        """A DecideResponse: the ranked actions, do-nothing last."""
        question, rows, decisions, valued, row, now, decision_id = answer
        fields = [
            text(_DECISION_ID, decision_id),
            text(_REQUEST_ID, question.request_id),
            text(_CUSTOMER_ID, question.customer_id),
            self._always,
            sized(_NOW, timestamp(now).SerializeToString()),
            sized(_AS_OF, timestamp(rows.as_of.item(row)).SerializeToString()),
        ]
        if question.full and valued is not None:
            figures = customer_figures(self._model, decisions.figures, rows, valued, row)
            fields.append(sized(_FIGURES, figures.SerializeToString()))
        count = min(decisions.count.item(row), question.max_results)
        if count:
            facts = FactsOf(self._catalogue, rows, decisions.figures, row)
            treatments, terms = decisions.treatment[row].tolist(), decisions.terms[row].tolist()
            shown_at = decisions.placement[row].tolist()
            weight_of = weight_name(decisions.figures[row]) if question.full else ""
            for place in range(count):
                words = self._words(treatments[place], shown_at[place], question.language)
                body = self._ranked(answer, facts, place, words, terms[place], weight_of)
                fields += (_RESULTS, varint(len(body)), body)
        fields.append(_DO_NOTHING[count + 1])
        return b"".join(fields)

    def _ranked(
        self,
        answer: Answer,
        facts: FactsOf,
        place: int,
        words: _Words,
        terms: list[float],
        weight_of: str,
    ) -> bytes:
        question = answer.question
        staff = words.staff.fill(facts)
        fields = [_RANKS[place], words.always, _SCORE, pack_double(terms[_SCORE_TERM])]
        chance = terms[_CHANCE_TERM]
        if chance == chance:  # NaN = unknown  # noqa: PLR0124
            fields += (_PROPENSITY, pack_double(chance))
        if words.say is not None:
            fields.append(sized(_TREATMENT, words.treatment + text(_SAY, words.say.fill(facts))))
        if words.reason is not None:
            fields.append(text(_CUSTOMER_REASON, words.reason.fill(facts)))
        if question.full:
            staff = f"{staff} ({self._behind(terms, question.language)})"
            fields.append(sized(_BREAKDOWN, _breakdown(terms, weight_of) + words.value))
        said = staff.encode()
        fields += (_STAFF_REASON, varint(len(said)), said)
        if words.triggers:
            fields += (f for index, f in words.triggers if answer.decisions.has_fired(index, answer.row))
        return b"".join(fields)

    def _behind(self, terms: list[float], language: str) -> str:
        """The figures behind a score, for staff."""
        chance = terms[_CHANCE_TERM]
        return _STAFF.get(language, _STAFF["en"]).format(
            chance=_per_cent(chance, language),
            customer=shown(terms[Term.CUSTOMER_GAIN], language),
            profit=shown(terms[Term.PROFIT_GAIN], language),
            cost=shown(terms[Term.CONTACT_COST] + terms[Term.ACCEPTED_COST], language),
            currency=self._model.rulebook.currency,
        )

    def _words_of(self, treatment: int, placement: int, language: str) -> _Words:
        rulebook = self._model.rulebook
        done = rulebook.treatments[treatment]
        action = rulebook.actions[done.action]
        always = decision_pb2.RankedAction(
            action=action.id,
            desired_action=DESIRED_ACTIONS[DesiredAction(action.desired_action)],
            issue=action.issue,
            group=action.group,
            treatment=treatment_message(rulebook, done, placement, language),
            customer_reason=text_in(action.reason, language),
            mandatory=bool(rulebook.action_tables.mandatory[done.action]),
            owner=action.owner,
        )
        say, reason = always.treatment.say, always.customer_reason
        varying = b""
        if is_quoting(say):
            always.treatment.ClearField("say")
            varying = always.treatment.SerializeToString()
            always.ClearField("treatment")
        if is_quoting(reason):
            always.ClearField("customer_reason")
        value = business_value(rulebook, done.action)
        return _Words(
            always=always.SerializeToString(),
            treatment=varying,
            say=Template.of(say, self._catalogue, language) if is_quoting(say) else None,
            reason=Template.of(reason, self._catalogue, language) if is_quoting(reason) else None,
            staff=Template.of(text_in(done.staff, language) or action.id, self._catalogue, language),
            value=b"" if value is None else _VALUE + pack_double(value),
            triggers=tuple(
                (index, text(_TRIGGERS, rulebook.triggers[index].id))
                for index in rulebook.action_tables.triggers_of(done.action)
            ),
        )


def _breakdown(terms: list[float], weight_of: str) -> bytes:
    """Every term of a score that is known, and whose weight the customer's is."""
    known = [(tag, terms[term]) for term, tag in _TERMS]
    told = [tag + pack_double(value) for tag, value in known if value == value]  # noqa: PLR0124  (NaN = unknown)
    return b"".join([*told, text(_WEIGHT_OF, weight_of)])


def _per_cent(share: float, language: str) -> str:
    if share != share:  # noqa: PLR0124  (NaN = unknown)
        return "?"
    return f"{100 * share:.1f} %".replace(".", ",") if language == "da" else f"{share:.1%}"


_STAFF = {
    "en": "{chance} likely; worth {customer} to the customer and {profit} to us; costs {cost}; {currency}",
    "da": "{chance} sandsynligt; {customer} værd for kunden og {profit} for os; koster {cost}; {currency}",
}
