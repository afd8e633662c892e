"""What the small models of AWS services share: operations by name, checked parameters, a client's exceptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore.validate import validate_parameters

Parameters = Mapping[str, Any]
Operation = Callable[[Any, Parameters], dict[str, Any]]


class Refused(Exception):
    """An error of the service, before it has become a client's exception."""

    def __init__(self, code: str, message: str = "", **more: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.more = code, message, more


class Service:
    """A service in memory. It refuses an operation that it does not know."""

    operations: ClassVar[Mapping[str, Operation]]

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def call(self, client: Any, operation: str, parameters: Parameters) -> dict[str, Any]:
        """As `client._make_api_call`. Raises ParamValidationError and the client's own exceptions."""
        if operation not in self.operations:
            raise NotImplementedError(f"{type(self).__name__}'s {operation}")
        validate_parameters(parameters, client.meta.service_model.operation_model(operation).input_shape)
        try:
            with self._lock:
                return self.operations[operation](self, parameters)
        except Refused as refusal:
            said = {"Error": {"Code": refusal.code, "Message": refusal.message}, **refusal.more}
            error = client.exceptions.from_code(refusal.code)
            raise error({**said, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation) from None
