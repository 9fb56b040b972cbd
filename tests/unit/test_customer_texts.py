"""What customers read shows no internals: no figures, no ladder, no names of the engine."""

import re
from pathlib import Path

import pytest
from tests.builders.worlds import action, small

from nextbest.behaviour.index import LADDER
from nextbest.errors import RulebookCompileError
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.model import Gate, Term
from nextbest.rulebook.compile import compile_rulebook
from nextbest.standard_facts import STAGE_FACTS

RULES = Path(__file__).parents[2] / "rules"
FIGURES = [figure.name.lower() for figure in Figure]
INTERNAL = re.compile(
    r"profit|margin|dækningsbidrag|fortjeneste|lifetime|ltv|livstidsværdi|scor(e|ing)\b|propensit|sandsynlighed"
    r"|uplift|churn|segment|ladder|loyalty (stage|level)|loyalitetstrin|stadie|stadium|value gap|potential"
    r"|potentiale|priorit|arbitra|know me|hear me|grow me|forgive me|damage control|win-?back|\{|_",
    re.IGNORECASE,
)


def own_names(rulebook):
    """Every name by which the engine and a rulebook call what customers must not read."""
    names = {*FIGURES, *STAGE_NAMES, *(term.name.lower() for term in Term), *LADDER}
    names |= {gate.name.lower() for gate in Gate} - {"consent", "trigger", "mutual", "condition"}
    names |= {segment.id for segment in rulebook.segments}
    names |= {*rulebook.strategy.goals} | {role.id for role in rulebook.roles}
    # one plain word is plain language too, such as keep; the fixed list above has those that are not
    return {name for name in names if "_" in name} | {"terrorist", "evangelist", "ambassador"}


def spoken(name):
    """A name as code, and as words with blanks or hyphens."""
    return re.compile(rf"\b{re.escape(name).replace('_', '[ _-]')}\b", re.IGNORECASE)


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_shipped_texts_speak_no_name_of_the_model(name):
    """No figure, term, stage, step of the ladder, gate, segment, goal or role is named to a customer."""
    rulebook = compile_rulebook(RULES / name)
    denied = [spoken(one) for one in sorted(own_names(rulebook))]
    assert len(denied) > 40
    texts = list(texts_for_customers(rulebook))
    assert not [(whose, text) for whose, text in texts for one in denied if one.search(text)]


def texts_for_customers(rulebook):
    """Every sentence that a customer may read or be told, and whose it is."""
    for one in rulebook.actions:
        yield from ((f"{one.id} ({language})", text) for language, text in one.reason.items())
    for one in rulebook.treatments:
        yield from ((f"{one.id} ({language})", text) for language, text in one.say.items())


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_shipped_texts_show_no_internals(name):
    """No reason and no treatment of a shipped rulebook says why the company wants it, or where one stands."""
    rulebook = compile_rulebook(RULES / name)
    assert not [(whose, text) for whose, text in texts_for_customers(rulebook) if INTERNAL.search(text)]


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_every_shipped_action_gives_its_reason_in_both_languages(name):
    """A customer can be told why, in Danish and English, of every action."""
    for one in compile_rulebook(RULES / name).actions:
        assert all(one.reason.get(language) for language in ("en", "da")), one.id


@pytest.mark.parametrize(
    "text", ["Your profit: 3", "Din score er 3", *STAGE_NAMES, "{customer.nps_relation}"]
)
def test_what_counts_as_internal(text):
    """The words that are looked for are found."""
    assert INTERNAL.search(text)


@pytest.mark.parametrize("place", ["reason", "say"])
@pytest.mark.parametrize("name", [*FIGURES, *STAGE_FACTS])
def test_texts_for_customers_quote_neither_figures_nor_stages(place, name):
    """A rule file whose text would show a customer a computed figure or the stage held does not compile."""
    text = f"You are at {{customer.{name}}}"
    more = {"reason": text} if place == "reason" else {"treatments": {"pos": {"say": text}}}
    with pytest.raises(RulebookCompileError, match="is not for customers"):
        small(action(**more))
