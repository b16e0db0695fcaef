"""Crowds of benchmarks/serve_load.py, in small."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.serve.conftest import Running

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from serve_load import Address, crowd, leavers, slow


def address(server: Running) -> Address:
    port = urlsplit(server.url).port
    assert port is not None
    return Address(port, server.process.pid)


def test_more_streams_than_rows_all_complete(server: Running) -> None:
    found = asyncio.run(crowd(address(server), 300, 4))
    assert found["complete"] == 300 and found["tokens"] == 1200 and found["mib_above_idle"] < 250


def test_rows_of_those_who_leave_are_free(server: Running) -> None:
    before = server.counted("ponder:request_abandoned_total")
    found = asyncio.run(leavers(address(server), 60))
    assert found["rows_before"] > 0
    assert server.counted("ponder:request_abandoned_total") == before + 60


def test_slow_readers_hold_up_no_row_and_little_memory(server: Running) -> None:
    found = asyncio.run(slow(address(server), 20, 5, 8))
    assert found["still_reading"] == 20, "their replies are computed before they have read them"
    assert found["mib_of_slow_readers"] < 100
