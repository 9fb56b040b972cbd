"""The use case as a whole: single = batch, purity, and what gates and time may never do."""

import copy
import dataclasses
import random
from unittest import mock

import numpy as np
import pytest
from tests.builders.customers import CaseGenerator, figures_of
from tests.builders.rulebooks import RulebookGenerator
from tests.builders.worlds import DAY, NOW, World, action, customer, small
from tests.naive.plain import Entry
from tests.naive.score import mutual_value

import nextbest.decide as use_case
from nextbest.model import Reason, Term

SEEDS = range(25)
ARBITRATED = {
    Reason.CHOSEN,
    Reason.MANDATORY,
    Reason.WORSE_THAN_DO_NOTHING,
    Reason.BEATEN_IN_GROUP,
    Reason.BEATEN_IN_RANK,
    Reason.DUPLICATE_PLACEMENT,
}


@dataclasses.dataclass
class Drawn:
    """A generated rulebook and customers."""

    world: World
    cases: list
    learnt: object


def drawn(seed, n=70):
    """More customers than fit one block of 64."""
    rng = random.Random(seed)
    world = World(RulebookGenerator(rng).documents())
    generator = CaseGenerator(rng, world.plain)
    return Drawn(world, [generator.case() for _ in range(n)], generator.learnt())


def parts(value):
    """Every array of a decision or a trace."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def assert_same_bits(ours, theirs):
    """Equal byte for byte, NaN included."""
    for name, array in parts(ours).items():
        assert array.tobytes() == parts(theirs)[name].tobytes(), name


def rows_of(decisions, row):
    """The part of one customer; of a plane with a bit each, her bit in place 0."""
    own = {name: array[row : row + 1] for name, array in parts(decisions).items() if name != "fired"}
    bit = (decisions.fired[:, row // 64] >> np.uint64(row % 64)) & np.uint64(1)
    return type(decisions)(**own, fired=bit.reshape(-1, 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_customer_gets_what_she_gets_among_many(seed):
    """Single and batch decide alike, bit for bit, whichever block a customer is in."""
    d = drawn(seed)
    together = d.world.decide(d.cases, d.learnt)
    for row in (0, 1, 31, 63, 64, 69):
        alone = d.world.decide([d.cases[row]], d.learnt)
        assert_same_bits(alone, rows_of(together, row))


@pytest.mark.parametrize("seed", SEEDS)
def test_deciding_and_explaining_tell_one_story(seed):
    """An explanation ranks what the decision ranked, with the same bits."""
    d = drawn(seed)
    decisions = d.world.decide(d.cases, d.learnt)
    explained, trace = d.world.explain(d.cases, d.learnt)
    assert_same_bits(decisions, explained)
    for row in range(len(d.cases)):
        ranked = decisions.action[row, : decisions.count[row]]
        chosen = np.isin(trace.reason[row], (Reason.CHOSEN, Reason.MANDATORY))
        assert sorted(ranked) == np.flatnonzero(chosen).tolist()
        for place, index in enumerate(ranked):
            assert trace.treatment[row, index] == decisions.treatment[row, place]
            assert trace.terms[row, index].tobytes() == decisions.terms[row, place].tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_arguments_give_the_same_bits(seed):
    """Nothing is read but the arguments, and nothing of them is changed."""
    d = drawn(seed)
    arguments = d.world.arguments(d.cases, d.learnt)
    before = copy.deepcopy(arguments)
    with mock.patch.object(use_case, "figures_of", side_effect=lambda *_: figures_of(d.cases)):
        first = use_case.decide(d.world.model, *arguments)
        second = use_case.decide(d.world.model, *arguments)
    assert_same_bits(first, second)
    rows, histories, contexts, state, now, _ = arguments
    for ours, theirs in ((rows, before[0]), (contexts, before[2])):
        assert_same_bits(ours, theirs)
    assert histories.contacts.entries.tobytes() == before[1].contacts.entries.tobytes()
    assert state.posteriors.tobytes() == before[3].posteriors.tobytes()
    assert now.tobytes() == before[4].tobytes()


def test_read_only_and_writable_arrays_decide_alike():
    """Whoever made the arrays, the answer is the same."""
    d = drawn(3)
    rows, histories, contexts, state, now, seed = d.world.arguments(d.cases, d.learnt)
    frozen = copy.deepcopy((histories, contexts, now))
    for array in (frozen[0].contacts.entries, frozen[0].contacts.starts, frozen[1].numbers, frozen[2]):
        array.setflags(write=False)
    loose = dataclasses.replace(rows, **{name: array.copy() for name, array in parts(rows).items()})
    with mock.patch.object(use_case, "figures_of", side_effect=lambda *_: figures_of(d.cases)):
        first = use_case.decide(d.world.model, rows, histories, contexts, state, now, seed)
        second = use_case.decide(d.world.model, loose, frozen[0], frozen[1], state, frozen[2], seed)
    assert_same_bits(first, second)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_files_and_entries_changes_nothing(seed):
    """Actions, triggers and files may stand in any order: what is decided is the same, bit for bit."""
    d = drawn(seed)
    turned = dict(reversed(d.world.documents.items()))
    turned["actions/one.yaml"], turned["actions/two.yaml"] = (
        {"actions": turned[name]["actions"][::-1]} for name in ("actions/two.yaml", "actions/one.yaml")
    )
    turned["triggers/all.yaml"] = {"triggers": turned["triggers/all.yaml"]["triggers"][::-1]}
    again = World(turned)
    assert [a.id for a in again.rulebook.actions] == [a.id for a in d.world.rulebook.actions]
    ours, theirs = d.world.explain(d.cases, d.learnt), again.explain(d.cases, d.learnt)
    assert_same_bits(ours[0], theirs[0])
    assert_same_bits(ours[1], theirs[1])


def gates_to_add(rng):
    """Gates that an author may add to an action."""
    return rng.choice(
        [
            {"when": "customer.discount_share < 0.5"},
            {"stages": ["know_me", "hear_me"]},
            {"segments": ["s0"]},
            {"triggers": ["t0"]},
            {"topics": ["credit"]},
            {"authority": "lead"},
            {"valid": {"from": "2023-11-15"}},
            {"max_snapshot_age": "1d"},
            {"caps": [{"at_most": 1, "within": "30d"}]},
            {"limits": [{"outcome": "ignored", "at_least": 1, "within": "30d", "pause": "30d"}]},
            {"intent": "inside_out"},
            {"need": "create"},
            {"benefit_group": "x"},
        ]
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_a_gate_never_adds_a_survivor(seed):
    """Whatever gate an author adds to whichever action, nothing comes to arbitration that did not before."""
    d = drawn(seed)
    rng = random.Random(seed)
    documents = copy.deepcopy(d.world.documents)
    for name in ("actions/one.yaml", "actions/two.yaml"):
        for entry in documents[name]["actions"]:
            gate = gates_to_add(rng)
            if not gate.keys() & entry.keys():
                entry.update(gate)
    stricter = World(documents)
    _, before = d.world.explain(d.cases, d.learnt)
    _, after = stricter.explain(d.cases, d.learnt)
    arbitrated = tuple(ARBITRATED)
    assert not (np.isin(after.reason, arbitrated) & ~np.isin(before.reason, arbitrated)).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_customer_gets_what_they_can_only_lose_by(seed):
    """Every answer is expected to be worth something to the customer, or nothing: never less."""
    d = drawn(seed)
    decisions = d.world.decide(d.cases, d.learnt, limit=25)
    plain = {a.id: a for a in d.world.plain.actions}
    for row, case in enumerate(d.cases):
        for place in range(decisions.count[row]):
            entry = plain[d.world.rulebook.actions[decisions.action[row, place]].id]
            p = float(decisions.terms[row, place, Term.MEAN_PROPENSITY])
            worth = mutual_value(entry, case.figures["value_gap"], p, d.world.plain.value_of_time)
            assert worth >= -1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_what_has_not_happened_yet_changes_nothing(seed):
    """Entries later than the time of the decision count nowhere, whatever clocks did."""
    d = drawn(seed)
    ahead = []
    for case in d.cases:
        known = tuple(e for e in case.history.entries if e.time <= case.request.now)
        ahead.append(dataclasses.replace(case, history=dataclasses.replace(case.history, entries=known)))
    assert_same_bits(d.world.decide(d.cases, d.learnt), d.world.decide(ahead, d.learnt))


def test_nobody_asked_nobody_answered():
    """An empty batch has an empty answer."""
    world = small()
    decisions = world.decide([])
    assert decisions.action.shape == (0, 3)
    assert decisions.count.shape == (0,)


def test_a_rulebook_without_actions_does_nothing():
    """Doing nothing is always an answer."""
    documents = small().documents
    documents["actions/all.yaml"] = {"actions": []}
    assert World(documents).decide([customer()]).count.tolist() == [0]


def test_withdrawn_consent_takes_effect_on_the_next_decision():
    """Nothing of a consent is kept but the snapshot's."""
    world = small()
    given = customer(direction="outbound", channel="email")
    withdrawn = customer(direction="outbound", channel="email", facts={"consent": frozenset()})
    found = [world.decide([case]).count[0] for case in (given, withdrawn, given)]
    assert found == [1, 0, 1]


def test_one_customer_three_snapshots_three_explanations():
    """With position and information the answer changes, and so does why."""
    world = small(action(stages=["hear_me"], when="customer.satisfaction > 50.0"))
    reasons = [
        world.ends(customer(facts={"satisfaction": 90.0}))[0],
        world.ends(customer(facts={"satisfaction": 20.0}))[0],
        world.ends(customer(figures={"stage": 3}))[0],
    ]
    assert reasons == ["CHOSEN", "CONDITION_FALSE", "STAGE_MISMATCH"]


def test_captured_outcomes_are_seen_by_the_next_decision():
    """A rejection dampens, two pause; a contact presses."""
    limit = {"outcome": "rejected", "at_least": 2, "within": "15d", "pause": "30d"}
    channels = {"pos": {"threshold": {"inbound": 0}}, "email": {}, "location": {}}
    world = small(action(limits=[limit]), policies={"channels": channels})
    no = Entry(NOW - DAY, "outcome", "pos", "inbound", outcome="rejected", action="a")
    scores = [world.terms(customer(*[no] * times))["score"] for times in (0, 1)]
    assert scores == [7.0, 1.75]
    assert world.ends(customer(no, no))[0] == "CONTACT_POLICY_PAUSED"


def test_early_identification_gives_another_ranking():
    """Who is known before payment can be told other things than who is known at payment."""
    before = [{"when": "context.phase == 'before_payment'", "weight": 100}]
    world = small(action("a"), action("b", context=before))
    assert world.ranking(customer(phase="at_payment")) == ["a", "b"]
    assert world.ranking(customer(phase="before_payment")) == ["b", "a"]


@pytest.mark.parametrize("k", [1, 3, 25])
def test_a_shorter_answer_is_the_beginning_of_a_longer_one(k):
    """How many results are asked for changes none of those before."""
    d = drawn(5)
    long, short = d.world.decide(d.cases, d.learnt, limit=30), d.world.decide(d.cases, d.learnt, limit=k)
    assert np.array_equal(long.action[:, :k], short.action)
    assert long.terms[:, :k].tobytes() == short.terms.tobytes()
