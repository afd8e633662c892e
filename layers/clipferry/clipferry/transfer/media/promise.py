"""The format that names and headers promise, for bytes of an unknown format: by an extension, or a media type."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clipferry.transfer.media import formats
from clipferry.transfer.media.formats import Family, Format

_EXTENSION = re.compile(r"\.([a-z0-9]{2,6})$")
_TYPE = re.compile(r"([a-z]+)/([a-z0-9.+-]+)")
_OTHER = (  # extensions that no format here uses for its own files
    (Family.VIDEO, "asf avc cavs dat dav dif divx evo f4p h264 h265 h266 hevc ifv jpgv m1v m2p m2t mjpg mk3d mod mp4v"),
    (Family.VIDEO, "mpe mpeg mpv mpv2 mts mtv ogm ogx qt rm svi tod tp trp vob vro vvc wm xvid"),
    (Family.AUDIO, "3ga acm aif aifc eac3 m4b m4r mp1 mp2 mpa mpc oga pcm ra spx wave"),
    (Family.IMAGE, "heif jpe jpeg tif"),
    (Family.PLAYLIST, "m3u"),
)
_UNVERIFIED = "unverified"
_BY_EXTENSION = {
    name: Format(_UNVERIFIED, f".{name}", "application/octet-stream", family)
    for family, names in _OTHER
    for name in names.split()
}
_BY_EXTENSION.update({kind.extension[1:]: kind for kind in reversed(formats.ALL)})
_FAMILIES = {"video": Family.VIDEO, "audio": Family.AUDIO, "image": Family.IMAGE}


def promised(names: Iterable[str], content_type: str = "") -> Format | None:
    """The format that the first of these words promises; None when no word names a format.

    `names`: names of the file and paths of its URL, the best first; then the media type it is sent with counts.
    """
    for name in names:
        found = _EXTENSION.search(name.strip().lower())
        if found and (kind := _BY_EXTENSION.get(found[1])):
            return kind
    return _by_type(content_type)


def _by_type(content_type: str) -> Format | None:
    given = _TYPE.match(content_type.strip().lower())
    if given is None:
        return None
    known = next((kind for kind in formats.ALL if kind.content_type == given[0]), None)
    if known is not None or given[1] not in _FAMILIES:
        return known
    return Format(_UNVERIFIED, ".bin", given[0], _FAMILIES[given[1]])
