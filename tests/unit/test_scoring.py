"""Population scoring as a pure function: the same decisions, whoever stands beside whom, as columns."""

import pickle
import random
from unittest import mock

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from tests.builders import customers as build
from tests.builders.customers import CaseGenerator
from tests.builders.rulebooks import RulebookGenerator
from tests.builders.worlds import World

from nextbest.batch import scoring
from nextbest.batch.answer_columns import FIGURE_COLUMNS, REASON_COLUMNS, TERM_COLUMNS, schema_of
from nextbest.batch.scoring import (
    Customers,
    Scoring,
    answer_schema,
    sampled,
    score_batch,
    score_batches,
    score_customers,
    seeds_of,
)
from nextbest.batch.situation import situation_of
from nextbest.batch.tally import Tally
from nextbest.decide import decide, explain
from nextbest.errors import InvalidInput
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.id_check import id_checks_of
from nextbest.model import Direction, Reason

NOW = build.NOW


class Crowd:
    """Generated customers who are all asked for in one situation."""

    def __init__(self, seed, n=40, **asked):
        rng = random.Random(seed)
        self.world = World(RulebookGenerator(rng).documents())
        generator = CaseGenerator(rng, self.world.plain)
        self.cases = [generator.case() for _ in range(n)]
        self.model, book = self.world.model, self.world.rulebook
        situation = situation_of(book, channel="pos", outbound=seed % 2 == 1, role="agent")
        self.scoring = Scoring(situation, **asked)
        self.has_mandatory = any(a.mandatory for a in self.world.plain.actions)
        self.state = build.state_of(generator.learnt(), book)
        self.ids = [f"customer-{i}" for i in range(n)]
        self.customers = Customers(
            pl.Series(self.ids),
            id_checks_of([i.encode() for i in self.ids]),
            build.rows_of(self.cases, book),
            build.histories_of(self.cases, book),
        )
        self.now = np.full(n, NOW)

    def picked(self, order):
        """Some of the customers, through the bytes of the store again."""
        cases, book = [self.cases[i] for i in order], self.world.rulebook
        checks = self.customers.checks[order]
        ids = pl.Series([self.ids[i] for i in order], dtype=pl.String)
        return Customers(ids, checks, build.rows_of(cases, book), build.histories_of(cases, book))

    def score(self, customers=None):
        """Their answers."""
        who = self.customers if customers is None else customers
        return score_customers(self.model, self.state, self.scoring, who, np.full(len(who), NOW))


def sorted_rows(frame):
    """In an order that does not depend on the batch."""
    return frame.sort("customer_id", "rank")


@pytest.mark.parametrize("seed", range(8))
def test_everybody_gets_the_same_answer_alone_in_a_batch_and_in_another_order(seed):
    """Single, batch and shuffled batch agree in every bit, terms, figures and seeds included."""
    crowd = Crowd(seed, figures=True, reasons=True)
    whole = crowd.score().frame
    order = random.Random(seed).sample(range(len(crowd.cases)), len(crowd.cases))
    shuffled = crowd.score(crowd.picked(order)).frame
    alone = pl.concat([crowd.score(crowd.picked([i])).frame for i in range(len(crowd.cases))])
    assert whole.height > len(crowd.cases) or (whole["action"] == "do_nothing").all()
    assert whole.equals(alone)
    assert sorted_rows(whole).equals(sorted_rows(shuffled))


@pytest.mark.parametrize("seed", range(8))
def test_the_columns_say_what_decide_says(seed):
    """Ranks, actions, treatments and terms are those of `decide`, and every customer has a row."""
    crowd = Crowd(seed, figures=True, max_results=4)
    book, who = crowd.world.rulebook, crowd.customers
    contexts = crowd.scoring.situation.contexts(len(who))
    seeds = seeds_of(who.checks, crowd.now, 0)
    found = decide(
        crowd.model, who.rows, who.histories, contexts, crowd.state, crowd.now, seeds, max_results=4
    )
    rows = crowd.score().frame.rows_by_key("customer_id", named=True)
    assert list(rows) == crowd.ids
    for row, customer in enumerate(crowd.ids):
        count = int(found.count[row])
        ranked, rest = rows[customer][:count], rows[customer][count:]
        assert [r["rank"] for r in rows[customer]] == list(range(1, len(rows[customer]) + 1))
        assert [r["action"] for r in ranked] == [book.actions[a].id for a in found.action[row, :count]]
        assert [r["treatment"] for r in ranked] == [
            book.treatments[t].id for t in found.treatment[row, :count]
        ]
        for place, answer in enumerate(ranked):
            for name, term in TERM_COLUMNS.items():
                value = found.terms[row, place, term]
                assert answer[name] == (None if np.isnan(value) else value)
        assert len(rest) == (count < 4)
        for nothing in rest:
            assert (nothing["action"], nothing["treatment"], nothing["score"]) == ("do_nothing", None, 0.0)
            assert nothing["propensity"] is None
        for name, figure in FIGURE_COLUMNS.items():
            value = found.figures[row, figure]
            expected = None if np.isnan(value) else value
            if figure is Figure.STAGE:
                expected = STAGE_NAMES[int(value)]
            assert {r[name] for r in rows[customer]} == {expected}


@pytest.mark.parametrize("seed", range(4))
def test_reasons_count_where_every_action_of_a_customer_ended(seed):
    """Counts are those of `explain`, for each customer and, summed, for each action."""
    crowd = Crowd(seed, reasons=True)
    who, book = crowd.customers, crowd.world.rulebook
    contexts = crowd.scoring.situation.contexts(len(who))
    seeds = seeds_of(who.checks, crowd.now, 0)
    _, trace = explain(crowd.model, who.rows, who.histories, contexts, crowd.state, crowd.now, seeds)
    scored = crowd.score()
    first = scored.frame.filter(pl.col("rank") == 1)
    for name, reason in REASON_COLUMNS.items():
        assert first[name].to_list() == (trace.reason == reason).sum(axis=1).tolist()
    assert scored.tally.explained == len(who)
    for action in range(len(book.actions)):
        counted = np.bincount(trace.reason[:, action], minlength=max(Reason) + 1)
        assert scored.tally.reasons[action].tolist() == counted.tolist()
    funnel = scored.tally.funnel()
    assert funnel[0].entered == len(who) * len(book.actions)
    assert funnel[-1].entered - funnel[-1].stopped == int((scored.frame["action"] != "do_nothing").sum())


def test_without_reasons_the_funnel_is_that_of_a_fixed_sample():
    """Who is looked at depends on the id alone, and the answer's columns are the same."""
    crowd = Crowd(3, n=200)
    scored = crowd.score()
    at = sampled(crowd.customers.checks)
    assert 0 < len(at) < 20
    assert scored.tally.explained == len(at)
    assert sampled(crowd.customers.checks[::-1]).tolist() == sorted(199 - at)
    assert scored.tally.reasons.sum() == len(at) * len(crowd.world.rulebook.actions)


def test_tallies_of_parts_add_up_and_survive_json():
    """Two halves give the counts of the whole, and a document gives its tally back exactly."""
    crowd = Crowd(5, reasons=True)
    whole = crowd.score().tally
    halves = [crowd.score(crowd.picked(part)).tally for part in (list(range(15)), list(range(15, 40)))]
    joined = halves[0].plus(halves[1])
    for name in ("customers", "nothing", "first", "ranked", "explained", "reasons"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))
    assert np.allclose(joined.value, whole.value, rtol=1e-12)
    again = Tally.read(whole.document())
    assert all(np.array_equal(getattr(again, n), getattr(whole, n)) for n in Tally.__dataclass_fields__)


def test_seeds_follow_from_customer_time_and_salt():
    """The same question has the same seed in every run, another one another."""
    checks = id_checks_of([f"c{i}".encode() for i in range(1000)])
    seeds = seeds_of(checks, np.full(1000, NOW), 0)
    assert np.array_equal(seeds, seeds_of(checks, np.full(1000, NOW), 0))
    others = (seeds_of(checks, np.full(1000, NOW + 1.0), 0), seeds_of(checks, np.full(1000, NOW), 1))
    assert len({*seeds.tolist(), *others[0].tolist(), *others[1].tolist()}) == 3000
    bits = (seeds[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.08


FACTS = {
    "customer_id": ["a", "b", "c"],
    "discount_share": [0.1, 0.9, None],
    "satisfaction": [90.0, 40.0, 50.0],
    "consent": [["email_marketing"], [], None],
}
HISTORY = pl.List(
    pl.Struct(
        {
            "time": pl.Float64,
            "kind": pl.String,
            "channel": pl.String,
            "direction": pl.String,
            "outcome": pl.String,
            "action": pl.String,
        }
    )
)


def record_batch(frame):
    """A frame as an engine would hand it out."""
    return frame.to_arrow().combine_chunks().to_batches()[0]


def test_a_record_batch_in_gives_a_record_batch_out():
    """The schema is that of the question, and the rows are those of the same customers as rows."""
    crowd = Crowd(2)
    batch = record_batch(pl.DataFrame(FACTS))
    found = score_batch(crowd.model, crowd.state, NOW, batch, crowd.scoring)
    assert isinstance(found, pa.RecordBatch)
    assert found.schema.names == list(schema_of(problem=True))
    assert set(found.column("customer_id").to_pylist()) == {"a", "b", "c"}
    assert found.column("problem").null_count == len(found)
    again = score_batch(crowd.model, crowd.state, NOW, batch, crowd.scoring)
    assert found.equals(again)


def test_a_history_beside_the_facts_is_read():
    """An action that a customer has opted out of is recommended no more."""
    crowd = next(c for c in map(Crowd, range(40)) if recommended(c) and not c.has_mandatory)
    action = recommended(crowd)[0]
    entries = [
        {"time": NOW - d * 3600.0, "kind": "outcome", "channel": "pos", "direction": "inbound",
         "outcome": "opted_out", "action": action}
        for d in (1, 20, 40)
    ]  # fmt: skip
    frame = pl.DataFrame(FACTS).with_columns(pl.Series("history", [entries, [], None], dtype=HISTORY))
    found = pl.from_arrow(score_batch(crowd.model, crowd.state, NOW, record_batch(frame), crowd.scoring))
    mine = found.filter(pl.col("customer_id") == "a")
    assert mine["problem"].null_count() == len(mine)
    assert action not in mine["action"].to_list()


def recommended(crowd):
    """Actions that customer `a` gets without a history."""
    batch = record_batch(pl.DataFrame(FACTS))
    found = pl.from_arrow(score_batch(crowd.model, crowd.state, NOW, batch, crowd.scoring))
    ranked = found.filter((pl.col("customer_id") == "a") & (pl.col("action") != "do_nothing"))
    return ranked["action"].to_list()


def test_a_row_with_a_problem_says_it_and_spares_the_others():
    """Facts, histories and ids that do not fit come back as rows of rank 0 that say why."""
    crowd = Crowd(2)
    frame = pl.DataFrame({
        "customer_id": ["a", "b", "c", ""],
        "discount_share": [0.1, float("inf"), 0.2, 0.3],
        "history": pl.Series(
            [[], [], [{"time": NOW, "kind": "contact", "channel": None, "direction": None,
                       "outcome": None, "action": "x"}], None],
            dtype=HISTORY,
        ),
    })  # fmt: skip
    found = pl.from_arrow(score_batch(crowd.model, crowd.state, NOW, record_batch(frame), crowd.scoring))
    bad = found.filter(pl.col("problem").is_not_null())
    assert bad["rank"].to_list() == [0, 0, 0]
    assert bad["action"].null_count() == 3
    texts = dict(zip(bad["customer_id"], bad["problem"], strict=True))
    assert "discount_share" in texts["b"]
    assert "history.direction: is empty" in texts["c"]
    assert "customer_id: is empty" in texts[None]
    assert set(found.filter(pl.col("problem").is_null())["customer_id"]) == {"a"}


def test_model_state_and_question_can_be_sent_to_another_process():
    """What was pickled decides as before: engines send it to their workers."""
    crowd = Crowd(2)
    batch = record_batch(pl.DataFrame(FACTS))
    sent = pickle.loads(pickle.dumps((crowd.model, crowd.state, crowd.scoring)))
    model, state, scoring = sent
    assert model.digest == crowd.model.digest
    here = score_batch(crowd.model, crowd.state, NOW, batch, crowd.scoring)
    assert score_batch(model, state, NOW, batch, scoring).equals(here)


def test_an_empty_record_batch_gives_an_empty_one():
    """No customers, no rows, the same schema."""
    crowd = Crowd(2)
    found = score_batch(
        crowd.model, crowd.state, NOW, record_batch(pl.DataFrame(FACTS)).slice(0, 0), crowd.scoring
    )
    assert len(found) == 0
    assert found.schema.names == list(schema_of(problem=True))


def test_batches_that_come_one_by_one_are_answered_one_by_one():
    """A large one is cut, an empty one gives nothing, the answers are as if all had come together."""
    crowd = Crowd(2)
    whole, taken = record_batch(pl.DataFrame(FACTS)), []

    def come():
        for batch in (whole[:0], whole[:2], whole[2:]):
            taken.append(len(batch))
            yield batch

    with mock.patch.object(scoring, "BATCH_ROWS", 1):
        answers = score_batches(crowd.model, crowd.state, NOW, come(), crowd.scoring)
        found = [next(answers)]
        assert taken == [0, 2]
        found += answers
    assert len(found) == 3
    assert {batch.schema for batch in found} == {answer_schema(crowd.scoring)}
    together = score_batch(crowd.model, crowd.state, NOW, whole, crowd.scoring)
    assert pa.Table.from_batches(found).combine_chunks().to_batches()[0].equals(together)


def test_other_engines_know_every_type_of_an_answer():
    """Spark has no unsigned numbers: a column of such would keep the whole answer out."""
    for figures in (False, True):
        asked = Scoring(Crowd(2).scoring.situation, figures=figures, reasons=figures)
        known = {pa.string(), pa.int32(), pa.int64(), pa.float64()}
        assert set(answer_schema(asked).types) <= known


def test_a_column_that_is_no_fact_is_refused():
    """What nobody declared is not silently left out."""
    crowd = Crowd(2)
    batch = record_batch(pl.DataFrame({"customer_id": ["a"], "shoe_size": [43]}))
    with pytest.raises(InvalidInput, match="shoe_size"):
        score_batch(crowd.model, crowd.state, NOW, batch, crowd.scoring)


def test_everything_unknown_about_a_situation_is_said_at_once():
    """Channel, role, placement, phase, key and value are all in one error."""
    book = Crowd(2).world.rulebook
    with pytest.raises(InvalidInput) as caught:
        situation_of(
            book,
            channel="fax",
            role="king",
            placements=["ceiling"],
            phase="later",
            keys=["mood=good", "intent=fly", "urgency=nan", "urgency=1"],
        )
    fields = [v.field for v in caught.value.violations]
    assert fields == ["channel", "placement", "phase", "role", "key", "intent", "urgency", "urgency"]


@pytest.mark.parametrize("most", [0, -1, 26])
def test_a_number_of_results_that_no_request_may_ask_for_is_refused(most):
    """1 to 25 rows a customer."""
    situation = situation_of(Crowd(2).world.rulebook, channel="pos")
    with pytest.raises(InvalidInput, match="max_results"):
        Scoring(situation, max_results=most)


def test_a_situation_is_the_same_for_everybody():
    """Contexts repeat the situation's codes and keys."""
    book = Crowd(2).world.rulebook
    found = situation_of(
        book,
        channel="pos",
        outbound=True,
        placements=["receipt"],
        role="lead",
        phase="at_payment",
        keys=["intent=buy", "urgency=0.5"],
    ).contexts(3)
    assert found.channel.tolist() == [book.channel_index["pos"]] * 3
    assert found.direction.tolist() == [Direction.OUTBOUND] * 3
    assert found.placements.tolist() == [1 << book.placement_index["receipt"]] * 3
    assert found.role.tolist() == [book.role_index["lead"]] * 3
    names = [fact.name for fact in book.context_facts]
    assert found.numbers[:, names.index("urgency")].tolist() == [0.5] * 3
    assert found.numbers[:, names.index("intent")].tolist() == [0.0] * 3
