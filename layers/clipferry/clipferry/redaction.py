"""Takes out of texts and values what nobody may read: what a URL says beyond scheme, host and path. Pure.

Nobody can tell where a URL ends inside a text: a signature may hold quotes, brackets, blanks and line breaks, and a
vendor may quote it encoded, or as JSON in JSON. So no end is looked for: from the first `?` or `#` behind the beginning
of a URL on, nothing of the text is kept. Every search takes time in proportion to the text's length.
"""

from __future__ import annotations

import re
from typing import Any

DEPTH_SHOWN = 64  # levels of a value that are shown; more than any door takes (`intake.job_body.DEPTH_MAX`)
CUT = "…"  # stands for what was taken out of a sentence, or lies deeper than is shown

_ESCAPED = r"%(?:25)*{0}|\\(?:u00|x){0}|&#(?:0*{1}|x0*{0});"  # in a URL, in JSON or a program, in HTML
_SLASH = rf"(?:[/\\]|{_ESCAPED.format('2F', 47)}|{_ESCAPED.format('5C', 92)}|&b?sol;)"
#: Where a URL begins: two slashes, also without a scheme before them, or a scheme that is forgiven for less.
_BEGINNING = re.compile(rf"{_SLASH}[\t\r\n]*{_SLASH}|\b(?:https?|wss?|ftps?|rtm?s?ps?)(?::|%(?:25)*3A)", re.IGNORECASE)
_AUTHORITY_END = re.compile(_SLASH, re.IGNORECASE)
_MARK = re.compile(rf"[?#？＃]|{_ESCAPED.format('3F', 63)}|{_ESCAPED.format('23', 35)}|&(?:quest|num);", re.IGNORECASE)
#: The query of a URL without a host: behind the end of a path, or holding a parameter.
_QUERY = re.compile(
    rf"[/.][^\s?？/.]{{0,100}}([?？])(?=\S)|([?？]|{_ESCAPED.format('3F', 63)})(?=[^\s=&?]{{1,100}}(?:=|%(?:25)*3D))",
    re.IGNORECASE,
)
_AT = re.compile(rf"@|{_ESCAPED.format('40', 64)}|&commat;", re.IGNORECASE)
_PORT = re.compile(r"[0-9]*[^\w\s]*")  # and the punctuation of a sentence
_WORD = re.compile(r"\S*")
_SENTENCE = re.compile(r"[^\s/]*\s")  # words before the first URL


def redact(text: str) -> str:
    """The text without what its URLs say beyond scheme, host and path: no userinfo, query or fragment.

    A text that is a URL stays one. In a sentence `…` stands for everything from the query on.
    """
    begin, query = _BEGINNING.search(text), _QUERY.search(text)
    mark = _MARK.search(text, begin.end()) if begin else None
    cuts = ([mark.start()] if mark else []) + ([query.start(query.lastindex or 0)] if query else [])
    kept = _without_userinfo(text[: min(cuts, default=len(text))], last_at=text.rfind("@"))
    told = cuts and not kept.endswith(CUT) and _SENTENCE.match(kept)
    return kept + CUT if told else kept


def redact_key(key: str) -> str:
    """The same for the key of an object, which is no URL itself: only one that stands in it whole is cut."""
    return redact(key) if "//" in key else key


def bare(value: Any, depth: int = DEPTH_SHOWN) -> Any:
    """The value as JSON may show it: `redact` applied to every string in it, the keys of objects too.

    What is no JSON (an exception in a log, say) becomes its redacted text; what lies deeper than `depth` becomes `…`.
    """
    match value:
        case str():
            return redact(value)
        case None | bool() | int() | float():
            return value
        case dict() | list() | tuple() if depth == 0:
            return CUT
        case dict():
            return {redact(key) if isinstance(key, str) else key: bare(item, depth - 1) for key, item in value.items()}
        case list() | tuple():
            return [bare(item, depth - 1) for item in value]
    return redact(str(value))


def _without_userinfo(text: str, last_at: int) -> str:
    """The text with hosts alone in its URLs. A password may hold `/` or `?`, which end a host: where one seems to be
    in a host's place, the rest of the text goes too. `last_at`: where the uncut text has its last `@`.
    """
    pieces: list[str] = []
    at = 0
    for begin in _BEGINNING.finditer(text):
        if begin.start() < at:
            continue
        stop = _AUTHORITY_END.search(text, begin.end())
        end = stop.start() if stop else len(text)
        host = _AT.split(text[begin.end() : end])[-1]
        pieces.append(text[at : begin.end()])
        if _hides_userinfo(host, followed_by_at=last_at >= end):
            return "".join(pieces) + CUT
        pieces.append(host)
        at = end
    return "".join(pieces) + text[at:]


def _hides_userinfo(host: str, *, followed_by_at: bool) -> bool:
    """Whether what stands for a port is none, or may be the beginning of a password that an `@` ends later."""
    word = _WORD.match(host)
    _, colon, port = (word.group() if word else "").rpartition("]")[2].partition(":")
    return bool(colon) and (_PORT.fullmatch(port) is None or (bool(port) and followed_by_at))
