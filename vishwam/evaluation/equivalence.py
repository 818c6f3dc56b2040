"""Mathematical equivalence of answers, at a bounded cost: a metric beside exact match and never instead of it.

Numbers are compared as fractions, exactly. Formulas go to math-verify, in a process of their own with limits on time
and memory: `9**(9**9)` in a model's answer stops no trial. Other answers ("True", "6:45 AM", a letter, a number in
base 16) are equivalent to themselves alone, and the terms of a list are compared in order.
"""

import contextlib
import json
import re
import select
import subprocess
import sys
import time
from fractions import Fraction
from types import TracebackType

SECONDS_A_PAIR = 2.0
SECONDS_TO_START = 30.0
SECONDS = 15.0  # for the formulas of one evaluation, the start of the process apart

_LONGEST = 400  # characters of an answer that is looked at
_NUMBER = re.compile(r"([+-]?) ?(\d+(?:\.\d*)?|\.\d+)(?:/(\d+))?")
# As the modules write them: a sign between all that is multiplied, so that `1f3` is no formula but a number in base 16.
# What is taken is never given back (`++`): a hundred digits can be parted into numbers in more ways than can be tried.
_TOKEN = r"(?:\d++(?:\.\d++)?+(?![a-z(])|sqrt\(|[a-z](?![a-z0-9(])|\*\*|[-+*/()= ])"
_FORMULA = re.compile(rf"{_TOKEN}++")


class Judge:
    """Says whether two answers mean the same; a context manager, which ends the process that it may have started."""

    def __init__(self, seconds: float = SECONDS):
        """seconds: what formulas may take altogether; those not reached count as undecided."""
        self._left = seconds
        self._known: dict[tuple[str, str], bool | None] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.undecided = 0

    def __enter__(self) -> "Judge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def equivalent(self, answer: str, said: str) -> bool:
        """Whether `said` means what the reference `answer` does. What could not be decided in time does not count as
        equivalent, and adds one to `undecided`.
        """
        if answer == said:
            return True
        ours, theirs = (_terms(text) for text in (answer, said))
        if len(ours) != len(theirs) or len(said) > _LONGEST:
            return False
        found = [self._same(a, b) for a, b in zip(ours, theirs, strict=True)]
        if False in found:
            return False
        self.undecided += None in found
        return None not in found

    def _same(self, answer: str, said: str) -> bool | None:
        if answer == said:
            return True
        numbers = _number(answer), _number(said)
        if None not in numbers:
            return numbers[0] == numbers[1]
        if not is_formula(answer) or not is_formula(said):
            return False
        if (answer, said) not in self._known:
            self._known[answer, said] = self._ask(answer, said)
        return self._known[answer, said]

    def _ask(self, answer: str, said: str) -> bool | None:
        if self._left <= 0:
            return None
        if self._process is None:
            self._process = _start()
            if self._process is None:
                self._left = 0.0
                return None
        began = time.monotonic()
        reply = _exchange(self._process, [answer, said], min(SECONDS_A_PAIR, self._left))
        self._left -= time.monotonic() - began
        if reply is None:  # Too slow, too large or dead: the next pair has a new one.
            self._end()
        return reply

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            # The context closes both pipes and waits.
            with self._process, contextlib.suppress(BrokenPipeError):
                self._process = None


def is_formula(text: str) -> bool:
    """Whether `text` reads as an expression of numbers, letters and roots with at least one operation or two signs."""
    return bool(_FORMULA.fullmatch(text)) and bool(re.search(r"[0-9]|[-+*/]", text))


def _terms(text: str) -> list[str]:
    return [term.strip() for term in text.split(",")]


def _number(text: str) -> Fraction | None:
    found = _NUMBER.fullmatch(text)
    if not found or (found[3] and not int(found[3])):
        return None
    value = Fraction(found[2]) / int(found[3] or 1)
    return -value if found[1] == "-" else value


def _start() -> "subprocess.Popen[bytes] | None":
    """A process that answers pairs; None where it does not come up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vishwam.evaluation.equivalence_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if _exchange(process, ["1 + x", "x + 1"], SECONDS_TO_START):
        return process
    process.kill()
    process.communicate()
    return None


def _exchange(process: "subprocess.Popen[bytes]", pair: list[str], seconds: float) -> bool | None:
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(pair).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        return None
    if not select.select([process.stdout], [], [], seconds)[0]:
        return None
    reply = process.stdout.readline()
    return json.loads(reply) if reply else None
