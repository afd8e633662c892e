"""Accounts: what a secret has to be, when it is read again, and that it is never shown."""

from __future__ import annotations

import json

import pytest
from clipferry.aws.account_secrets import AccountError, load_account
from clipferry.vendors.contract import VendorAuthFailed

from tests.unit.steps.aws import PREFIX, client
from tests.unit.steps.world import SECRET, World


def store(name: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    client("secretsmanager").create_secret(Name=f"{PREFIX}/{name}", SecretString=text)


def replace(value: dict[str, str]) -> None:
    client("secretsmanager").put_secret_value(SecretId=f"{PREFIX}/scripted", SecretString=json.dumps(value))


def test_an_account_is_read_and_not_printed(world: World) -> None:
    account = load_account("scripted", "scripted")
    assert account.secret["secret_key"] == SECRET
    assert SECRET not in f"{account!r} {account}"
    assert (account.endpoint, account.connections) == (None, None)


@pytest.mark.parametrize(
    ("value", "code", "word"),
    [
        (None, "ACCOUNT_MISSING", "does not exist"),
        ("not json", "ACCOUNT_MALFORMED", "JSON object"),
        ('["a"]', "ACCOUNT_MALFORMED", "JSON object"),
        ({"secret_key": SECRET, "vendor": "polyv"}, "ACCOUNT_MALFORMED", "not an account of scripted"),
        ({"vendor": "scripted"}, "ACCOUNT_MALFORMED", "lacks secret_key"),
        ({"secret_key": ""}, "ACCOUNT_MALFORMED", "lacks secret_key"),
        ({"secret_key": 7}, "ACCOUNT_MALFORMED", "lacks secret_key"),
        ({"secret_key": SECRET, "connections": 0}, "ACCOUNT_MALFORMED", "from 1 to 64"),
        ({"secret_key": SECRET, "connections": 65}, "ACCOUNT_MALFORMED", "from 1 to 64"),
        ({"secret_key": SECRET, "connections": "many"}, "ACCOUNT_MALFORMED", "from 1 to 64"),
        ({"secret_key": SECRET, "connections": 2.5}, "ACCOUNT_MALFORMED", "from 1 to 64"),
        ({"secret_key": SECRET, "connections": True}, "ACCOUNT_MALFORMED", "from 1 to 64"),
        ({"secret_key": SECRET, "max_in_flight": 0}, "ACCOUNT_MALFORMED", "max_in_flight .* from 1 to 10000"),
        ({"secret_key": SECRET, "max_in_flight": "none"}, "ACCOUNT_MALFORMED", "max_in_flight .* from 1 to 10000"),
        ({"secret_key": SECRET, "max_in_flight": [3]}, "ACCOUNT_MALFORMED", "max_in_flight .* from 1 to 10000"),
        *(
            ({"secret_key": SECRET, "download_headers": headers}, "ACCOUNT_MALFORMED", f"download_headers .* {said}")
            for headers, said in (
                ([SECRET], "not an object"),
                (SECRET, "not an object"),
                ({"Range": SECRET}, "may not hold Range"),
                ({"X-Token": f"{SECRET}\r\nX: y"}, "value of X-Token"),
            )
        ),
        *(
            ({"secret_key": SECRET, "rate": rate}, "ACCOUNT_MALFORMED", r'rate .* \{"calls"')
            for rate in (
                {},
                [],
                50,
                "50/s",
                {"calls": 5},
                {"calls": 0, "per": 1},
                {"calls": 5, "per": 0},
                {"calls": 5, "per": SECRET},
                {"calls": float("inf"), "per": 1},
                {"calls": 5, "per": float("nan")},
                {"calls": 5, "per": 1, "burst": 3},
                {"calls": None, "per": 1},
                {"calls": 5, "per": 1, "pushback": -1},
            )
        ),
    ],
)
def test_an_account_that_cannot_be_used_fails_the_job(world: World, value: object, code: str, word: str) -> None:
    if value is not None:
        store("gate", value)
    with pytest.raises(AccountError, match=word) as caught:
        load_account("gate", "scripted")
    assert SECRET not in str(caught.value)
    job_id = world.submit(account="gate")
    world.settle()
    assert world.job(job_id).error.code == code  # type: ignore[union-attr]
    assert world.stage.calls["trigger"] == 0


def test_an_account_may_have_limits_of_its_own(world: World) -> None:
    store("gate", {"secret_key": SECRET, "rate": {"calls": 600, "per": 300}, "max_in_flight": "20"})
    account, plain = load_account("gate", "scripted"), load_account("scripted", "scripted")
    assert (account.rate, account.max_in_flight) == ({"calls": 600, "per": 300}, 20)
    assert (plain.rate, plain.max_in_flight) == (None, None)


def test_an_account_may_name_headers_for_its_files_and_none_is_printed(world: World) -> None:
    store("gate", {"secret_key": "k", "download_headers": {"Referer": "https://a.example/", "X-Token": SECRET}})
    account, plain = load_account("gate", "scripted"), load_account("scripted", "scripted")
    assert account.download_headers == {"Referer": "https://a.example/", "X-Token": SECRET}
    assert "download_headers" not in account.secret
    assert SECRET not in f"{account!r} {account}"
    assert plain.download_headers == {}


def test_a_secret_is_read_once_for_many_calls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    load_account("scripted", "scripted")
    replace({"secret_key": "another"})
    assert load_account("scripted", "scripted").secret["secret_key"] == SECRET
    assert load_account("scripted", "scripted", fresh=True).secret["secret_key"] == "another"


def test_refused_credentials_that_were_changed_meanwhile_are_tried_once_more(world: World) -> None:
    load_account("scripted", "scripted")
    replace({"secret_key": "another"})
    world.stage.trigger = [VendorAuthFailed("unknown key")]
    assert world.trigger(world.submit())["next"] == "WAIT"
    assert world.stage.calls["trigger"] == 2


def test_refused_credentials_that_are_still_the_same_are_not_tried_again(world: World) -> None:
    world.stage.trigger = [VendorAuthFailed("unknown key")]
    assert world.trigger(world.submit())["next"] == "FINISH"
    assert world.stage.calls["trigger"] == 1


def test_a_secret_that_made_no_sense_is_read_again_at_once(world: World) -> None:
    replace({"vendor": "scripted"})
    with pytest.raises(AccountError):
        load_account("scripted", "scripted")
    replace({"vendor": "scripted", "secret_key": SECRET})
    assert load_account("scripted", "scripted").secret["secret_key"] == SECRET


@pytest.mark.parametrize(
    ("reason", "said", "code", "word"),
    [
        (
            "ResourceNotFoundException",
            "no such secret",
            "ACCOUNT_MISSING",
            "not exist",
        ),
        (
            "AccessDeniedException",
            "is not authorized to GetSecretValue",
            "ACCOUNT_MISSING",
            "cannot be read",
        ),
        ("InvalidRequestException", "it was marked for deletion", "ACCOUNT_MISSING", "marked for deletion"),
        ("AccessDeniedException", "Access to KMS is not allowed", "ACCOUNT_UNREADABLE", "kms:Decrypt"),
        ("DecryptionFailure", "can't decrypt the protected secret text", "ACCOUNT_UNREADABLE", "decrypted"),
    ],
)
def test_a_secret_that_may_not_be_read_says_whether_it_its_permission_or_its_key_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: str, said: str, code: str, word: str
) -> None:
    from aws_lambda_powertools.utilities import parameters
    from botocore.exceptions import ClientError

    def refused(*_: object, **__: object) -> str:
        cause = ClientError({"Error": {"Code": reason, "Message": said}}, "GetSecretValue")
        raise parameters.exceptions.GetParameterError("no") from cause

    monkeypatch.setattr(parameters, "get_secret", refused)
    with pytest.raises(AccountError, match=word) as caught:
        load_account("scripted", "scripted")
    assert caught.value.code == code
