"""The small shop with its customers in a Redis, and the commands that are run on it."""

import asyncio

import typer
from tests.builders.shop import write_shop
from typer.testing import CliRunner

from nextbest.cli import fit, grid, report, stages
from nextbest.cli.finance import finance
from nextbest.data.loader import load_file
from nextbest.data.store import StoreOptions, open_store
from nextbest.rulebook.compile import compile_rulebook

DAY = "2023-11-14"


def _app():
    app = typer.Typer()
    app.add_typer(fit.app, name="fit")
    app.add_typer(grid.app, name="grid")
    app.add_typer(report.app, name="report")
    app.add_typer(stages.app, name="stages")
    app.command()(finance)
    return app


class Shop:
    """A rulebook, a file of its customers, and a place of their own in Redis."""

    def __init__(self, directory, redis_url, prefix, **options):
        self.directory = directory
        self.rulebook_directory = write_shop(directory / "rules", **options)
        self.rulebook = compile_rulebook(self.rulebook_directory)
        self.options = StoreOptions(redis_url=redis_url, prefix=prefix, timeout_s=10.0)
        self.file = directory / "customers.parquet"
        self.out = directory / "out"

    def run(self, work):
        """Run `work(store)`."""

        async def with_store():
            async with open_store(self.options, self.rulebook.catalogue) as store:
                return await work(store)

        return asyncio.run(with_store())

    def load(self, frame):
        """Store customers."""
        frame.write_parquet(self.file)
        return self.run(lambda store: load_file(self.file, store.snapshots))

    def cli(self, *arguments, as_of=DAY):
        """Run `nextbest …` on this shop; `as_of=None` is now."""
        given = ["--redis-url", self.options.redis_url]
        given += [] if as_of is None else ["--as-of", as_of]
        given += ["--rulebook", str(self.rulebook_directory)]
        given += [] if arguments[0] in ("report", "finance", "stages") else ["--out", str(self.out)]
        environment = {"NEXTBEST_PREFIX": self.options.prefix, "COLUMNS": "200"}
        return CliRunner().invoke(_app(), [*arguments, *given], env=environment)

    def active(self):
        """Digests in use by role."""

        async def read(store):
            return dict((await store.artifacts.active()).digests)

        return self.run(read)
