"""The process in which math-verify compares formulas: pairs as JSON lines in, true or false out."""

import json
import re
import resource
import signal
import sys

MEMORY = 2 << 30  # bytes of address space


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trial's, which ends this process when it ends.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        answer, said = json.loads(line)
        print(json.dumps(equivalent(answer, said)), flush=True)


def equivalent(answer: str, said: str) -> bool:
    import math_verify
    from math_verify.parser import LatexExtractionConfig

    def parsed(text: str) -> list:
        # Only the LaTeX grammar: what reads plain expressions goes through Python's eval.
        return math_verify.parse(
            f"${latex(text)}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
        )

    # Without its timeouts, which are signals that large integers do not notice; the asking process kills this one.
    return math_verify.verify(parsed(answer), parsed(said), float_rounding=12, timeout_seconds=None)


def latex(text: str) -> str:
    """`2*x**12` as `2*x^{12}`."""
    text = re.sub(r"\*\*\s*\(([^()]*)\)", r"^{\1}", text)
    return re.sub(r"\*\*\s*(-?(?:\d+|[a-z]))", r"^{\1}", text)


if __name__ == "__main__":
    main()
