"""Secrets Manager in memory: text under a name, its newest version alone; a secret deleted is gone at once."""

from __future__ import annotations

from typing import Any

from tests.models.service import Parameters, Refused, Service


class SecretsManager(Service):
    """The service."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: dict[str, str] = {}

    def _create_secret(self, asked: Parameters) -> dict[str, Any]:
        if asked["Name"] in self._secrets:
            raise Refused("ResourceExistsException", "A resource with the ID you requested already exists.")
        self._secrets[asked["Name"]] = asked["SecretString"]
        return {"Name": asked["Name"]}

    def _put_secret_value(self, asked: Parameters) -> dict[str, Any]:
        self._find(asked)
        self._secrets[asked["SecretId"]] = asked["SecretString"]
        return {"Name": asked["SecretId"]}

    def _get_secret_value(self, asked: Parameters) -> dict[str, Any]:
        return {"Name": asked["SecretId"], "SecretString": self._find(asked)}

    def _delete_secret(self, asked: Parameters) -> dict[str, Any]:
        if not asked.get("ForceDeleteWithoutRecovery"):
            raise NotImplementedError("a secret that can be restored")
        self._secrets.pop(asked["SecretId"], None)  # by force, one that does not exist may be deleted too
        return {"Name": asked["SecretId"]}

    def _find(self, asked: Parameters) -> str:
        if asked["SecretId"] not in self._secrets:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return self._secrets[asked["SecretId"]]

    operations = {  # noqa: RUF012 - a constant of the base class's type
        "CreateSecret": _create_secret,
        "PutSecretValue": _put_secret_value,
        "GetSecretValue": _get_secret_value,
        "DeleteSecret": _delete_secret,
    }
