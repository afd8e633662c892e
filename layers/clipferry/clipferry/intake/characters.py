"""Finds characters that no text of a user may hold, because they cannot be seen. One rule for all inputs.

Such characters give two ids that look the same but differ, a label that no listing finds, or a name that is displayed
in another order than it is stored. These are refused (Unicode general categories in brackets):

* control characters (Cc), also NUL, and single surrogates (Cs), which UTF-8 cannot encode;
* format characters (Cf): zero-width characters, the byte order mark, bidirectional controls, soft hyphens, tags; but
  not the few that are visible (Unicode: Prepended_Concatenation_Mark);
* line and paragraph separators (Zl, Zp), noncharacters, and invisible letters and marks, also variation selectors
  (Unicode: Default_Ignorable_Code_Point).

A field with prose may hold tabs, line breaks, and what correct spelling needs: joiners and variation selectors next to
characters that are not ASCII (Persian, Hindi, emoji; compare RFC 5892, appendix A.1 and A.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_JOINERS = "\u200c\u200d"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(end - 1) + chr(end) for end in range(0xFFFF, 0x110000, 0x10000))
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    f"\U000e0000-\U000e0fff{_SELECTORS}{_NONCHARACTERS}]"
)
_BREAKS = "\t\n\r"
_KEYCAP = "\u20e3"
#: The aliases of U+0000 to U+001F, because these characters have no names (Unicode, NameAliases.txt).
_CONTROL_NAMES = (
    "NULL",
    "START OF HEADING",
    "START OF TEXT",
    "END OF TEXT",
    "END OF TRANSMISSION",
    "ENQUIRY",
    "ACKNOWLEDGE",
    "ALERT",
    "BACKSPACE",
    "CHARACTER TABULATION",
    "LINE FEED",
    "LINE TABULATION",
    "FORM FEED",
    "CARRIAGE RETURN",
    "SHIFT OUT",
    "SHIFT IN",
    "DATA LINK ESCAPE",
    "DEVICE CONTROL ONE",
    "DEVICE CONTROL TWO",
    "DEVICE CONTROL THREE",
    "DEVICE CONTROL FOUR",
    "NEGATIVE ACKNOWLEDGE",
    "SYNCHRONOUS IDLE",
    "END OF TRANSMISSION BLOCK",
    "CANCEL",
    "END OF MEDIUM",
    "SUBSTITUTE",
    "ESCAPE",
    "INFORMATION SEPARATOR FOUR",
    "INFORMATION SEPARATOR THREE",
    "INFORMATION SEPARATOR TWO",
    "INFORMATION SEPARATOR ONE",
)


def unseen(text: str, *, prose: bool = False) -> str | None:
    """The first character that the text may not hold; None when there is no such character. Takes linear time."""
    return next(_refused(text, prose), None)


def _refused(text: str, prose: bool) -> Iterator[str]:
    for found in _UNSEEN.finditer(text):
        if not (prose and _is_spelling(text, found.start())):
            yield found.group()


def _is_spelling(text: str, at: int) -> bool:
    """Whether prose may hold this character at this place."""
    character, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if character in _BREAKS:
        return True
    if character in _JOINERS:
        return not before.isascii() and not after.isascii()
    return bool(re.match(f"[{_SELECTORS}]", character)) and (not before.isascii() or after == _KEYCAP)


def name(character: str) -> str:
    """A character's code point and its name in Unicode, such as `U+200B ZERO WIDTH SPACE`."""
    import unicodedata  # imported here, because only a refusal needs its tables

    point = ord(character)
    if point < len(_CONTROL_NAMES):
        known = _CONTROL_NAMES[point]
    elif 0xD800 <= point <= 0xDFFF:
        known = "HALF A SURROGATE PAIR"
    elif point == 0x7F:
        known = "DELETE"
    elif point == 0xFEFF:
        known = "ZERO WIDTH NO-BREAK SPACE (a byte order mark)"
    else:
        known = unicodedata.name(character, "CONTROL" if point < 0xA0 else "NONCHARACTER")
    return f"U+{point:04X} {known}"
