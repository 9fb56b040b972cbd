"""YAML scalars, refusals and bounds of `rulebook.nodes`."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.rulebook.nodes import MAX_DEPTH, Mapping, Scalar, YamlProblem, parse_nodes, to_value


def read(text: str) -> tuple[object, list[str]]:
    """Value of a text, and the codes of what is wrong with it."""
    root, problems = parse_nodes(text)
    more: list[YamlProblem] = []
    value = None if root is None else to_value(root, more)
    return value, [p.code for p in [*problems, *more]]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("NO", "NO"),
        ("off", "off"),
        ("yes", "yes"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7", -7),
        ("+7", 7),
        ("012", 12),
        ("0o17", 15),
        ("0xff", 255),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("2025-01-01", "2025-01-01"),
        ("0b11", "0b11"),
        ("1.2.3", "1.2.3"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("-", "-"),
        ("+", "+"),
        (".", "."),
        ("٣", "٣"),
        ("kaffe på vej", "kaffe på vej"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(scalar: str, value: object) -> None:
    """A scalar is what the YAML 1.2 core schema says, never what YAML 1.1 made of it."""
    if scalar == "-":
        assert read("a: '-'")[0] == {"a": "-"}
        return
    found, problems = read(f"a: {scalar}")
    assert not problems
    assert found == {"a": value}
    assert type(found["a"]) is type(value)  # type: ignore[index]


@pytest.mark.parametrize("number", ["1e999", ".inf", "-.INF", ".nan", "9" * 30, "9" * 5000, "1" * 500 + ".5"])
def test_numbers_out_of_range_are_reported(number: str) -> None:
    """A number that no float or 64-bit integer holds is a problem, and not infinity."""
    assert read(f"a: {number}") == ({"a": 0}, ["number-range"])


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null", "a:   # later", "[a, null]", "{a: }"])
def test_empty_values_are_reported(text: str) -> None:
    """A key whose value was forgotten is a problem: silently leaving out a condition would be dangerous."""
    assert read(text)[1] == ["no-value"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: &x 1", "yaml-anchor"),
        ("a: *x", "yaml-alias"),
        ("<<: 1", "yaml-merge"),
        ("a: !!str 1", "yaml-tag"),
        ("a: !customer.open", "yaml-tag"),
        ("a: !", "yaml-tag"),
        ("a: 1\na: 2", "duplicate-key"),
        ("{a: 1, a: 2}", "duplicate-key"),
        ("1: a\n'1': b", "duplicate-key"),
        ("? {a: 1}\n: b", "yaml-key"),
        ("? [a]\n: b", "yaml-key"),
        ("a: {en: yes, please}", "yaml-comma"),
        ("a: 1\n---\nb: 2", "yaml-documents"),
        ("a:\n\t- b", "yaml-syntax"),
        ("a: b: c", "yaml-syntax"),
        ("a: 'b", "yaml-syntax"),
        ("a: @b", "yaml-syntax"),
        ("a: `b`", "yaml-syntax"),
        ("a: [1, 2", "yaml-syntax"),
        ("a: \x00", "yaml-character"),
        ("a: \ufffe", "yaml-character"),
        ("[" * (MAX_DEPTH + 1), "yaml-depth"),
        ("- " * 1000, "yaml-depth"),
        ("{a: " * 100_000, "yaml-depth"),
    ],
)
def test_what_is_refused_is_named(text: str, code: str) -> None:
    """Whatever is outside the subset is a problem with a code of its own, not a surprise."""
    assert code in read(text)[1]


def test_alias_bomb_costs_nothing() -> None:
    """Aliases are refused one by one and never expanded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    _, problems = read("\n".join(lines))
    assert len(problems) == 89


def test_problems_of_one_file_are_bounded() -> None:
    """A file with a million aliases does not make a million diagnostics."""
    _, problems = read("- *x\n" * 10_000)
    assert len(problems) == 100


def test_empty_text_has_no_root() -> None:
    """A file of nothing but comments is empty, which is no error."""
    assert parse_nodes("# nothing\n\n") == (None, [])


def test_offsets_count_characters() -> None:
    """Offsets point into the text in characters, whatever their length in bytes."""
    text = "æ😀: x\r\nø: 'y'\r\n"
    root, _ = parse_nodes(text)
    assert isinstance(root, Mapping)
    spans = [text[node.start : node.end] for pair in root.entries.values() for node in pair]
    assert spans == ["æ😀", "x", "ø", "'y'"]


def test_keys_are_always_words() -> None:
    """A key is the word as written, even where a value would be a number or a truth value."""
    assert read("NO: 1\n1: 2\ntrue: 3")[0] == {"NO": 1, "1": 2, "true": 3}


@given(st.text(alphabet=st.sampled_from("ab:-{}[]'\"#&*!|>%@`,? \n\tæ1.~<"), max_size=60))
@settings(max_examples=100)
def test_any_text_gives_a_value_or_a_problem(text: str) -> None:
    """No text makes the parser raise, and every problem points into the text."""
    root, problems = parse_nodes(text)
    assert (
        root is not None
        or problems
        or not text.strip()
        or all(line.strip()[:1] in ("", "#", "%", "-", ".") for line in text.splitlines())
    )
    for problem in problems:
        assert 0 <= problem.start <= problem.end
        assert problem.start <= len(text)


PRINTABLE = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff"
)


@given(
    st.dictionaries(st.text(PRINTABLE, min_size=1, max_size=8), st.text(PRINTABLE, max_size=20), max_size=5)
)
@settings(max_examples=50)
def test_quoted_text_is_read_back(entries: dict[str, str]) -> None:
    """Text in double quotes is read as it was written, and each key's offsets span its quotes."""
    text = json.dumps(entries, ensure_ascii=False)
    value, problems = read(text)
    assert not problems
    assert value == entries
    root, _ = parse_nodes(text)
    assert isinstance(root, Mapping)
    for key, (node, _) in root.entries.items():
        assert json.loads(text[node.start : node.end]) == key


def test_lone_surrogates_are_refused() -> None:
    """An escape that is no character is a syntax error, not a broken string."""
    assert read('a: "\\ud800"')[1] == ["yaml-syntax"]


def test_scalar_knows_whether_it_is_plain() -> None:
    """Quoted and block scalars are words, however much they look like numbers."""
    root, _ = parse_nodes("a: 1\nb: '1'\nc: |\n  1\n")
    assert isinstance(root, Mapping)
    nodes = [node for _, node in root.entries.values()]
    assert [isinstance(n, Scalar) and n.plain for n in nodes] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{accepted: 3,50}", "write a decimal with a point: `3.50`"),
        ("{accepted: 3,50 kr}", "put quotation marks around a text that contains a comma"),
        ("{en: 3,da}", "put quotation marks around a text that contains a comma"),
        ('{en: "3",50}', "put quotation marks around a text that contains a comma"),
        ("{3}", "put quotation marks around a text that contains a comma"),
    ],
)
def test_a_decimal_comma_is_told_from_a_text_with_a_comma(text: str, hint: str) -> None:
    """`3,50` gets the point it needs, not the quotation marks that would make it a text."""
    _, problems = parse_nodes(text)
    assert [(p.code, p.hint) for p in problems] == [("yaml-comma", hint)]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('a: {en: "One, da: "Two"}\n', 1, 'ends at the next `"`, in line 1, before `Two"}`'),
        ('a: "One\nb: {c: "Two"}\n', 1, 'ends at the next `"`, in line 2, before `Two"}`'),
        ("- {a: 'One}\n- {b: 'Two'}\n", 1, "ends at the next `'`, in line 2, before `Two'}`"),
        ('- "One\n- "Two"\n', 1, 'ends at the next `"`, in line 2, before `Two"`'),
        ('a: b\nc: "One\nd: e\n', 2, "a quotation mark is never closed"),
    ],
)
def test_a_forgotten_quotation_mark_is_found_where_the_text_begins(text: str, line: int, says: str) -> None:
    """The place is the opening mark, not where the parser stumbles; the message says where it went on."""
    root, (problem,) = parse_nodes(text)
    assert root is None
    assert text[problem.start] in "'\""
    assert text.count("\n", 0, problem.start) + 1 == line
    assert says in problem.message
