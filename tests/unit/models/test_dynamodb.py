"""The model of DynamoDB answers as moto's does, whatever is asked of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.models.dynamodb import DynamoDB
from tests.models.expressions import Unsupported, condition, update
from tests.unit.aws_clients import new_client

TABLE = "things"
PROPERTIES: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "shard", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "due",
            "KeySchema": [{"AttributeName": "shard", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}
NAMES = {"#s": "status", "#n": "count", "#a": "at", "#p": "pk", "#k": "sk"}

KEYS = st.fixed_dictionaries({"pk": st.sampled_from(["a", "b"]), "sk": st.sampled_from(["1", "2", "é"])})
CONDITIONS = st.sampled_from(
    [
        None,
        "attribute_not_exists (#p)",
        "attribute_exists (#p)",
        "#s = :s",
        "#s <> :s",
        "(#s = :s AND #n > :n)",
        "(attribute_not_exists (#p) OR #n < :n)",
        "NOT #n BETWEEN :n AND :m",
        "#s IN (:s, :t)",
        "begins_with (#s, :s)",
    ]
)
UPDATES = st.sampled_from(
    [
        "SET #s = :s",
        "SET #n = #n + :n, #s = :t REMOVE #a",
        "SET #n = if_not_exists (#n, :m) - :n",
        "ADD #n :n",
        "REMOVE #s, #n",
    ]
)


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """One write as TransactWriteItems has it; Put, Update and Delete alone are the same operations."""
    key = {name: {"S": value} for name, value in draw(KEYS).items()}
    kind = draw(st.sampled_from(["Put", "Update", "Delete"]))
    asked: dict[str, Any] = {"TableName": TABLE}
    texts = []
    if text := draw(CONDITIONS):
        asked["ConditionExpression"] = text
        texts.append(text)
    if kind == "Put":
        asked["Item"] = {**key, "status": {"S": draw(st.sampled_from(["x", "xy"]))}, "count": {"N": "1"}}
        if draw(st.booleans()):
            asked["Item"] |= {"shard": {"S": "s"}, "at": {"N": draw(st.sampled_from(["1", "2.5", "10"]))}}
    else:
        asked["Key"] = key
    if kind == "Update":
        asked["UpdateExpression"] = draw(UPDATES)
        texts.append(asked["UpdateExpression"])
    whole = " ".join(texts)
    values = {
        ":s": {"S": "x"},
        ":t": {"S": "xy"},
        ":n": {"N": draw(st.sampled_from(["0", "1", "2.5"]))},
        ":m": {"N": "3"},
    }
    if names := {name: real for name, real in NAMES.items() if name in whole}:
        asked["ExpressionAttributeNames"] = names
    if used := {name: value for name, value in values.items() if name in whole}:
        asked["ExpressionAttributeValues"] = used
    return kind, asked


STEPS = st.one_of(
    writes().map(lambda write: (f"{write[0]}Item", write[1])),
    st.lists(writes(), min_size=1, max_size=3).map(
        lambda some: ("TransactWriteItems", {"TransactItems": [{kind: asked} for kind, asked in some]})
    ),
)
QUERIES: list[dict[str, Any]] = [
    {"KeyConditionExpression": "#p = :p", "ExpressionAttributeNames": {"#p": "pk"}, "ConsistentRead": True},
    {"KeyConditionExpression": "(#p = :p AND begins_with (#k, :k))", "ScanIndexForward": False, "Limit": 1},
    {"KeyConditionExpression": "(#p = :p AND #k BETWEEN :k AND :l)", "Limit": 2},
    {"IndexName": "due", "KeyConditionExpression": "(#d = :d AND #a <= :a)", "Limit": 2},
]
QUERY_NAMES = {"#p": "pk", "#k": "sk", "#d": "shard", "#a": "at"}
QUERY_VALUES = {":p": {"S": "a"}, ":k": {"S": "1"}, ":l": {"S": "2"}, ":d": {"S": "s"}, ":a": {"N": "5"}}


def answer(call: Any, operation: str, parameters: dict[str, Any]) -> Any:
    """What an operation comes to: its reply without its metadata, or its error's code and reasons."""
    try:
        reply = call(operation, dict(parameters))
    except ClientError as error:
        reasons = error.response.get("CancellationReasons", [])
        return error.response["Error"]["Code"], [reason.get("Code") for reason in reasons]
    return {name: value for name, value in reply.items() if name in ("Item", "Items", "Attributes")}


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    with mock_aws():
        yield new_client("dynamodb")


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=12))
def test_it_answers_and_holds_what_moto_does(moto: Any, steps: list[tuple[str, dict[str, Any]]]) -> None:
    model = DynamoDB()
    model.create_table(TABLE, PROPERTIES)
    if TABLE in moto.list_tables()["TableNames"]:
        moto.delete_table(TableName=TABLE)
    moto.create_table(TableName=TABLE, **PROPERTIES)

    for operation, parameters in steps:
        if operation == "TransactWriteItems" and _twice_the_same(parameters):
            continue  # moto tells this in other words
        assert answer(model.call, operation, parameters) == answer(moto._make_api_call, operation, parameters)
    for query in QUERIES:
        text = query["KeyConditionExpression"]
        whole = {
            **query,
            "TableName": TABLE,
            "ExpressionAttributeNames": {name: real for name, real in QUERY_NAMES.items() if name in text},
            "ExpressionAttributeValues": {name: value for name, value in QUERY_VALUES.items() if name in text},
        }
        ours, theirs = answer(model.call, "Query", whole), answer(moto._make_api_call, "Query", whole)
        assert ours["Items"] == theirs["Items"]


def _twice_the_same(parameters: dict[str, Any]) -> bool:
    keys = [
        tuple(asked.get("Key", asked.get("Item"))[name]["S"] for name in ("pk", "sk"))
        for item in parameters["TransactItems"]
        for asked in item.values()
    ]
    return len(set(keys)) < len(keys)


def test_pages_of_a_query_lose_and_double_nothing() -> None:
    model = DynamoDB()
    model.create_table(TABLE, PROPERTIES)
    for number in range(7):
        model.call("PutItem", {"TableName": TABLE, "Item": {"pk": {"S": "a"}, "sk": {"S": str(number)}}})
    asked = {
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "a"}},
        "Limit": 3,
    }
    found, start = [], None
    while True:
        page = model.call("Query", {**asked, **({"ExclusiveStartKey": start} if start else {})})
        found += [item["sk"]["S"] for item in page["Items"]]
        start = page.get("LastEvaluatedKey")
        if not start:
            break
    assert found == [str(number) for number in range(7)]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"pk": {"S": "x" * 2049}, "sk": {"S": "1"}}, "ValidationException"),
        ({"pk": {"S": ""}, "sk": {"S": "1"}}, "ValidationException"),
        ({"pk": {"S": "x"}}, "ValidationException"),
        ({"pk": {"S": "x"}, "sk": {"S": "1"}, "more": {"S": "x" * 409_600}}, "ValidationException"),
    ],
)
def test_the_limits_of_keys_and_items_hold(item: dict[str, Any], code: str) -> None:
    model = DynamoDB()
    model.create_table(TABLE, PROPERTIES)
    assert answer(model.call, "PutItem", {"TableName": TABLE, "Item": item}) == (code, [])


def test_what_it_does_not_know_it_does_not_guess() -> None:
    with pytest.raises(Unsupported):
        condition("contains (#s, :s)")
    with pytest.raises(Unsupported):
        update("DELETE #s :s")
    with pytest.raises(NotImplementedError):
        DynamoDB().call("Scan", {"TableName": TABLE})
