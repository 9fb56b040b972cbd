"""What the model asks of decisions, shown on small rulebooks that the real decision answers."""

from pathlib import Path

import pytest
from tests.builders.customers import figures_of
from tests.builders.rulebooks import write
from tests.builders.worlds import action, customer, documents, small

from nextbest.action.weights import weight_name
from nextbest.decide import DEFAULT_RESULTS, decide
from nextbest.errors import RulebookCompileError
from nextbest.facts import STAGE_NAMES
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server import requests
from nextbest.standard_facts import EXPECTATIONS, STANDARD_FACTS

ROOT = Path(__file__).parents[2]
CUSTOMER_GAIN, SALE_GAIN = 100.0, 140.0


def reasons(world, case):
    """What became of each action."""
    return {entry.id: world.ends(case, entry.id)[0] for entry in world.rulebook.actions}


@pytest.mark.parametrize(
    ("stage", "weight", "first"),
    [
        ("know_me", 0.5, "sale"),
        ("hear_me", 0.6, "help"),
        ("grow_me", 0.7, "help"),
        ("forgive_me", 0.7, "help"),
    ],
)
def test_each_stage_weighs_the_customer_by_its_own_row(stage, weight, first):
    """A sale that beats help for a newcomer loses to it later, as each stage's weight says (C8–C10)."""
    world = small(
        action("sale", desired_action="up_sell", effect={"profit_gap": SALE_GAIN / 200.0}),
        action("help", effect={"once": CUSTOMER_GAIN}),
    )
    case = customer(figures={"stage": STAGE_NAMES.index(stage)})
    assert world.ranking(case)[0] == first
    sale, help_ = world.terms(case, "sale"), world.terms(case, "help")
    assert sale["customer_weight"] == help_["customer_weight"] == weight
    assert sale["score"] == pytest.approx(0.5 * (1 - weight) * SALE_GAIN)
    assert help_["score"] == pytest.approx(0.5 * weight * CUSTOMER_GAIN)


def test_what_a_sale_is_worth_falls_from_stage_to_stage():
    """The more a customer trusts us, the less a mere sale counts (C10)."""
    world = small(action(effect={"profit_gap": 0.5}))
    scores = [world.terms(customer(figures={"stage": stage}))["score"] for stage in range(3)]
    assert scores[0] > scores[1] > scores[2] > 0


def test_customers_are_listened_to_before_and_after_the_purchase():
    """Triggers read the phase of the purchase: one question before it, another after (C9)."""
    phases = {"wishes": "browsing", "experience": "after_purchase"}
    world = small(
        *(
            action(name, desired_action="listen", stages=["hear_me"], triggers=[f"asks_{name}"])
            for name in phases
        ),
        triggers=[
            {"id": f"asks_{name}", "when": f"context.phase == '{phase}'"} for name, phase in phases.items()
        ],
    )
    for name, phase in phases.items():
        assert world.ranking(customer(phase=phase)) == [name]
    assert world.ranking(customer(phase="at_payment")) == []


def test_a_potential_that_is_reached_turns_the_goal_to_keeping():
    """Without a gap growth is worth nothing; what keeps is, and the weight is that of retention (B10)."""
    world = small(
        action("grow", desired_action="up_sell", effect={"profit_gap": 0.5}),
        action(
            "keep",
            effect={"ltv": 60},
            context=[{"when": "customer.profit_reached", "weight": 50}],
        ),
    )
    open_gap = customer(figures={"profit_gap": 200.0, "profit_reached": 0.0})
    reached = customer(figures={"profit_gap": 0.0, "profit_reached": 1.0})
    assert world.ranking(open_gap) == ["grow", "keep"]
    assert world.ranking(reached) == ["keep"]
    assert reasons(world, reached)["grow"] == "WORSE_THAN_DO_NOTHING"
    before, after = world.terms(open_gap, "keep"), world.terms(reached, "keep")
    assert (before["customer_weight"], after["customer_weight"]) == (0.6, 0.7)
    assert after["score"] == pytest.approx(1.5 * before["score"] * 0.3 / 0.4)


@pytest.mark.parametrize(
    ("stages", "weights"),
    [
        ({}, (0.7, 0.7, 0.7, 0.7)),
        ({"grow_me": {"customer_weight": 0.9}}, (0.9, 0.9, 0.9, 0.7)),
        ({"reached": {"customer_weight": 0.2}, "forgive_me": {"customer_weight": 0.4}}, (0.2, 0.2, 0.2, 0.4)),
    ],
)
def test_the_weight_of_keeping_is_grow_mes_or_the_strategys_own(stages, weights):
    """Whatever the stage, a reached potential is weighed by retention's row; repair comes before it."""
    world = small(action(effect={"once": 50.0}), strategy={"stages": stages})
    own = dict(enumerate(world.rulebook.strategy.customer_weight.tolist()))
    for stage, name in enumerate(STAGE_NAMES):
        figures = {"stage": stage, "profit_reached": 1.0}
        case = customer(figures=figures)
        assert world.terms(case)["customer_weight"] == weights[stage]
        assert weight_name(figures_of([case])[0]) == (name if name == "forgive_me" else "reached")
        for missing in (0.0, None):
            other = customer(figures=figures | {"profit_reached": missing, "value_reached": 1.0})
            assert world.terms(other)["customer_weight"] == own[stage]
            assert weight_name(figures_of([other])[0]) == name


def test_a_driver_that_is_missing_is_asked_for():
    """A fact that nobody knows is a reason to ask; once known there is nothing to ask (A4)."""
    unknown = {"id": "satisfaction_unknown", "when": "!has(customer.satisfaction)"}
    world = small(
        action("ask", desired_action="collect_information", triggers=["satisfaction_unknown"]),
        action("sell", desired_action="up_sell", when="customer.satisfaction > 50.0"),
        triggers=[unknown],
    )
    assert world.ranking(customer()) == ["ask"]
    assert world.ranking(customer(facts={"satisfaction": 80.0})) == ["sell"]
    assert reasons(world, customer())["sell"] == "CONDITION_UNKNOWN"


def test_what_customers_say_outranks_what_is_guessed():
    """With all else equal, a declared preference comes before interest that is only inferred (E5)."""
    world = small(
        action("guessed", relevance={"own_interest": "true"}),
        action("said", relevance={"declared_preference": "'recipes' in customer.needs"}),
    )
    case = customer(facts={"needs": frozenset({"recipes"})})
    assert world.ranking(case) == ["said", "guessed"]


def test_expectations_are_a_closed_list_of_ten():
    """What members expect of a programme is one of ten, of which they may name several (E5)."""
    (fact,) = [fact for fact in STANDARD_FACTS if fact.name == "expectations"]
    assert (fact.type.value, fact.values, len(set(EXPECTATIONS))) == ("set", EXPECTATIONS, 10)


def test_a_channel_without_enough_value_is_left_out():
    """One and the same action may be said at the till and not be worth a mail, a text or a push (E3)."""
    treatments = {name: {"say": "Hello"} for name in ("pos", "email", "sms", "push")}
    world = small(action(treatments=treatments, relevance={"own_interest": "true"}))
    assert world.ranking(customer(channel="pos")) == ["a"]
    for channel in ("email", "sms", "push"):
        case = customer(channel=channel, direction="outbound")
        assert world.ranking(case) == []
        assert world.ends(case)[0] == "NOT_RELEVANT"


def test_what_peers_have_is_offered_where_it_fits_and_pays():
    """Peers' uptake alone is enough at the till, not for a push, and never without a gap to close (D8)."""
    treatments = {name: {"say": "Hello"} for name in ("pos", "push")}
    effect = {"profit_gap": 0.1}
    world = small(
        action(
            desired_action="cross_sell",
            treatments=treatments,
            effect=effect,
            relevance={"peers_uptake": "true"},
        )
    )
    assert world.ranking(customer()) == ["a"]
    assert world.ends(customer(channel="push", direction="outbound"))[0] == "NOT_RELEVANT"
    assert world.ends(customer(figures={"profit_gap": 0.0}))[0] == "WORSE_THAN_DO_NOTHING"


def test_pushes_at_a_place_ask_for_the_most():
    """No channel asks for more relevance than one bound to a place (E9)."""
    world = small()
    tables, index = world.rulebook.channel_tables, world.rulebook.channel_index
    highest = {name: float(tables.threshold[i].max()) for name, i in index.items()}
    assert highest.pop("location") > max(highest.values())


def test_three_answers_unless_more_are_asked_for():
    """A busy customer is told at most three things (E12)."""
    world = small(*(action(name, effect={"once": 10}) for name in "abcde"))
    found = decide(world.model, *world.arguments([customer()]))
    assert DEFAULT_RESULTS == requests.DEFAULT_RESULTS == 3
    assert found.count[0] == found.action.shape[1] == 3


def test_words_follow_the_step_of_the_ladder():
    """Who stands high on the ladder is spoken to otherwise than who stands low (C14)."""
    world = small(
        action("join_us", when="customer.level >= 3"),
        action("how_are_we_doing", when="customer.level < 3 && customer.level >= 0"),
        action("what_went_wrong", when="customer.level < 0"),
    )
    said = {level: world.ranking(customer(figures={"level": level})) for level in (-2, 1, 4)}
    assert said == {-2: ["what_went_wrong"], 1: ["how_are_we_doing"], 4: ["join_us"]}


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_shipped_rulebooks_do_what_the_model_names(name):
    """They ask for missing facts, listen, and offer nothing whose owner is unknown (A4, C9, G2)."""
    book = compile_rulebook(ROOT / "rules" / name)
    wanted = {entry.desired_action.value for entry in book.actions}
    assert {"collect_information", "listen", "repair", "service", "information"} <= wanted
    assert all(entry.owner for entry in book.actions)


@pytest.mark.parametrize("section", ["goals", "priorities", "plan", "roles", "promises"])
def test_nothing_starts_without_a_whole_strategy(tmp_path, section):
    """A strategy without goals, priorities, plan, roles or promises is refused, and says what lacks (G5)."""
    files = documents(action())
    del files["strategy.yaml"][section]
    write(files, tmp_path)
    with pytest.raises(RulebookCompileError, match=f"`{section}`"):
        compile_rulebook(tmp_path)
