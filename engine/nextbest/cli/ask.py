"""`nextbest decide` and `nextbest why`: ask a running service, as an agent's desktop would."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loyalty.nextbest.v1 import common_pb2, decision_pb2, explanation_pb2
from nextbest.behaviour.quality import NO_ATTITUDE
from nextbest.cli.options import Address, service_client
from nextbest.errors import InvalidInput, Violation
from nextbest_client import decide_request

Customer = Annotated[str, typer.Argument(help="The customer's id.")]
Channel = Annotated[str, typer.Option(help="Channel, as the rulebook names it.")]
Outbound = Annotated[bool, typer.Option("--outbound", help="The company starts the contact.")]
Role = Annotated[str, typer.Option(help="Role of the caller, as the rulebook names it.")]
Language = Annotated[str, typer.Option(help="Language of the texts, such as en or da.")]

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
    language: Language = "",
    address: Address = None,
) -> None:
    """Ask for a customer's next best actions."""
    with service_client(address) as client:
        request = _request(customer, channel, outbound=outbound, role=role, language=language)
        response = client.decide(request)
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
    language: Language = "",
    address: Address = None,
) -> None:
    """Ask why each action was and was not chosen, with the actual values."""
    if bool(channel) == bool(decision):
        raise InvalidInput([Violation("--channel", "is required, or else --decision")])
    asked = decision or _request(customer, channel, outbound=outbound, role=role, language=language)
    with service_client(address) as client:
        response = client.explain(asked, customer_id=customer, actions=action or [], language=language)
    title = f"{customer} · {channel or decision}"
    table = Table("action", "stopped at", "because", "what would change it", title=title)
    for candidate in response.candidates:
        where = f"rank {candidate.rank}" if candidate.rank else _GATES.get(candidate.gate, "")
        table.add_row(candidate.action, where, candidate.sentence, candidate.remedy)
    _console().print(table)


def _request(
    customer: str, channel: str, *, outbound: bool, role: str, language: str
) -> decision_pb2.DecideRequest:
    direction = common_pb2.DIRECTION_OUTBOUND if outbound else common_pb2.DIRECTION_INBOUND
    return decide_request(customer, channel=channel, direction=direction, caller_role=role, language=language)
