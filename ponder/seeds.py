"""Seeds for everything random, derived by hashing: the same parts give the same seed on every machine."""

import hashlib
import json

__all__ = ["derive_seed"]


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) made from `parts`, such as (run seed, stage, step, item).

    Distinct parts give unrelated seeds, and ("a", 1) differs from ("a1",) and ("a", "1").
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
