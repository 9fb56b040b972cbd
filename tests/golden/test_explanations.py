"""Every reason in both languages, as staff read it: one world a reason, decided by the engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.builders.stories import STORIES

CASES = Path(__file__).parent / "explanations"
FORMAT = """\
{language}: {found.sentence}
    found:    {found.actual_text}
    required: {found.required_text}
    to pass:  {found.remedy}
"""


def told(name: str) -> str:
    """What is said of one story."""
    story = STORIES[name]
    world, case = story.world(), story.case()
    texts: list[str] = []
    for language in ("en", "da"):
        found = world.explainer(case, language, limit=story.limit).candidate(world.rulebook.action_index["a"])
        assert found.reason.name == name
        texts.append(FORMAT.format(language=language, found=found))
    return "\n".join(line.rstrip() for line in "".join(texts).splitlines()) + "\n"


@pytest.mark.parametrize("name", STORIES)
def test_a_reason_reads_as_expected(name: str, golden: Callable[[Path, str], None]) -> None:
    """Sentence, both values and what would have to change, in English and in Danish."""
    golden(CASES / f"{name.lower()}.txt", told(name))
