"""What `iris check` found: rule by rule, as text for people or as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

# More problems than this of one rule are counted, not listed.
_MOST_LISTED = 20
# What a repair does not do, by rule.
_WHAT_TO_DO = {
    "integrity": "restore the database from a backup: a repair never writes into a damaged one",
    "pair": "mount the right folder, or restore database and data directory from the same backup",
    "segment": "the camera's next start looks after its unfinished files; rows of missing ones leave with the buffer",
    "deadline": "start Iris, and look at the event's workflow in Temporal's pages",
    "operation": "start Iris, and look at the workflow in Temporal's pages; ask for it again if it failed",
    "notification": "start Iris, and look at the log of the worker",
    "orphan": "see above why not all of it was moved",
}
_LOOK_UP = "docs/guide/check-and-repair.md says what may help"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule: how many things it looked at and what is wrong; no problem means it holds."""

    name: str
    promise: str
    checked_count: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All rules in order."""

    rules: tuple[RuleResult, ...]

    @property
    def holds(self) -> bool:
        """Whether every rule holds."""
        return not any(rule.problems for rule in self.rules)

    def as_text(self, *, hints: bool = False) -> str:
        """A line per rule, and its problems below it; with `hints` also what to do about what is left."""
        lines = []
        for rule in self.rules:
            mark = "FAILS" if rule.problems else "ok"
            lines.append(f"{mark:<6} {rule.name:<12} {rule.promise} ({rule.checked_count} checked)")
            lines += [f"       - {problem}" for problem in rule.problems[:_MOST_LISTED]]
            if len(rule.problems) > _MOST_LISTED:
                lines.append(f"       - and {len(rule.problems) - _MOST_LISTED} more")
            if hints and rule.problems:
                lines.append(f"       > {_WHAT_TO_DO.get(rule.name, _LOOK_UP)}")
        lines.append("everything holds" if self.holds else "NOT everything holds")
        return "\n".join(lines)

    def as_json(self) -> str:
        """The same as one JSON object."""
        return json.dumps(self.as_object(), indent=2)

    def as_object(self) -> dict[str, object]:
        """The same as values of JSON."""
        rules = [
            {"name": r.name, "promise": r.promise, "checked": r.checked_count, "problems": list(r.problems)}
            for r in self.rules
        ]
        return {"holds": self.holds, "rules": rules}


@dataclass(slots=True)
class Findings:
    """Collects results while the rules run."""

    _promises: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _problems: dict[str, list[str]] = field(default_factory=dict)

    def rule(self, name: str, promise: str) -> None:
        """Begin a rule; one without problems holds."""
        self._promises[name] = promise
        self._counts.setdefault(name, 0)
        self._problems.setdefault(name, [])

    def looked(self, name: str, count: int = 1) -> None:
        """Count what a rule looked at."""
        self._counts[name] += count

    def problem(self, name: str, sentence: str) -> None:
        """Something is wrong. The sentence must come out the same when it is looked at again."""
        if sentence not in self._problems[name]:
            self._problems[name].append(sentence)

    def report(self) -> CheckReport:
        """All rules in the order they were begun."""
        return CheckReport(
            tuple(
                RuleResult(name, promise, self._counts[name], tuple(self._problems[name]))
                for name, promise in self._promises.items()
            )
        )


def lasting(earlier: CheckReport, later: CheckReport) -> CheckReport:
    """Only problems that both reports have: what is gone at the second look was the running system at work."""
    seen = {rule.name: set(rule.problems) for rule in earlier.rules}
    return CheckReport(
        tuple(
            RuleResult(
                r.name,
                r.promise,
                r.checked_count,
                tuple(p for p in r.problems if p in seen.get(r.name, set(r.problems))),
            )
            for r in later.rules
        )
    )
