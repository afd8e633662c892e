"""What users may request of Cloud VoD: the JSON Schemas of `request` and `adopt`.

Pages: CDNetworks Cloud VoD "Video Fetch", "Video Fetch Query".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FILES_PER_JOB = 50

_RENDITIONS: Mapping[str, Any] = {
    "oneOf": [
        {"enum": ["original", "all"]},
        {"type": "array", "items": {"enum": [1, 2, 3, 4, 5]}, "minItems": 1, "maxItems": 5, "uniqueItems": True},
    ],
    "x-problem": 'give "original", "all", or a list of different clarity values from 1 to 5',
    "description": "which files to bring back: the original (default), all, or clarities: "
    "1 original, 2 fluent, 3 SD, 4 HD, 5 FHD (videoFileList.clarity)",
}
_FILE: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "fetch_url": {
            "type": "string",
            "maxLength": 4096,
            "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]\S*$",
            "x-problem": "must be an http or https URL",
            "description": "http(s) URL that the vendor fetches the video from (fetchUrl)",
        },
        "file_name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": r"^[^\t\r\n]*$(?!\n)",
            "x-prose": True,
            "x-problem": "must be one line without tabs",
            "description": "name with its extension; the URL's last segment when absent (fileName)",
        },
        "md5": {
            "type": "string",
            "pattern": "^[0-9A-Fa-f]{32}$",
            "x-problem": "must have 32 hexadecimal digits",
            "description": "MD5 of the source in hex, checked by the vendor and by us (md5)",
        },
    },
    "required": ["fetch_url"],
    "additionalProperties": False,
    "description": "one source video",
}

REQUEST: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "files": {
            "type": "array",
            "items": _FILE,
            "minItems": 1,
            "maxItems": FILES_PER_JOB,
            "description": "the videos to fetch, 1 to 50; the same one twice is one (fileList)",
        },
        "cmd": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "x-prose": True,
            "description": "processing command, {tcTemplateName:…,workflowCode:…} (cmd)",
        },
        "workflow_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "processing workflow (workflowId)",
        },
        "fetch_ts": {
            "enum": [0, 1],
            "description": "1 (default): fetch the segments of an HLS source too; 0: do not (fetchTs)",
        },
        "renditions": _RENDITIONS,
    },
    "required": ["files"],
    "additionalProperties": False,
}

ADOPT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "task_id": {
            "type": "string",
            "pattern": r"^\S{1,128}$",
            "x-problem": "must have 1 to 128 characters and no blanks",
            "description": "the vendor's task (taskId)",
        },
        "trans_no": {
            "type": "string",
            "pattern": r"^\S{1,32}$",
            "x-problem": "must have 1 to 32 characters and no blanks",
            "description": "the business id the task was made with (transNo)",
        },
        "renditions": _RENDITIONS,
    },
    "oneOf": [{"required": ["task_id"]}, {"required": ["trans_no"]}],
    "x-problem": "give exactly one of task_id and trans_no",
    "additionalProperties": False,
}
