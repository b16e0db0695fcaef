"""The user's own Python files: rewards, verifiers, keep rules, measures and problems that a recipe names.

    file.py:function -> OwnCode (texts, digests) -> a process apart loads it -> Called (value | Failure)

`code` reads the files once, without running them; `load` makes modules of the texts, in worker processes only; `roles`
says what each kind of function is called with and may return; `call` calls it, whatever it does; `apart` asks a process
of its own what a file holds, and for the problems it makes.
"""

from ponder.own.called import Called, Cause, Failure
from ponder.own.code import OwnCode, read_own

__all__ = ["Called", "Cause", "Failure", "OwnCode", "read_own"]
