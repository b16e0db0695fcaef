"""The tools of an environment: what a model is told of them, and what a call gives.

A call gives a text, whatever happens: for arguments that the tool does not take, a tool that raises, hangs or ends its
process, the text says so, and the call counts as failed. Programs and functions of the user's own run apart.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from ponder.errors import RecipeError, VerifierError
from ponder.own import Called, OwnCode
from ponder.own.apart import declared_tools
from ponder.own.roles import ROLES
from ponder.recipe.environment import Environment
from ponder.recipe.own import is_own
from ponder.records import Tool, ToolCall
from ponder.tools import Search, calculator
from ponder.tools.declared import tool_of
from ponder.verify.pool import VerifierPool

__all__ = ["Result", "Toolbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a call gave, as the model is told, and whether it failed."""

    text: str
    failed: bool
    seconds: float


_TRIAL, _TRIAL_SECONDS = "print(1)", 20.0
"""A program that runs wherever any does, and how long that may take."""
Use = Callable[[ToolCall], Future[Called]]


def python(code: str) -> str:
    """Runs a Python program and gives what it prints. Nothing is kept from one call to the next."""
    return code


def search(query: str) -> str:
    """Looks for passages about the query's words in a collection of texts."""
    return query


class Toolbox:
    """`tools` is what a model is told. RecipeError for two tools of one name, or one that cannot be called."""

    def __init__(self, config: Environment, pool: VerifierPool, own: OwnCode) -> None:
        self._config, self._pool = config, pool
        names = [name for name in config.tools if is_own(name)]
        declared = dict(zip(names, declared_tools(own, names), strict=True))
        built_in: Mapping[str, tuple[Callable[..., str], Callable[[], Use]]] = {
            "calculator": (calculator, lambda: partial(_here, calculator)),
            "python": (python, lambda: self._run),
            "search": (search, lambda: partial(_here, self._searcher())),
        }
        self._uses: dict[str, Use] = {}
        tools: list[Tool] = []
        for name in config.tools:
            tool = declared[name] if name in declared else tool_of(built_in[name][0])
            if tool.name in self._uses:
                raise RecipeError(f"two of the tools {', '.join(config.tools)} are called {tool.name!r}: rename one")
            self._uses[tool.name] = partial(self._own, name) if name in declared else built_in[name][1]()
            tools.append(tool)
        self.tools: tuple[Tool, ...] = tuple(tools)
        if "python" in config.tools:
            self._check_programs()

    def call(self, call: ToolCall) -> Callable[[], Result]:
        """Begin a call; what is returned waits for its result."""
        if call.name not in self._uses:
            text = f"error: there is no tool {call.name[:80]!r}; there are: {', '.join(self._uses) or 'none'}"
            return lambda: Result(text=text, failed=True, seconds=0.0)
        future = self._uses[call.name](call)
        return lambda: self._result(future.result())

    def _result(self, called: Called) -> Result:
        if called.failure is not None:
            reason = called.failure.reason.rpartition(" raises ")[2]
            reason = reason[max(0, reason.find(called.failure.function)) :]  # where it stands is nothing to the model
            seconds = self._config.call_seconds if called.failure.cause == "timeout" else called.seconds
            return Result(text=self._shown(f"error: {reason}"), failed=True, seconds=seconds)
        return Result(text=self._shown(called.value["text"]), failed=called.value["failed"], seconds=called.seconds)

    def _shown(self, text: str) -> str:
        """A text that is not too long: its beginning and its end. Half a surrogate pair is no text."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        most = self._config.result_characters
        if len(text) <= most:
            return text
        half = most // 2
        return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"

    def _check_programs(self) -> None:
        """VerifierError where no program can be run here, now rather than at the first call."""
        tried = self._pool.run(_TRIAL, max(_TRIAL_SECONDS, self._config.call_seconds)).result()
        if tried.failure is not None or tried.value["failed"]:
            why = tried.failure.reason if tried.failure is not None else tried.value["text"]
            raise VerifierError(f"The tool 'python' cannot run programs on this machine: {why}. See docs/sandbox.md.")

    def _own(self, name: str, call: ToolCall) -> Future[Called]:
        return self._pool.call("tool", name, call.arguments, seconds=self._config.call_seconds)

    def _run(self, call: ToolCall) -> Future[Called]:
        checked = _take(python, call)
        if checked.value["failed"]:
            return _known(checked)
        return self._pool.run(checked.value["text"], self._config.call_seconds)

    def _searcher(self) -> Callable[..., str]:
        assert self._config.folder is not None
        index = Search(self._config.folder, self._config.results)

        def search(query: str) -> str:
            return index(query)

        return search


def _here(function: Callable[..., str], call: ToolCall) -> Future[Called]:
    return _known(_take(function, call))


def _take(function: Callable[..., str], call: ToolCall) -> Called:
    """What a built-in function gives for a call's arguments; ValueError is how it says that it cannot."""
    kind = ROLES["tool"]
    try:
        value = kind.take(kind.run(function, (call.arguments,)), (call.arguments,))
    except ValueError as error:
        value = {"text": f"error: {error}", "failed": True}
    return Called(value=value)


def _known(called: Called) -> Future[Called]:
    future: Future[Called] = Future()
    future.set_result(called)
    return future
