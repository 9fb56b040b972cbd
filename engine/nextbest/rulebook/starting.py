"""A new rulebook from a template, and a new action that fits the rulebook it is added to."""

import json
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from nextbest.errors import NextBestError
from nextbest.rulebook.filled_schema import filled_files
from nextbest.rulebook.nodes import parse_nodes, to_value
from nextbest.rulebook.own_names import own_names
from nextbest.rulebook.placeholders import REASON, SAY, STAFF
from nextbest.rulebook.source import RulebookSource, load_source

SCHEMAS = ".schema"
"""Folder of a rulebook that holds its own schemas; the compiler reads no name that begins with a dot."""

_SCHEMA_LINE = re.compile(r"^(# yaml-language-server: \$schema=(?:\.\./)*?)\.\./\.schema/", re.MULTILINE)
_ID_LINE = re.compile(r"^id: \S+$", re.MULTILINE)
_NAME = re.compile(r"[^\W_][\w.-]{0,63}")


class NotStartedError(NextBestError):
    """Nothing was written; the text says why."""


def templates() -> list[str]:
    """Names of the templates there are."""
    return sorted(entry.name for entry in _templates().iterdir() if entry.is_dir())


def start_rulebook(directory: Path, template: str) -> list[Path]:
    """Write a rulebook that compiles, and schemas filled with its names; returns the rule files.

    Raises:
        NotStartedError: there is no such template, or the directory holds something already.
    """
    if template not in templates():
        raise NotStartedError(f"there is no template `{template}`: one of {', '.join(templates())}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise NotStartedError(f"`{directory}` holds something already, and nothing is overwritten")
    written: list[Path] = []
    for name, text in _files(_templates() / template, ""):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_own(text, name, directory.resolve().name), encoding="utf-8")
        written.append(path)
    write_own_schemas(directory)
    return written


def write_own_schemas(directory: Path) -> Path:
    """Write the schemas of a rulebook, filled with its names; returns their folder.

    Raises:
        NotStartedError: the directory is no rulebook.
    """
    if not (directory / "strategy.yaml").is_file():
        raise NotStartedError(f"`{directory}` has no strategy.yaml")
    folder = directory / SCHEMAS
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in filled_files(load_source(directory), folder).items():
        path.write_text(text, encoding="utf-8")
    return folder


def stale_schemas(directory: Path) -> list[Path]:
    """Schemas of a rulebook that are missing or do not have its present names."""
    files = filled_files(load_source(directory), directory / SCHEMAS)
    return [path for path, text in files.items() if not _holds(path, text)]


def start_action(directory: Path, action: str) -> Path:
    """Write a file with one action that the rulebook's author completes; returns its path.

    Raises:
        NotStartedError: the name is none, the rulebook has the action or the file already, or it lacks a
            strategy to take languages and issue from.
    """
    source = load_source(directory)
    own = own_names(source)
    path = directory / "actions" / f"{action}.yaml"
    if _NAME.fullmatch(action) is None:
        raise NotStartedError(f"`{action}` is no id: letters, digits, `_`, `-` and `.`, 64 at most")
    if action in own.of("action"):
        raise NotStartedError(f"the rulebook has an action `{action}` already")
    if path.exists():
        raise NotStartedError(f"`{path}` is there already, and nothing is overwritten")
    if not own.of("issue"):
        raise NotStartedError(f"`{directory}` has no strategy.yaml with priorities")
    path.parent.mkdir(exist_ok=True)
    path.write_text(_action(action, source), encoding="utf-8")
    return path


def _templates() -> Traversable:
    return resources.files("nextbest") / "templates"


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name, entry.read_text(encoding="utf-8")


def _own(text: str, name: str, rulebook: str) -> str:
    """The template's text with the new rulebook's name, and schemas beside its files."""
    text = _SCHEMA_LINE.sub(rf"\1{SCHEMAS}/", text).replace(f"$schema={SCHEMAS}/", f"$schema=./{SCHEMAS}/")
    if name == "strategy.yaml" and _NAME.fullmatch(rulebook):
        text = _ID_LINE.sub(f"id: {_word(rulebook)}", text, count=1)
    return text


def _word(name: str) -> str:
    """A name as YAML, quoted where it would be read as something else."""
    root, problems = parse_nodes(name)
    plain = root is not None and to_value(root, problems) == name and not problems
    return name if plain else json.dumps(name, ensure_ascii=False)


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _action(action: str, source: RulebookSource) -> str:
    own = own_names(source)
    channels = own.of("channel")
    channel = next((name for name in ("pos", "web", *channels) if not channels or name in channels), "pos")
    return _ACTION.format(
        id=_word(action),
        issue=_word(next(iter(own.of("issue")))),
        channel=channel,
        reason=_texts(REASON, source),
        say=_texts(SAY, source),
        staff=_texts(STAFF, source),
    )


def _texts(words: str, source: RulebookSource) -> str:
    """A text in every language of the strategy, to be translated."""
    strategy = source.of_kind("strategy")
    value = strategy[0].value if strategy else {}
    languages = value.get("languages") if isinstance(value, dict) else None
    if not isinstance(languages, list) or len(languages) < 2:
        return json.dumps(words)
    return "{" + ", ".join(f"{language}: {json.dumps(words)}" for language in languages) + "}"


_ACTION = """\
# yaml-language-server: $schema=../.schema/actions.schema.json
actions:
  - id: {id}
    desired_action: service        # what it wants to bring about
    issue: {issue}
    # stages: [hear_me, grow_me]   # default: all
    # segments: []                 # any of them; default: everybody
    # triggers: []                 # any of them must have fired; default: none is needed
    # when: customer.data_quality >= 0.5
    reason: {reason}
    treatments:
      {channel}:
        say: {say}
        staff: {staff}
    effect:                        # shares of the gaps it closes if it is accepted
      customer_gap: 0.02
      profit_gap: 0.01
      minutes: 1                   # of the customer's own time
    cost: {{contact: 0.1}}
    propensity: {{successes: 1, failures: 9}}
    relevance:                     # would the customer have asked for it?
      open_need: customer.value_gap > 0.0
"""
