"""Constants of the domain model that no rulebook sets, against the text of its sections.

What strategy.yaml sets has `test_compile::test_defaults_are_those_of_the_domain_model`; sections 6 and 7 have
literals of their own in `tests.naive.index`, `stage` and `detectors`.
"""

import inspect

import pytest

from nextbest.action import contact, relevance
from nextbest.behaviour import overdue
from nextbest.potential import gap, ltv_fit, maximum_likelihood, peers, selection, shares, sketch, tables
from nextbest.potential.grid import PeerGrid
from nextbest.rulebook.actions import EVIDENCE_WEIGHTS
from nextbest.rulebook.compile.channels import DEFAULTS

CONSTANTS = (
    ("3: α of the sketch", sketch.ALPHA, 0.01),
    ("3: zero bucket", sketch.ZERO, 0.01),
    ("3: slack of comparisons", sketch.TOLERANCE, 1e-9),
    ("3: privacy floor", tables.PRIVACY_FLOOR, 10),
    ("3: leave one out below", tables.LEAVE_ONE_OUT_BELOW, 200),
    ("3: clamp of a mean", tables.CLAMP, (0.005, 0.995)),
    ("3: median beside the stretch quantiles", tables.MEDIAN, 0.5),
    ("3: m", inspect.signature(PeerGrid.build).parameters["m"].default, 30),
    ("3: weights tried", selection.CANDIDATES, (5, 10, 20, 30, 60, 120)),
    ("3: reached", gap.REACHED_SHARE, 0.95),
    ("3: κ", gap.DEFAULT_CAP, 5),
    ("3: floor", gap.DEFAULT_FLOOR, 100),
    ("3: Wilson 95 %", peers.Z, 1.959964),
    ("4: b at most", maximum_likelihood.UPPER_BOUND, 1e4),
    ("4: penalty", ltv_fit.PENALTY, 0.001),
    ("4: correlation warned of", ltv_fit.CORRELATION_WARNING, 0.3),
    ("7: overdue", overdue.OVERDUE_BELOW, 0.05),
    ("8: evidence", EVIDENCE_WEIGHTS, (1.0, 0.8, 0.6, 0.5, 0.35, 0.35, 0.15)),
    ("8: rejected lately", (relevance.REJECTED_FACTOR, contact.REJECTED_DAYS_S), (0.25, 60 * 86400)),
    ("8: created need", relevance.CREATED_NEED_FACTOR, 0.7),
    ("8: stock push", relevance.STOCK_PUSH_CAP, 0.3),
    ("8: half-life of pressure", contact.PRESSURE_HALF_LIFE_DAYS, 7),
    ("8: ignored streak", contact.IGNORED_STEP, 0.25),
    ("8: location pushes", contact.LOCATION_WINDOW_DAYS, 7),
    (
        "8: weight of a contact",
        {name: DEFAULTS[name].weight for name in ("email", "sms", "push", "call_centre", "location")},
        {"email": 1, "sms": 2, "push": 1.5, "call_centre": 3, "location": 2},
    ),
    ("12: wallet", shares.WALLET_TAU, 0.9),
    ("12: capability areas", shares.CAPABILITY_AREAS, 9),
)


@pytest.mark.parametrize(
    ("found", "written"), [row[1:] for row in CONSTANTS], ids=[row[0] for row in CONSTANTS]
)
def test_a_constant_is_what_the_text_says(found, written):
    """A constant that is compiled in is the domain model's."""
    assert found == written
