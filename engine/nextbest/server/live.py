"""What a running service answers with; replaced as a whole, so that no answer mixes old and new."""

from dataclasses import replace

from nextbest.data.snapshots import SnapshotStore
from nextbest.errors import CatalogueError
from nextbest.model import DecisionState
from nextbest.rows import RowCodec
from nextbest.server.deciding import Serving
from nextbest.telemetry import logger


class LiveServing:
    """The `Serving` of now; call it once a request and keep what it gives."""

    def __init__(self, serving: Serving, snapshots: SnapshotStore) -> None:
        self._serving = serving
        self._snapshots = snapshots

    def __call__(self) -> Serving:
        """What requests are answered with from now on."""
        return self._serving

    def learn(self, state: DecisionState) -> None:
        """Decide with a newer state from now on."""
        self._serving = replace(self._serving, state=state)

    async def learn_catalogues(self) -> RowCodec:
        """Learn to read rows of catalogues that others have registered since; gives what reads them all.

        A catalogue that is damaged or gone from Redis is left out: its rows cannot be read, all others can.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        try:
            await self._snapshots.refresh()
        except CatalogueError as error:
            logger().error("catalogue_not_learnt", error=str(error))
        codec = self._snapshots.codec
        if codec.n_readable > self._serving.rows.n_readable:
            self._serving = replace(self._serving, rows=codec)
        return self._serving.rows
