"""Faults on demand. A rule says what it matches, in which phase, what then happens, and how many times.

`{"match": {"method": "order.place", "clientOrderId": "og*"}, "phase": "post_commit",
  "action": {"kind": "error", "status": 504, "code": -1007}, "times": 1}`
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Final

PHASES: Final = frozenset({"pre_auth", "pre_engine", "post_commit", "post_answer", "event", "stream"})
ACTIONS: Final[dict[str, frozenset[str]]] = {
    "delay": PHASES,
    "error": frozenset({"pre_auth", "pre_engine", "post_commit"}),
    "html": frozenset({"pre_auth", "pre_engine", "post_commit"}),
    "empty": frozenset({"pre_auth", "pre_engine", "post_commit"}),
    "content_type": frozenset({"post_commit", "post_answer"}),
    "close": PHASES,
    "reset": PHASES,
    "half_open": frozenset({"event", "stream"}),
    "terminate": frozenset({"event"}),
    "hang": frozenset({"pre_auth", "pre_engine", "post_commit", "post_answer"}),
    "half": frozenset({"post_commit", "post_answer"}),
    "truncate": frozenset({"post_commit", "post_answer"}),
    "late": frozenset({"pre_engine"}),
    "lag": frozenset({"pre_engine"}),
    "fill": frozenset({"pre_engine", "post_commit"}),
    "fills": frozenset({"post_commit"}),
    "ban": frozenset({"pre_auth"}),
    "drop": frozenset({"event", "stream"}),
    "duplicate": frozenset({"event", "stream"}),
    "swap": frozenset({"event", "stream"}),
}
"""What can happen, and in which phases."""
MATCHES: Final = frozenset(
    {
        "method", "verb", "path", "symbol", "side", "type", "clientOrderId", "account", "transport", "event",
        "execution", "status", "nth", "every", "probability", "seed",
    }
)  # fmt: skip
COUNTED: Final = frozenset({"nth", "every", "probability", "seed"})
MOST_RULES: Final = 1_000


@dataclass(slots=True)
class Rule:
    """`left`: how often it still acts, None without end; `seen`: what has matched, `done`: how often it acted."""

    number: int
    match: dict[str, Any]
    phase: str
    action: dict[str, Any]
    left: int | None
    random: Random
    seen: int = 0
    done: int = 0

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "match": self.match,
            "phase": self.phase,
            "action": self.action,
            "times": self.left,
            "seen": self.seen,
            "done": self.done,
        }


@dataclass(slots=True)
class Faults:
    rules: dict[int, Rule] = field(default_factory=dict)
    next_number: int = 1
    random: Random = field(default_factory=lambda: Random(1))

    def add(self, tree: dict[str, Any]) -> Rule | str:
        """A rule from its JSON, or what is wrong with it."""
        match, phase, action = tree.get("match", {}), tree.get("phase"), tree.get("action", {})
        kind = action.get("kind") if isinstance(action, dict) else None
        if not isinstance(match, dict) or (unknown := match.keys() - MATCHES):
            return f"match: unknown: {', '.join(sorted(unknown))}" if isinstance(match, dict) else "match: an object"
        if phase not in PHASES:
            return f"phase: one of {', '.join(sorted(PHASES))}"
        if kind not in ACTIONS or phase not in ACTIONS[kind]:
            return f"action: {kind!r} is none for {phase}"
        if extra := tree.keys() - {"match", "phase", "action", "times"}:
            return f"unknown: {', '.join(sorted(extra))}"
        times = tree.get("times", 1)
        if times is not None and (not isinstance(times, int) or times < 1):
            return "times: a whole number above 0, or null"
        if len(self.rules) >= MOST_RULES:
            return f"there are {MOST_RULES} rules already"
        rule = Rule(self.next_number, match, phase, action, times, Random(match.get("seed", self.next_number)))
        self.rules[rule.number] = rule
        self.next_number += 1
        return rule

    def pick(self, phase: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """What is to happen now, in the order of the rules. A rule that has acted often enough is gone."""
        if not self.rules:
            return []
        found = []
        for rule in list(self.rules.values()):
            if rule.phase != phase or not _matches(rule, facts):
                continue
            rule.seen += 1
            if not _its_turn(rule):
                continue
            rule.done += 1
            found.append(rule.action)
            if rule.left is not None:
                rule.left -= 1
                if rule.left == 0:
                    del self.rules[rule.number]
        return found

    def length(self, action: dict[str, Any]) -> int:
        """Milliseconds of a delay: `ms`, or drawn from `lognormal: [median, sigma]`."""
        if "lognormal" in action:
            median, sigma = action["lognormal"]
            return int(median * self.random.lognormvariate(0, sigma))
        return int(action.get("ms", 0))


def _matches(rule: Rule, facts: dict[str, Any]) -> bool:
    return all(
        facts.get(name) is not None and fnmatchcase(str(facts[name]), str(wanted))
        for name, wanted in rule.match.items()
        if name not in COUNTED
    )


def _its_turn(rule: Rule) -> bool:
    match = rule.match
    if "nth" in match and rule.seen != match["nth"]:
        return False
    if "every" in match and rule.seen % match["every"]:
        return False
    return "probability" not in match or rule.random.random() < match["probability"]
