"""`nextbest decide` and `nextbest why`: ask a running service, as an agent's desktop would."""

from collections.abc import Iterable
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from loyalty.nextbest.v1 import common_pb2, decision_pb2, explanation_pb2
from nextbest.behaviour.quality import NO_ATTITUDE
from nextbest.cli.options import Address, service_client
from nextbest.errors import InvalidInput, Violation
from nextbest_client import NextBestClient, Value, decide_request

Customer = Annotated[str, typer.Argument(help="The customer's id, or with --identifier a number of theirs.")]
KindOfIdentifier = Annotated[
    str, typer.Option("--identifier", help="What the customer is given by, such as phone or card; none = id.")
]
Channel = Annotated[str, typer.Option(help="Channel, as the rulebook names it.")]
Outbound = Annotated[bool, typer.Option("--outbound", help="The company starts the contact.")]
Role = Annotated[str, typer.Option(help="Role of the caller, as the rulebook names it.")]
Language = Annotated[str, typer.Option(help="Language of the texts, such as en or da.")]
Placements = Annotated[
    list[str] | None,
    typer.Option("--placement", help="Placement asked for, the preferred one first; none = any."),
]
Keys = Annotated[list[str] | None, typer.Option("--key", help="A context key, as `intent=service`.")]

_MONEY = (
    "ltv",
    "actual_value",
    "potential_value",
    "value_gap",
    "actual_profit",
    "potential_profit",
    "profit_gap",
)
_GATES = {number: name.removeprefix("GATE_").lower() for name, number in explanation_pb2.Gate.items()}


def decide(
    customer: Customer,
    channel: Channel,
    outbound: Outbound = False,
    role: Role = "",
    placement: Placements = None,
    key: Keys = None,
    language: Language = "",
    identifier: KindOfIdentifier = "",
    address: Address = None,
) -> None:
    """Ask for a customer's next best actions."""
    situation = _Situation(channel, outbound, role, placement or [], key or [], language)
    with service_client(address) as client:
        customer = _resolved(client, customer, identifier)
        response = client.decide(_request(customer, situation))
    console = _console()
    if response.HasField("fallback"):
        console.print(f"nothing decided: {response.fallback.message}")
        raise typer.Exit(3)
    _print_figures(console, response)
    table = Table("rank", "action", "say", "score", "why", title=f"{customer} · {channel}")
    for result in response.results:
        score = f"{result.score:.2f}" if result.HasField("score") else ""
        table.add_row(str(result.rank), result.action, result.treatment.say, score, result.staff_reason)
    console.print(table)
    console.print(f"decision {response.decision_id}")


def _print_figures(console: Console, response: decision_pb2.DecideResponse) -> None:
    figures = response.figures
    level = f"{figures.level:+d}" if figures.HasField("level") else "unknown"
    parts = [f"stage {_stage(figures.stage)}", f"level {level}"]
    parts += [
        f"{name.replace('_', ' ')} {getattr(figures, name):,.0f}"
        for name in _MONEY
        if figures.DESCRIPTOR.fields_by_name[name] in {field for field, _ in figures.ListFields()}
    ]
    console.print(f"{' · '.join(parts)} ({response.currency})")
    if figures.HasField("attitude_known") and not figures.attitude_known:
        console.print(NO_ATTITUDE)


def _console() -> Console:
    """Prints texts of rulebooks and services as they are: brackets in them are no markup."""
    return Console(markup=False, highlight=False)


def _stage(code: common_pb2.Stage.ValueType) -> str:
    return common_pb2.Stage.Name(code).removeprefix("STAGE_").lower()


def why(
    customer: Customer,
    channel: Annotated[
        str, typer.Option(help="Channel, as the rulebook names it; not with --decision.")
    ] = "",
    decision: Annotated[str, typer.Option(help="Id of a decision that was made; else a new one.")] = "",
    action: Annotated[list[str] | None, typer.Argument(help="Actions to explain; none = all.")] = None,
    outbound: Outbound = False,
    role: Role = "",
    placement: Placements = None,
    key: Keys = None,
    language: Language = "",
    identifier: KindOfIdentifier = "",
    address: Address = None,
) -> None:
    """Ask why each action was and was not chosen, with the actual values, and how many each gate stopped."""
    if bool(channel) == bool(decision):
        raise InvalidInput([Violation("--channel", "is required, or else --decision")])
    situation = _Situation(channel, outbound, role, placement or [], key or [], language)
    with service_client(address) as client:
        customer = _resolved(client, customer, identifier)
        asked = decision or _request(customer, situation)
        response = client.explain(asked, customer_id=customer, actions=action or [], language=language)
    title = f"{customer} · {channel or decision}"
    table = Table("action", "stopped at", "because", "what would change it", title=title)
    for candidate in response.candidates:
        where = f"rank {candidate.rank}" if candidate.rank else _GATES.get(candidate.gate, "")
        table.add_row(candidate.action, where, candidate.sentence, candidate.remedy)
    console = _console()
    console.print(table)
    console.print(_funnel(response.funnel))


def _funnel(steps: Iterable[explanation_pb2.FunnelStep]) -> Table:
    """The gates that candidates came to, in order; those after which nobody was left are left out."""
    table = Table("gate", "entered", "stopped", title="funnel of all actions")
    for step in steps:
        if step.entered:
            table.add_row(_GATES[step.gate], str(step.entered), str(step.stopped))
    return table


def _resolved(client: NextBestClient, customer: str, identifier: str) -> str:
    """The customer's id, looked up where a number was given."""
    if not identifier:
        return customer
    return client.resolve(common_pb2.Identifier(type=identifier, value=customer))


class _Situation(NamedTuple):
    """The options that both commands describe the situation by."""

    channel: str
    outbound: bool
    role: str
    placements: list[str]
    keys: list[str]
    language: str


def _request(customer: str, situation: _Situation) -> decision_pb2.DecideRequest:
    return decide_request(
        customer,
        channel=situation.channel,
        direction=common_pb2.DIRECTION_OUTBOUND if situation.outbound else common_pb2.DIRECTION_INBOUND,
        placements=situation.placements,
        contexts=_contexts(situation.keys),
        caller_role=situation.role,
        language=situation.language,
    )


def _contexts(pairs: Iterable[str]) -> dict[str, Value]:
    """What is known of the situation; a value that looks like a number or a truth value is one.

    Raises:
        InvalidInput: a pair that is none.
    """
    split = [pair.partition("=") for pair in pairs]
    found = [
        Violation("--key", f"`{key}{sign}{text}` is not of the form KEY=VALUE")
        for key, sign, text in split
        if not (key and sign)
    ]
    if found:
        raise InvalidInput(found)
    return {key: _value(text) for key, _, text in split}


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text
