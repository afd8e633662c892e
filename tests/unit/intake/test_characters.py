"""Characters that nobody can see: found in every text, named, and let pass only where spelling needs them."""

from __future__ import annotations

import unicodedata

import pytest
from clipferry.intake.characters import name, unseen

DRAWN_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


def test_every_control_format_separator_and_noncharacter_of_unicode_is_found() -> None:
    for point in set(range(0x110000)) - DRAWN_FORMATS:
        shapeless = unicodedata.category(chr(point)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        if shapeless or 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE:
            assert unseen(f"a{chr(point)}b"), f"U+{point:04X}"


def test_what_is_drawn_is_no_business_of_this_rule() -> None:
    for point in {*range(0x20, 0x7F), *range(0xA0, 0x100), *DRAWN_FORMATS} - {0xAD}:
        assert unseen(chr(point)) is None, f"U+{point:04X}"
    assert unseen("gate-3 ünï 视频 カメラ 문 باب שער 👍🏽 e\u0301 हिन्दी") is None


@pytest.mark.parametrize("point", [0x034F, 0x115F, 0x3164, 0xFFA0, 0xFE0F, 0xE0100, 0x180B])
def test_letters_and_marks_without_a_shape_are_found_too(point: int) -> None:
    assert unseen(f"gate{chr(point)}") == chr(point)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one\n\ttwo\r\n", None),
        ("می\u200cخواهم", None),
        ("👨\u200d👩\u200d👧", None),
        ("☀\ufe0f 1\ufe0f\u20e3", None),
        ("a\u200db", "\u200d"),
        ("\u200dب", "\u200d"),
        ("ب\u200c", "\u200c"),
        ("a\ufe0f", "\ufe0f"),
        ("a\u200b\nb", "\u200b"),
        ("\ufeffa", "\ufeff"),
        ("a\u202eb", "\u202e"),
        ("a\x00b", "\x00"),
    ],
)
def test_prose_may_hold_what_spelling_needs_and_nothing_else(text: str, found: str | None) -> None:
    assert unseen(text, prose=True) == found
    assert (unseen(text) is None) is (text == "")


@pytest.mark.parametrize(
    ("character", "said"),
    [
        ("\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\x00", "U+0000 NULL"),
        ("\x1f", "U+001F INFORMATION SEPARATOR ONE"),
        ("\n", "U+000A LINE FEED"),
        ("\x7f", "U+007F DELETE"),
        ("\x9f", "U+009F CONTROL"),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE (a byte order mark)"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\ud800", "U+D800 HALF A SURROGATE PAIR"),
        ("\udfff", "U+DFFF HALF A SURROGATE PAIR"),
        ("\x80", "U+0080 CONTROL"),
        ("\ud83d", "U+D83D HALF A SURROGATE PAIR"),
        ("\U0001ffff", "U+1FFFF NONCHARACTER"),
        ("\U000e0061", "U+E0061 TAG LATIN SMALL LETTER A"),
    ],
)
def test_a_character_is_named_by_its_code_point_and_its_name(character: str, said: str) -> None:
    assert name(character) == said
