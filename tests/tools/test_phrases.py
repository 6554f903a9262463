"""Phrases that native speakers stumble over, and what to write instead; the rules are in CONTRIBUTING.md."""

import re
from bisect import bisect
from functools import cache
from itertools import accumulate

import pytest

from local.checkout import ROOT
from tests.support.checkout import tracked_files

# Not our words: locks, plots, store names, recorded cases and figures. And this file names what it looks for.
NOT_OURS = (
    "LICENSE", "benchmarks/results.json", "layers/dependencies/requirements.txt", "tests/measuring/addresses.json",
    "tests/tools/test_phrases.py",
)  # fmt: skip
NOT_OUR_FOLDERS = ("functions/console/static/vendor/",)
NOT_OUR_SUFFIXES = (".lock", ".svg", ".csv", ".png")

# What to write, and what not to. Lines are joined before they are searched, so a phrase may go over the end of a line.
_WHERE = "that|which|when|since|where|why|lets?|by|and|is|are|from"
_MANY = "bytes|memory|images|chunks|messages|process|processes"
_COUNTED = r"pointer|row|result|update|deadline|line|model|images|requests|units?|USD|\d (?:[KM]B|ms|s)"
_EACH = "image|chunk|job|visit|message|batch|function|file|format|download|answer|request|invocation|line|million"
_MADE_TO = "a \\w+|the \\w+|every \\w+|each \\w+|somebody \\w+|nothing|jobs|it|them|Docker|Hypothesis"
_ACTIONS = "make|leave|sleep|go|draw|be|let|worked|build|do|give|validate"
PHRASES = {
    "X is not a Y, invalid X": r"(?<!there )\b(is|are|was|were) (?-i:none)\b",
    "X is not a Y, no such X": r"(?<!there )\b(is|are|was|were) no (?!such|longer|more|less|need|other|way|doubt)\b",
    "no, not, unknown": rf"\b({_WHERE}) nobody\b(?![-.])|\bnobody foresaw\b",
    "fix": r"\bmend(s|ed|ing)?\b",
    "again": r"\banew\b",
    "a … of our own, your own": r"\bone's own\b",
    "expensive": r"\bdear(er|est|ly)?\b",
    "next to": r"\bbeside\b",
    "after it": r"\bbehind (it|its|them|their)\b",
    "only": r"(?<!stands )(?<!leave )(?<!leaves )(?<!left )(?<! it )\balone\b(?! (would|takes?|does|is larger|are \d))",
    "transient": r"\bmay[ _]pass\b|\bsoft\b(?!-fail|ware| limit)",
    "attempts": r"\btries\b(?! to\b)",
    "retried": r"\btried again\b",
    "sweep": r"\b(next|last|each|every|one|two|the) looks?\b(?! (at|like|up|into|and)\b)(?!-)",
    "requeue, pass on": r"\bhand(s|ed|ing)? on\b",
    "poison message": r"(?<!out-of-memory )\bkillers?\b|\bsuspects?\b|\bstart(s|ed)?[ _]alone\b",
    "mark due now": r"(\b|_)hurr(y|ies|ied)\b",
    "accept": r"\btak(e|es|ing) (a job|jobs|it|them) in\b|\b(was|were) taken in\b|\bat most .{1,50}\bare taken\b",
    "min": r"(?<!at )(?<!at-)\bleast( (level|random|delay|number|value)\b|: (int|float)\b)",
    "max, peak": rf"(\bthe|[:.|]) most (resident )?({_MANY})\b|\bmost: (int|float)\b",
    "per": rf"\b({_COUNTED}) an? ({_EACH})\b(?! of)",
    "the verb itself": rf"\bha(s|ve) ({_MADE_TO}) ({_ACTIONS})\b",
    "internal server error": r"\bour fault\b",
}
# A docstring begins with what happens: Return, Read, Write, Raise, Send, Store, Retry, Check.
WEAK_DOCSTRING = r'^\s*[rRfF]?"""(Have|Let|Tell whether|Take|Say|Hold) .*'


@cache
def texts() -> dict[str, str]:
    """Return our own text files; symbolic links lead to another one."""
    names = {path.relative_to(ROOT).as_posix(): path for path in tracked_files()}
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in names.items()
        if name not in NOT_OURS
        and not name.endswith(NOT_OUR_SUFFIXES)
        and not name.startswith(NOT_OUR_FOLDERS)
        and not path.is_symlink()
    }


def find(pattern: str, text: str) -> list[tuple[int, str]]:
    """Return the lines and phrases that match, in a text whose lines are joined without the marks of comments."""
    lines = [line.strip(" \t#\"'") + " " for line in text.splitlines()]
    starts = list(accumulate((len(line) for line in lines), initial=0))
    found = re.finditer(pattern, "".join(lines), re.IGNORECASE)
    return [(bisect(starts, match.start()), match[0]) for match in found]


@pytest.mark.parametrize(("instead", "pattern"), PHRASES.items(), ids=PHRASES)
def test_phrases_to_avoid_are_avoided(instead: str, pattern: str) -> None:
    found = [f"{name}:{line}: {phrase}" for name, text in texts().items() for line, phrase in find(pattern, text)]
    assert found == [], f"write: {instead}"


def test_docstrings_begin_with_what_happens() -> None:
    found = [
        f"{name}: {match[0].strip()}"
        for name, text in texts().items()
        if name.endswith(".py")
        for match in re.finditer(WEAK_DOCSTRING, text, re.MULTILINE)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "Host name 'x' is none.",
        "10.0.0.1 is no public address",
        "# what comes is\n    # no gzip",
        "an error that nobody foresaw",
        "Format, and mend what can be mended",
        "compiles every module anew",
        "a client of one's own",
        "to make it dear",
        "with a public address beside it",
        "an end mark behind it",
        "hashes alone are kept",
        "failures that may pass",
        "Scope.SOFT",
        "content changes between tries",
        "it is not tried again",
        "due at the next look",
        "the rest is handed on",
        "a message is a suspect",
        "send_or_hurry",
        "The job was taken in.",
        "at most 3 chunks are taken in a job",
        "Description: Least level of log lines",
        "the most memory that it took",
        "keeps one result an image",
        "5 ms an answer",
        "Have the collector leave it, which has every thread sleep",
        "this is our fault",
    ],
)
def test_a_phrase_to_avoid_is_found(text: str) -> None:
    assert any(find(pattern, text) for pattern in PHRASES.values())


@pytest.mark.parametrize(
    "text",
    [
        "when the value is None",
        "there is none; there is no such job; it is no longer open; which is no more than that",
        "amend, recommend",
        "client.get('nobody'), nobody.get(path)",
        "runs behind CloudFront, left behind, besides",
        "leave alone, leaves it alone, stands alone; the delays alone would take minutes",
        "the out-of-memory killer",
        "it tries to connect; try again later",
        "look at it; the look-up; it looks like one",
        "at least 3, at-least-once, at most 3 images, most of the time",
        "an image of 8 MB a second ago; 100 requests a second; it's an image; once a job has ended",
        "it has to do so; has an end mark; have nothing to do with it",
        "takes in total; handed over; not an image",
    ],
)
def test_plain_english_is_left_in_peace(text: str) -> None:
    assert [phrase for pattern in PHRASES.values() for _, phrase in find(pattern, text)] == []
