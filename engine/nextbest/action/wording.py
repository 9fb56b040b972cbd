"""Sentences for staff: one template a reason and language, filled with what the gate really saw.

These texts are for staff and logs. Customers see only the sentence that marketing wrote for an
action: nothing here may be shown to them.
"""

from collections.abc import Mapping

from nextbest.model import Reason

SENTENCES: Mapping[Reason, Mapping[str, str]] = {
    Reason.CHOSEN: {
        "en": "best expected mutual value: score {score}",
        "da": "størst forventet gensidig værdi: score {score}",
    },
    Reason.MANDATORY: {"en": "mandatory in this situation", "da": "obligatorisk i denne situation"},
    Reason.NO_TREATMENT: {
        "en": "has no treatment for {channel} in the places asked for",
        "da": "har ingen udførelse til {channel} på de ønskede pladser",
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
        "da": "stille timer: klokken er {actual} hos kunden, kontakt igen fra {required}",
    },
    Reason.STAGE_MISMATCH: {
        "en": "the customer is in {actual}, the action is for {required}",
        "da": "kunden er i {actual}, handlingen er for {required}",
    },
    Reason.SEGMENT_MISMATCH: {
        "en": "the customer is in none of the segments {required}",
        "da": "kunden er i ingen af segmenterne {required}",
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
        "en": "its trigger has been acted on and is in its cool-down: {required}",
        "da": "der er handlet på udløseren, som er i sin pauseperiode: {required}",
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
        "en": "the snapshot is {actual} days old, the action allows {required}",
        "da": "kundebilledet er {actual} dage gammelt, handlingen tillader {required}",
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
        "en": "would cost the customer more than it is worth to them: {actual}",
        "da": "ville koste kunden mere, end det er værd: {actual}",
    },
    Reason.NOT_RELEVANT: {
        "en": "relevance is {actual}, this situation asks for {required}",
        "da": "relevansen er {actual}, situationen kræver {required}",
    },
    Reason.CONTACT_POLICY_PAUSED: {
        "en": "paused by contact policy for another {actual} days",
        "da": "sat på pause af kontaktpolitikken i {actual} dage endnu",
    },
    Reason.CONTACT_POLICY_UNKNOWN: {
        "en": "the history does not reach back far enough for its contact policy",
        "da": "historikken rækker ikke langt nok tilbage til kontaktpolitikken",
    },
    Reason.PRESSURE_TOO_HIGH: {
        "en": "contact pressure would be {actual}, above the stage's cap of {required}",
        "da": "kontaktpresset ville blive {actual}, over stadiets loft på {required}",
    },
    Reason.LOCATION_CAP_REACHED: {
        "en": "the last location push was {actual} days ago, at least {required} are needed",
        "da": "seneste lokationsbesked var for {actual} dage siden, der kræves {required}",
    },
    Reason.UNFAIR_TO_LOYAL: {
        "en": "the reward of {actual} is above the {required} that loyal customers can get",
        "da": "belønningen på {actual} er over de {required}, som loyale kunder kan få",
    },
    Reason.CAP_REACHED: {
        "en": "was used {actual} times, at most {required} are allowed",
        "da": "er brugt {actual} gange, højst {required} er tilladt",
    },
    Reason.BUDGET_EXHAUSTED: {
        "en": "the stage's budget is used up",
        "da": "stadiets budget er opbrugt",
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
        "en": "doing nothing is worth more: score {actual}",
        "da": "det er mere værd ikke at gøre noget: score {actual}",
    },
    Reason.BEATEN_IN_GROUP: {
        "en": "score {score}, behind {winner} of the same group",
        "da": "score {score}, efter {winner} i samme gruppe",
    },
    Reason.BEATEN_IN_RANK: {
        "en": "score {score}, behind {winner} and no place left",
        "da": "score {score}, efter {winner}, og der er ikke flere pladser",
    },
    Reason.DUPLICATE_PLACEMENT: {
        "en": "score {score}, but a better action has each place it fits: {places}",
        "da": "score {score}, men en bedre handling har hver plads, den passer til: {places}",
    },
    Reason.PROPENSITY_UNKNOWN: {
        "en": "cannot tell how likely the customer is to accept, nor what it is worth to them",
        "da": "kan ikke afgøre, hvor sandsynligt kunden siger ja, eller hvad det er værd for kunden",
    },
    Reason.STILL_LEARNING: {
        "en": "hardly tried yet: reaches a share of {required} of the contacts that we start",
        "da": "næsten ikke prøvet endnu: når en andel på {required} af de kontakter, vi selv starter",
    },
}
"""Every reason in every language the service speaks; English stands in for the others."""

WHAT_WOULD_CHANGE: Mapping[Reason, Mapping[str, str]] = {
    Reason.CONSENT_MISSING: {"en": "ask for consent", "da": "bed om samtykke"},
    Reason.AUTHORITY_LACKING: {
        "en": "hand over to a role with more authority",
        "da": "stil om til en rolle med større beføjelse",
    },
    Reason.TRIGGER_UNKNOWN: {"en": "collect the missing facts", "da": "indhent de manglende oplysninger"},
    Reason.CONDITION_UNKNOWN: {"en": "collect the missing facts", "da": "indhent de manglende oplysninger"},
    Reason.PROPENSITY_UNKNOWN: {"en": "collect the missing facts", "da": "indhent de manglende oplysninger"},
    Reason.SNAPSHOT_TOO_OLD: {"en": "refresh the snapshot", "da": "opdatér kundebilledet"},
    Reason.DATA_QUALITY_LOW: {
        "en": "collect the required facts: {lacking}",
        "da": "indhent de krævede oplysninger: {lacking}",
    },
    Reason.SELL_HOLD: {"en": "repair the experience first", "da": "ret op på oplevelsen først"},
    Reason.NOT_RELEVANT: {
        "en": "a declared preference, an open need or a request of the customer",
        "da": "et erklæret ønske, et åbent behov eller en anmodning fra kunden",
    },
    Reason.WORSE_THAN_DO_NOTHING: {
        "en": "a lower cost, a higher propensity or a larger gap",
        "da": "en lavere omkostning, en højere sandsynlighed eller et større gab",
    },
}
"""What would have to change, for reasons where a person can do something about it."""


def template(texts: Mapping[str, str], language: str) -> str:
    """The text in `language`, or English."""
    return texts.get(language, texts["en"])
