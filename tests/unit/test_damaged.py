"""Rows and histories with random damage: every answer is a decision or a fallback, and no process dies."""

import struct

import numpy as np
import pytest
from tests.builders.cold_kernels import new_serving, ring_of
from tests.builders.small import DIRECTORY, NOW, regular

from loyalty.nextbest.v1 import decision_pb2, interaction_pb2
from nextbest.batch.stages import advanced_stages
from nextbest.data.reader import Records
from nextbest.data.registry import NameRegistries
from nextbest.errors import SnapshotUnreadable
from nextbest.facts_of import FactsOf
from nextbest.figures import figures_of
from nextbest.id_check import id_check, id_checks_of
from nextbest.rings import HistoryCodec
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server import warmup
from nextbest.server.deciding import answers, explained, situation
from nextbest.server.history_view import history_response
from nextbest.server.requests import parse_question
from nextbest_client import decide_request

T0 = NOW.timestamp()
ODD = np.array(
    [np.nan, np.inf, -np.inf, 1e300, -1e300, -1.0, 0.5, 2.0, 64.0, 2.0**31, 2.0**63, 5e-324, 1e18, -1e9]
)
HEADER_WORDS = 3
CUSTOMER = b"c"


@pytest.fixture(scope="module")
def serving():
    """The small rulebook with stand-ins for everything fitted."""
    return new_serving(warmup.stand_ins(compile_rulebook(DIRECTORY)))


@pytest.fixture(scope="module")
def questions(serving):
    """A question for every channel and direction."""
    requests = [
        decide_request("c", channel=channel, direction=direction, contexts={"basket_value": 600.0})
        for channel in ("pos", "call_centre", "email")
        for direction in (1, 2)
    ]
    return [parse_question(request, serving.model.rulebook, serving.rows) for request in requests]


def answered(found):
    """Whether the answer can be read and ends with doing nothing."""
    (reply,) = answers(found)
    return decision_pb2.DecideResponse.FromString(reply.reply).results[-1].action == "do_nothing"


def damaged_row(random, whole):
    """A row whose header is right and whose body holds odd or random bits here and there."""
    words = np.frombuffer(whole, "<u8").copy()
    places = random.choice(np.arange(HEADER_WORDS, len(words)), random.integers(1, 40), replace=False)
    if random.random() < 0.5:
        words[places] = random.integers(0, 2**64, len(places), dtype=np.uint64)
    else:
        words.view("<f8")[places] = random.choice(ODD, len(places))
    if random.random() < 0.3:
        words.view("<f8")[1] = random.choice(ODD)
    return words.tobytes()


def test_damaged_rows(serving, questions):
    """Whatever a row's body holds, its customer is decided for, explained and staged, or found damaged."""
    random = np.random.default_rng(5)
    whole = serving.rows.encode(CUSTOMER, T0, regular(time_zone="America/New_York"))
    for turn in range(200):
        row = damaged_row(random, whole)
        records = Records([row], [ring_of("c")], [None])
        found = situation(serving, [questions[turn % 6]], records, T0)
        assert answered(found)
        try:
            assert explained(found, [], "en").candidates
        except SnapshotUnreadable as damage:
            assert str(damage) == "the stored snapshot is damaged"  # noqa: PT017
        assert advanced_stages(serving.model, found.rows, found.now).shape == (1, 3)


def test_damaged_facts_can_be_quoted(serving):
    """Every fact and figure of a damaged row has a text, a question mark if nothing else."""
    random = np.random.default_rng(6)
    whole = serving.rows.encode(CUSTOMER, T0, regular())
    catalogue = serving.rows.catalogue
    known = [fact.name for fact in catalogue.facts]
    for _ in range(50):
        rows = serving.rows.decode_batch([damaged_row(random, whole)], id_checks_of([CUSTOMER])).rows
        figures = figures_of(serving.model, rows, np.array([T0]))
        facts = FactsOf(catalogue, rows, figures, 0)
        assert all(len(facts.text(name)) > 0 for name in [*known, "stage", "ltv"])


def test_damaged_histories(serving, questions):
    """Whatever a history's entries hold, decisions are made and the history can be shown."""
    random = np.random.default_rng(7)
    row = serving.rows.encode(CUSTOMER, T0, regular())
    request = interaction_pb2.GetHistoryRequest(customer_id="c")
    check = np.array([id_check(CUSTOMER)], np.uint64)
    for turn in range(200):
        ring = bytearray(ring_of("c"))
        places = random.integers(16, len(ring), random.integers(1, 200))
        for place in places:
            ring[place] = random.integers(0, 256)
        if random.random() < 0.3:
            ring[:8] = struct.pack("<d", random.choice(ODD))
        records = Records([row], [bytes(ring)], [bytes(ring)])
        found = situation(serving, [questions[turn % 6]], records, T0)
        assert answered(found)
        histories = HistoryCodec().decode([bytes(ring)], [bytes(ring)], check).histories
        shown = history_response(histories, request, NameRegistries(None, None), T0, {})
        assert len(shown.entries) <= 6
