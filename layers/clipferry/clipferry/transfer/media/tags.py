"""Tags around audio: ID3v2 in front (id3.org, ID3v2.4 §3), and ID3v1, APEv2, Lyrics3v2 or ID3v2 at the end."""

from __future__ import annotations

_TAGS_MAX = 16  # one behind the other


def behind_id3(data: bytes) -> int:
    """Where the ID3v2 tags at the beginning of a file end; 0 without a tag. This may be behind the end of `data`."""
    at = 0
    for _ in range(_TAGS_MAX):
        header = data[at : at + 10]
        if len(header) < 10 or header[:3] != b"ID3" or header[3] == 0xFF or max(header[6:]) >= 0x80:
            break
        at += 10 + _syncsafe(header[6:]) + (10 if header[5] & 0x10 else 0)
    return at


def trailing_tags(tail: bytes) -> int:
    """The length in bytes of the tags at the end of a file with this tail. It may be more than `tail` holds."""
    end = len(tail)
    for _ in range(_TAGS_MAX):
        length = _last_tag(tail[max(0, end - 128) : end]) if end > 0 else 0
        if not length:
            break
        end -= length
    return len(tail) - end


def _last_tag(last: bytes) -> int:
    if last.startswith(b"TAG") and len(last) == 128:
        return 128
    footer = last[-32:]
    if footer.startswith(b"APETAGEX") and len(footer) == 32:
        with_header = footer[23] & 0x80  # the highest bit of the flags
        return max(32, int.from_bytes(footer[12:16], "little")) + (32 if with_header else 0)
    if last.endswith(b"LYRICS200") and last[-15:-9].isdigit():
        return int(last[-15:-9]) + 15
    if last[-10:-7] == b"3DI" and max(last[-4:]) < 0x80:
        return _syncsafe(last[-4:]) + 20
    return 0


def _syncsafe(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]
