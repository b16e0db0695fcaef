"""Why the judging of one program breaks off. What no test may catch is no `Exception`."""

__all__ = [
    "NotJudgeableError",
    "NotPlainAnswerError",
    "ProgramGoneError",
    "ProgramRaisedError",
    "SkippedError",
    "TooLargeError",
]


class ProgramGoneError(BaseException):
    """The program ended or stopped keeping to the format. No test may catch it."""


class TooLargeError(ProgramGoneError):
    """One answer is larger than this side takes."""


class ProgramRaisedError(Exception):
    """What the program raised, where only plain values can be dealt with: never its own class."""


class NotPlainAnswerError(BaseException):
    """The program handed over an object where only plain values can be dealt with. No test may catch it."""


class NotJudgeableError(BaseException):
    """The tests do something that cannot be done across processes. No test may catch it."""


class SkippedError(Exception):
    """A pytest-style test skips itself."""
