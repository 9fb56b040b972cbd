"""What logged decisions are made again with: their model, and what was learnt by then."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np

from nextbest.assembly import Model, assemble
from nextbest.batch.operations import known_translation
from nextbest.data.store import Past
from nextbest.decision_record import DecisionRecord
from nextbest.errors import DecisionNotReplayable, DecisionUnreadable, InvalidInput
from nextbest.learning.state_excerpt import restored
from nextbest.model import CellEvidence, DecisionState
from nextbest.rings import HistoryCodec
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.deciding import Serving
from nextbest.server.replaying import Replayed, Verdict, replay

KEPT_MODELS = 4
"""Models at hand; a rulebook of 1,000 rules is some 20 MB."""


def replayable(record: DecisionRecord) -> DecisionRecord:
    """The record, if it holds all that deciding again needs.

    Raises:
        DecisionNotReplayable: facts were masked.
    """
    if record.masked:
        names = ", ".join(f"`{name}`" for name in record.masked)
        raise DecisionNotReplayable(f"it was logged without {names}, which are masked")
    return record


class Replayer:
    """Puts together what decisions are made again with; keeps the last few models at hand."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self._servings: dict[str, Serving] = {}
        self._missing: dict[str, str] = {}

    async def serving_for(self, record: DecisionRecord) -> Serving:
        """The model that made a decision, with the state it was made with.

        Raises:
            DecisionNotReplayable: the model is not kept, facts were masked, or the state is damaged.
            StoreUnavailable: Redis does not answer.
        """
        digest = replayable(record).model_digest
        if digest in self._missing:
            raise DecisionNotReplayable(self._missing[digest])
        serving = self._servings.pop(digest, None)
        if serving is None:
            try:
                serving = await serving_of(self.past, await self.past.models.load(digest))
            except DecisionNotReplayable as error:
                self._missing[digest] = str(error)
                raise
        self._servings[digest] = serving  # the latest last
        while len(self._servings) > KEPT_MODELS:
            self._servings.pop(next(iter(self._servings)))
        return with_state(serving, record)

    def look_again(self) -> None:
        """Forget which models were missing: a service notes what it serves some time after it starts."""
        self._missing.clear()

    async def replay(self, records: Sequence[DecisionRecord]) -> list[Replayed]:
        """Make decisions again with their own models; those of one model and state together.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        found: dict[int, Replayed] = {}
        for places in _alike(records):
            some = [records[place] for place in places]
            try:
                again = list(replay(some, await self.serving_for(some[0])))
            except (DecisionNotReplayable, InvalidInput) as error:
                again = [Replayed(one, Verdict.NOT_REPLAYABLE, (), str(error)) for one in some]
            found |= zip(places, again, strict=True)
        return [found[place] for place in range(len(records))]


def _alike(records: Sequence[DecisionRecord]) -> list[list[int]]:
    """Places of the records that can be made again together."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, record in enumerate(records):
        groups.setdefault((record.model_digest, record.state, record.masked), []).append(place)
    return list(groups.values())


async def serving_of(past: Past, model: Model) -> Serving:
    """A model with all that reads stored bytes for it, and nothing learnt."""
    rulebook = model.rulebook
    return Serving(
        model=model,
        rows=RowCodec(rulebook.catalogue, await past.catalogues.all()),
        histories=HistoryCodec(await known_translation(past.names, rulebook)),
        state=DecisionState.initial(len(rulebook.actions)),
    )


def with_state(serving: Serving, record: DecisionRecord) -> Serving:
    """The same with what was learnt when a decision was made.

    Raises:
        DecisionNotReplayable: what was learnt is damaged.
    """
    try:
        state = restored(record.state, len(serving.model.rulebook.actions))
    except DecisionUnreadable as error:
        raise DecisionNotReplayable(str(error)) from error
    return replace(serving, state=state)


def against_rulebook(
    replayer: Replayer, rulebook: Rulebook
) -> Callable[[DecisionRecord], Awaitable[Serving]]:
    """Gives for a logged decision another rulebook, with the artifacts and what was learnt that decided.

    What was learnt is carried over by action id.

    Raises (when it is called):
        ArtifactError: the artifacts do not fit the other rulebook.
        DecisionNotReplayable: the artifacts are not kept, facts were masked, or the state is damaged.
        StoreUnavailable: Redis does not answer.
    """
    by_artifacts: dict[tuple[tuple[str, str], ...], Serving] = {}

    async def other(record: DecisionRecord) -> Serving:
        original = await replayer.serving_for(record)
        artifacts = original.model.artifacts
        key = tuple(sorted(artifacts.digests.items()))
        if key not in by_artifacts:
            by_artifacts[key] = await serving_of(replayer.past, assemble(rulebook, artifacts))
        serving = by_artifacts[key]
        state = _carried(original.state, original.model.rulebook, serving.model.rulebook)
        return replace(serving, state=state)

    return other


def _carried(state: DecisionState, old: Rulebook, new: Rulebook) -> DecisionState:
    """What was learnt, by action id; actions that the new rulebook has not are left out."""
    index = np.array([new.action_index.get(action.id, -1) for action in old.actions], np.int32)
    posteriors = DecisionState.initial(len(new.actions)).posteriors.copy()
    posteriors[index[index >= 0]] = state.posteriors[index >= 0]
    action = index[state.cells.action]
    kept = action >= 0
    cells = CellEvidence(
        action[kept], state.cells.stage[kept], state.cells.cell[kept], state.cells.counts[kept]
    )
    return replace(state, posteriors=posteriors, cells=cells)
