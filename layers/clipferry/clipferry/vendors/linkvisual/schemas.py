"""What a LinkVisual job may ask for: JSON Schemas (draft 2020-12) of `request` and `adopt`. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DURATION_MIN, DURATION_MAX = 10, 7200  # seconds
PRE_RECORD_MAX = 10  # seconds
FILE_NAMES_MAX = 50

_ID = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^\S+$", "x-problem": "must hold no blanks"}

_CAMERA: Mapping[str, Any] = {
    "iot_id": {"description": "The camera's id; or give product_key and device_name (IotId).", **_ID},
    "product_key": {"description": "The camera's product; needs device_name (ProductKey).", **_ID},
    "device_name": {"description": "The camera's name in its product; needs product_key (DeviceName).", **_ID},
    "iot_instance_id": {
        "description": "The IoT instance, if it has an id; the account's when not given (IotInstanceId).",
        **_ID,
    },
}
_ONE_CAMERA: Mapping[str, Any] = {
    "x-problem": "give either iot_id, or product_key with device_name",
    "oneOf": [
        {"required": ["iot_id"], "not": {"anyOf": [{"required": ["product_key"]}, {"required": ["device_name"]}]}},
        {"required": ["product_key", "device_name"], "not": {"required": ["iot_id"]}},
    ],
}

REQUEST_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["record_duration"],
    "properties": {
        **_CAMERA,
        "record_duration": {
            "description": f"Length of the recording in seconds, {DURATION_MIN} to {DURATION_MAX}, pre-record "
            "included; beyond 1800 it is split into several files (RecordDuration).",
            "type": "integer",
            "minimum": DURATION_MIN,
            "maximum": DURATION_MAX,
        },
        "pre_record_duration": {
            "description": f"Seconds from before the trigger, 0 to {PRE_RECORD_MAX}, if the camera can; "
            "0 when not given (PreRecordDuration).",
            "type": "integer",
            "minimum": 0,
            "maximum": PRE_RECORD_MAX,
        },
        "stream_type": {
            "description": "0 main stream (when not given), 1 sub stream (StreamType).",
            "type": "integer",
            "enum": [0, 1],
        },
    },
    "allOf": [_ONE_CAMERA],
}

ADOPT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **_CAMERA,
        "record_id": {"description": "What TriggerRecord returned; or give file_names (RecordId).", **_ID},
        "file_names": {
            "description": f"Names of recorded files, 1 to {FILE_NAMES_MAX}; one given twice is one file; "
            "or give record_id (FileName of QueryRecord).",
            "type": "array",
            "minItems": 1,
            "maxItems": FILE_NAMES_MAX,
            "items": {"type": "string", "minLength": 1, "maxLength": 1024},
        },
    },
    "allOf": [
        _ONE_CAMERA,
        {
            "x-problem": "give either record_id or file_names",
            "oneOf": [{"required": ["record_id"]}, {"required": ["file_names"]}],
        },
    ],
}
