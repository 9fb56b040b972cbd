"""What must hold of every decision, over generated worlds; each check gives how much it compared.

A check decides for some customers before and after a change of which the model says what it may do, and
reads the trace: an action *reached arbitration* if it passed every gate.
"""

import copy
import random
from dataclasses import replace

import numpy as np
from tests.builders.customers import DAY, CaseGenerator
from tests.builders.rulebooks import CONDITIONS, CONSENTS, TOPICS, RulebookGenerator
from tests.builders.worlds import World
from tests.naive.plain import STAGES, Entry, History
from tests.naive.score import mutual_value

from nextbest.model import GATE_OF, Gate, Term

CUSTOMERS = 16
REACHED = [reason for reason, gate in GATE_OF.items() if gate is Gate.ARBITRATION]
SAME = {"explore": {"method": "none"}}
"""Learning that shows the best first: for what is said of ranks."""


class Seen:
    """What became of some customers under a world."""

    def __init__(self, world, cases, learnt, limit=25):
        self.world, self.cases = world, cases
        self.decisions, trace = world.explain(cases, learnt, limit=limit)
        self.reason, self.terms = trace.reason, trace.terms
        self.ids = [action.id for action in world.rulebook.actions]
        self.reached = np.isin(self.reason, REACHED)

    def ranking(self, row):
        """Ids in order."""
        return [self.ids[a] for a in self.decisions.action[row, : self.decisions.count[row]]]

    def term(self, row, action, term=Term.SCORE):
        """One term of one action's score."""
        return float(self.terms[row, self.ids.index(action), term])

    def survivors(self, row):
        """Ids of the actions that reached arbitration."""
        return {name for name, here in zip(self.ids, self.reached[row], strict=True) if here}


def drawn(seed, **options):
    """Documents, customers of their world, and what is learnt."""
    rng = random.Random(seed)
    documents = RulebookGenerator(rng, **options).documents()
    generator = CaseGenerator(rng, World(documents).plain)
    cases = [generator.case() for _ in range(CUSTOMERS)]
    return rng, documents, cases, generator.learnt()


def every_action(documents):
    """The entries of all actions, to be changed."""
    return [entry for content in documents.values() for entry in content.get("actions", ())]


def ranking_documents(documents):
    """The documents with nothing tried out, so that ranks follow scores."""
    changed = copy.deepcopy(documents)
    changed["strategy.yaml"]["learning"] = changed["strategy.yaml"].get("learning", {}) | SAME
    return changed


def gate_added(seed):
    """A gate more, on an action, a channel or a stage, adds no survivor."""
    rng, documents, cases, learnt = drawn(seed)
    tightened = copy.deepcopy(documents)
    for _ in range(3):
        tighten(tightened, rng)
    before, after = Seen(World(documents), cases, learnt), Seen(World(tightened), cases, learnt)
    assert before.ids == after.ids
    assert not (after.reached & ~before.reached).any(), documents
    return int((before.reached & ~after.reached).sum())


def tighten(documents, rng):
    """Add one gate somewhere."""
    entry = rng.choice(every_action(documents))
    condition = rng.choice(CONDITIONS)
    stages = rng.sample(STAGES, 2)
    choices = {
        "when": lambda: f"({entry['when']}) && ({condition})" if "when" in entry else condition,
        "stages": lambda: [s for s in entry.get("stages", STAGES) if s in stages] or entry["stages"],
        "topics": lambda: sorted({*entry.get("topics", ()), rng.choice(TOPICS)}),
        "authority": lambda: 9,
        "max_snapshot_age": lambda: "30min",
        "caps": lambda: [*entry.get("caps", ()), {"at_most": 0, "within": "7d"}],
        "limits": lambda: [
            *entry.get("limits", ()),
            {"outcome": "rejected", "at_least": 1, "within": "60d", "pause": "60d"},
        ],
    }
    # Contacts of an action rest its triggers, so a trigger that cools down would be more than a gate.
    restless = [t["id"] for t in documents["triggers/all.yaml"]["triggers"] if "cool_down" not in t]
    if "triggers" not in entry and restless:
        choices["triggers"] = lambda: [rng.choice(restless)]
    if "segments" not in entry:
        choices["segments"] = lambda: [rng.choice(documents["segments.yaml"]["segments"])["id"]]
    key = rng.choice([*choices, "quiet", "pressure", "floor"])
    if key == "quiet":
        channel = rng.choice(list(documents["policies.yaml"]["channels"].values()))
        channel.setdefault("quiet_hours", {"start": 0, "end": 23.99})
    elif key == "pressure":
        stage = documents["strategy.yaml"]["stages"].setdefault(rng.choice(STAGES), {})
        stage["pressure_cap"] = 0
    elif key == "floor":
        documents["strategy.yaml"]["data_quality"] = {"floor": 1}
    else:
        entry[key] = choices[key]()


def irrelevance(seed):
    """Evidence that counts half improves no action, and leaves one of negative benefit as it is."""
    _, documents, cases, learnt = drawn(seed)
    duller = copy.deepcopy(documents)
    kinds = {kind for entry in every_action(documents) for kind in entry.get("relevance", ())}
    given = documents["policies.yaml"]["relevance"]
    weights = World(documents).plain
    known = {e.kind: e.weight for action in weights.actions for e in action.evidence}
    duller["policies.yaml"]["relevance"] = given | {kind: known[kind] / 2 for kind in kinds}
    before, after = Seen(World(documents), cases, learnt), Seen(World(duller), cases, learnt)
    both = before.reached & after.reached
    assert not (after.reached & ~before.reached).any()
    old, new = before.terms[both], after.terms[both]
    assert (new[:, Term.RELEVANCE] <= old[:, Term.RELEVANCE]).all()
    assert (new[:, Term.SCORE] <= old[:, Term.SCORE]).all()
    negative = old[:, Term.BENEFIT] <= 0
    assert np.array_equal(new[negative, Term.SCORE], old[negative, Term.SCORE])
    assert (new[negative, Term.BENEFIT] <= 0).all()
    return int((new[:, Term.RELEVANCE] < old[:, Term.RELEVANCE]).sum()) + int(negative.sum())


def files_permuted(seed):
    """Actions in other files and order, files by other names, keys in another order: the same bits."""
    rng, documents, cases, learnt = drawn(seed)
    actions = every_action(copy.deepcopy(documents))
    rng.shuffle(actions)
    cut = rng.randint(0, len(actions))
    other = {name: content for name, content in documents.items() if not name.startswith("actions/")}
    other |= {"actions/zz.yaml": {"actions": actions[:cut]}, "actions/aa.yaml": {"actions": actions[cut:]}}
    other["triggers/t.yaml"] = other.pop("triggers/all.yaml")
    names = list(other)
    rng.shuffle(names)
    other = {name: keys_shuffled(other[name], rng) for name in names}
    before, after = Seen(World(documents), cases, learnt), Seen(World(other), cases, learnt)
    places = [after.ids.index(name) for name in before.ids]
    assert np.array_equal(before.reason, after.reason[:, places])
    assert np.array_equal(before.terms, after.terms[:, places], equal_nan=True)
    assert all(before.ranking(row) == after.ranking(row) for row in range(len(cases)))
    return int(before.reached.sum())


def keys_shuffled(value, rng):
    """The same mappings in another order; treatments, of which the first that fits is taken, keep theirs."""
    if isinstance(value, list):
        return [keys_shuffled(item, rng) for item in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    rng.shuffle(names)
    return {name: value[name] if name == "treatments" else keys_shuffled(value[name], rng) for name in names}


def likelier(seed):
    """Where what is gained covers what an acceptance costs, a likelier acceptance scores no less."""
    _, documents, cases, learnt = drawn(seed)
    for entry in every_action(documents):
        entry["propensity"] = "customer.discount_share"
    world, compared = World(documents), 0
    for case in cases[:6]:
        steps = [replace(case, facts={**case.facts, "discount_share": p}) for p in np.linspace(0, 1, 9)]
        seen = Seen(world, steps, learnt)
        for action in range(len(seen.ids)):
            for row in range(len(steps) - 1):
                if seen.reached[row, action] and seen.reached[row + 1, action]:
                    compared += never_falls(seen.terms[row, action], seen.terms[row + 1, action], world)
    return compared


def never_falls(low, high, world):
    """Compare the scores of two propensities where all else is equal."""
    moving = [Term.PROPENSITY, Term.MEAN_PROPENSITY, Term.BENEFIT, Term.ACCEPTED_COST, Term.SCORE]
    if not np.array_equal(np.delete(low, moving), np.delete(high, moving)):
        return 0
    gain = low[Term.CUSTOMER_WEIGHT] * low[Term.CUSTOMER_GAIN]
    gain += (1 - low[Term.CUSTOMER_WEIGHT]) * low[Term.PROFIT_GAIN]
    factor = low[[Term.RELEVANCE, Term.CONTEXT_WEIGHT, Term.LEVER, Term.PRESSURE_FACTOR]].prod()
    paid = high[Term.ACCEPTED_COST] / high[Term.PROPENSITY]
    # irrelevance dampens a gain to nothing, a loss not at all
    covered = gain >= 0 and gain * factor >= (1 + low[Term.SHADOW_PRICE]) * paid and low[Term.BENEFIT] >= 0
    if world.plain.classic or not covered:
        return 0
    assert high[Term.SCORE] >= low[Term.SCORE] - 1e-9 * abs(low[Term.SCORE])
    return 1


def worth_it_for_the_customer(seed):
    """Whatever is recommended, mandatory or not, is worth something to the customer, time included."""
    _, documents, cases, learnt = drawn(seed)
    seen, compared = Seen(World(documents), cases, learnt), 0
    plain = {action.id: action for action in seen.world.plain.actions}
    for row, case in enumerate(cases):
        for name in seen.ranking(row):
            p = seen.term(row, name, Term.MEAN_PROPENSITY)
            gap, time = case.figures["value_gap"], seen.world.plain.value_of_time
            assert mutual_value(plain[name], gap, p, time) >= -1e-9, (documents, name)
            compared += 1
    return compared


def better_than_nothing(seed):
    """Doing nothing competes: only mandatory actions come without a positive score, and they come first."""
    _, documents, cases, learnt = drawn(seed)
    seen, compared = Seen(World(ranking_documents(documents)), cases, learnt), 0
    plain = {action.id: action for action in seen.world.plain.actions}
    for row in range(len(cases)):
        ranking = seen.ranking(row)
        chosen = [name for name in ranking if not plain[name].mandatory]
        assert ranking[len(ranking) - len(chosen) :] == chosen
        scores = [seen.term(row, name) for name in chosen]
        assert all(score > 0 for score in scores)
        assert scores == sorted(scores, reverse=True)
        groups = [plain[name].group for name in ranking if plain[name].group is not None]
        assert len(groups) == len(set(groups))
        compared += len(ranking)
    return compared


def dearer(seed):
    """A higher cost, price of budget or price of contact raises no score, and no dearer action's rank."""
    rng, documents, cases, learnt = drawn(seed)
    documents = ranking_documents(documents)
    before = Seen(World(documents), cases, learnt)
    given = sorted({name for row in range(len(cases)) for name in before.ranking(row)})
    if not given:
        return 0
    costly, name = copy.deepcopy(documents), rng.choice(given)
    entry = next(entry for entry in every_action(costly) if entry["id"] == name)
    cost = entry["cost"]
    entry["cost"] = {"contact": cost["contact"] + 1.0, "accepted": cost["accepted"] + 5.0}
    after, compared = Seen(World(costly), cases, learnt), 0
    for row in range(len(cases)):
        places = [seen.ranking(row) for seen in (before, after)]
        if name in places[1]:
            assert name in places[0]
            ahead = set(places[0][: places[0].index(name)])
            assert ahead <= set(places[1][: places[1].index(name)])
        compared += name in places[0]
    prices = replace(learnt, prices=tuple(p + 1.0 for p in learnt.prices), contact_price=9.0)
    priced = Seen(World(documents), cases, prices)
    assert np.array_equal(priced.reached, before.reached)
    assert (
        priced.terms[..., Term.SCORE][priced.reached] <= before.terms[..., Term.SCORE][before.reached]
    ).all()
    for row, case in enumerate(cases):
        # Where placements are asked for, one that gives way may leave room for two.
        if not case.request.placements:
            assert len(priced.ranking(row)) <= len(before.ranking(row))
    return compared


def consent_withdrawn(seed):
    """A consent less or a blocked topic more adds no survivor."""
    rng, documents, cases, learnt = drawn(seed)
    world = World(documents)
    shyer = [
        replace(
            case,
            facts={
                **case.facts,
                "consent": case.facts.get("consent", frozenset()) - set(rng.sample(CONSENTS, 9)),
                "blocked_topics": case.facts.get("blocked_topics", frozenset()) | {rng.choice(TOPICS)},
            },
        )
        for case in cases
    ]
    before, after = Seen(world, cases, learnt), Seen(world, shyer, learnt)
    assert not (after.reached & ~before.reached).any()
    return int((before.reached & ~after.reached).sum())


def rejected_again(seed):
    """One more rejection adds no survivor and raises no score."""
    rng, documents, cases, learnt = drawn(seed, windows=False)
    world = World(documents)
    annoyed = [with_entry(case, rng, world.plain) for case in cases]
    before, after = Seen(world, cases, learnt), Seen(world, annoyed, learnt)
    assert not (after.reached & ~before.reached).any()
    both = before.reached & after.reached
    assert (after.terms[both][:, Term.SCORE] <= before.terms[both][:, Term.SCORE]).all()
    return int((before.terms[both][:, Term.SCORE] != after.terms[both][:, Term.SCORE]).sum()) + int(
        (before.reached & ~after.reached).sum()
    )


def with_entry(case, rng, plain):
    """The customer after a rejection; what an old history lost stays lost.

    One who ignored us stays as they are: an answer ends the streak, so there pressure may fall.
    """
    time = case.request.now - rng.choice((0.0, 1.0, 6.0, 40.0)) * DAY
    ignoring = any(entry.outcome == "ignored" for entry in case.history.entries)
    if ignoring or time <= case.history.truncated_before:
        return case
    entry = Entry(
        time,
        "outcome",
        channel=rng.choice(list(plain.channels)),
        direction="outbound",
        outcome="rejected",
        action=rng.choice(plain.actions).id,
    )
    entries = sorted((*case.history.entries, entry), key=lambda e: e.time)
    return replace(case, history=History(tuple(entries), case.history.truncated_before))


def fewer_asked_for(seed):
    """The best k are the first k of the best k + 1."""
    _, documents, cases, learnt = drawn(seed)
    world, compared = World(ranking_documents(documents)), 0
    seen = [Seen(world, cases, learnt, limit) for limit in (1, 2, 3, 25)]
    for row in range(len(cases)):
        full = seen[-1].ranking(row)
        for less, limit in zip(seen, (1, 2, 3), strict=False):
            assert less.ranking(row) == full[:limit]
            compared += len(full) > limit
    return compared


def losers_taken_away(seed):
    """An action that is recommended to nobody can be taken away, and everybody's answer stays."""
    _, documents, cases, learnt = drawn(seed)
    documents = ranking_documents(documents)
    for entry in every_action(documents):
        entry.pop("benefit_group", None)
    for trigger in documents["triggers/all.yaml"]["triggers"]:
        trigger.pop("cool_down", None)  # contacts of an action rest its triggers, for others as well
    before = Seen(World(documents), cases, learnt, 3)
    given = {name for row in range(len(cases)) for name in before.ranking(row)}
    idle = {
        entry["id"] for entry in every_action(documents) if entry["id"] not in given and "group" not in entry
    }
    if not idle or len(idle) == len(before.ids):
        return 0
    smaller = copy.deepcopy(documents)
    for content in smaller.values():
        if "actions" in content:
            content["actions"] = [entry for entry in content["actions"] if entry["id"] not in idle]
    fewer = replace(learnt, outcomes={k: v for k, v in learnt.outcomes.items() if k[0] not in idle})
    after = Seen(World(smaller), cases, fewer, 3)
    for row in range(len(cases)):
        assert after.ranking(row) == before.ranking(row)
        for name in after.ranking(row):
            assert after.term(row, name) == before.term(row, name)
    return len(idle) * len(given)


def unknown_gap(seed):
    """A gap that is not known counts as none: every score is that of a gap of 0."""
    _, documents, cases, learnt = drawn(seed)
    world = World(documents)
    gaps = ("value_gap", "profit_gap")
    conditions = str(documents)
    if "customer.value_gap" in conditions:
        return 0
    none = [replace(case, figures={**case.figures, **dict.fromkeys(gaps, None)}) for case in cases]
    zero = [replace(case, figures={**case.figures, **dict.fromkeys(gaps, 0.0)}) for case in cases]
    before, after = Seen(world, none, learnt), Seen(world, zero, learnt)
    assert np.array_equal(before.reason, after.reason)
    assert np.array_equal(before.terms, after.terms, equal_nan=True)
    return int(before.reached.sum())


CHECKS = {
    check.__name__: check
    for check in (
        gate_added,
        irrelevance,
        files_permuted,
        likelier,
        worth_it_for_the_customer,
        better_than_nothing,
        dearer,
        consent_withdrawn,
        rejected_again,
        fewer_asked_for,
        losers_taken_away,
        unknown_gap,
    )
}
