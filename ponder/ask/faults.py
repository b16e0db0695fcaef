"""Why a server's reply is no reply: worth another try, or not."""

__all__ = ["FailedReply", "MalformedReply", "RefusedReply"]


class MalformedReply(Exception):
    """The reply was cut, empty or an error that may pass; the same request may well succeed."""


class FailedReply(Exception):
    """There is no answer to this request, and asking again would only be paid again."""


class RefusedReply(Exception):
    """No request at all can succeed: a wrong key or address, an empty account."""
