"""Figures for Prometheus, under vLLM's names with `ponder:` before them, so that dashboards carry over.

No label comes from a request: neither keys nor paths nor models that were asked for.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ponder.rollout.engine import Load
from ponder.serve.reply import Account

__all__ = ["Metrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300, 600)
_PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """The counters of one server; `load` says what the engine does now."""

    def __init__(self, load: Callable[[], Load]) -> None:
        self._registry = registry = CollectorRegistry()

        def gauge(name: str, help_: str, value: Callable[[], float]) -> None:
            Gauge(f"ponder:{name}", help_, registry=registry).set_function(value)

        gauge("num_requests_running", "Completions that are sampled now.", lambda: load().rows)
        gauge("num_jobs", "Requests that have not ended.", lambda: load().jobs)
        gauge("waiting_prompt_tokens", "Tokens of prompts that wait.", lambda: load().waiting_tokens)
        gauge("kv_cache_reserved_bytes", "Keys and values set aside.", lambda: load().reserved_bytes)
        gauge("prefix_cache_bytes", "Keys and values of the prefix cache.", lambda: load().cached_bytes)
        gauge("weight_version", "Version of the weights.", lambda: load().weight_version)
        self._prompt = Counter("ponder:prompt_tokens", "Tokens of prompts.", registry=registry)
        self._hits = Counter("ponder:prefix_cache_hits", "Of these, taken from the prefix cache.", registry=registry)
        self._written = Counter("ponder:generation_tokens", "Tokens written.", registry=registry)
        self._thinking = Counter("ponder:reasoning_tokens", "Of these, thinking.", registry=registry)
        self._ended = Counter(
            "ponder:request_success", "Choices that ended, by reason.", ["finished_reason"], registry=registry
        )
        self._refused = Counter("ponder:request_refused", "Requests refused, by status.", ["status"], registry=registry)
        self._gone = Counter("ponder:request_abandoned", "Requests whose client went away.", registry=registry)
        self._risk = Counter(
            "ponder:risk_turns",
            "Turns that keywords selected, by where, by rule and by what became of them.",
            ["where", "rule", "outcome"],
            registry=registry,
        )
        self._cost = Counter("ponder:cost", "What all replies cost.", registry=registry)
        self._first = Histogram(
            "ponder:time_to_first_token_seconds", "Until the first token.", buckets=_SECONDS, registry=registry
        )
        self._whole = Histogram(
            "ponder:e2e_request_latency_seconds", "Until the last token.", buckets=_SECONDS, registry=registry
        )
        self._each = Histogram(
            "ponder:time_per_output_token_seconds", "Per token after the first.", buckets=_PER_TOKEN, registry=registry
        )

    def count(self, account: Account, reasons: list[str], cost: float) -> None:
        """A request that has ended."""
        self._prompt.inc(account.prompt)
        self._hits.inc(account.hit)
        self._written.inc(account.written)
        self._thinking.inc(account.thinking)
        self._cost.inc(cost)
        for reason in reasons:
            self._ended.labels(reason).inc()
        end = account.ended or account.began
        self._whole.observe(end - account.began)
        if account.first is not None:
            self._first.observe(account.first - account.began)
            if account.written > 1:
                self._each.observe((end - account.first) / (account.written - 1))

    def refuse(self, status: int) -> None:
        """A request that was answered with an error."""
        self._refused.labels(str(status)).inc()

    def risk(self, where: str, rules: Iterable[str], outcome: str) -> None:
        """A turn that rules, which are the configuration's, have selected."""
        for rule in rules:
            self._risk.labels(where, rule, outcome).inc()

    def abandon(self) -> None:
        """A client that went away."""
        self._gone.inc()

    def text(self) -> bytes:
        """The page /metrics."""
        return generate_latest(self._registry)
