"""Checks that a copied file's container ends where the file ends, during the copy or by reading the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clipferry.transfer.errors import AttemptFailed, Stopped
from clipferry.transfer.interface import Code, CopyWarning, Level, WarningCode
from clipferry.transfer.media import End, Ending, Family, Format, NotMedia, end_check, head_wanted, identify
from clipferry.transfer.session import Session
from clipferry.transfer.upload import Existing

#: Evidence which proves that the copy has the same bytes as the source.
CHECKSUMS = frozenset({Level.VENDOR_MD5, Level.VENDOR_CRC64, Level.CONTENT_MD5, Level.ETAG_MD5})
_UNRECOGNISED = End(Ending.UNPROVEN, "is of no format that is known here")


@dataclass(frozen=True)
class ContainerProof:
    """`word`: the evidence's `container`."""

    word: str  # complete; unverified; none: the format has no end of its own
    warnings: tuple[CopyWarning, ...] = ()


def accepted(found: Format | NotMedia | None, promise: Format | None) -> Format:
    """The format to store a file as. Raises AttemptFailed (NOT_A_VIDEO).

    An unknown format is stored only if the vendor's name or type of the file (`promise`) says video, audio or image.
    """
    if isinstance(found, Format):
        if found.family in (Family.VIDEO, Family.AUDIO):
            return found
        if found.family is Family.IMAGE and promise is not None and promise.family is Family.IMAGE:
            return found
        what = f"an image ({found.name})" if found.family is Family.IMAGE else found.name
        raise AttemptFailed(Code.NOT_A_VIDEO, f"the source sends {what} where a video was promised", fresh=True)
    if found is not None:
        raise AttemptFailed(Code.NOT_A_VIDEO, f"the source sends {found.what}", fresh=True)
    if promise is None or promise.family not in (Family.VIDEO, Family.AUDIO, Family.IMAGE):
        what = "data in no format that is known here, and neither its name nor its type says what it is"
        raise AttemptFailed(Code.NOT_A_VIDEO, f"the source sends {what}", fresh=True)
    return promise


def judge_container(end: End, checks: Sequence[Level]) -> ContainerProof:
    """What a container's end proves, together with the checks that passed. Raises AttemptFailed (CONTAINER_CUT).

    A cut container is refused, unless a checksum proves that the vendor's own file is cut too.
    """
    if end.ending is Ending.COMPLETE:
        return ContainerProof("complete")
    if end.ending is Ending.OPEN:
        return ContainerProof("none")
    if end.ending is Ending.UNPROVEN:
        return ContainerProof("unverified")
    proof = next((level for level in checks if level in CHECKSUMS), None)
    if proof is None:
        raise AttemptFailed(Code.CONTAINER_CUT, f"what came is cut short: the file {end.why}", fresh=True)
    message = f"the file {end.why}; {proof.value} proves that it is so at the source, too"
    return ContainerProof("unverified", (CopyWarning(WarningCode.CONTAINER_INCOMPLETE, message),))


def end_of_object(session: Session, existing: Existing) -> End:
    """Read the few small ranges of the stored object that the check needs. Raises Stopped when the time is over."""

    def read(start: int, length: int) -> bytes:
        if not session.clock.may_begin():
            raise Stopped
        length = min(length, existing.size - start)
        return bytes(session.storage.read_back(session.ref.key, existing.etag, start, length)) if length > 0 else b""

    head = b""
    while (missing := min(head_wanted(head, existing.size), existing.size) - len(head)) > 0:
        head += read(len(head), missing)
    kind = identify(head, existing.size)
    if not isinstance(kind, Format):
        return _UNRECOGNISED
    check = end_check(kind, head, existing.size)
    while check.wanted is not None:
        check.give(read(check.wanted.start, check.wanted.length))
    return check.end or _UNRECOGNISED
