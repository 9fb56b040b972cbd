"""Decisions through the client: what is ranked in which situation, and how it is put into words."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from tests.builders.small import NOW, days_ago, newcomer, offended, population, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2, explanation_pb2
from nextbest_client import (
    AsyncNextBestClient,
    ClientOptions,
    actions_of,
    customer_snapshot,
    decide_request,
    is_fallback,
)

OUTBOUND = common_pb2.DIRECTION_OUTBOUND
BIG_BASKET = {"basket_value": 600.0}


def ranked(response):
    """Actions in order of rank, without doing nothing."""
    assert not is_fallback(response), response.fallback.message
    assert response.results[-1].action == "do_nothing"
    return [result.action for result in response.results[:-1]]


def results(response):
    """Results by action."""
    return {result.action: result for result in response.results}


def test_ends_with_doing_nothing(client, put, customer_id):
    """The last row of a decision is doing nothing, with score 0 and no treatment; ranks count from 1."""
    put(customer_id, regular())
    response = client.decide(decide_request(customer_id, channel="pos"))
    nothing = response.results[-1]
    assert (nothing.action, nothing.score, nothing.HasField("treatment")) == ("do_nothing", 0.0, False)
    assert nothing.desired_action == common_pb2.DESIRED_ACTION_DO_NOTHING
    assert [result.rank for result in response.results] == list(range(1, len(response.results) + 1))
    scores = [result.score for result in response.results]
    assert scores == sorted(scores, reverse=True)


def test_nothing_may_be_best(client, put, customer_id):
    """Where no action fits, doing nothing is the only row and no fallback."""
    put(customer_id, regular(needs=[], favourite=None))
    response = client.decide(decide_request(customer_id, channel="pos"))
    assert ranked(response) == []
    assert actions_of(response) == []


def test_result_carries_treatment_and_reasons(client, put, customer_id):
    """A result has its treatment with text and payload, both reasons, propensity and owner."""
    put(customer_id, regular())
    response = client.decide(decide_request(customer_id, channel="pos", placements=["display"]))
    brie = results(response)["brie"]
    assert brie.treatment.treatment_id == "brie/pos/display"
    assert (brie.treatment.channel, brie.treatment.placement) == ("pos", "display")
    assert brie.treatment.say == "Brie, 20 % off today"
    offer = brie.treatment.offer
    assert (offer.type, offer.value) == (common_pb2.OFFER_TYPE_PERCENT_OFF, 20.0)
    assert (offer.product_set, offer.code) == ("brie", "BRIE20")
    assert not offer.HasField("valid_until")
    assert brie.customer_reason == "Because you like cheese"
    assert brie.staff_reason.startswith("brie (20.0% likely; worth ")
    assert brie.propensity == pytest.approx(0.2)
    assert (brie.owner, brie.group, brie.issue) == ("dairy", "cheese", "loyalty")
    assert brie.desired_action == common_pb2.DESIRED_ACTION_CROSS_SELL


def test_breakdown_gives_the_score(client, put, customer_id):
    """The terms of the breakdown multiply and add up to the score, as the model says."""
    put(customer_id, regular())
    for result in client.decide(decide_request(customer_id, channel="pos")).results[:-1]:
        terms = result.breakdown
        benefit = terms.propensity * (
            terms.customer_weight * terms.customer_gain + (1 - terms.customer_weight) * terms.profit_gain
        )
        factors = terms.relevance * terms.context_weight * terms.lever * terms.pressure_factor
        assert terms.benefit == pytest.approx(benefit * factors)
        cost = terms.cost_contact + terms.cost_accepted
        assert terms.score == pytest.approx(terms.benefit - (1 + terms.shadow_price) * cost)
        assert result.score == terms.score


def test_the_weight_says_whose_it_is(client, put, customer_id):
    """Breakdowns, explanations and figures tell the weight of the customer's gain and which row it is of."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos")
    response = client.decide(request)
    told = {r.breakdown.customer_weight_of: r.breakdown.customer_weight for r in response.results[:-1]}
    figures = response.figures
    name = common_pb2.Stage.Name(figures.stage).removeprefix("STAGE_").lower()
    assert told == {"reached" if figures.profit_reached else name: figures.customer_weight}
    assert told == {figures.customer_weight_of: figures.customer_weight}
    explained = client.explain(request).candidates
    scored = [c.breakdown for c in explained if c.HasField("breakdown")]
    assert scored
    assert {b.customer_weight_of: b.customer_weight for b in scored} == told


def test_at_most_one_of_a_group(client, put, customer_id):
    """Brie and cheddar are of one group, so only the better is returned."""
    put(customer_id, regular())
    actions = ranked(client.decide(decide_request(customer_id, channel="pos", max_results=25)))
    assert "brie" in actions
    assert "cheddar" not in actions


def test_max_results_leaves_out_doing_nothing(client, put, customer_id):
    """max_results bounds the actions; the row for doing nothing comes on top."""
    put(customer_id, regular(nps_relation=None))
    request = decide_request(customer_id, channel="call_centre", contexts=BIG_BASKET, max_results=1)
    one = client.decide(request)
    many = client.decide(decide_request(customer_id, channel="call_centre", contexts=BIG_BASKET))
    assert len(one.results) == 2
    assert len(many.results) > 2
    assert one.results[0] == many.results[0]


@pytest.mark.parametrize(
    ("language", "spoken", "say"),
    [
        ("", "en", "Brie, 20 % off today"),
        ("en", "en", "Brie, 20 % off today"),
        ("da", "da", "Brie, 20 % rabat i dag"),
        ("da-DK", "da", "Brie, 20 % rabat i dag"),
        ("DA", "da", "Brie, 20 % rabat i dag"),
        ("fr", "en", "Brie, 20 % off today"),
    ],
)
def test_language(client, put, customer_id, language, spoken, say):
    """Texts come in the language asked for or its base; the rulebook's first language stands in."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos", placements=["display"], language=language)
    brie = results(client.decide(request))["brie"]
    assert (brie.treatment.language, brie.treatment.say) == (spoken, say)
    assert brie.customer_reason == {"en": "Because you like cheese", "da": "Fordi du kan lide ost"}[spoken]


def test_staff_texts_quote_facts(client, put, customer_id):
    """Placeholders of staff texts are filled with facts, numbers as the language writes them."""
    put(customer_id, regular())
    english = results(client.decide(decide_request(customer_id, channel="call_centre")))["brie"]
    danish = results(client.decide(decide_request(customer_id, channel="call_centre", language="da")))["brie"]
    assert english.staff_reason.startswith("Likes brie, spent 6,000 (20.0% likely; worth ")
    assert danish.staff_reason.startswith("Kan lide brie, købte for 6.000 (20,0 % sandsynligt; ")


def test_basic_view_leaves_figures_out(client, put, customer_id):
    """VIEW_BASIC has the same ranking and scores, without figures and breakdowns."""
    put(customer_id, regular())
    full = client.decide(decide_request(customer_id, channel="pos"))
    basic = client.decide(decide_request(customer_id, channel="pos", view=common_pb2.VIEW_BASIC))
    assert full.HasField("figures")
    assert full.results[0].HasField("breakdown")
    assert not basic.HasField("figures")
    assert not any(result.HasField("breakdown") for result in basic.results)
    assert [(r.action, r.score) for r in basic.results] == [(r.action, r.score) for r in full.results]


@pytest.mark.parametrize(
    ("placements", "treatments"),
    [
        (["display"], {"brie/pos/display"}),
        (["receipt"], {"brie/pos/receipt"}),
        (["receipt", "display"], {"brie/pos/receipt"}),
        (["display", "receipt"], {"brie/pos/display"}),
        ([], {"brie/pos/display", "brie/pos/receipt"}),
    ],
)
def test_placements_choose_the_treatment(client, put, customer_id, placements, treatments):
    """A treatment is for one of the places asked for, the best for the first; none asked for means any."""
    put(customer_id, regular())
    response = client.decide(decide_request(customer_id, channel="pos", placements=placements))
    assert results(response)["brie"].treatment.treatment_id in treatments


@pytest.mark.parametrize("places", [["receipt", "display"], ["display", "receipt"]])
def test_each_place_shows_one_action(client, places):
    """No two results share a place; the best that fits the preferred place has it, and losers hear who."""
    both = losers = 0
    for customer, asked in product(population(40), (places, places[1:])):
        request = decide_request(
            customer, channel="pos", contexts=BIG_BASKET, placements=asked, evaluation_time=NOW
        )
        explained = client.explain(request, language="en")
        decision = client.decide(request)
        shown = {r.treatment.placement: r.action for r in decision.results[:-1]}
        assert list(shown.values()) == ranked(decision) == ranked(explained.decision)
        assert shown.keys() <= set(asked)
        both += len(shown) == 2
        for one in explained.candidates:
            assert one.action not in shown.values() or shown[one.placement] == one.action
            if one.code == explanation_pb2.REASON_CODE_DUPLICATE_PLACEMENT:
                assert one.lost_to in shown.values()
                assert f"({one.lost_to})" in one.sentence
                losers += 1
        first = decision.results[0]
        if first.action == "brie":  # fits both
            assert first.treatment.treatment_id == f"brie/pos/{asked[0]}"
    assert both > 5
    assert losers > 5


def test_caller_role_opens_actions(client, put, customer_id):
    """An action above the caller's authority is not returned; no role means the least authority."""
    put(customer_id, offended())

    def asked(role):
        return ranked(client.decide(decide_request(customer_id, channel="call_centre", caller_role=role)))

    assert "gesture" in asked("lead")
    for role in ("", "till", "agent"):
        assert "gesture" not in asked(role)


def test_mandatory_comes_first(client, put, customer_id):
    """In Forgive me the apology is mandatory and comes before a better score."""
    put(customer_id, offended())
    response = client.decide(decide_request(customer_id, channel="call_centre", caller_role="lead"))
    assert response.figures.stage == common_pb2.STAGE_FORGIVE_ME
    assert ranked(response) == ["apology", "gesture"]
    assert [result.mandatory for result in response.results] == [True, False, False]
    assert response.results[1].score > response.results[0].score


def test_stage_decides_what_is_offered(client, put, customer_id):
    """The same question gives a newcomer a welcome and an offended customer an apology."""
    put(customer_id, newcomer())
    assert "welcome" in ranked(client.decide(decide_request(customer_id, channel="pos")))
    put(customer_id, offended())
    assert ranked(client.decide(decide_request(customer_id, channel="pos"))) == ["apology"]


def test_contexts_fire_triggers(client, put, customer_id):
    """A trigger on the basket fires by the context given, is named in the result, and is for families."""
    put(customer_id, regular())
    small = client.decide(decide_request(customer_id, channel="pos", contexts={"basket_value": 100.0}))
    unknown = client.decide(decide_request(customer_id, channel="pos"))
    big = client.decide(decide_request(customer_id, channel="pos", contexts=BIG_BASKET))
    assert "wine" not in ranked(small)
    assert "wine" not in ranked(unknown)
    assert list(results(big)["wine"].triggers) == ["big_basket"]
    put(customer_id, regular(household="single"))
    assert "wine" not in ranked(
        client.decide(decide_request(customer_id, channel="pos", contexts=BIG_BASKET))
    )


def test_contexts_of_every_type(client, put, customer_id):
    """Whole numbers, truth values and times of the situation are read by conditions."""
    put(customer_id, regular(needs=[], favourite=None))
    contexts = {"items": 30, "gift": False, "parked_at": NOW}
    fits = client.decide(decide_request(customer_id, channel="pos", contexts=contexts))
    gift = client.decide(decide_request(customer_id, channel="pos", contexts=contexts | {"gift": True}))
    assert ranked(fits) == ["parking_hint"]
    assert ranked(gift) == []


def test_blocked_topic_is_respected(client, put, customer_id):
    """What is about a topic that the customer blocked is not returned."""
    put(customer_id, regular(blocked_topics=["alcohol"]))
    assert "wine" not in ranked(
        client.decide(decide_request(customer_id, channel="pos", contexts=BIG_BASKET))
    )


def test_outbound_needs_consent(client, put, customer_id):
    """A contact that we start needs consent for its channel and purpose; one that they start needs none."""
    request = decide_request(customer_id, channel="email", direction=OUTBOUND)
    put(customer_id, regular())
    assert "brie" in ranked(client.decide(request))
    for consent in ([], ["email_service"], ["call_centre_marketing"], None):
        put(customer_id, regular(consent=consent))
        assert ranked(client.decide(request)) == []
    assert "brie" in ranked(client.decide(decide_request(customer_id, channel="email")))


@pytest.mark.parametrize(
    ("zone", "hour", "quiet"),
    [
        ("Europe/Copenhagen", 7, True),  # 8 o'clock there
        ("Europe/Copenhagen", 8, False),
        ("Europe/Copenhagen", 19, True),
        ("America/New_York", 12, True),  # 7 o'clock there
        ("America/New_York", 14, False),
        (None, 7, True),  # the strategy's zone
        (None, 8, False),
    ],
)
def test_quiet_hours_are_the_customers(client, put, customer_id, zone, hour, quiet):
    """We call nobody between 20 and 9 o'clock of their own time; they may call us whenever they want."""
    put(customer_id, regular(time_zone=zone))
    when = NOW.replace(hour=hour)
    ours = decide_request(customer_id, channel="call_centre", direction=OUTBOUND, evaluation_time=when)
    assert ("brie" in ranked(client.decide(ours))) is not quiet
    theirs = decide_request(customer_id, channel="call_centre", evaluation_time=when)
    assert "brie" in ranked(client.decide(theirs))


def test_evaluation_time_replaces_the_clock(client, put, customer_id):
    """A decision for another time is made, and says so; figures are those of that time."""
    put(customer_id, regular())
    later = NOW + timedelta(days=90)
    request = decide_request(customer_id, channel="call_centre", evaluation_time=later)
    response = client.decide(request)
    assert response.evaluation_time.ToDatetime(UTC) == later
    assert response.figures.days_since_purchase == pytest.approx(97.0)
    assert response.figures.snapshot_age_days == pytest.approx(90.0)
    assert list(results(response)["win_back"].triggers) == ["overdue"]


def test_clock_runs_from_as_of(client, put, customer_id):
    """Without evaluation_time the decision is made at the time of `--as-of`, and time goes on."""
    put(customer_id, regular())
    first = client.decide(decide_request(customer_id, channel="pos")).evaluation_time.ToDatetime(UTC)
    second = client.decide(decide_request(customer_id, channel="pos")).evaluation_time.ToDatetime(UTC)
    assert NOW <= first < second < NOW + timedelta(hours=12)


def test_frame_of_the_answer(client, put, rulebook, customer_id):
    """A decision says what it was made with, when the snapshot was true, and in which currency."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos", request_id="frame")
    response = client.decide(request)
    assert (response.request_id, response.customer_id) == ("frame", customer_id)
    assert response.rulebook_revision == rulebook.revision
    assert response.currency == "DKK"
    assert response.snapshot_as_of.ToDatetime(UTC) == NOW
    assert len(response.decision_id) == 32
    assert len(response.model_digest) == 64


def test_figures_of_a_known_customer(client, put, customer_id):
    """Stage, level, actual and potential value and profit, both gaps and LTV are in the answer."""
    put(customer_id, regular())
    figures = client.decide(decide_request(customer_id, channel="pos")).figures
    assert figures.stage == common_pb2.STAGE_HEAR_ME
    assert figures.actual_profit == pytest.approx(6000.0 * 0.3)
    assert figures.actual_value == pytest.approx(0.25 * (70 - 50) / 100 * 6000)
    for name in ("level", "potential_value", "potential_profit", "value_gap", "profit_gap", "ltv", "alive"):
        assert figures.HasField(name), name
    assert figures.potential_quantile == pytest.approx(0.8)
    assert figures.peer_cell == "city/family"
    assert figures.peer_cell_size >= 10


def test_drivers_sum_to_the_figures(client, put, customer_id):
    """The signed drivers add up to actual value and actual profit, also of a short history."""
    for exposure in (1.0, 0.25):
        put(customer_id, regular(n_visits=12, minutes_spent=30.0, exposure_share=exposure))
        figures = client.decide(decide_request(customer_id, channel="pos")).figures
        for name in ("actual_value", "actual_profit"):
            parts = [driver.amount for driver in figures.drivers if driver.figure == name]
            assert sum(parts) == pytest.approx(getattr(figures, name))
        amounts = [abs(driver.amount) for driver in figures.drivers]
        assert amounts == sorted(amounts, reverse=True)
        assert "peers" in {driver.name for driver in figures.drivers} or exposure == 1.0


def test_defaults_are_named(client, put, customer_id):
    """Inputs that were missing and filled by the model's default are listed; known ones are not."""
    put(customer_id, regular(margin_rate=None, satisfaction=None, n_calls=3))
    defaulted = set(client.decide(decide_request(customer_id, channel="pos")).figures.defaulted)
    assert {"margin_rate", "satisfaction", "n_visits", "minutes_spent", "exposure_share"} <= defaulted
    assert not defaulted & {"n_calls", "revenue_net", "cogs"}


NO_ATTITUDE = {"nps_relation": None, "nps_relation_at": None, "satisfaction": None, "needs": None}


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        (NO_ATTITUDE, False),
        (NO_ATTITUDE | {"needs": []}, False),
        (NO_ATTITUDE | {"needs": ["cheese"]}, True),
        (NO_ATTITUDE | {"satisfaction": 0.0}, True),
        (NO_ATTITUDE | {"nps_relation": 0}, True),
        ({}, True),
    ],
)
def test_a_customer_without_an_attitude_is_flagged(client, put, customer_id, changes, known):
    """An answer says whether an NPS, a satisfaction or a preference is known; purchases tell none (A5)."""
    put(customer_id, regular(**changes))
    figures = client.decide(decide_request(customer_id, channel="pos")).figures
    assert figures.HasField("attitude_known")
    assert figures.attitude_known is known


def test_missing_figures_stay_unset(client, put, customer_id):
    """A figure that cannot be computed is absent, not 0."""
    put(
        customer_id, regular(revenue_net=None, repeat_purchases=None, recency_weeks=None, observed_weeks=None)
    )
    figures = client.decide(decide_request(customer_id, channel="pos")).figures
    for name in ("actual_profit", "profit_gap", "ltv", "alive", "value_for_money"):
        assert not figures.HasField(name), name
    assert figures.multiplier == 1.0


def test_inline_snapshot_replaces_the_stored_one(client, put, store, customer_id):
    """A snapshot in the request is decided on instead of the stored one, and is not stored."""
    put(customer_id, regular())
    before = store.get(f"nextbest:{{{customer_id}}}:s")
    inline = customer_snapshot(customer_id, as_of=days_ago(1), facts=offended())
    response = client.decide(decide_request(customer_id, channel="pos", snapshot=inline))
    assert ranked(response) == ["apology"]
    assert response.snapshot_as_of.ToDatetime(UTC) == days_ago(1)
    assert store.get(f"nextbest:{{{customer_id}}}:s") == before
    assert ranked(client.decide(decide_request(customer_id, channel="pos"))) != ["apology"]


def test_inline_snapshot_of_an_unknown_customer(client, store, customer_id):
    """A customer without a stored snapshot is decided on by the one in the request."""
    inline = customer_snapshot(customer_id, as_of=NOW, facts=regular())
    response = client.decide(decide_request(customer_id, channel="pos", snapshot=inline))
    assert "brie" in ranked(response)
    assert not store.keys(f"nextbest:{{{customer_id}}}:s")


def test_purchase_phase_is_taken(client, put, customer_id):
    """Every phase of the purchase is a valid question."""
    put(customer_id, regular())
    for phase in common_pb2.PurchasePhase.values():
        assert ranked(client.decide(decide_request(customer_id, channel="pos", purchase_phase=phase)))


def test_call_centre_and_till_rank_alike(client, decisions):
    """Where treatments exist on both, desk and till get the same ranking at the same time."""
    common = {"brie", "cheddar", "wine", "welcome", "apology"}
    seen = set()
    for customer in list(population(120)):
        rankings = []
        for channel in ("call_centre", "pos"):
            request = decide_request(
                customer, channel=channel, contexts=BIG_BASKET, max_results=25, evaluation_time=NOW
            )
            response = client.decide(request)
            rankings.append([(r.action, r.propensity) for r in response.results if r.action in common])
        assert rankings[0] == rankings[1]
        seen.update(action for action, _ in rankings[0])
    assert {"brie", "wine"} <= seen


def test_same_question_same_answer(client):
    """At a fixed time every answer is the same, but for the identity of the decision."""
    for customer in list(population(20)):
        first, second = (
            client.decide(decide_request(customer, channel="call_centre", evaluation_time=NOW)) for _ in "12"
        )
        assert first.decision_id != second.decision_id
        for response in (first, second):
            response.ClearField("decision_id")
            response.ClearField("request_id")
        assert first == second


async def test_async_client_gets_the_same(service, client):
    """The asynchronous client gets what the synchronous one gets."""
    request = decide_request("p0001", channel="pos", evaluation_time=NOW, request_id="sync-and-async")
    options = ClientOptions(timeout_ms=60_000.0)
    async with AsyncNextBestClient(service.address, options=options) as connected:
        assert await connected.decide(request) == client.decide(request)


def test_no_deadline_is_fine(decisions, put, customer_id):
    """A caller that sets no deadline is answered."""
    put(customer_id, regular())
    request = decision_pb2.DecideRequest(
        customer_id=customer_id, channel="pos", direction=common_pb2.DIRECTION_INBOUND
    )
    assert ranked(decisions.Decide(request))


def test_history_before_the_epoch_is_fine(client, put, customer_id):
    """An evaluation time long ago is decided for, without a crash of calendars."""
    put(customer_id, regular())
    for year in (1, 1900, 9998):
        when = datetime(year, 7, 1, tzinfo=UTC)
        request = decide_request(customer_id, channel="call_centre", direction=OUTBOUND, evaluation_time=when)
        assert client.decide(request).results[-1].action == "do_nothing"
