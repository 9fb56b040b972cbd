"""`nextbest rules show`: what rules compile to, in words."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nextbest.errors import InvalidInput, RulebookCompileError, Violation
from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.diagnostics import errors_in, render_text
from nextbest.rulebook.rulebook_in_words import Lines, rulebook_in_words
from nextbest.rulebook.source import load_source
from nextbest.rulebook.suggest import did_you_mean


def show(
    directory: Annotated[Path, typer.Argument(help="Directory of the rulebook.")],
    rule: Annotated[
        str | None,
        typer.Argument(
            help="Id of an action, trigger, segment, table, pattern, channel or experiment, or `strategy`,"
            " `facts`, `stages`, `policies`; none = everything."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As data.")] = False,
) -> None:
    """Say in words what a rulebook compiles to: for whom, when, behind which gates, worth what."""
    everything = dict(rulebook_in_words(_parts(directory)))
    rules = {name: lines for name, lines in everything.items() if rule is None or rule in name.split(" ")}
    if rule is not None and not rules:
        hint = did_you_mean(rule, [name.split(" ")[-1] for name in everything])
        raise InvalidInput([Violation("rule", f"`{rule}` is not in the rulebook" + f": {hint}" * bool(hint))])
    if as_json:
        typer.echo(json.dumps(rules, ensure_ascii=False, indent=2))
    else:
        typer.echo("\n\n".join(_rendered(name, lines) for name, lines in rules.items()))


def _parts(directory: Path) -> Parts:
    source = load_source(directory)
    parts, diagnostics = examine_source(source)
    if parts is None or errors_in(diagnostics):
        raise RulebookCompileError(diagnostics, render_text(diagnostics, source.by_path))
    return parts


def _rendered(name: str, lines: Lines) -> str:
    said = (f"  {about + ':':<15} {text}" for about, texts in lines.items() for text in texts)
    return "\n".join([name, *said])
