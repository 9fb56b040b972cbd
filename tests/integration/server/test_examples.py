"""The two example programs against the real service: what an agent and a till see, and what is recorded."""

import importlib.util
from pathlib import Path

import pytest
from tests.builders.small import NOW, offended, regular

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest_client import customer_snapshot

EXAMPLES = Path(__file__).parents[3] / "clients" / "examples"


def load(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


call_centre = load("call_centre")
pos_terminal = load("pos_terminal")


@pytest.fixture
def recorded(client):
    """Reads what is recorded of a customer: action and kind, the latest first."""

    def read(customer_id):
        history = client.get_history(interaction_pb2.GetHistoryRequest(customer_id=customer_id))
        return [(entry.action, entry.outcome) for entry in history.entries]

    return read


def test_agent_serves_a_call(service, put, recorded, customer_id, capsys):
    """The agent sees stage, gaps, script and reason, and what they chose is recorded."""
    put(customer_id, offended())
    arguments = [customer_id, "--address", service.address, "--role", "lead", "--timeout-ms", "60000"]
    assert call_centre.main([*arguments, "--language", "da", "--accept", "2"]) == 0
    seen = capsys.readouterr().out
    assert "stage forgive me" in seen
    assert "[1] apology  (must)" in seen
    assert "say:    Jeg beklager at vi skuffede dig" in seen
    assert "[2] gesture" in seen
    assert "Recorded: 2 of 2" in seen
    accepted, presented = (
        ("gesture", common_pb2.OUTCOME_ACCEPTED),
        ("gesture", common_pb2.OUTCOME_UNSPECIFIED),
    )
    assert recorded(customer_id) == [accepted, presented]


def test_agent_closes_a_repair_with_a_code(service, client, put, customer_id, capsys, monkeypatch):
    """Who solved a problem is asked why there was one, until it is one of the rulebook's codes."""
    put(customer_id, offended())
    asked = []

    def answer(prompt=""):
        asked.append(prompt)
        return next(typed)

    typed = iter(["1", "s", "bad luck", "late_delivery"])
    monkeypatch.setattr("builtins.input", answer)
    arguments = [customer_id, "--address", service.address, "--rulebook-address", service.rulebook_address]
    assert call_centre.main([*arguments, "--role", "lead", "--timeout-ms", "60000"]) == 0
    assert "Recorded: 2 of 2" in capsys.readouterr().out
    assert asked[2] == asked[3] == "Why was there a problem? [late_delivery, no_oven, other] "
    history = client.get_history(interaction_pb2.GetHistoryRequest(customer_id=customer_id))
    assert [entry.reason_code for entry in history.entries] == ["late_delivery", ""]


def test_agent_gets_no_advice_about_nobody(service, capsys):
    """An unknown customer is no error for the agent: there is no advice, and why."""
    assert call_centre.main(["nobody", "--address", service.address, "--timeout-ms", "60000"]) == 3
    assert "no snapshot of the customer is stored" in capsys.readouterr().out


def test_till_serves_members(service, put, recorded, customer_id, capsys):
    """The till shows and prints what is best for each member, goes on for a stranger, and reports back."""
    put(customer_id, regular())
    arguments = [customer_id, "nobody", "--address", service.address, "--budget-ms", "60000"]
    assert pos_terminal.main(arguments) == 0
    seen = capsys.readouterr().out
    assert f"{customer_id}: 1 to show" in seen
    assert "Brie" in seen
    assert "[BRIE20]" in seen or "[BRIE10]" in seen
    assert "nobody: no advice, no snapshot of the customer is stored" in seen
    assert recorded(customer_id) == [("brie", common_pb2.OUTCOME_UNSPECIFIED)]


def test_till_serves_members_by_card(service, client, recorded, customer_id, capsys):
    """A till that scans cards gets the member's advice, and reports under the member's id."""
    card = common_pb2.Identifier(type="card", value=customer_id)
    client.put_snapshot(customer_snapshot(customer_id, as_of=NOW, facts=regular()), identifiers=[card])
    scanned = customer_id.upper().replace("-", " ")
    arguments = [scanned, "unknown", "--identifier-type", "card", "--address", service.address]
    assert pos_terminal.main([*arguments, "--budget-ms", "60000"]) == 0
    seen = capsys.readouterr().out
    assert f"{scanned}: 1 to show" in seen
    assert "unknown: no advice, no snapshot of the customer is stored" in seen
    assert recorded(customer_id) == [("brie", common_pb2.OUTCOME_UNSPECIFIED)]
