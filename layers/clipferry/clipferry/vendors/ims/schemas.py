"""What users may request of IMS: the JSON Schemas of `request` and `adopt`, and limits that a schema cannot express.

Page: IMS "UploadMediaByURL", its UploadMetadata table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipferry.vendors.contract import VendorRefused

URLS_PER_JOB = 100
USER_DATA_MAX = 4096  # characters; our own limit
#: Bytes of UTF-8, which JSON Schema cannot count.
BYTE_LIMITS = {"Title": 128, "Description": 1024}
TAG_BYTES = 32

_URL = {
    "description": "An http or https URL of a video that IMS can reach, with the file's extension in its path.",
    "type": "string",
    "pattern": r"^https?://[0-9A-Za-z._~%!$&'()*+,;=:@-]+([/?#]\S*)?$",
    "maxLength": 2048,
    "x-problem": "must be an http or https URL",
}
_URLS = {"type": "array", "minItems": 1, "maxItems": URLS_PER_JOB, "items": _URL}


def _text(description: str, **limits: int) -> dict[str, Any]:
    return {"description": description, "type": "string", **limits}


def _prose(description: str, **limits: int) -> dict[str, Any]:
    """A text that people read: it may hold line breaks, and joiners where its script needs them."""
    return {**_text(description, **limits), "x-prose": True}


_METADATA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["SourceURL", "Title"],
    "properties": {
        "SourceURL": _text("The one of upload_urls that this is about."),
        "Title": _prose("At most 128 bytes of UTF-8.", minLength=1, maxLength=128),
        "FileSize": {"description": "Bytes.", "type": ["string", "integer"]},
        "Description": _prose("At most 1024 bytes of UTF-8.", maxLength=1024),
        "CoverURL": _text("URL of a thumbnail."),
        "CateId": {"description": "Category.", "type": ["string", "integer"]},
        "Tags": _prose("At most 16, separated by commas, each at most 32 bytes of UTF-8."),
        "WorkflowId": _text("Workflow to run on the media."),
        "FileExtension": _text("The video's extension; goes before the URL's.", maxLength=16),
        "DynamicMetaData": _prose("JSON, as IMS defines it."),
        "EntityId": _text("Entity of the dynamic metadata."),
    },
}

REQUEST: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["upload_urls"],
    "properties": {
        "upload_urls": {
            **_URLS,
            "description": f"1 to {URLS_PER_JOB} URLs to fetch; one given twice is one file (UploadURLs).",
        },
        "user_data": {
            "description": "Handed to IMS as it is when a string; an object gets one more key in Extend (UserData).",
            "type": ["string", "object"],
            "maxLength": USER_DATA_MAX,
            "x-prose": True,
        },
        "media_metadata": {
            "description": "What to store about the media, at most one entry for each URL (MediaMetaData).",
            "type": "array",
            "maxItems": URLS_PER_JOB,
            "items": _METADATA,
        },
    },
}

ADOPT: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "job_ids": {
            "description": f"1 to {URLS_PER_JOB} ids of upload jobs that exist already (JobIds).",
            "type": "array",
            "minItems": 1,
            "maxItems": URLS_PER_JOB,
            "items": {
                "description": "A JobId that UploadMediaByURL returned.",
                "type": "string",
                "pattern": "^[0-9A-Za-z_-]{1,64}$",
                "x-problem": "must have 1 to 64 letters, digits, dashes or underscores",
            },
        },
        "upload_urls": {
            **_URLS,
            "description": "URLs uploaded before: each one's newest successful upload, else its newest (UploadURLs).",
        },
    },
    "allOf": [
        {
            "oneOf": [{"required": ["job_ids"]}, {"required": ["upload_urls"]}],
            "x-problem": "give either job_ids or upload_urls",
        }
    ],
}


def check(request: Mapping[str, Any]) -> None:
    """Raise VendorRefused with kind REQUEST_INVALID for metadata that IMS would refuse with a worse message."""
    urls = {url.strip() for url in request.get("upload_urls", ())}
    for number, entry in enumerate(request.get("media_metadata", ())):
        where = f"media_metadata[{number}]"
        if entry["SourceURL"].strip() not in urls:
            raise VendorRefused(f"{where}.SourceURL is none of upload_urls.", kind="REQUEST_INVALID")
        for name, limit in BYTE_LIMITS.items():
            size = len(entry.get(name, "").encode("utf-8", "replace"))
            if size > limit:
                raise VendorRefused(f"{where}.{name} has {size} bytes; IMS takes {limit}.", kind="REQUEST_INVALID")
        tags = entry["Tags"].split(",") if entry.get("Tags") else []
        if len(tags) > 16 or any(len(tag.encode("utf-8", "replace")) > TAG_BYTES for tag in tags):
            message = f"{where}.Tags: IMS takes 16 tags of {TAG_BYTES} bytes each."
            raise VendorRefused(message, kind="REQUEST_INVALID")
