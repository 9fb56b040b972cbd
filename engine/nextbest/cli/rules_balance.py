"""`nextbest rules balance`: what a rulebook's actions are for, counted."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from nextbest.rulebook.balance import REWARD_KINDS, Balance, balance_of
from nextbest.rulebook.compile import compile_rulebook


def balance(
    directory: Annotated[Path, typer.Argument(help="Directory of the rulebook.")],
    as_json: Annotated[bool, typer.Option("--json", help="As data.")] = False,
) -> None:
    """Count actions by what they want, by parameter of effort, by capability, and rewards by stage."""
    found = balance_of(compile_rulebook(directory))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        _show(Console(highlight=False), found)


def _show(console: Console, found: Balance) -> None:
    for title, counts in (
        ("desired action", found.desired),
        ("parameter of effort", found.parameters),
        ("capability", found.capabilities),
    ):
        console.print(_counts(title, counts))
    rewards = Table("rewards open to", *REWARD_KINDS, box=SIMPLE)
    for stage, counts in found.rewards.items():
        rewards.add_row(stage, *(str(count) for count in counts.values()))
    console.print(rewards)
    console.print(f"{found.actions} actions")
    if found.idle_parameters:
        console.print(f"no action works with: {', '.join(found.idle_parameters)}")


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title, "actions", box=SIMPLE)
    table.columns[1].justify = "right"
    for name, count in counts.items():
        table.add_row(name, str(count))
    return table
