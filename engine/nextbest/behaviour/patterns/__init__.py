"""Event patterns: sequences, counts and absences of a customer's events, found off the request path.

`compile_patterns` spreads checked patterns over rulesets of the library durable_rules, `verify_patterns`
shows them to it in a process of its own, `PatternSupervisor` finds them in windows of events. Nothing here
is imported by `nextbest.decide`; a decision only reads the fact that says when a pattern fired.
"""

from nextbest.behaviour.patterns.definitions import CompiledPatterns, compile_patterns
from nextbest.behaviour.patterns.events import Event, Evidence, PatternMatch, Window, WindowResult
from nextbest.behaviour.patterns.process import WorkerLimits
from nextbest.behaviour.patterns.supervisor import PatternSupervisor, PatternWorkerError
from nextbest.behaviour.patterns.verify import RefusedPattern, verify_patterns

__all__ = [
    "CompiledPatterns",
    "Event",
    "Evidence",
    "PatternMatch",
    "PatternSupervisor",
    "PatternWorkerError",
    "RefusedPattern",
    "Window",
    "WindowResult",
    "WorkerLimits",
    "compile_patterns",
    "verify_patterns",
]
