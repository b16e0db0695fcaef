"""What goes wrong with a request, in the one shape that OpenAI's clients know."""

from typing import Any

from ponder.errors import BusyError, PonderError

__all__ = ["Fault", "fault_of"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "overloaded_error",
}


class Fault(Exception):
    """An answer that is an error. `param` is the field it is about, `retry_after` the seconds after which to try again.

    Example: Fault(404, "There is no model 'x'.", param="model", code="model_not_found").
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_after = status, message, param, code, retry_after

    def body(self) -> dict[str, Any]:
        """The JSON of it."""
        kind = _TYPES[self.status]
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code or kind}}

    def headers(self) -> dict[str, str]:
        """Headers beside it."""
        asks = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        return asks if self.retry_after is None else asks | {"retry-after": str(self.retry_after)}


def fault_of(error: PonderError) -> Fault:
    """What an engine or a template says of a request."""
    if isinstance(error, BusyError):
        return Fault(503, str(error), code="overloaded", retry_after=1)
    return Fault(400, str(error))
