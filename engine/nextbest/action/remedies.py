"""What would have to change for an action to pass the gate that stopped it: texts by reason and language.

Where a template names a number or a moment, following it is enough for that gate: tests follow it.
For staff and logs; nothing here may be shown to customers.
"""

from collections.abc import Mapping

from nextbest.model import Reason

_WAIT: Mapping[str, str] = {"en": "wait until {opens}", "da": "vent til {opens}"}
_WAIT_OR_BE_ASKED: Mapping[str, str] = {
    "en": "contact that the customer starts, or wait until {opens}",
    "da": "en henvendelse fra kunden selv, eller vent til {opens}",
}
_BE_ASKED: Mapping[str, str] = {
    "en": "contact that the customer starts",
    "da": "en henvendelse fra kunden selv",
}
_COLLECT: Mapping[str, str] = {
    "en": "collect what is missing: {lacking}",
    "da": "indhent det, der mangler: {lacking}",
}
REMEDIES: Mapping[Reason, Mapping[str, str]] = {
    Reason.NO_TREATMENT: {
        "en": "a treatment for {required} in the rule file, or a request that fits {actual}",
        "da": "en udførelse til {required} i regelfilen eller en forespørgsel, der passer til {actual}",
    },
    Reason.CONSENT_MISSING: {
        "en": "contact that the customer starts, or consent to {lacking}",
        "da": "en henvendelse fra kunden selv eller samtykke til {lacking}",
    },
    Reason.TOPIC_BLOCKED: {
        "en": "the customer no longer blocks {lacking}",
        "da": "at kunden ikke længere fravælger {lacking}",
    },
    Reason.AUTHORITY_LACKING: {
        "en": "hand over to a role with an authority of at least {required}: {roles}",
        "da": "stil om til en rolle med en beføjelse på mindst {required}: {roles}",
    },
    Reason.NOT_YET_VALID: _WAIT,
    Reason.NO_LONGER_VALID: {
        "en": "a later last day in the rule file",
        "da": "en senere sidste dag i regelfilen",
    },
    Reason.QUIET_HOURS: _WAIT_OR_BE_ASKED,
    Reason.STAGE_MISMATCH: {
        "en": "the customer comes to {required}",
        "da": "at kunden kommer til {required}",
    },
    Reason.SEGMENT_MISMATCH: {
        "en": "the customer comes into one of these segments",
        "da": "at kunden kommer i et af disse segmenter",
    },
    Reason.TRIGGER_NOT_FIRED: {
        "en": "one of its triggers fires",
        "da": "at en af dens udløsere bliver aktiv",
    },
    Reason.TRIGGER_UNKNOWN: _COLLECT,
    Reason.TRIGGER_COOLING_DOWN: _WAIT,
    Reason.CONDITION_FALSE: {
        "en": "its condition comes true",
        "da": "at dens betingelse bliver sand",
    },
    Reason.CONDITION_UNKNOWN: _COLLECT,
    Reason.SNAPSHOT_TOO_OLD: {
        "en": "a snapshot that is at most {required} old",
        "da": "et kundebillede, der højst er {required} gammelt",
    },
    Reason.DATA_QUALITY_LOW: {
        "en": "a data quality of at least {required}: collect {lacking}",
        "da": "en datakvalitet på mindst {required}: indhent {lacking}",
    },
    Reason.SELL_HOLD: {
        "en": "repair the experience first: a touchpoint score above {required}, or wait until {opens}",
        "da": "ret op på oplevelsen først: en kontaktscore over {required}, eller vent til {opens}",
    },
    Reason.NO_VALUE_FOR_CUSTOMER: {
        "en": "at least {short} more for the customer, expected gain less the time it takes",
        "da": "mindst {short} mere til kunden, forventet gevinst fratrukket den tid, det tager",
    },
    Reason.PROPENSITY_UNKNOWN: _COLLECT,
    Reason.NOT_RELEVANT: {
        "en": "a relevance of at least {required}: a declared preference, an open need or a request",
        "da": "en relevans på mindst {required}: et erklæret ønske, et åbent behov eller en anmodning",
    },
    Reason.CONTACT_POLICY_PAUSED: _WAIT,
    Reason.CONTACT_POLICY_UNKNOWN: _WAIT_OR_BE_ASKED,
    Reason.PRESSURE_TOO_HIGH: _WAIT_OR_BE_ASKED,
    Reason.LOCATION_CAP_REACHED: _WAIT_OR_BE_ASKED,
    Reason.UNFAIR_TO_LOYAL: {
        "en": "a reward of at most {required}, or as good a one for loyal customers",
        "da": "en belønning på højst {required} eller en lige så god til loyale kunder",
    },
    Reason.CAP_REACHED: _WAIT,
    Reason.BUDGET_EXHAUSTED: {
        "en": "a cost of at most {required}, or a larger budget for the stage",
        "da": "en omkostning på højst {required} eller et større budget til stadiet",
    },
    Reason.ABOVE_INVESTMENT_CEILING: {
        "en": "an expected cost of at most {required}",
        "da": "en forventet omkostning på højst {required}",
    },
    Reason.HELD_OUT: {"en": "the experiment ends", "da": "at eksperimentet slutter"},
    Reason.STILL_LEARNING: {
        "en": "contact that the customer starts; from {mature} trials on it is shown without reserve",
        "da": "en henvendelse fra kunden selv; fra {mature} forsøg vises den uden forbehold",
    },
    Reason.WORSE_THAN_DO_NOTHING: {
        "en": "a score that is higher by more than {margin}",
        "da": "en score, der er mere end {margin} højere",
    },
    Reason.BEATEN_IN_GROUP: {
        "en": "a score that is higher by more than {margin}",
        "da": "en score, der er mere end {margin} højere",
    },
    Reason.BEATEN_IN_RANK: {
        "en": "more results in the request, or a score that is higher by more than {margin}",
        "da": "flere resultater i forespørgslen eller en score, der er mere end {margin} højere",
    },
    Reason.DUPLICATE_PLACEMENT: {
        "en": "another place in the request that fits, or a score that is higher by more than {margin}",
        "da": "en anden plads i forespørgslen, som passer, eller en score, der er mere end {margin} højere",
    },
}
"""For every reason that stops an action."""

WITHOUT_END: Mapping[Reason, Mapping[str, str]] = {
    Reason.PRESSURE_TOO_HIGH: {
        "en": "contact that the customer starts, or a higher cap for the stage",
        "da": "en henvendelse fra kunden selv eller et højere loft for stadiet",
    },
    Reason.CONTACT_POLICY_UNKNOWN: _BE_ASKED,
    Reason.TRIGGER_COOLING_DOWN: _BE_ASKED,
    Reason.CAP_REACHED: {
        "en": "a cap above {required} in the rule file",
        "da": "et loft over {required} i regelfilen",
    },
}
"""For gates that no waiting opens: there is no room at all, or the whole history is lost."""
WITHOUT_MARGIN: Mapping[Reason, Mapping[str, str]] = {
    Reason.BEATEN_IN_GROUP: {
        "en": "no score beats {winner}: it is mandatory",
        "da": "ingen score slår {winner}: den er obligatorisk",
    },
    Reason.BEATEN_IN_RANK: {
        "en": "more results in the request: no score beats {winner}, which is mandatory",
        "da": "flere resultater i forespørgslen: ingen score slår {winner}, som er obligatorisk",
    },
    Reason.DUPLICATE_PLACEMENT: {
        "en": "another place in the request that fits: no score beats {winner}, which is mandatory",
        "da": "en anden plads i forespørgslen, som passer: ingen score slår {winner}, som er obligatorisk",
    },
}
"""For reasons whose winner was not compared by score."""
SET_BACK: Mapping[str, str] = {
    "en": "nothing: another decision draws anew",
    "da": "intet: en anden beslutning trækker på ny",
}
"""For an action that an exploring decision set back."""
