"""Expected mutual value through the real kernels: vectors, terms, horizon, uplift, levers, classic mode."""

import csv
import json
import math
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.worlds import World, action, customer, documents, small
from tests.naive import score as naive
from tests.naive.plain import Action, Learnt
from tests.naive.plain import Treatment as PlainTreatment

from nextbest.action.score import mutual_score
from nextbest.model import Term

ROOT = Path(__file__).parents[1]
VECTORS = {v["name"]: v for v in json.loads((ROOT / "vectors.json").read_text())}


def test_vector_arbitration():
    """The published example: service beats cross-sell, and the discount loses to doing nothing."""
    given_, expected = VECTORS["arbitration"]["in"], VECTORS["arbitration"]["out"]
    actions = [
        action(
            name,
            propensity=str(a["p"]),
            effect={"customer_gap": a["f_C"], "profit_gap": a["f_P"], "recurring": a["psi"]},
            cost={"contact": a["c"], "accepted": a["c_accept"]},
            relevance={"explicit_request": str(a["rho"])},
            context=[{"when": "true", "weight": (a["W"] - 1) * 100}],
        )
        for name, a in given_["actions"].items()
    ]
    weights = {"hear_me": {"customer_weight": given_["lambda"]}}
    world = small(*actions, strategy={"stages": weights})
    figures = {"value_gap": given_["G_C"], "profit_gap": given_["G_P"], "multiplier": given_["Lambda"]}
    case = customer(figures=figures)
    for name, score in expected.items():
        terms = world.terms(case, name)
        assert terms["score"] == pytest.approx(score, rel=1e-9)
        assert terms["shadow_price"] == given_["pi"]
    assert world.ranking(case) == ["service", "cross_sell"]
    assert world.ends(case, "discount")[0] == "WORSE_THAN_DO_NOTHING"


def plain_action(**changes):
    """An action as the oracle takes it."""
    return Action(
        id="a", desired_action="communication", treatments=(PlainTreatment("a/pos", "pos"),), **changes
    )


MONEY = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 1e-9])
SHARE = st.floats(0, 1) | st.sampled_from([0.0, 1.0])
FACTOR = st.floats(0, 4) | st.sampled_from([0.0, 1.0])


@given(
    p=SHARE,
    base=SHARE | st.none(),
    gains=st.tuples(MONEY, MONEY),
    weight=SHARE,
    factors=st.tuples(SHARE, FACTOR, st.floats(0.5, 2), SHARE),
    costs=st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)),
    prices=st.tuples(FACTOR, FACTOR),
)
@settings(max_examples=100, deadline=None)
def test_the_kernel_agrees_with_the_oracle(p, base, gains, weight, factors, costs, prices):
    """Benefit and score are the formula of section 9 for any terms."""
    oracle = naive.score(
        plain_action(once=gains[0], ltv=gains[1], contact_cost=costs[0], accepted_cost=costs[1], base=base),
        p=p,
        value_gap=None,
        profit_gap=None,
        life=None,
        weight=weight,
        relevance=factors[0],
        context=factors[1],
        lever=factors[2],
        q=factors[3],
        pi=prices[0],
        mu=prices[1],
        w_ch=1.0,
    )
    out = np.array([oracle[term.name.lower()] for term in Term])
    out[[Term.BENEFIT, Term.SCORE]] = math.nan
    scale = 1.0 + sum(map(abs, (*gains, *costs)))
    assert mutual_score(out) == pytest.approx(oracle["score"], rel=1e-9, abs=1e-9 * scale)
    assert out[Term.BENEFIT] == pytest.approx(oracle["benefit"], rel=1e-9, abs=1e-9 * scale)


TERMS = st.fixed_dictionaries(
    {
        Term.PROPENSITY: SHARE,
        Term.BASE_PROPENSITY: st.just(0.0),
        Term.CUSTOMER_GAIN: MONEY,
        Term.PROFIT_GAIN: MONEY,
        Term.CUSTOMER_WEIGHT: SHARE,
        Term.MULTIPLIER: st.just(1.0),
        Term.RELEVANCE: SHARE,
        Term.CONTEXT_WEIGHT: FACTOR,
        Term.LEVER: st.floats(0.5, 2),
        Term.PRESSURE_FACTOR: SHARE,
        Term.CONTACT_COST: st.floats(0, 1e4),
        Term.ACCEPTED_COST: st.floats(0, 1e4),
        Term.SHADOW_PRICE: FACTOR,
        Term.CONTACT_PRICE: FACTOR,
    }
)


def scored(terms, **changes):
    """The score with some terms changed."""
    out = np.full(len(Term), math.nan)
    for term, value in terms.items():
        out[term] = changes.get(term.name.lower(), value)
    return mutual_score(out)


@given(TERMS, st.sampled_from(["relevance", "context_weight", "pressure_factor", "lever"]), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_irrelevance_never_improves_an_action(terms, factor, less):
    """A lower multiplier never raises a score, above all not that of a bad action."""
    value = terms[Term[factor.upper()]]
    assert scored(terms, **{factor: value * less}) <= scored(terms)


@given(TERMS, st.floats(0, 1), st.floats(0, 100))
@settings(max_examples=100, deadline=None)
def test_the_score_rises_with_p_where_an_acceptance_pays(terms, less, accepted):
    """Monotone in p as long as benefit · ρWLq ≥ (1 + π) · c_accept."""
    weight = terms[Term.CUSTOMER_WEIGHT]
    benefit = weight * terms[Term.CUSTOMER_GAIN] + (1 - weight) * terms[Term.PROFIT_GAIN]
    factors = math.prod(
        terms[t] for t in (Term.RELEVANCE, Term.CONTEXT_WEIGHT, Term.LEVER, Term.PRESSURE_FACTOR)
    )
    if benefit * factors < (1 + terms[Term.SHADOW_PRICE]) * accepted:
        accepted = max(0.0, benefit * factors / (1 + terms[Term.SHADOW_PRICE]))
    if benefit < 0:
        return
    p = terms[Term.PROPENSITY]
    low = scored(terms, propensity=p * less, accepted_cost=p * less * accepted)
    high = scored(terms, accepted_cost=p * accepted)
    assert high >= low - 1e-9 * (1 + abs(benefit))


def test_missing_gaps_count_nothing():
    """Without a gap the declared worth alone counts."""
    world = small(action(effect={"customer_gap": 0.5, "profit_gap": 0.5, "yearly": 10}))
    terms = world.terms(customer(figures={"value_gap": None, "profit_gap": None, "multiplier": None}))
    assert (terms["customer_gain"], terms["profit_gain"], terms["multiplier"]) == (10.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("effect", "multiplier", "customer_gain", "profit_gain"),
    [
        ({"recurring": 0.5}, 1.5, 0.1 * 100 * 1.5, 0.1 * 200 * 1.5),
        ({"recurring": 1}, 2.0, 0.1 * 100 * 2, 0.1 * 200 * 2),
        ({"ltv": 40}, 1.0, 10, 20 + 40),
        ({"recurring": 1, "horizon": "short"}, 1.0, 10, 20),
        ({"ltv": 40, "horizon": "short"}, 1.0, 10, 20),
        ({"recurring": 1, "yearly": 5, "once": 7}, 2.0, (10 + 5) * 2 + 7, 40),
    ],
)
def test_what_recurs_counts_over_the_lifetime(effect, multiplier, customer_gain, profit_gain):
    """ψ scales yearly gains by the lifetime, ΔLTV adds to profit, and a short horizon knows neither."""
    terms = small(action(effect={"customer_gap": 0.1, "profit_gap": 0.1} | effect)).terms(customer())
    assert terms["multiplier"] == pytest.approx(multiplier)
    assert terms["customer_gain"] == pytest.approx(customer_gain)
    assert terms["profit_gain"] == pytest.approx(profit_gain)


def test_the_horizon_can_turn_the_order():
    """What pays at once wins on a short horizon, what recurs wins on a long one."""

    def world(horizon):
        lasting = {"profit_gap": 0.1, "recurring": 1, "horizon": horizon}
        return small(
            action("lasting", effect=lasting),
            action("quick", effect={"profit_gap": 0.15, "horizon": horizon}),
        )

    case = customer(figures={"multiplier": 4.0})
    assert world("long").ranking(case) == ["lasting", "quick"]
    assert world("short").ranking(case) == ["quick", "lasting"]


@pytest.mark.parametrize(
    ("objective", "years"), [("share_of_market", 1), ("share_of_wallet", 4), ("share_of_life", 4), (None, 4)]
)
def test_the_objective_sets_the_horizon_of_actions_that_name_none(objective, years):
    """A share of the market is won now; wallets and lives are not; actions may differ (C16)."""
    own = {} if objective is None else {"objective": objective, "market_size": 1e9}
    lasting = {"profit_gap": 0.1, "recurring": 1}
    world = small(
        action("plain", effect=lasting),
        action("now", effect=lasting | {"horizon": "short"}),
        action("later", effect=lasting | {"horizon": "long"}),
        strategy=own,
    )
    case = customer(figures={"multiplier": 4.0})
    found = {name: world.terms(case, name)["multiplier"] for name in ("plain", "now", "later")}
    assert found == {"plain": years, "now": 1, "later": 4}


def test_uplift_counts_only_what_would_not_happen_anyway():
    """The benefit takes p₁ − p₀; everyone who accepts is paid."""
    costs = {"contact": 1, "accepted": 4}
    terms = small(action(uplift={"base": 0.4}, cost=costs)).terms(customer())
    whole = small(action(cost=costs)).terms(customer())
    assert terms["benefit"] == pytest.approx(whole["benefit"] * 0.1 / 0.5)
    assert terms["accepted_cost"] == whole["accepted_cost"] == 2.0
    assert terms["base_propensity"] == 0.4


def test_an_action_that_makes_things_worse_is_never_chosen():
    """Where fewer accept than would anyway, the benefit is negative and no multiplier softens it."""
    case = customer()
    world = small(action(uplift={"base": 0.9}, relevance={"explicit_request": "0.4"}))
    assert world.terms(case)["benefit"] == pytest.approx(-0.4 * (0.6 * 10 + 0.4 * 20))
    assert world.ranking(case) == []


def test_a_reward_is_worth_what_it_says_once():
    """What the customer gets counts as g_once, unless the effect says otherwise."""
    for kind, timing in product(("monetary", "emotional"), ("immediate", "saved")):
        reward = {"type": kind, "timing": timing, "worth": 25}
        plain = {"customer_gap": 0.1, "recurring": 1}
        assert small(action(reward=reward, effect=plain)).terms(customer())["customer_gain"] == 45.0
        priced = small(action(reward=reward, effect=plain | {"once": -5}))
        assert priced.terms(customer())["customer_gain"] == 15.0


@pytest.mark.parametrize(
    ("issue", "group", "own", "lever"),
    [(0, 0, 0, 1.0), (20, 10, 5, 1.35), (100, 100, 100, 2.0), (-50, -50, -50, 0.5), (-20, 0, 10, 0.9)],
)
def test_levers_of_issue_group_and_action_add_up_within_bounds(issue, group, own, lever):
    """L = 1 + (issue + group + action)/100, within [.5, 2]."""
    strategy = {
        "priorities": [{"issue": "growth", "text": "Growth", "lever": issue}],
        "groups": [{"id": "g0", "lever": group}],
    }
    world = small(action(issue="growth", group="g0", lever=own), strategy=strategy)
    assert world.terms(customer())["lever"] == pytest.approx(lever)


def test_context_weights_add_while_they_match():
    """W = 1 + Σ/100 of the situations that are TRUE; unknown ones weigh nothing; W is never negative."""
    weights = [
        {"when": "context.intent == 'buy'", "weight": 30},
        {"when": "context.direction == 'inbound'", "weight": 20},
        {"when": "context.phase == 'browsing'", "weight": -100},
        {"when": "customer.satisfaction < 10.0", "weight": -100},
    ]
    world = small(action(context=weights))
    assert world.terms(customer(contexts={"intent": "buy"}))["context_weight"] == pytest.approx(1.5)
    assert world.terms(customer())["context_weight"] == pytest.approx(1.2)
    assert world.terms(customer(phase="browsing"))["context_weight"] == pytest.approx(0.2)
    worst = customer(phase="browsing", facts={"satisfaction": 0.0})
    assert world.terms(worst)["context_weight"] == 0.0


def test_prices_of_budget_and_contact_are_charged():
    """π raises every cost, μ charges outbound contacts by their weight."""
    learnt = Learnt(prices=(0, 0.5, 0, 0), contact_price=2.0)
    world = small(action(cost={"contact": 1, "accepted": 4}))
    outbound = customer(direction="outbound", channel="email")
    terms = world.terms(outbound, learnt=learnt)
    assert (terms["shadow_price"], terms["contact_price"]) == (0.5, 2.0)
    assert terms["score"] == pytest.approx(terms["benefit"] - 1.5 * 3.0 - 2.0)
    assert world.terms(customer(channel="email"), learnt=learnt)["contact_price"] == 0.0


def test_vector_propensity():
    """Prior and outcomes make a Beta posterior; a stage without outcomes has that of all stages."""
    given_ = VECTORS["propensity"]["in"]
    successes, trials = given_["successes"], given_["trials"]
    prior = {"successes": given_["prior"][0], "failures": given_["prior"][1]}
    learnt = Learnt(outcomes={("a", "grow_me"): (successes, trials - successes)})
    p = small(action(propensity=prior)).terms(customer(), learnt=learnt)["propensity"]
    assert p == pytest.approx(VECTORS["propensity"]["out"], rel=1e-12)
    assert naive.mean(given_["prior"], successes, trials) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(("urgency", "p"), [(-0.5, 0.0), (1.5, 1.0), (1.0, 1.0), (0.25, 0.25)])
def test_a_propensity_is_kept_within_0_and_1(urgency, p):
    """An expression beyond [0, 1] counts as its end."""
    world = small(action(mandatory=True, propensity="context.urgency"))
    assert world.terms(customer(contexts={"urgency": urgency}))["propensity"] == p


def pcvl():
    """The candidates of each real decision, by decision."""
    decisions = defaultdict(list)
    with (ROOT / "oracles" / "arbitration_pcvl.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            decisions[row["decision"]].append(row)
    return dict(decisions)


def classic_world(rows):
    """A rulebook in classic mode with one action a candidate, in an order that says nothing."""
    actions = [
        action(
            f"c{int(row['rank']) * 37 % 101:03}",
            propensity=repr(float(row["propensity"])),
            context=[{"when": "true", "weight": (float(row["context_weight"]) - 1) * 100}],
            value=float(row["value"]),
            lever=(float(row["lever"]) - 1) * 100,
        )
        for row in rows
    ]
    return World(documents(*actions, strategy={"arbitration": "classic"}))


@pytest.mark.parametrize("decision", pcvl())
def test_classic_mode_ranks_real_decisions_as_they_were(decision):
    """Every priority to 1e-12 and every rank of 50 real decisions with 66 to 88 candidates each."""
    rows = sorted(pcvl()[decision], key=lambda row: int(row["rank"]))
    world = classic_world(rows)
    found = world.decide([customer()], limit=len(rows))
    assert found.count[0] == len(rows)
    ranked = [world.rulebook.actions[a].id for a in found.action[0]]
    assert ranked == [f"c{int(row['rank']) * 37 % 101:03}" for row in rows]
    expected = np.array([float(row["priority"]) for row in rows])
    np.testing.assert_allclose(found.terms[0, :, Term.SCORE], expected, rtol=1e-12)
    plain = [
        naive.classic_priority(*(float(row[k]) for k in ("propensity", "context_weight", "value", "lever")))
        for row in rows
    ]
    np.testing.assert_allclose(plain, expected, rtol=1e-12)


def test_classic_mode_takes_a_missing_factor_as_1():
    """Without a propensity, context, value or lever, the others decide."""
    world = small(action(propensity="customer.discount_share", value=3), strategy={"arbitration": "classic"})
    assert world.terms(customer())["score"] == 3.0
    assert world.terms(customer(facts={"discount_share": 0.5}))["score"] == 1.5
    assert naive.classic_priority(None, None, 3, None) == 3.0


def test_classic_levers_have_no_bounds():
    """L may leave [.5, 2] in classic mode."""
    world = small(action(lever=400), strategy={"arbitration": "classic"})
    assert world.terms(customer())["lever"] == 5.0
    assert naive.lever(action=400, classic=True) == 5.0
    assert naive.lever(action=400) == 2.0
