"""Removes secrets from texts and values: everything of a URL except its scheme, host and path. Pure.

It cannot be known where a URL ends inside a text: a signature may hold quotes, brackets, blanks and line breaks, and a
vendor may quote it encoded, or as JSON in JSON. So this module searches for no end: from the first `?` or `#` after the
start of a URL it removes the rest of the text. Each search takes time in proportion to the text's length.
"""

from __future__ import annotations

import re
from typing import Any

DEPTH_SHOWN = 64  # levels of a value that are shown; more than the API accepts (`intake.job_body.DEPTH_MAX`)
CUT = "…"  # stands for the removed part of a sentence, or for levels that are too deep

_ESCAPED = r"%(?:25)*{0}|\\(?:u00|x){0}|&#(?:0*{1}|x0*{0});"  # in a URL, in JSON or a program, in HTML
_SLASH = rf"(?:[/\\]|{_ESCAPED.format('2F', 47)}|{_ESCAPED.format('5C', 92)}|&b?sol;)"
#: Where a URL begins: two slashes, also without a scheme before them, or a known scheme, also without slashes.
_BEGINNING = re.compile(rf"{_SLASH}[\t\r\n]*{_SLASH}|\b(?:https?|wss?|ftps?|rtm?s?ps?)(?::|%(?:25)*3A)", re.IGNORECASE)
_AUTHORITY_END = re.compile(_SLASH, re.IGNORECASE)
_MARK = re.compile(rf"[?#？＃]|{_ESCAPED.format('3F', 63)}|{_ESCAPED.format('23', 35)}|&(?:quest|num);", re.IGNORECASE)
#: The query of a URL without a host: it follows the end of a path, or it holds a parameter.
_QUERY = re.compile(
    rf"[/.][^\s?？/.]{{0,100}}([?？])(?=\S)|([?？]|{_ESCAPED.format('3F', 63)})(?=[^\s=&?]{{1,100}}(?:=|%(?:25)*3D))",
    re.IGNORECASE,
)
_AT = re.compile(rf"@|{_ESCAPED.format('40', 64)}|&commat;", re.IGNORECASE)
_PORT = re.compile(r"[0-9]*[^\w\s]*")  # and the punctuation of a sentence
_BLANK = re.compile(r"\s")
#: An IPv6 address in its brackets, whose colons begin no port. Other brackets may be those of a password.
_BRACKETED = re.compile(r"^\[[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*(?:%\w+)?\]", re.IGNORECASE)
_SENTENCE = re.compile(r"[^\s/]*\s")  # a word before the first URL


def redact(text: str) -> str:
    """The text, with only scheme, host and path left of its URLs: no userinfo, query or fragment.

    A text that is a URL stays a URL. In a sentence `…` replaces everything from the query on.
    """
    begin, query = _BEGINNING.search(text), _QUERY.search(text)
    mark = _MARK.search(text, begin.end()) if begin else None
    cuts = ([mark.start()] if mark else []) + ([query.start(query.lastindex or 0)] if query else [])
    kept = _without_userinfo(text[: min(cuts, default=None)], last_at=text.rfind("@"))
    in_sentence = cuts and not kept.endswith(CUT) and _SENTENCE.match(kept)
    return kept + CUT if in_sentence else kept


def redact_key(key: str) -> str:
    """`redact` for the key of an object. A key is not a URL, so it is changed only if it contains a whole URL."""
    return redact(key) if "//" in key else key


def bare(value: Any, depth: int = DEPTH_SHOWN) -> Any:
    """The value as JSON may show it: with `redact` applied to each string, also to the keys of objects.

    A value that is not JSON (for example an exception in a log) becomes its redacted text. Levels below `depth` become
    `…`.
    """
    match value:
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
    """The text without userinfo in its URLs. `last_at`: the position of the last `@` in the whole text.

    A password may hold `/` or `?`, which normally end a host. Where a password may stand in place of a host, the rest
    of the text is removed too.
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
    """Whether the text after the colon is not a port, or may be the start of a password that a later `@` ends."""
    _, colon, port = _BRACKETED.sub("", _BLANK.split(host)[0]).partition(":")
    return bool(colon) and (_PORT.fullmatch(port) is None or (bool(port) and followed_by_at))
