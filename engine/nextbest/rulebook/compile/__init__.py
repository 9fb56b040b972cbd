"""Documents → compiled rulebook; one module per concern."""

from nextbest.rulebook.compile.pipeline import (
    check_rulebook,
    check_source,
    compile_rulebook,
    compile_source,
    examine_source,
)

__all__ = ["check_rulebook", "check_source", "compile_rulebook", "compile_source", "examine_source"]
