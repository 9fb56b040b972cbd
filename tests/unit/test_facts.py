"""The catalogue: what facts are, where they lie in a row, and that it only grows."""

from dataclasses import replace

import pytest

from nextbest.errors import CatalogueError
from nextbest.facts import (
    HEADER_WORDS,
    MAX_SET_MEMBERS,
    Catalogue,
    Fact,
    FactGroup,
    FactType,
    Figure,
    figure_fact,
)
from nextbest.standard_facts import STANDARD_FACTS


def fact(name, kind=FactType.DOUBLE, *values):
    """A fact of the profile group."""
    return Fact(name=name, type=kind, group=FactGroup.PROFILE, values=values)


SMALL = Catalogue(
    (
        fact("age"),
        fact("open", FactType.BOOL),
        fact("tier", FactType.ENUM, "basic", "gold"),
        fact("needs", FactType.SET, "a", "b"),
        fact("joined", FactType.TIMESTAMP),
        fact("loud", FactType.BOOL),
        fact("owned", FactType.SET, "x"),
    )
)


def test_numbers_enums_and_timestamps_are_columns_in_catalogue_order():
    """A number, an enum and a timestamp each take the next float64 column."""
    assert SMALL.columns == {"age": 0, "tier": 1, "joined": 2}


def test_bools_share_a_word_and_every_set_has_its_own():
    """Bools are packed from bit 0; sets follow, one word each; known bits follow catalogue order."""
    places = {name: (p.word, p.shift, p.known_word, p.known_bit) for name, p in SMALL.bits.items()}
    assert places == {
        "open": (0, 0, 0, 0),
        "needs": (1, 0, 0, 1),
        "loud": (0, 1, 0, 2),
        "owned": (2, 0, 0, 3),
    }


def test_a_row_is_header_numbers_words_and_known_words():
    """The row's length is the sum of its parts, eight bytes each."""
    assert SMALL.row_words == HEADER_WORDS + 3 + 3 + 1
    assert SMALL.row_bytes == 8 * SMALL.row_words


def test_more_than_64_bools_take_a_second_word_and_a_second_known_word():
    """The 65th bool lies in bit 0 of the next word, and so does its known bit."""
    many = Catalogue(tuple(fact(f"flag_{i}", FactType.BOOL) for i in range(65)))
    place = many.bits["flag_64"]
    assert (place.word, place.shift, place.known_word, place.known_bit) == (1, 0, 1, 0)
    assert (many.n_words, many.n_known_words) == (2, 2)


def test_a_catalogue_without_bits_has_no_words():
    """Only what is declared takes room."""
    numbers = Catalogue((fact("age"),))
    assert (numbers.n_words, numbers.n_known_words, numbers.row_words) == (0, 0, HEADER_WORDS + 1)


def test_a_fact_that_the_catalogue_lacks_is_column_minus_one():
    """Kernels read column -1 as missing, so a rulebook need not carry what it does not use."""
    assert SMALL.column("revenue_net") == -1
    assert SMALL.column("needs") == -1


def test_codes_follow_the_order_of_the_values():
    """A member's code is its place; an unknown member has -1."""
    assert [SMALL.code("tier", value) for value in ("basic", "gold", "platinum")] == [0, 1, -1]


def test_the_fingerprint_depends_on_layout_and_on_nothing_else():
    """A description may change under the same fingerprint; a name, type, order or member may not."""
    described = Catalogue((replace(SMALL.facts[0], description="years"), *SMALL.facts[1:]))
    renamed = Catalogue((replace(SMALL.facts[0], name="years"), *SMALL.facts[1:]))
    swapped = Catalogue((SMALL.facts[1], SMALL.facts[0], *SMALL.facts[2:]))
    grown = Catalogue((*SMALL.facts[:2], fact("tier", FactType.ENUM, "basic", "gold", "x"), *SMALL.facts[3:]))
    assert described.fingerprint == SMALL.fingerprint
    assert len({c.fingerprint for c in (SMALL, renamed, swapped, grown)}) == 4


def test_a_stored_catalogue_reads_back_with_the_same_layout():
    """What is stored under a fingerprint has that fingerprint when it is read."""
    read = Catalogue.from_json(SMALL.to_json())
    assert read.fingerprint == SMALL.fingerprint
    assert (read.columns, read.bits) == (SMALL.columns, SMALL.bits)


def test_another_row_format_is_refused():
    """A catalogue of a future format is not misread."""
    with pytest.raises(CatalogueError, match="row format 9"):
        Catalogue.from_json(SMALL.to_json().replace('"row_format": 1', '"row_format": 9'))


def test_appending_facts_and_members_is_an_extension():
    """New facts anywhere, and new members at the end, keep older rows readable."""
    grown = Catalogue(
        (*SMALL.facts[:2], fact("tier", FactType.ENUM, "basic", "gold", "x"), *SMALL.facts[3:], fact("new"))
    )
    assert grown.extension_problems(SMALL) == []


def test_everything_that_is_no_extension_is_said_at_once():
    """A removed fact, a changed type and a reordered member are all listed."""
    changed = Catalogue(
        (fact("open", FactType.DOUBLE), fact("tier", FactType.ENUM, "gold", "basic"), *SMALL.facts[3:])
    )
    problems = changed.extension_problems(SMALL)
    assert len(problems) == 3
    removed, retyped, reordered = problems
    assert removed == (
        "fact `age` was removed: a catalogue is append-only, because stored rows hold it; put it back in"
        " facts.yaml, and name it under `retired` if nothing fills it any more"
    )
    assert retyped == (
        "fact `open` changed from bool to double: a catalogue is append-only; make it bool again, and declare"
        " the double as a fact of another name"
    )
    assert reordered.startswith("fact `tier` must keep its values")
    assert reordered.endswith("put new ones after them")


def test_an_inconsistent_catalogue_is_refused_with_every_problem():
    """Duplicates, repeated members, an overfull set and members of a number are all named."""
    members = [f"m{i}" for i in range(MAX_SET_MEMBERS + 1)]
    with pytest.raises(CatalogueError) as refused:
        Catalogue(
            (
                fact("a"),
                fact("a"),
                fact("b", FactType.ENUM, "x", "x"),
                fact("c", FactType.SET, *members),
                fact("d", FactType.INT, "y"),
            )
        )
    assert len(refused.value.problems) == 4


def test_every_box_of_the_data_basis_has_a_standard_fact():
    """The model's data boxes, internal, external and service levels, are all covered."""
    assert {f.group for f in STANDARD_FACTS} == set(FactGroup)


@pytest.mark.parametrize("standard", STANDARD_FACTS, ids=lambda f: f.name)
def test_every_standard_fact_says_what_it_is(standard):
    """Type, group, source and a description are there, and a companion time is itself a timestamp."""
    assert standard.description
    assert standard.source
    names = {f.name: f for f in STANDARD_FACTS}
    if standard.observed_at:
        assert names[standard.observed_at].type is FactType.TIMESTAMP
    if standard.minimum is not None and standard.maximum is not None:
        assert standard.minimum < standard.maximum


def test_figures_do_not_hide_facts():
    """A computed figure never has the name of a stored fact: expressions could not tell them apart."""
    figures = {figure_fact(figure).name for figure in Figure}
    assert figures.isdisjoint(f.name for f in STANDARD_FACTS)
