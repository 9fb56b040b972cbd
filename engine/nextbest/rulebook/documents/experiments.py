"""experiments.yaml: hold-out and experiments. The shape is checked; nothing is assigned yet."""

from typing import Annotated

from pydantic import Field

from nextbest.rulebook.documents.common import Document, Factor, Identifier, Share, Words


class HoldOut(Document):
    """Customers whom nothing is done for, to measure against."""

    share: Share = Field(description="Share of all customers.")
    salt: Words = Field(description="Makes the draw differ from other draws.")


class Arm(Document):
    """One way of treating customers."""

    id: Identifier = Field(description="Name of the arm.")
    weight: Factor = Field(
        default=1, description="Share of the experiment's customers, relative to the other arms."
    )
    without: list[Identifier] = Field(default=[], description="Actions that the arm does not get.")


class Experiment(Document):
    """A comparison of arms; the first arm is the control."""

    id: Identifier = Field(description="Name of the experiment.")
    salt: Words = Field(description="Makes the assignment differ from other experiments.")
    coverage: Share = Field(default=1, description="Share of the segment's customers that takes part.")
    segment: Identifier | None = Field(default=None, description="Who takes part. Default: everybody.")
    arms: Annotated[list[Arm], Field(min_length=2, max_length=16)] = Field(description="Control first.")


class ExperimentsFile(Document):
    """Hold-out and experiments."""

    hold_out: HoldOut | None = Field(default=None, description="Global hold-out.")
    experiments: list[Experiment] = Field(default=[], description="Experiments.")
