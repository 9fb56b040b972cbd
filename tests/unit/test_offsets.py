"""Places of a scalar's content in its file."""

import pytest

from nextbest.rulebook.nodes import Mapping, Scalar, parse_nodes
from nextbest.rulebook.offsets import content_offsets, span_in_file


def scalar(text: str) -> Scalar:
    """The value of the text's first key."""
    root, problems = parse_nodes(text)
    assert not problems
    assert isinstance(root, Mapping)
    node = next(iter(root.entries.values()))[1]
    assert isinstance(node, Scalar)
    return node


@pytest.mark.parametrize(
    "text",
    [
        "a: one two ten",
        "a: one\n   two\n   ten",
        "a: one   \n\n\n   two ten # comment",
        "a: 'one two ten'",
        "a: 'it''s one two\n\n  ten'",
        'a: "one \\"two\\" ten"',
        'a: "\\u00e6\\x41\\U0001F600 one\\ttwo\\\n   ten"',
        "a: |\n  one\n    two\n\n  ten\n",
        "a: |2-  # header\n   one\r\n   two\r\n   ten",
        "a: >-\n  one\n  two\n\n  ten",
        "a: >\n\n  one two\n   ten\n",
        '{a: "æøå 日本 one", b: two}',
    ],
)
def test_words_are_found_where_they_stand(text: str) -> None:
    """Each word of the content is found at the place where the file has it."""
    node = scalar(text)
    for word in ("one", "two", "ten"):
        start = node.text.find(word)
        if start >= 0:
            first, last = span_in_file(text, node, start, start + 3)
            assert text[first:last] == word


def test_offsets_do_not_decrease() -> None:
    """Later characters never stand before earlier ones, and there is a place for the end."""
    text = 'a: "one \\n two\\\n  three"'
    node = scalar(text)
    offsets = content_offsets(text, node)
    assert len(offsets) == len(node.text) + 1
    assert offsets == sorted(offsets)
    assert node.start <= offsets[0]
    assert offsets[-1] <= node.end


def test_span_beyond_the_content_stays_in_the_scalar() -> None:
    """An offset past the end points at the end, not out of the file."""
    text = "a: one"
    first, last = span_in_file(text, scalar(text), 99, 120)
    assert first == last - 1 == len(text)
