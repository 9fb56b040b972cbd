"""Figures as the service answers them: what peers have, and what should be asked."""

import numpy as np
import pytest
from tests.naive import peers as naive
from tests.unit.test_figure_kernel import NOW, artifacts, compiled, customers

from nextbest.assembly import assemble
from nextbest.facts import Figure
from nextbest.facts_of import FactsOf
from nextbest.figures import figures_of, valued_of
from nextbest.potential.peers import PeerFigure
from nextbest.server.customer_figures import MOST_OFFERS, customer_figures

N = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose grid knows who owns what; no rule asks."""
    rulebook = compiled(tmp_path_factory.mktemp("all"), "all")
    return assemble(rulebook, artifacts(rulebook, ltv=False, grid=True))


@pytest.fixture(scope="module")
def answered(model):
    """Customers with their figures and messages."""
    rows = customers(model.rulebook.catalogue, N, seed=31)
    figures = figures_of(model, rows, np.full(N, NOW))
    valued = valued_of(model, rows)
    messages = [customer_figures(model, figures, rows, valued, i) for i in range(N)]
    return rows, figures, valued, messages


def test_what_peers_have_is_shown_with_how_sure_it_is(model, answered):
    """Each offer is what the oracle offers, with penetration, lower bound and lift (B5)."""
    rows, figures, valued, messages = answered
    names = model.rulebook.catalogue["owned_categories"].values
    shown = 0
    for i, message in enumerate(messages):
        cell = model.peers.offers[valued.cells[i]]
        owned = FactsOf(model.rulebook.catalogue, rows, figures, i).value("owned_categories")
        members = None if owned is None else {names.index(name) for name in owned}
        shares = cell[:, PeerFigure.PENETRATION].tolist()
        offered = (cell[:, PeerFigure.OFFER] == 1).tolist()
        expected = naive.offers(shares, offered, members, MOST_OFFERS)
        assert [offer.category for offer in message.peer_offers] == [names[j] for j in expected]
        for offer, j in zip(message.peer_offers, expected, strict=True):
            assert offer.penetration == cell[j, PeerFigure.PENETRATION]
            assert 0 < offer.lower_bound < offer.penetration
            assert offer.lift > 1
            shown += 1
    assert shown > 0


def test_lifetime_drivers_name_what_it_is_the_sum_of(answered):
    """Purchases, price premium and word of mouth add up to it, each by name (B15–B17)."""
    _, figures, _, messages = answered
    seen = set()
    for row, message in zip(figures, messages, strict=True):
        parts = {d.name: d.amount for d in message.drivers if d.figure == "ltv_with_referrals"}
        if np.isnan(row[Figure.LTV]):
            assert "purchases" not in parts
            continue
        seen |= set(parts)
        assert sum(parts.values()) == pytest.approx(row[Figure.LTV_WITH_REFERRALS])
        assert parts.get("price_premium", 0.0) == np.nan_to_num(row[Figure.PRICE_PREMIUM])
    assert seen == {"purchases", "price_premium", "word_of_mouth"}


def test_what_is_lacking_is_named(model, answered):
    """Missing and stale required facts are listed, the weightiest first; full quality lacks none."""
    rows, figures, _, messages = answered
    catalogue = model.rulebook.catalogue
    weights = {fact.name: fact.quality_weight for fact in catalogue.facts if fact.quality_weight > 0}
    assert len(weights) > 1
    for i, message in enumerate(messages):
        facts = {name: FactsOf(catalogue, rows, figures, i).value(name) for name in weights}
        lacking = list(message.lacking_facts)
        assert [weights[name] for name in lacking] == sorted((weights[n] for n in lacking), reverse=True)
        assert {name for name, value in facts.items() if value is None} <= set(lacking)
        share = 1 - sum(weights[name] for name in lacking) / sum(weights.values())
        assert share == pytest.approx(figures[i, Figure.DATA_QUALITY])
