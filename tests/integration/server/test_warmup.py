"""Warm-up: whatever is asked of a service that says SERVING, no kernel is compiled or loaded for it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.builders.small import DIRECTORY

from nextbest.data.store import StoreOptions
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server.app import ServiceOptions, running_service

ROOT = Path(__file__).parents[3]


def test_nothing_is_cold_after_warm_up():
    """In a fresh process requests of all sorts meet no kernel that the warm-up has not run."""
    command = [sys.executable, "-m", "tests.builders.cold_kernels"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "warm" in ended.stdout
    assert [line for line in ended.stdout.splitlines() if line.startswith("cold:")] == []


async def test_rulebook_without_actions_is_served(tmp_path, redis_url, keys):
    """A rulebook that has no action yet, and so no channel, can be served."""
    small = ROOT / "tests" / "golden" / "rulebook" / "minimal" / "rules"
    for name in ("strategy.yaml", "facts.yaml"):
        (tmp_path / name).write_text((small / name).read_text())
    rulebook = compile_rulebook(tmp_path)
    assert not rulebook.channels
    options = StoreOptions(redis_url=redis_url, prefix=keys.prefix, timeout_s=20.0)
    async with running_service(ServiceOptions(), options, rulebook) as service:
        assert service.serving().model.rulebook.actions == ()


def test_warm_command_compiles_ahead():
    """`nextbest warm` runs every kernel once with stand-in models, and says how long it took."""
    command = [Path(sys.executable).with_name("nextbest"), "warm", "--rulebook", DIRECTORY]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (event,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert event["event"] == "warm"
    assert event["seconds"] > 0.0
