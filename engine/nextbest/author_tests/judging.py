"""A decided case against what its author expects."""

from collections.abc import Iterable, Iterator

from nextbest.author_tests.running import Run
from nextbest.rulebook.cases import DO_NOTHING, Case
from nextbest.rulebook.compile.report import At
from nextbest.rulebook.diagnostics import Diagnostic

FAILED = "test-failed"


def judge(run: Run, case: int) -> list[Diagnostic]:
    """Everything in which the answer is not as expected, at its place in the test."""
    found = list(_Judge(run, case).failures())
    name = run.cases[case].entry.name
    return [
        at.file.diagnostic(at.file.value_span(at.path), FAILED, f"in `{name}`: {message}", hint)
        for at, message, hint in found
    ]


Failure = tuple[At, str, str]


class _Judge:
    """Judges one case; a failure is a place, a message and why it came so."""

    def __init__(self, run: Run, case: int) -> None:
        self._run = run
        self._case = case
        self._answer = run.answer(case)

    def failures(self) -> Iterator[Failure]:
        case: Case = self._run.cases[self._case]
        expect, at = case.entry.expect, case.at / "expect"
        if expect.answer is not None:
            wanted = [expect.answer] if isinstance(expect.answer, str) else expect.answer
            yield from self._whole([name for name in wanted if name != DO_NOTHING], at / "answer")
        if expect.first is not None:
            yield from self._first(expect.first, at / "first")
        for i, name in enumerate(expect.includes):
            if name not in (self._answer or [DO_NOTHING]):
                yield at / "includes" / i, f"expected `{name}`, {self._found()}", self._why(name)
        yield from self._excluded(at / "excludes")
        yield from self._triggers(expect.fired, at / "fired", fired=True)
        yield from self._triggers(expect.not_fired, at / "not_fired", fired=False)

    def _whole(self, wanted: list[str], at: At) -> Iterator[Failure]:
        if self._answer != wanted:
            missing = [name for name in wanted if name not in self._answer]
            hint = self._why(missing[0]) if missing else ""
            yield at, f"expected {_listed(wanted)}, {self._found()}", hint

    def _first(self, wanted: str, at: At) -> Iterator[Failure]:
        first = self._answer[0] if self._answer else DO_NOTHING
        if wanted != first:
            hint = self._why(first if wanted == DO_NOTHING else wanted)
            yield at, f"expected `{wanted}` first, {self._found()}", hint

    def _excluded(self, at: At) -> Iterator[Failure]:
        excludes = self._run.cases[self._case].entry.expect.excludes
        for i, name in enumerate(excludes):
            place = at / (name if isinstance(excludes, dict) else i)
            if name in self._answer:
                yield place, f"expected `{name}` not to be offered, {self._found()}", self._why(name)
            elif isinstance(excludes, dict):
                reason = self._run.reason(self._case, name).name.lower()
                if reason != excludes[name]:
                    message = f"expected `{name}` to end by `{excludes[name]}`, found `{reason}`"
                    yield place, message, self._why(name)

    def _triggers(self, names: Iterable[str], at: At, *, fired: bool) -> Iterator[Failure]:
        for i, name in enumerate(names):
            if self._run.has_fired(self._case, name) is not fired:
                state = "has not fired" if fired else "has fired"
                trigger = self._run.model.rulebook.trigger_index[name]
                source = self._run.model.rulebook.triggers[trigger].source
                yield at / i, f"trigger `{name}` {state}", f"it asks for `{source}`"

    def _found(self) -> str:
        return f"found {_listed(self._answer)}"

    def _why(self, name: str) -> str:
        if name == DO_NOTHING:
            return ""
        return f"`{name}`: {self._run.sentence(self._case, name)}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or f"`{DO_NOTHING}`"
