"""An example of every key, for editors and for what is said when a value has the wrong shape."""

from collections.abc import Iterator, Mapping
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def example_of(model: type[BaseModel], name: str) -> object:
    """A value that the field may have, as an author would write it; None if there is none to show.

    The field's own example, else the one by name, else one of a closed list, the default, or what
    examples of the parts make up.
    """
    field = model.model_fields[name]
    if field.examples:
        return field.examples[0]
    key = field.alias or name
    for place in (f"{model.__name__}.{key}", key):
        if place in EXAMPLES:
            return EXAMPLES[place]
    return _derived(field)


def models_below(root: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and every model that its fields are made of, each once."""
    found = [root]
    for model in found:
        for field in model.model_fields.values():
            found += [m for m in _models_in(field.annotation) if m not in found]
    return found


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _derived(field: FieldInfo) -> object:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return cast("object", extra["default"])
    if isinstance(field.default, bool | int | float | str) and not isinstance(field.default, Enum):
        return not field.default if isinstance(field.default, bool) else field.default
    return next((found for plain in _plain(field.annotation) if (found := _made(plain)) is not None), None)


def _made(annotation: object) -> object:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return arguments[0]
    if origin is list:
        item = next((found for plain in _plain(arguments[0]) if (found := _made(plain)) is not None), None)
        return None if item is None else [item]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation)).value
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return whole_example(annotation)
    return True if annotation is bool else None


def whole_example(model: type[BaseModel]) -> dict[str, object]:
    """An entry with its required keys; where nothing is required, with its first two."""
    fields = model.model_fields
    needed = [name for name, field in fields.items() if field.is_required()] or list(fields)[:2]
    return {fields[name].alias or name: example_of(model, name) for name in needed}


def _plain(annotation: object) -> Iterator[Any]:
    """Alternatives of a type without their decoration."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _plain(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _plain(member)
    else:
        yield annotation


_TEXT = {"en": "Your coffee is ready", "da": "Din kaffe er klar"}
EXAMPLES: Mapping[str, object] = {
    "Goal.text": {"en": "Keep our regulars", "da": "Behold stamkunderne"},
    "Goal.target": 0.85,
    "Goal.measure": "retention",
    "Goal.by": "2026-12-31",
    "Priority.text": {"en": "Mistakes first", "da": "Fejl først"},
    "Priority.lever": 10,
    "Step.step": {"en": "Train the staff", "da": "Oplær personalet"},
    "Step.owner": "agent",
    "Step.due": "2026-03-31",
    "RoleEntry.text": {"en": "Agents in the call centre", "da": "Agenter i kundecentret"},
    "RoleEntry.authority": 1,
    "StrategyFile.promises": {
        "fair": {"en": "Regulars never get less", "da": "Stamkunder får aldrig mindre"}
    },
    "StrategyFile.stages": {"know_me": {"customer_weight": 0.5, "stretch": 0.7, "pressure_cap": 4}},
    "StrategyFile.groups": [{"id": "coupons", "issue": "growth"}],
    "StrategyFile.budget": {"acquire": 0.2, "retain": 0.58, "repair": 0.22},
    "StageWeights.customer_weight": 0.6,
    "StageWeights.stretch": 0.8,
    "StageWeights.pressure_cap": 6,
    "Stages.reached": {"customer_weight": 0.8},
    "ReachedWeights.customer_weight": 0.8,
    "Group.lever": 5,
    "Points.face": 0.01,
    "Points.redemption_probability": 0.8,
    "Value.benefits": {"n_events_attended": 20},
    "Value.value_of_time": 1,
    "Value.complaint_cost": 50,
    "Referral.worth": 30,
    "issue": "growth",
    "group": "coupons",
    "FactsFile.quality": {"nps_relation": {"weight": 2, "fresh": "365d"}},
    "FactsFile.events": ["purchase", "web_visit"],
    "Quality.fresh": "365d",
    "FactEntry.type": "double",
    "FactEntry.group": "transaction",
    "FactEntry.description": "share of the basket that is our own brand",
    "FactEntry.observed_at": "last_purchase",
    "FactEntry.minimum": 0,
    "FactEntry.maximum": 1,
    "unit": "share",
    "values": ["bronze", "silver", "gold"],
    "ContextEntry.type": "double",
    "ContextEntry.description": "what the customer comes for",
    "text": {"en": "Has not been here for long", "da": "Har ikke været her længe"},
    "StoredTrigger.pattern": "returns_then_silence",
    "StoredTrigger.fired_at": "silent_drop_at",
    "cool_down": "28d",
    "CountEntry.as": "last",
    "where": "amount > 50",
    "reason": {"en": "You like our coffee", "da": "Du kan lide vores kaffe"},
    "say": _TEXT,
    "staff": {"en": "Overdue by {customer.days_overdue} days", "da": "{customer.days_overdue} dage for sent"},
    "OfferEntry.value": 20,
    "products": "coffee",
    "code": "COFFEE20",
    "consent": ["email_marketing"],
    "benefit_group": "coffee",
    "ActionEntry.segments": ["families"],
    "ActionEntry.triggers": ["overdue_purchase"],
    "topics": ["alcohol"],
    "ActionEntry.stages": ["hear_me", "grow_me"],
    "authority": "agent",
    "valid": {"from": "2026-06-01", "through": "2026-08-31"},
    "from": "2026-06-01",
    "through": "2026-08-31",
    "max_snapshot_age": "7d",
    "customer_gap": 0.1,
    "profit_gap": 0.2,
    "recurring": 0.5,
    "Effect.ltv": 100,
    "yearly": 20,
    "once": 5,
    "minutes": 2,
    "ActionEntry.cost": {"contact": 0.1, "accepted": 4},
    "CostEntry.contact": 0.1,
    "CostEntry.accepted": 4,
    "successes": 2,
    "failures": 38,
    "base": 0.05,
    "ContextWeight.weight": 20,
    "ActionEntry.lever": 10,
    "ActionEntry.priority": 1,
    "ActionEntry.reward": {"type": "monetary", "timing": "immediate", "worth": 20},
    "worth": 20,
    "ActionEntry.survey": {
        "questions": [{"en": "How likely are you to recommend us?", "da": "Vil du anbefale os?"}]
    },
    "questions": [{"en": "How likely are you to recommend us?", "da": "Vil du anbefale os?"}],
    "comment": {"en": "Why?", "da": "Hvorfor?"},
    "ActionEntry.promises": ["fair"],
    "owner": "agent",
    "outcome": "rejected",
    "at_least": 2,
    "within": "15d",
    "pause": "30d",
    "channel": "email",
    "limits": [{"outcome": "rejected", "at_least": 2, "within": "15d", "pause": "30d"}],
    "at_most": 2,
    "caps": [{"at_most": 2, "within": "30d"}],
    "RowEntry.actions": ["renewal_offer"],
    "RowEntry.segments": ["at_risk"],
    "RowEntry.levers": {"renewal_offer": 20},
    "inbound": 0.2,
    "outbound": 0.6,
    "pressure_weight": 1.5,
    "quiet_hours": {"start": 21, "end": 8},
    "start": 21,
    "end": 8,
    "max_text_length": 160,
    "PoliciesFile.relevance": {"season": 0.1},
    "PoliciesFile.survey_reward": 2.5,
    "HoldOut.share": 0.05,
    "HoldOut.salt": "2026",
    "ExperimentsFile.experiments": [
        {"id": "reminders", "salt": "spring", "arms": [{"id": "control"}, {"id": "mail"}]}
    ],
    "Experiment.id": "reminders",
    "Experiment.salt": "spring",
    "Experiment.segment": "families",
    "arms": [{"id": "control", "without": ["reminder"]}, {"id": "mail"}],
    "Arm.id": "control",
    "without": ["reminder"],
    "now": "2026-06-01T12:00:00Z",
    "customer": {"household": "single", "last_purchase": "3d ago"},
    "figures": {"stage": "hear_me", "value_gap": 400},
    "AuthorTest.name": "Regulars get the card",
    "unknown": ["household"],
    "Happening.event": "purchase",
    "Happening.action": "coffee_card",
    "Happening.trigger": "overdue",
    "Happening.amount": 120,
    "Happening.cost": 0.5,
    "placement": "receipt",
    "placements": ["receipt"],
    "Situation.channel": "pos",
    "role": "agent",
    "keys": {"intent": "service"},
    "expect": {"first": "coffee_card"},
    "first": "coffee_card",
    "includes": ["coffee_card"],
    "excludes": {"coffee_card": "not_relevant"},
    "fired": ["overdue"],
    "not_fired": ["overdue"],
}
"""By model and key, or by key alone where it means the same everywhere."""
