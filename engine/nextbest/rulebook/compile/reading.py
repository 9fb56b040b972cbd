"""Files → validated documents. What is wrong is reported at its place, and the rest is still read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.compile.wording import report_details
from nextbest.rulebook.documents.common import Document
from nextbest.rulebook.nodes import Value
from nextbest.rulebook.source import PathLike, SourceFile

DocumentT = TypeVar("DocumentT", bound=Document)

MAX_ROUNDS = 12
"""Rounds of leaving out what does not validate; each shortens every failing path by a step."""


STAND_INS: Mapping[str, Value] = {
    "id": "unnamed",
    "currency": "XXX",
    "languages": ["en"],
    "goals": [{"id": "goal", "measure": "retention", "text": "goal"}],
    "priorities": [{"issue": "unnamed", "text": "issue"}],
    "plan": [{"step": "step", "owner": "unnamed"}],
    "roles": [{"id": "unnamed", "text": "role"}],
    "promises": {"unnamed": "promise"},
    "text": "text",
    "reason": "reason",
    "say": "text",
    "when": True,
    "desired_action": "communication",
    "propensity": 0.5,
}
"""Stand for required keys that were reported as missing or wrong, so that what is beside them is still
checked. Nothing that was read with a stand-in is ever compiled to the end."""


_DECLARES: Mapping[str, str] = {
    "languages": "language",
    "priorities": "priority",
    "roles": "role",
    "promises": "promise",
    "groups": "group",
    "standard": "fact",
    "facts": "fact",
    "context": "context key",
    "segments": "segment",
    "triggers": "trigger",
    "channels": "channel",
    "product_sets": "product set",
}
"""What a file's outermost keys declare: when one is left out, references to it say nothing."""


@dataclass(frozen=True, slots=True)
class Read(Generic[DocumentT]):
    """A document and the file it stands in."""

    document: DocumentT
    at: At


def read_document(file: SourceFile, model: type[DocumentT], report: Report) -> Read[DocumentT] | None:
    """Validate a file against its model, reporting every problem.

    Args:
        file: a readable file.
        model: what its content must look like.
        report: receives the problems.

    Returns:
        The document without the parts that were reported; None if nothing is left of it.
    """
    try:
        return Read(model.model_validate(file.value), At(file))
    except ValidationError as error:
        details = error.errors(include_url=False)
    report_details(file, model, details, report)
    if not isinstance(file.value, dict):
        return None
    remains = _Remains(file.value, report)
    for _ in range(MAX_ROUNDS):
        remains.leave_out(details)
        try:
            return Read(model.model_validate(remains.value()), At(file, (), remains.kept))
        except ValidationError as error:
            details = error.errors(include_url=False)
    return None


_GONE = cast("Value", object())


class _Remains:
    """A document's data without the parts that failed; remembers where list items came from."""

    def __init__(self, value: dict[str, Value], report: Report) -> None:
        self._value = cast("dict[str, Any]", _copy(value))
        self._report = report
        self._filled: set[PathLike] = set()
        self.kept: dict[PathLike, list[int]] = {}
        """Per list that lost items, by its path in the file: the items' places in the file."""

    def value(self) -> Value:
        """What is left."""
        self.kept.clear()
        return self._stripped(self._value, ())

    def leave_out(self, details: Iterable[ErrorDetails]) -> None:
        """Drop the parts that failed; where a required key is missing, fill it in or drop what lacks it."""
        paths: set[PathLike] = set()
        for detail in details:
            path = self._path(detail["loc"])
            if detail["type"] != "missing" or not self._fill(path, detail["loc"][-1]):
                paths.add(path)
        for path in paths:
            if not any(path[:i] in paths for i in range(len(path))):
                self._drop(path)

    def _fill(self, path: PathLike, key: str | int) -> bool:
        parent, place = self._at(path), (*path, key)
        if key not in STAND_INS or not isinstance(parent, dict) or place in self._filled:
            return False  # what was filled in and is missing again did not fit
        parent[key] = STAND_INS[str(key)]
        self._filled.add(place)
        self._note_undeclared(place)
        return True

    def _note_undeclared(self, path: PathLike) -> None:
        if len(path) == 1 and path[0] in _DECLARES:
            self._report.unreadable.add(_DECLARES[str(path[0])])

    def _at(self, path: PathLike) -> Any:
        value: Any = self._value
        for label in path:
            value = value[label]
        return value

    def _path(self, place: PathLike) -> PathLike:
        """The place as a path of the file, without names of variants and without keys that are missing."""
        value: Any = self._value
        path: PathLike = ()
        for label in place:
            if isinstance(value, dict) and cast("dict[Any, Any]", value).get(label, _GONE) is not _GONE:
                value, path = cast("Any", value[label]), (*path, label)
            elif isinstance(value, list) and isinstance(label, int):
                index = self.kept[path][label] if path in self.kept else label
                value, path = cast("Any", value[index]), (*path, index)
        return path

    def _drop(self, path: PathLike) -> None:
        if not path:
            self._value = {}
            return
        parent = self._at(path[:-1])
        if isinstance(path[-1], str):
            self._report.broken.add(path[-1])
        _note_names(path[-1], parent[path[-1]], self._report.broken)
        self._note_undeclared(path)
        parent[path[-1]] = _GONE

    def _stripped(self, value: Any, path: PathLike) -> Value:
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value).items()
            return {key: self._stripped(item, (*path, key)) for key, item in entries if item is not _GONE}
        if not isinstance(value, list):
            return value
        items = list(enumerate(cast("list[Any]", value)))
        kept = [index for index, item in items if item is not _GONE]
        if len(kept) < len(items):
            self.kept[path] = kept
        return [self._stripped(items[index][1], (*path, index)) for index in kept]


def _copy(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _note_names(label: str | int, value: Value, names: set[str]) -> None:
    """Remember what a part declares, so that references to it are not reported as well."""
    if isinstance(value, dict):
        if label in ("promises", "channels", "values", "product_sets"):
            names.update(value)
        names.update(str(value[key]) for key in ("id", "name", "issue") if key in value)
        for key, item in value.items():
            _note_names(key, item, names)
    elif isinstance(value, list):
        for item in value:
            _note_names(label, item, names)
