"""Propensities that learn while the service runs: what is captured here, the next decision knows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import numpy as np
import numpy.typing as npt

from nextbest.clock import Clock
from nextbest.data.evidence import Evidence
from nextbest.data.learnt_state import cell_path, state_of
from nextbest.data.store import Store
from nextbest.decide import prepared
from nextbest.errors import StoreUnavailable
from nextbest.facts import Figure
from nextbest.figures import figures_of
from nextbest.id_check import id_check
from nextbest.learning.cases import observations
from nextbest.model import NO_CODE, Bools, DecisionState, Stage
from nextbest.rows import RowProblem
from nextbest.server.live import LiveServing
from nextbest.server.responses import DO_NOTHING
from nextbest.telemetry import logger

POLL_S = 1.0
"""How often a process looks for what others have learnt."""


class Learner:
    """Keeps the live state in step with the evidence in the store."""

    def __init__(self, live: LiveServing, store: Store, clock: Clock, known: Evidence) -> None:
        self._live = live
        self._store = store
        self._clock = clock
        self._known = known
        self._lock = asyncio.Lock()

    async def capture(self, customer_id: str, entries: npt.NDArray[np.void], is_timed: Bools) -> None:
        """Count a customer's outcomes; when it returns, the next decision of this process knows them.

        Repeats count once, so a caller that is told that the store does not answer may repeat everything.

        Args:
            customer_id: the customer.
            entries: (k,) of `HISTORY_ENTRY`.
            is_timed: (k,) whether the caller said when it happened.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        learning = self._live().model.rulebook.strategy.learning
        nothing = self._store.names.known("action").codes.get(DO_NOTHING, NO_CODE)
        seen = observations(entries, learning, nothing, is_timed)
        if not seen:
            return
        stage, cell = await self._standing(customer_id)
        version = await self._store.evidence.learn(
            customer_id, seen, stage=stage, cell=cell, now=self._clock()
        )
        await self._catch_up(version)

    async def _standing(self, customer_id: str) -> tuple[int, tuple[tuple[str, int], ...]]:
        """The customer's stage and peer cell now; who has no snapshot is one we do not know yet."""
        serving = self._live()
        stored = await self._store.reader.read(customer_id)
        rows, problem = serving.rows.decode_one(stored[0], id_check(customer_id.encode()))
        if problem != RowProblem.NONE:
            return int(Stage.KNOW_ME), ()
        figures = figures_of(serving.model, rows, np.array([self._clock()]))
        return int(figures[0, Figure.STAGE]), cell_path(serving.model, rows, 0)

    async def _catch_up(self, version: int) -> None:
        """Be at least at a version: of many who wait, one reads and blends for all."""
        async with self._lock:
            if self._known.version < version:
                await self._refresh()

    async def refresh(self) -> None:
        """Take up what was learnt anywhere; costs one small command if nothing was.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        async with self._lock:
            await self._refresh()

    async def _refresh(self) -> None:
        found = await self._store.evidence.since(self._known)
        if found is self._known:
            return
        names = self._store.names
        if any(place.action >= len(names.known("action").names) for place in found.counts):
            await names.refresh()
        state = await asyncio.to_thread(self._blended, found, names.known("action").names)
        self._live.learn(state)
        self._known = found

    def _blended(self, found: Evidence, action_names: tuple[str, ...]) -> DecisionState:
        """A state, with the tables that kernels read of it made ready."""
        model = self._live().model
        state = state_of(model, found.counts, action_names)
        prepared(model, state)
        return state

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        """Look for what others learn until left."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except StoreUnavailable as error:
                logger().warning("evidence_not_read", error=str(error))
            except Exception:
                # a task that ends in silence would leave the service unlearning for ever
                logger().exception("evidence_not_taken_up")
