"""Sentences for staff: one template a reason and language, filled with what the gate really saw.

These texts are for staff and logs. Customers see only the sentence that marketing wrote for an
action: nothing here may be shown to them.
"""

from collections.abc import Mapping

from nextbest.action.comparison import Decisive
from nextbest.model import Reason, Term

SENTENCES: Mapping[Reason, Mapping[str, str]] = {
    Reason.CHOSEN: {
        "en": "best expected mutual value: score {score}",
        "da": "størst forventet gensidig værdi: score {score}",
    },
    Reason.MANDATORY: {"en": "mandatory in this situation", "da": "obligatorisk i denne situation"},
    Reason.NO_TREATMENT: {
        "en": "has no treatment for {required}: it only has {actual}",
        "da": "har ingen udførelse til {required}: den har kun {actual}",
    },
    Reason.CONSENT_MISSING: {
        "en": "the customer has not agreed to this contact: it needs {required}, agreed is {actual}",
        "da": "kunden har ikke givet samtykke til denne kontakt: den kræver {required}, givet er {actual}",
    },
    Reason.TOPIC_BLOCKED: {
        "en": "the customer does not want to hear about it: it is about {required}, blocked is {actual}",
        "da": "kunden vil ikke høre om dette emne: det handler om {required}, fravalgt er {actual}",
    },
    Reason.AUTHORITY_LACKING: {
        "en": "the role's authority is {actual}, the action needs {required}",
        "da": "rollens beføjelse er {actual}, handlingen kræver {required}",
    },
    Reason.NOT_YET_VALID: {"en": "is valid from {required}", "da": "gælder fra {required}"},
    Reason.NO_LONGER_VALID: {"en": "was valid until {required}", "da": "gjaldt til {required}"},
    Reason.QUIET_HOURS: {
        "en": "quiet hours: it is {actual} where the customer is, contact again from {required}",
        "da": "stille timer: klokken er {actual} hos kunden, kontakt er tilladt igen fra kl. {required}",
    },
    Reason.STAGE_MISMATCH: {
        "en": "the customer is in {actual}, the action is for {required}",
        "da": "kunden er i {actual}, handlingen er for {required}",
    },
    Reason.SEGMENT_MISMATCH: {
        "en": "the customer is in none of the segments {required}; is in: {actual}; {facts}",
        "da": "kunden er i ingen af segmenterne {required}; er i: {actual}; {facts}",
    },
    Reason.TRIGGER_NOT_FIRED: {
        "en": "none of its triggers has fired: {required}; {facts}",
        "da": "ingen af dens udløsere er aktive: {required}; {facts}",
    },
    Reason.TRIGGER_UNKNOWN: {
        "en": "cannot tell whether a trigger has fired: {required}; {facts}",
        "da": "kan ikke afgøre, om en udløser er aktiv: {required}; {facts}",
    },
    Reason.TRIGGER_COOLING_DOWN: {
        "en": "one of its triggers has been acted on and rests for another {actual}",
        "da": "der er allerede handlet på en af dens udløsere, som hviler i {actual} endnu",
    },
    Reason.CONDITION_FALSE: {
        "en": "its condition is false: {required}; {facts}",
        "da": "betingelsen er falsk: {required}; {facts}",
    },
    Reason.CONDITION_UNKNOWN: {
        "en": "its condition cannot be told: {required}; {facts}",
        "da": "betingelsen kan ikke afgøres: {required}; {facts}",
    },
    Reason.SNAPSHOT_TOO_OLD: {
        "en": "the snapshot is {actual} old, the action allows {required}",
        "da": "kundebilledet er {actual} gammelt, handlingen tillader {required}",
    },
    Reason.DATA_QUALITY_LOW: {
        "en": "data quality is {actual}, below the floor of {required}",
        "da": "datakvaliteten er {actual}, under grænsen på {required}",
    },
    Reason.SELL_HOLD: {
        "en": "no selling now: the latest touchpoint score is {actual}, at or below {required}",
        "da": "intet salg nu: seneste kontaktscore er {actual}, på eller under {required}",
    },
    Reason.NO_VALUE_FOR_CUSTOMER: {
        "en": "would be worth {actual} to the customer, where at least {required} is asked for",
        "da": "ville være {actual} værd for kunden, hvor der kræves mindst {required}",
    },
    Reason.NOT_RELEVANT: {
        "en": "relevance is {actual}, this situation asks for {required}",
        "da": "relevansen er {actual}, situationen kræver {required}",
    },
    Reason.CONTACT_POLICY_PAUSED: {
        "en": "paused by contact policy for another {actual}",
        "da": "sat på pause af kontaktpolitikken i {actual} endnu",
    },
    Reason.CONTACT_POLICY_UNKNOWN: {
        "en": "the history is complete only {actual} back, contact rules need {required}",
        "da": "historikken er kun fuldstændig {actual} tilbage, kontaktreglerne kræver {required}",
    },
    Reason.PRESSURE_TOO_HIGH: {
        "en": "contact pressure would be {actual}, above the stage's cap of {required}",
        "da": "kontaktpresset ville blive {actual}, over stadiets loft på {required}",
    },
    Reason.LOCATION_CAP_REACHED: {
        "en": "the last location push was {actual} ago, at least {required} are needed",
        "da": "seneste lokationsbesked var for {actual} siden, der skal gå mindst {required}",
    },
    Reason.UNFAIR_TO_LOYAL: {
        "en": "the reward of {actual} is above the {required} that loyal customers can get",
        "da": "belønningen på {actual} er over de {required}, som loyale kunder kan få",
    },
    Reason.CAP_REACHED: {
        "en": "was used {actual}, allowed is at most {required}",
        "da": "er brugt {actual}, højst {required} er tilladt",
    },
    Reason.BUDGET_EXHAUSTED: {
        "en": "the stage's budget has {required} left, it costs {actual}",
        "da": "stadiets budget har {required} tilbage, den koster {actual}",
    },
    Reason.ABOVE_INVESTMENT_CEILING: {
        "en": "the expected cost of {actual} is above the customer's investment ceiling of {required}",
        "da": "den forventede omkostning på {actual} er over kundens investeringsloft på {required}",
    },
    Reason.HELD_OUT: {
        "en": "the customer is in a control group",
        "da": "kunden er i en kontrolgruppe",
    },
    Reason.WORSE_THAN_DO_NOTHING: {
        "en": "doing nothing is worth more: score {actual}{term}",
        "da": "det er mere værd ikke at gøre noget: score {actual}{term}",
    },
    Reason.BEATEN_IN_GROUP: {
        "en": "score {actual}, {margin} behind {winner} of the same group{term}",
        "da": "score {actual}, {margin} efter {winner} i samme gruppe{term}",
    },
    Reason.BEATEN_IN_RANK: {
        "en": "score {actual}, {margin} behind {winner} and no place left{term}",
        "da": "score {actual}, {margin} efter {winner}, og der er ikke flere pladser{term}",
    },
    Reason.DUPLICATE_PLACEMENT: {
        "en": "score {actual}, but better actions have each place it fits: {places}{term}",
        "da": "score {actual}, men bedre handlinger har alle de pladser, den passer til: {places}{term}",
    },
    Reason.PROPENSITY_UNKNOWN: {
        "en": "cannot tell how likely the customer is to accept, nor what it is worth to them",
        "da": "kan ikke afgøre, hvor sandsynligt kunden siger ja, eller hvad det er værd for kunden",
    },
    Reason.STILL_LEARNING: {
        "en": "hardly tried yet: reaches {required} of the contacts we start, and its lot is {actual}",
        "da": "næsten ikke afprøvet endnu: når {required} af vores egne kontakter, og dens lod er {actual}",
    },
}
"""Every reason in every language the service speaks; English stands in for the others."""

WITHOUT_MARGIN: Mapping[Reason, Mapping[str, str]] = {
    Reason.BEATEN_IN_GROUP: {
        "en": "score {actual}, behind {winner} of the same group, which is mandatory",
        "da": "score {actual}, efter {winner} i samme gruppe, som er obligatorisk",
    },
    Reason.BEATEN_IN_RANK: {
        "en": "score {actual}, behind {winner}, which is mandatory, and no place left",
        "da": "score {actual}, efter {winner}, som er obligatorisk, og der er ikke flere pladser",
    },
}
"""For a reason whose winner was not compared by score."""
DRAWN: Mapping[str, str] = {
    "en": "score {actual}; {winner}, which scores lower, was drawn to come first in order to learn",
    "da": "score {actual}; {winner}, som scorer lavere, blev trukket til at komme først for at lære",
}
"""For an action that an exploring decision set back."""
CAP_NOT_KNOWN: Mapping[str, str] = {
    "en": "was used {actual} in what is left of the history, allowed is at most {required}: more may be lost",
    "da": "er brugt {actual} i den kendte del af historikken, højst {required} tilladt: mere kan være tabt",
}
"""For a cap that is not reached by what is known."""
LOST_BY: Mapping[str, str] = {"en": "; it loses most by {term}", "da": "; den taber mest på {term}"}
MANDATORY_WINNER: Mapping[str, str] = {"en": "mandatory", "da": "obligatorisk"}
NONE_OF_THEM: Mapping[str, str] = {"en": "none", "da": "ingen"}
NOT_TRUE: Mapping[str, str] = {"en": "not true", "da": "ikke sandt"}
NOT_KNOWN: Mapping[str, str] = {"en": "not known", "da": "ikke kendt"}
REQUIRED_FACTS: Mapping[str, str] = {"en": "the required facts", "da": "de krævede oplysninger"}
HISTORY: Mapping[str, str] = {"en": "a longer history", "da": "en længere historik"}

TERMS: Mapping[Decisive, Mapping[str, str]] = {
    Term.PROPENSITY: {"en": "the chance of a yes", "da": "sandsynligheden for et ja"},
    Term.CUSTOMER_GAIN: {"en": "the customer's gain", "da": "kundens gevinst"},
    Term.PROFIT_GAIN: {"en": "our gain", "da": "vores gevinst"},
    Term.RELEVANCE: {"en": "relevance", "da": "relevansen"},
    Term.CONTEXT_WEIGHT: {"en": "the weight of the situation", "da": "situationens vægt"},
    Term.LEVER: {"en": "the strategy's lever", "da": "strategiens vægt"},
    Term.PRESSURE_FACTOR: {"en": "contact pressure", "da": "kontaktpresset"},
    Term.CONTACT_COST: {"en": "the cost of the contact", "da": "omkostningen ved kontakten"},
    Term.ACCEPTED_COST: {"en": "the cost of a yes", "da": "omkostningen ved et ja"},
    Term.CONTACT_PRICE: {"en": "the price of contact", "da": "prisen for kontakt"},
    "business_value": {"en": "its value in the rule file", "da": "sin værdi i regelfilen"},
}
"""Terms that a score can be lost by."""


def template(texts: Mapping[str, str], language: str) -> str:
    """The text in `language`, or English."""
    return texts.get(language, texts["en"])
