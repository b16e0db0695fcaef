"""Compute at use: votes, checks, retries and audits over samples of one prompt. Values in and out; no engine, no torch.

ComputePlan + samples as they end -> Course: what to begin, what to end -> Outcome: the reply, and why it is the one
"""

__all__: list[str] = []
