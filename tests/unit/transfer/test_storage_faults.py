"""Whatever S3 does, and whoever else writes to it, a file is stored once and whole, and one upload at most survives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from clipferry.transfer import CopySuperseded, Destination, Failed, More, Retry, Stored, abandon

from tests.unit.transfer.rig import PART, STEM, Rig
from tests.unit.transfer.s3_server import OWNER, S3Fault, S3Server
from tests.unit.transfer.source_server import Behaviour, SourceServer, video

BODY = video(5 * PART + 1234)

BUSY = S3Fault(503, "SlowDown")
BROKEN = S3Fault(500, "InternalError")
CUT = S3Fault(drop=True)
LOST = S3Fault(drop=True, after=True)
LIED = S3Fault(500, "InternalError", after=True)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART) as server:
        yield server


@pytest.fixture
def source() -> Iterator[SourceServer]:
    with SourceServer(BODY) as server:
        yield server


@pytest.fixture
def rig(s3: S3Server, source: SourceServer) -> Rig:
    return Rig(s3, source)


@pytest.mark.parametrize("fault", [BUSY, BROKEN, CUT, LOST, LIED], ids=["busy", "broken", "cut", "lost", "lied"])
@pytest.mark.parametrize(
    "operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListMultipartUploads"]
)
def test_an_operation_that_fails_for_a_while_is_repeated(rig: Rig, operation: str, fault: S3Fault) -> None:
    rig.s3.fail(operation, *[fault] * 3)
    rig.assert_stored(rig.finish(), BODY)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_s3_that_stays_broken_fails_the_attempts_and_then_the_file(rig: Rig, operation: str) -> None:
    rig.s3.fail(operation, *[BROKEN] * 500)
    rig.assert_failed(rig.finish(), "STORAGE_UNAVAILABLE")


@pytest.mark.parametrize("code", ["SlowDown", "ThrottlingException", "KMS.ThrottlingException", "RequestLimitExceeded"])
@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload"])
def test_s3_that_asks_to_slow_down_is_left_alone_for_a_while_and_no_attempt_is_counted(
    rig: Rig, operation: str, code: str
) -> None:
    if operation == "ListParts":
        rig.s3.fail("UploadPart", *[BROKEN] * 50)
        rig.call()
        rig.s3.faults.clear()
    rig.s3.fail(operation, *[S3Fault(503, code)] * 200)
    for _ in range(3):
        result = rig.call()
        assert isinstance(result, More)
        assert result.wait_seconds >= 15
    rig.s3.faults.clear()
    rig.assert_stored(rig.finish(), BODY)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "CompleteMultipartUpload", "ListMultipartUploads"])
def test_reply_that_cannot_be_read_is_asked_for_again(rig: Rig, operation: str) -> None:
    rig.s3.fail(operation, *[S3Fault(garbage=True)] * 2)
    rig.assert_stored(rig.finish(), BODY)


def test_s3_that_hangs_is_given_up_and_asked_again(rig: Rig) -> None:
    rig.client = rig.s3.client(read_timeout=0.5)
    rig.s3.fail("UploadPart", *[S3Fault(hang=1.2)] * 2)
    rig.assert_stored(rig.finish(), BODY)


def test_after_a_busy_spell_nothing_is_read_again_that_s3_has(rig: Rig) -> None:
    rig.s3.fail("CompleteMultipartUpload", *[BROKEN] * 5)
    assert isinstance(rig.call(), Retry)
    sent = rig.source.bytes_sent
    rig.assert_stored(rig.call(), BODY)
    assert rig.source.bytes_sent == sent


def test_stream_that_is_all_in_s3_is_completed_without_the_source(rig: Rig) -> None:
    rig.source.usual = Behaviour(ranges=False)
    rig.s3.fail("CompleteMultipartUpload", *[BROKEN] * 5)
    assert isinstance(rig.call(), Retry)
    rig.assert_stored(rig.call(), BODY)
    assert len(rig.source.requests) == 1


def test_stream_cut_off_by_a_crash_begins_anew(rig: Rig) -> None:
    rig.source.usual = Behaviour(ranges=False)
    rig.s3.fail("UploadPart", *[BROKEN] * 40)
    assert isinstance(rig.call(), Retry)
    rig.s3.faults.clear()
    second = rig.call()
    assert isinstance(second, Retry)
    assert second.code == "SOURCE_UNAVAILABLE"
    assert rig.s3.uploads == {}
    rig.assert_stored(rig.call(), BODY)


def test_s3_that_refuses_is_a_failure_with_its_own_name(rig: Rig) -> None:
    rig.s3.fail("CreateMultipartUpload", *[S3Fault(403, "AccessDenied")] * 9)
    result = rig.finish()
    rig.assert_failed(result, "STORAGE_REFUSED")
    assert isinstance(result, Failed)
    assert "CreateMultipartUpload: AccessDenied" in result.message


def test_parts_are_signed_with_their_checksum_in_place_of_their_payload(rig: Rig) -> None:
    """Hashing every byte for a signature, or copying it to a signer, would cost more than sending it."""
    rig.assert_stored(rig.finish(), BODY)
    headers = rig.s3.part_headers
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert "x-amz-checksum-crc" in headers["authorization"]
    assert int(headers["content-length"]) in (PART, len(BODY) % PART)


def test_bucket_of_another_owner_is_refused(rig: Rig) -> None:
    rig.destination = replace(rig.destination, expected_owner="999999999999")
    result = rig.call()
    assert isinstance(result, Retry)
    assert result.code == "STORAGE_REFUSED"


def test_damage_on_the_way_to_s3_is_caught_and_sent_again(rig: Rig) -> None:
    rig.s3.fail("UploadPart", S3Fault(400, "BadDigest"), S3Fault(400, "BadDigest"))
    rig.assert_stored(rig.finish(), BODY)


def test_object_that_s3_finds_damaged_is_copied_anew(rig: Rig) -> None:
    rig.s3.fail("CompleteMultipartUpload", *[S3Fault(400, "BadDigest")] * 5)
    rig.assert_stored(rig.finish(), BODY)
    assert rig.s3.calls["CreateMultipartUpload"] == 2


def test_whole_object_checksum_is_sent_for_s3_to_verify(rig: Rig) -> None:
    rig.assert_stored(rig.finish(), BODY)
    assert rig.s3.calls["CompleteWithChecksum"] == 1


def test_store_that_only_knows_composite_checksums_gets_one(source: SourceServer) -> None:
    with S3Server(min_part=PART, composite=True) as s3:
        rig = Rig(s3, source)
        result = rig.finish()
        rig.assert_stored(result, BODY)
        assert s3.calls["CompleteWithChecksum"] == 1


# -- uploads that vanish, objects that appear -------------------------------------------------------------------------


def test_upload_aborted_by_somebody_is_begun_again(rig: Rig) -> None:
    def abort_once(operation: str) -> None:
        if operation == "UploadPart" and rig.s3.calls["UploadPart"] == 3:
            rig.s3.uploads.clear()

    rig.s3.before = abort_once
    rig.assert_stored(rig.finish(), BODY)
    assert rig.s3.calls["CreateMultipartUpload"] == 2


def test_upload_aborted_again_and_again_fails(rig: Rig) -> None:
    rig.s3.before = lambda operation: rig.s3.uploads.clear() if operation == "UploadPart" else None
    rig.assert_failed(rig.finish(), "STORAGE_UNAVAILABLE")


def test_completion_whose_reply_was_lost_is_recognised(rig: Rig) -> None:
    rig.s3.fail("CompleteMultipartUpload", *[LOST] * 1, *[BROKEN] * 4)
    assert isinstance(rig.call(), Retry)
    rig.assert_stored(rig.call(), BODY)
    assert rig.s3.calls["CreateMultipartUpload"] == 1


def test_file_stored_already_is_stored_again_without_a_second_copy_winning(rig: Rig) -> None:
    first = rig.finish()
    rig.checkpoint = {}
    etag = rig.s3.objects[STEM + ".mp4"].etag
    second = rig.finish()
    assert isinstance(first, Stored)
    assert isinstance(second, Stored)
    assert first.evidence["sha256"] == second.evidence["sha256"]
    assert rig.s3.objects[STEM + ".mp4"].etag == etag
    assert rig.s3.uploads == {}


CONFLICT = S3Fault(409, "ConditionalRequestConflict")


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_conflict_at_completion_begins_the_upload_anew(rig: Rig, times: int) -> None:
    """S3 refuses the same completion again and again; it says that a new upload is needed."""
    rig.s3.fail("CompleteMultipartUpload", *[CONFLICT] * times)
    rig.assert_stored(rig.finish(), BODY)
    assert rig.s3.calls["CreateMultipartUpload"] == rig.s3.calls["CompleteMultipartUpload"] == times + 1


def test_a_conflict_that_another_copy_of_the_file_has_won_is_settled_with_its_object(rig: Rig) -> None:
    other = Rig(rig.s3, rig.source)

    def complete_first(operation: str) -> None:
        if operation == "CompleteMultipartUpload" and not rig.s3.objects:
            rig.s3.before = lambda operation: None
            other.finish()

    rig.s3.before = complete_first
    rig.s3.fail("CompleteMultipartUpload", CONFLICT)
    rig.assert_stored(rig.finish(), BODY)
    assert len(rig.s3.objects) == 1


def test_conflicts_without_end_end_the_copy(rig: Rig) -> None:
    rig.s3.fail("CompleteMultipartUpload", *[CONFLICT] * 500)
    rig.assert_failed(rig.finish(), "STORAGE_UNAVAILABLE")
    assert rig.s3.calls["CompleteMultipartUpload"] <= 5


def test_a_conflict_of_any_other_call_is_asked_again(rig: Rig) -> None:
    for operation in ("CreateMultipartUpload", "UploadPart", "ListMultipartUploads"):
        rig.s3.fail(operation, *[CONFLICT] * 2)
    rig.assert_stored(rig.finish(), BODY)


def test_another_object_under_the_key_is_never_replaced(rig: Rig, source: SourceServer) -> None:
    rig.assert_stored(rig.finish(), BODY)
    source.body = video(len(BODY), b"othr")
    rig.checkpoint = {}
    result = rig.finish()
    assert isinstance(result, Failed)
    assert result.code == "DESTINATION_TAKEN"
    assert rig.stored_body() == BODY
    assert rig.s3.uploads == {}


def test_what_an_earlier_copy_of_the_file_left_unnamed_makes_way_for_other_content(
    rig: Rig, source: SourceServer
) -> None:
    """A cancel met the first copy after its completion; the retry asked the vendor for new work."""
    rig.destination = replace(rig.destination, metadata={"job-id": "j1", "file-id": "f001"})
    rig.assert_stored(rig.finish(), BODY)
    source.body, rig.checkpoint = video(len(BODY), b"othr"), {}
    first = rig.call()
    assert isinstance(first, Retry)
    rig.assert_stored(rig.finish(), source.body)


def test_a_superseded_copy_takes_nothing_back(rig: Rig, source: SourceServer) -> None:
    rig.destination = replace(rig.destination, metadata={"job-id": "j1", "file-id": "f001"})
    rig.assert_stored(rig.finish(), BODY)
    source.body, rig.checkpoint = video(len(BODY), b"othr"), {}
    superseded_when(rig, lambda checkpoint, copied: rig.s3.calls["GetObject"] > 0)
    with pytest.raises(CopySuperseded):
        rig.call(save_every=60.0)
    assert rig.stored_body() == BODY


@pytest.mark.parametrize("metadata", [{"job-id": "j2", "file-id": "f001"}, {"job-id": "j1", "file-id": "f002"}, {}])
def test_what_the_copy_of_another_file_has_stored_never_makes_way(
    rig: Rig, source: SourceServer, metadata: dict[str, str]
) -> None:
    rig.destination = replace(rig.destination, metadata={"job-id": "j1", "file-id": "f001"})
    rig.assert_stored(rig.finish(), BODY)
    source.body, rig.checkpoint = video(len(BODY), b"othr"), {}
    rig.destination = replace(rig.destination, metadata=metadata)
    result = rig.finish()
    assert isinstance(result, Failed)
    assert result.code == "DESTINATION_TAKEN"
    assert rig.stored_body() == BODY


def test_an_object_of_equal_size_alone_is_not_taken_for_the_file(rig: Rig, source: SourceServer) -> None:
    """The copy was broken off, so that it has no digest of its own to compare with."""
    rig.s3.fail("CompleteMultipartUpload", *[BROKEN] * 5)
    assert isinstance(rig.call(), Retry)
    other = Rig(rig.s3, source)
    source.body, kept = video(len(BODY), b"othr"), rig.s3.uploads
    rig.s3.uploads = {}
    assert isinstance(other.call(), Stored)
    rig.s3.uploads, source.body = kept, BODY
    rig.checkpoint = {**rig.checkpoint, "digests": None}
    result = rig.finish()
    assert isinstance(result, Failed)
    assert result.code == "DESTINATION_TAKEN"


def test_two_copies_of_one_file_at_once_store_it_once(s3: S3Server) -> None:
    with SourceServer(BODY, usual=Behaviour(delay=0.01)) as source:
        rigs = [Rig(s3, source) for _ in range(4)]
        results: list[Any] = [None] * len(rigs)

        def run(n: int) -> None:
            results[n] = rigs[n].finish()

        threads = [threading.Thread(target=run, args=(n,)) for n in range(len(rigs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for rig, result in zip(rigs, results, strict=True):
        rig.assert_stored(result, BODY)
    assert len(s3.objects) == 1


def test_uploads_left_by_a_crashed_call_are_aborted_once_the_file_is_stored(rig: Rig) -> None:
    rig.s3.client().create_multipart_upload(Bucket="bucket", Key=STEM + ".ts", ChecksumAlgorithm="CRC32")
    other = rig.s3.client().create_multipart_upload(Bucket="bucket", Key=STEM + "2.mp4", ChecksumAlgorithm="CRC32")
    assert isinstance(rig.finish(), Stored)
    assert set(rig.s3.uploads) == {other["UploadId"]}


# -- being called off -------------------------------------------------------------------------------------------------


def superseded_when(rig: Rig, over: Callable[[dict[str, Any], int], bool]) -> None:
    """From the first save for which `over` holds on, none is taken any more."""
    keep, gone = rig.save, []

    def save(checkpoint: dict[str, Any], copied: int) -> None:
        if gone or over(checkpoint, copied):
            gone.append(True)
            raise CopySuperseded("another call has the file")
        keep(checkpoint, copied)

    rig.save = save  # type: ignore[method-assign]


def test_superseded_copy_leaves_the_upload_that_its_successor_goes_on_with(rig: Rig) -> None:
    successor = Rig(rig.s3, rig.source)

    def taken_over(checkpoint: dict[str, Any], copied: int) -> bool:
        successor.checkpoint = dict(rig.checkpoint)
        return copied > 0

    superseded_when(rig, taken_over)
    rig.source.usual = Behaviour(delay=0.05)
    with pytest.raises(CopySuperseded):
        rig.call()
    stored = {n for upload in rig.s3.uploads.values() for n in upload.parts}
    assert stored
    before = len(rig.source.requests)
    successor.assert_stored(successor.finish(), BODY)
    assert rig.s3.calls["CreateMultipartUpload"] == 1
    asked = {request.range[0] // PART + 1 for request in rig.source.requests[before:] if request.range}
    assert not asked & stored, "what the first copy had stored is not read again"


def test_superseded_copy_aborts_an_upload_that_it_could_not_write_down(rig: Rig) -> None:
    superseded_when(rig, lambda checkpoint, copied: checkpoint["upload"] is not None)
    with pytest.raises(CopySuperseded):
        rig.call()
    assert rig.s3.calls["CreateMultipartUpload"] == 1
    assert rig.s3.uploads == {}
    assert rig.s3.objects == {}


@pytest.mark.parametrize(
    "ending",
    [
        Behaviour(etag='"v2"'),  # begins again
        Behaviour(ranges=False),  # a fresh attempt
        Behaviour(status=302, headers={"Location": "ftp://nowhere/"}),  # hopeless
    ],
    ids=["changed", "fresh", "hopeless"],
)
def test_superseded_copy_that_wants_to_give_its_upload_up_leaves_it_to_its_successor(
    rig: Rig, ending: Behaviour
) -> None:
    rig.s3.fail("CompleteMultipartUpload", *[BROKEN] * 5)
    rig.s3.fail("UploadPart", *[BROKEN] * 5)
    assert isinstance(rig.call(), Retry)
    successor = Rig(rig.s3, rig.source, checkpoint=dict(rig.checkpoint))
    superseded_when(rig, lambda checkpoint, copied: True)
    rig.source.usual = ending
    with pytest.raises(CopySuperseded):
        rig.call()
    assert successor.checkpoint["upload"]["upload_id"] in rig.s3.uploads
    rig.source.usual = Behaviour()
    successor.assert_stored(successor.finish(), BODY)
    assert rig.s3.calls["CreateMultipartUpload"] == 1


def test_superseded_copy_does_not_wait_for_a_silent_source(rig: Rig) -> None:
    keep = rig.save

    def save(checkpoint: dict[str, Any], copied: int) -> None:
        if len(rig.saves) > 2:
            raise CopySuperseded("cancelled")
        keep(checkpoint, copied)

    rig.save = save  # type: ignore[method-assign]
    rig.source.usual = Behaviour(hang_after=10_000)
    started = time.monotonic()
    with pytest.raises(CopySuperseded):
        rig.call()
    assert time.monotonic() - started < 5


def test_trouble_in_saving_comes_through_and_keeps_the_upload(rig: Rig) -> None:
    keep = rig.save

    def save(checkpoint: dict[str, Any], copied: int) -> None:
        keep(checkpoint, copied)
        if copied:
            raise OSError("table away")

    rig.save = save  # type: ignore[method-assign]
    with pytest.raises(OSError, match="table away"):
        rig.call()
    assert len(rig.s3.uploads) == 1
    rig.save = keep  # type: ignore[method-assign]
    rig.assert_stored(rig.finish(), BODY)


def test_abandon_aborts_what_the_checkpoint_names_and_what_it_missed(rig: Rig) -> None:
    rig.s3.fail("CompleteMultipartUpload", *[BROKEN] * 5)
    assert isinstance(rig.call(), Retry)
    rig.s3.client().create_multipart_upload(Bucket="bucket", Key=STEM + ".mp4", ChecksumAlgorithm="CRC32")
    assert len(rig.s3.uploads) == 2
    for _ in range(2):
        abandon(rig.s3.client(), "bucket", rig.checkpoint)
    assert rig.s3.uploads == {}
    abandon(rig.s3.client(), "bucket", {})


# -- time, progress, options ------------------------------------------------------------------------------------------


def test_short_time_gives_more_and_the_next_call_goes_on(s3: S3Server) -> None:
    body = video(100 * PART)
    with SourceServer(body) as source:
        rig = Rig(s3, source)
        results: list[Any] = []
        for _ in range(30):
            before = len(source.requests)  # by this call's clock, a request takes a second and a half

            def time_left(before: int = before) -> float:
                return 60.0 - 1.5 * (len(source.requests) - before)

            results.append(result := rig.call(time_left=time_left))
            if not isinstance(result, More):
                break
        rig.assert_stored(results[-1], body)
    assert len(results) > 2
    assert source.bytes_sent == len(body)
    assert s3.calls["GetObject"] == 1  # the digests went on where they were; only the boxes are looked at


def test_progress_is_saved_by_time_not_by_part(s3: S3Server) -> None:
    with SourceServer(video(60 * PART), usual=Behaviour(delay=0.02)) as source:
        rig = Rig(s3, source, options=replace(Rig(s3, source).options, save_every=0.1))
        assert isinstance(rig.finish(), Stored)
    copied = [copied for _, copied in rig.saves]
    assert copied == sorted(copied)
    assert copied[-1] == 60 * PART
    assert 4 <= len(copied) < 60
    assert any(0 < n < 60 * PART for n in copied)


def test_checkpoint_stays_small_and_holds_no_url(s3: S3Server) -> None:
    with SourceServer(video(60 * PART)) as source:
        rig = Rig(s3, source)
        assert isinstance(rig.finish(), Stored)
    for checkpoint, _ in rig.saves:
        assert len(repr(checkpoint)) < 2000
        assert "http" not in repr(checkpoint)
        assert "secret" not in repr(checkpoint)


def test_object_gets_everything_the_destination_asks_for(rig: Rig) -> None:
    rig.destination = Destination(
        "bucket",
        STEM,
        file_name="前门 camera?.mp4",
        metadata={"job-id": "j1", "name": "录像"},
        tags={"site": "gate-3", "b": "c"},
        storage_class="STANDARD_IA",
        kms_key_id="alias/clips",
        expected_owner=OWNER,
    )
    rig.assert_stored(rig.finish(), BODY)
    stored = rig.s3.objects[STEM + ".mp4"]
    assert stored.tags == {"site": "gate-3", "b": "c"}
    assert stored.headers["content-type"] == "video/mp4"
    assert stored.headers["x-amz-storage-class"] == "STANDARD_IA"
    assert stored.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert stored.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/clips"
    assert stored.headers["x-amz-meta-job-id"] == "j1"
    assert stored.headers["content-disposition"] == (
        "attachment; filename=\"__ camera_.mp4\"; filename*=UTF-8''%E5%89%8D%E9%97%A8%20camera%3F.mp4"
    )


def test_parts_have_the_size_of_the_contract_by_default(s3: S3Server) -> None:
    body = video(3 * 8 * 1024 * 1024 + 5)
    with SourceServer(body) as source, S3Server() as strict:
        rig = Rig(strict, source, options=replace(Rig(s3, source).options, part_size=8 * 1024 * 1024, buffers=2**26))
        rig.assert_stored(rig.finish(), body)
    assert strict.calls["UploadPart"] == 4
