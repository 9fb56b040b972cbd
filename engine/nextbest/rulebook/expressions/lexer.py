"""Text to tokens, as CEL's grammar has them."""

import re
from enum import Enum
from typing import NamedTuple

from nextbest.rulebook.expressions.errors import ExpressionError, unsupported
from nextbest.rulebook.expressions.values import Uint, Value

MAX_LENGTH = 65_536
"""Characters an expression may have."""


class Kind(Enum):
    """Kinds of token."""

    NAME = "name"
    LITERAL = "literal"
    SYMBOL = "symbol"
    END = "end"


class Token(NamedTuple):
    """A word of an expression."""

    kind: Kind
    text: str
    """What was written."""
    start: int
    end: int
    symbol: str = ""
    """The text of a symbol, empty for anything else."""
    value: Value = None
    """What a literal means."""


_SPACE = r"(?:[ \t\r\n\f]+|//[^\n]*)*"
_TOKEN = re.compile(
    _SPACE + r"(?:(?P<symbol>&&|\|\||==|!=|<=|>=|[<>!?:,+\-*/%()\[\]{}]|\.(?![0-9]))"
    r"|(?P<string>(?P<prefix>[bB][rR]|[rR][bB]|[bBrR])?(?P<quote>\"\"\"|'''|\"|'))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?"
    r"|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)"
    r"|(?P<end>\Z))"
)
_GAP = re.compile(_SPACE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\?\"'`])"
    r"|[xX](?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<u4>[0-9a-fA-F]{4})"
    r"|U(?P<u8>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2}))"
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}


def tokenize(source: str) -> list[Token]:
    """Split an expression into tokens, the last of kind END.

    Raises:
        ExpressionError: a character, number or string that CEL does not know.
    """
    if len(source) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(source)} characters, at most {MAX_LENGTH} are read", 0, len(source)
        )
    tokens: list[Token] = []
    at = 0
    while at <= len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise _stray(source, at)
        kind = match.lastgroup
        if kind == "end":
            break
        if kind == "symbol":
            start, at = match.span("symbol")
            if source.startswith("<>", start):
                raise _stray(source, start)
            text = source[start:at]
            tokens.append(Token(Kind.SYMBOL, text, start, at, text))
        else:
            tokens.append(_word(source, match))
            at = tokens[-1].end
    tokens.append(Token(Kind.END, "", len(source), len(source)))
    return tokens


def _word(source: str, match: re.Match[str]) -> Token:
    if match.lastgroup == "name":
        return _name(source, match)
    return _number(source, match) if match.lastgroup == "number" else _string(source, match)


def _name(source: str, match: re.Match[str]) -> Token:
    start, end = match.span("name")
    text = source[start:end]
    if text in _CONSTANTS:
        return Token(Kind.LITERAL, text, start, end, value=_CONSTANTS[text])
    if text == "in":
        return Token(Kind.SYMBOL, text, start, end, text)
    return Token(Kind.NAME, text, start, end)


_MEANT = {"=": "==", "&": "&&", "|": "||"}
_PAIRS = {"=>": ">=", "=<": "<=", "<>": "!="}
_HINTS = {
    "“": "use plain quotation marks",
    "”": "use plain quotation marks",
    "’": "use plain quotation marks",
    "^": "CEL has no power operator",
}


def _stray(source: str, at: int) -> ExpressionError:
    gap = _GAP.match(source, at)
    at = gap.end() if gap else at
    character = source[at]
    pair = source[at : at + 2]
    if pair in _PAIRS:
        return ExpressionError(f"`{pair}` is no operator", at, at + 2, f"did you mean `{_PAIRS[pair]}`?")
    meant = _MEANT.get(character)
    hint = f"did you mean `{meant}`?" if meant else _HINTS.get(character, "")
    return ExpressionError(f"unexpected character `{_shown(character)}`", at, at + 1, hint)


def _shown(character: str) -> str:
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def _number(source: str, match: re.Match[str]) -> Token:
    text, (start, end) = match.group("number"), match.span("number")
    if _NAME.match(source, end):
        word = _NAME.match(source, end)
        stray = word.group() if word else ""
        raise ExpressionError(
            f"`{text}{stray}` is neither a number nor a name", start, end + len(stray), _number_hint(stray)
        )
    return Token(Kind.LITERAL, text, start, end, value=_number_value(text, start, end))


def _number_hint(suffix: str) -> str:
    if suffix in ("d", "h", "m", "s", "w"):
        return 'write a number of days, or `duration("36h")`'
    return ""


def _number_value(text: str, start: int, end: int) -> Value:
    if text[:2] in ("0x", "0X") or text[-1] in "uU" or text.isdigit():
        return _integer(text, start, end)
    return float(text)


def _integer(text: str, start: int, end: int) -> Value:
    digits = text.rstrip("uU")
    if len(digits) > 40:
        raise ExpressionError("the integer does not fit in 64 bits", start, end)
    number = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits)
    if text[-1] in "uU":
        if number >= 2**64:
            raise ExpressionError(f"`{text}` does not fit in an unsigned 64-bit integer", start, end)
        return Uint(number)
    # 2**63 is let through: the parser takes it with a minus sign only.
    if number > 2**63:
        raise ExpressionError(f"`{text}` does not fit in a 64-bit integer", start, end)
    return number


def _string(source: str, opening: re.Match[str]) -> Token:
    prefix = (opening.group("prefix") or "").lower()
    quote = opening.group("quote")
    start, body_start = opening.span("string")
    body_end = _closing(source, start, body_start, quote, raw="r" in prefix)
    end = body_end + len(quote)
    if "b" in prefix:
        raise unsupported("bytes", start, end, "write a string without the `b`")
    body = source[body_start:body_end]
    value = body if "r" in prefix else _unescape(body, body_start)
    return Token(Kind.LITERAL, source[start:end], start, end, value=value)


def _closing(source: str, start: int, at: int, quote: str, *, raw: bool) -> int:
    while at < len(source):
        if source.startswith(quote, at):
            return at
        if source[at] in "\r\n" and len(quote) == 1:
            break
        at += 2 if source[at] == "\\" and not raw else 1
    raise ExpressionError(f"the string is not closed: {quote} is missing", start, min(at, len(source)))


def _unescape(body: str, offset: int) -> str:
    parts: list[str] = []
    at = 0
    while (slash := body.find("\\", at)) >= 0:
        escape = _ESCAPE.match(body, slash)
        if not escape:
            raise ExpressionError(
                f"unknown escape `{body[slash : slash + 2]}`",
                offset + slash,
                offset + min(slash + 2, len(body)),
                "write `\\\\` for a backslash",
            )
        parts += (body[at:slash], _escaped(escape, offset))
        at = escape.end()
    return "".join((*parts, body[at:]))


def _escaped(escape: re.Match[str], offset: int) -> str:
    groups = escape.groupdict()
    if plain := groups["plain"]:
        return _PLAIN.get(plain, plain)
    if octal := groups["octal"]:
        return chr(int(octal, 8))
    code = int(groups["hex"] or groups["u4"] or groups["u8"], 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ExpressionError(
            f"`{escape.group()}` is no Unicode character", offset + escape.start(), offset + escape.end()
        )
    return chr(code)
