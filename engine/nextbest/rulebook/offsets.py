"""Where a character of a YAML scalar's content stands in the file: through folding, quotes and escapes."""

import re

from nextbest.rulebook.nodes import Scalar

_ESCAPE_LENGTH = {"x": 4, "u": 6, "U": 10}
"""Characters of an escape with digits, backslash included; all others take two."""
_CONTINUATION = re.compile(r"\\(?:\r\n|\n|\r)[ \t]*")
_BLOCK_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|\n|\r)")


def content_offsets(text: str, node: Scalar) -> list[int]:
    """File offset of each character of the scalar's content, and of its end.

    Content and source are walked side by side. What is not white space stands in both in the same
    order; white space may have been folded, and then stands for the next character.

    Args:
        text: the file's text.
        node: a scalar of that file.

    Returns:
        One offset more than `node.text` has characters; they do not decrease.
    """
    raw = text[node.start : node.end]
    quote = raw[:1] if raw[:1] in ("'", '"') and not node.plain else ""
    header = _BLOCK_HEADER.match(raw) if not node.plain and not quote else None
    at = header.end() if header else len(quote)
    offsets: list[int] = []
    for character in node.text:
        at, length = _find(raw, at, character, quote)
        offsets.append(node.start + min(at, len(raw)))
        at += length
    offsets.append(node.start + min(at, len(raw)))
    return offsets


def span_in_file(text: str, node: Scalar, start: int, end: int) -> tuple[int, int]:
    """Offsets in the file of the content's characters from start to end, exclusive."""
    offsets = content_offsets(text, node)
    first = offsets[max(0, min(start, len(offsets) - 1))]
    if end <= start:
        return first, first + 1
    last = offsets[max(0, min(end - 1, len(offsets) - 1))]
    return first, max(first, last) + 1


def _find(raw: str, at: int, character: str, quote: str) -> tuple[int, int]:
    """Where the character stands from `at` on, and how many characters it takes there."""
    if character.isspace():
        return _find_space(raw, at, character, quote)
    at = _skip_space(raw, at, quote)
    if quote == '"' and raw[at : at + 1] == "\\":
        return at, _ESCAPE_LENGTH.get(raw[at + 1 : at + 2], 2)
    return at, 2 if quote == "'" and raw[at : at + 2] == "''" else 1


def _find_space(raw: str, at: int, character: str, quote: str) -> tuple[int, int]:
    if quote == '"' and raw[at : at + 1] == "\\" and not _CONTINUATION.match(raw, at):
        return at, _ESCAPE_LENGTH.get(raw[at + 1 : at + 2], 2)
    return at, 1 if raw[at : at + 1] == character else 0


def _skip_space(raw: str, at: int, quote: str) -> int:
    while at < len(raw):
        if raw[at].isspace():
            at += 1
        elif quote == '"' and (continued := _CONTINUATION.match(raw, at)):
            at = continued.end()
        else:
            break
    return at
