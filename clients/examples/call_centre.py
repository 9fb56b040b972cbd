"""A call-centre agent's desktop in a terminal.

Asks what to do for the customer on the line, shows script, reason and score of each action, and tells the
service what the agent chose and how the customer took it:

    python clients/examples/call_centre.py 4711
    python clients/examples/call_centre.py 4711 --language da --accept 1

Exit codes: 0 the call was served, 1 the request or the answer given was wrong, 3 there was no advice.
"""

import argparse
import sys
from collections.abc import Sequence

import grpc

from loyalty.nextbest.v1 import (
    common_pb2,
    decision_pb2,
    interaction_pb2,
    rulebook_pb2,
    rulebook_pb2_grpc,
)
from nextbest_client import (
    ClientError,
    ClientOptions,
    NextBestClient,
    Value,
    actions_of,
    decide_request,
    is_fallback,
    outcome_of,
)

CHANNEL = "call_centre"
DESCRIBE_TIMEOUT_S = 2.0
ANSWERS = {
    "a": common_pb2.OUTCOME_ACCEPTED,
    "r": common_pb2.OUTCOME_REJECTED,
    "s": common_pb2.OUTCOME_PROBLEM_SOLVED,
    "c": common_pb2.OUTCOME_COMPLAINED,
    "i": common_pb2.OUTCOME_IGNORED,
}
ANSWER_PROMPT = "The customer [a]ccepted, [r]ejected, had the problem [s]olved, [c]omplained, [i]gnored it: "


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one call; returns the exit code."""
    arguments = parse(argv)
    options = ClientOptions(timeout_ms=arguments.timeout_ms)
    try:
        with NextBestClient(arguments.address, options=options) as client:
            return serve_call(client, arguments)
    except ClientError as error:
        print(f"nextbest: {error}", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\nnothing was recorded", file=sys.stderr)
        return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("customer", metavar="CUSTOMER", help="id of the customer on the line")
    parser.add_argument("--address", default="localhost:50051", help="the service (default: %(default)s)")
    parser.add_argument(
        "--rulebook-address", default="localhost:50052", help="the rulebook service (default: %(default)s)"
    )
    parser.add_argument("--language", default="en", help="language of the texts, such as da or en")
    parser.add_argument("--role", default="agent", help="the agent's role in the rulebook")
    parser.add_argument(
        "--context",
        action="append",
        default=[],
        type=key_and_value,
        metavar="KEY=VALUE",
        help="something the agent knows about the call, such as topic=delivery; may be repeated",
    )
    parser.add_argument("--max-results", type=int, default=0, help="most actions to show (default: 3)")
    parser.add_argument("--timeout-ms", type=float, default=1000.0, help="time for a call of the service")
    parser.add_argument("--accept", type=int, metavar="N", help="do not ask: action N was accepted, 0 = none")
    return parser.parse_args(argv)


def key_and_value(text: str) -> tuple[str, Value]:
    """Read KEY=VALUE; a value that looks like a number or a truth value is one."""
    key, found, value = text.partition("=")
    if not (key and found):
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form KEY=VALUE")
    if value in ("true", "false"):
        return key, value == "true"
    try:
        return key, float(value)
    except ValueError:
        return key, value


def serve_call(client: NextBestClient, arguments: argparse.Namespace) -> int:
    """Ask, show, and record what came of it; returns the exit code."""
    request = decide_request(
        arguments.customer,
        channel=CHANNEL,
        caller_role=arguments.role,
        language=arguments.language,
        contexts=dict(arguments.context),
        max_results=arguments.max_results,
    )
    decision = client.decide(request)
    if is_fallback(decision):
        reason = decision_pb2.FallbackReason.Name(decision.fallback.reason).removeprefix("FALLBACK_REASON_")
        print(f"No advice for {arguments.customer}: {decision.fallback.message or reason.lower()}.")
        return 3
    show_customer(decision)
    show_open(client.get_hand_off(decision.customer_id, language=arguments.language))
    actions = actions_of(decision)
    if not actions:
        print("\nNothing to suggest: help with what the customer called about, and leave it at that.")
        return 0
    for action in actions:
        show_action(action, decision.currency)
    if arguments.accept is not None and not 0 <= arguments.accept <= len(actions):
        print(f"\nThere is no action {arguments.accept}: nothing was recorded.", file=sys.stderr)
        return 1
    outcomes = ask_outcomes(decision, actions, arguments.accept, arguments.rulebook_address)
    record(client, decision, outcomes)
    return 0


def record(
    client: NextBestClient,
    decision: decision_pb2.DecideResponse,
    outcomes: list[interaction_pb2.CapturedOutcome],
) -> None:
    """Tell the service what came of the call."""
    results = client.capture_outcomes(decision.customer_id, outcomes)
    recorded = sum(r.status == interaction_pb2.RECORD_STATUS_RECORDED for r in results)
    print(f"\nRecorded: {recorded} of {len(results)} (decision {decision.decision_id}).")


def show_customer(decision: decision_pb2.DecideResponse) -> None:
    """Print what the agent may know about the customer; a figure that is missing is shown as unknown."""
    figures = decision.figures
    stage = common_pb2.Stage.Name(figures.stage).removeprefix("STAGE_").replace("_", " ").lower()
    level = f"{figures.level:+d}" if figures.HasField("level") else "unknown"
    print(f"Customer {decision.customer_id}: stage {stage}, ladder level {level}")
    known = {
        "value gap": figures.value_gap if figures.HasField("value_gap") else None,
        "profit gap": figures.profit_gap if figures.HasField("profit_gap") else None,
        "lifetime value": figures.ltv if figures.HasField("ltv") else None,
    }
    for label, amount in known.items():
        print(f"  {label:<15}{'unknown' if amount is None else money(amount, decision.currency)}")


def show_open(left: decision_pb2.GetHandOffResponse) -> None:
    """Print what other desks left open: a complaint, offers, and what was said last."""
    if left.HasField("open_complaint"):
        since = left.open_complaint.complained_at.ToDatetime()
        print(f"  open complaint of severity {left.open_complaint.severity}, since {since:%Y-%m-%d}")
    for offer in left.open_offers:
        where = f"{offer.treatment.channel}, {offer.presented_at.ToDatetime():%Y-%m-%d}"
        print(f"  open offer: {offer.action} ({where}; owner {offer.owner or '-'}): {offer.treatment.say}")
    for entry in left.interactions[:3]:
        outcome = common_pb2.Outcome.Name(entry.outcome).removeprefix("OUTCOME_").replace("_", " ").lower()
        what = outcome if entry.outcome else "presented"
        said = f': "{entry.comment}"' if entry.comment else ""
        print(f"  last time: {entry.action} {what} in {entry.channel}{said}")


def show_action(action: decision_pb2.RankedAction, currency: str) -> None:
    """Print one action: what to say, why, and its score."""
    mark = "must" if action.mandatory else money(action.score, currency)
    print(f"\n[{action.rank}] {action.action}  ({mark})")
    print(f"    say:    {action.treatment.say or '-'}")
    print(f"    reason: {action.staff_reason or '-'}")
    if action.HasField("propensity"):
        print(f"    likely: {action.propensity:.0%}")
    if action.owner:
        print(f"    hand over to: {action.owner}")


def money(amount: float, currency: str) -> str:
    """An amount as shown to staff."""
    return f"{amount:,.2f} {currency}".rstrip()


def ask_outcomes(
    decision: decision_pb2.DecideResponse,
    actions: list[decision_pb2.RankedAction],
    accepted_rank: int | None,
    rulebook_address: str,
) -> list[interaction_pb2.CapturedOutcome]:
    """What came of the call: of the action the agent chose, or why none of them was used."""
    rank = accepted_rank if accepted_rank is not None else ask_rank(len(actions))
    if rank == 0:
        return not_used(decision, actions, asked=accepted_rank is None)
    chosen = actions[rank - 1]
    answer = common_pb2.OUTCOME_ACCEPTED if accepted_rank is not None else ask_answer()
    code = ask_reason_code(rulebook_address) if closes_repair(chosen, answer) else ""
    return [
        outcome_of(decision, chosen, common_pb2.OUTCOME_PRESENTED),
        outcome_of(decision, chosen, answer, reason_code=code),
    ]


def closes_repair(action: decision_pb2.RankedAction, answer: common_pb2.Outcome.ValueType) -> bool:
    """Whether a case is closed, so that the service wants to know what is to be learnt from it."""
    repairs = action.desired_action == common_pb2.DESIRED_ACTION_REPAIR
    return repairs and answer == common_pb2.OUTCOME_PROBLEM_SOLVED


def ask_reason_code(rulebook_address: str) -> str:
    """Ask why the case began: one of the strategy's codes, or any if those are not known."""
    known = reason_codes(rulebook_address)
    prompt = (
        f"Why was there a problem? [{', '.join(known)}] " if known else "Why was there a problem? (code) "
    )
    while True:
        answer = input(prompt).strip().lower()
        if answer in known or (answer and not known):
            return answer


def reason_codes(rulebook_address: str) -> Sequence[str]:
    """The codes that a desktop offers in a drop-down; none if the service cannot be asked."""
    with grpc.insecure_channel(rulebook_address) as channel:
        rulebooks = rulebook_pb2_grpc.RulebookServiceStub(channel)
        try:
            described = rulebooks.Describe(rulebook_pb2.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S)
        except grpc.RpcError:
            return ()
    return described.reason_codes


def not_used(
    decision: decision_pb2.DecideResponse, actions: list[decision_pb2.RankedAction], *, asked: bool
) -> list[interaction_pb2.CapturedOutcome]:
    """Report the best action as not presented; with a reason it counts as the agent's own choice."""
    reason = input("Why not? (enter = no reason) ").strip() if asked else ""
    return [outcome_of(decision, actions[0], common_pb2.OUTCOME_NOT_PRESENTED, override_reason=reason)]


def ask_rank(count: int) -> int:
    """Ask which action the agent used; 0 = none."""
    while True:
        answer = input(f"\nWhich did you use? [1-{count}, 0 = none] ").strip()
        if answer.isdigit() and int(answer) <= count:
            return int(answer)


def ask_answer() -> common_pb2.Outcome.ValueType:
    """Ask how the customer took it."""
    while True:
        answer = input(ANSWER_PROMPT).strip().lower()[:1]
        if answer in ANSWERS:
            return ANSWERS[answer]


if __name__ == "__main__":
    sys.exit(main())
