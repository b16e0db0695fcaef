"""The process that speaks HTTP holds no torch: only its lanes compute."""

import pickle
import subprocess
import sys

from ponder.policy import load_policy
from ponder.records import Message

_HTTP = """
import pickle, sys
import ponder.serve.command
voice = pickle.load(sys.stdin.buffer)
from ponder.policy.resolve import resolve_model
from ponder.serve.choice import decoder
from ponder.records import Message
resolve_model("micro")
ids = voice.prompt((Message(role="user", content="What is 17 + 25?"),))
print(len(ids), len(decoder(voice)(ids)), sorted(name for name in sys.modules if name.partition(".")[0] == "torch"))
"""


def test_no_torch_is_loaded_beside_the_lanes() -> None:
    voice = load_policy("micro", trained=False).voice()
    done = subprocess.run(
        [sys.executable, "-c", _HTTP], input=pickle.dumps(voice), capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    prompt = voice.prompt((Message(role="user", content="What is 17 + 25?"),))
    text = voice.tokenizer.decode(list(prompt))
    assert done.stdout.decode().strip() == f"{len(prompt)} {len(str(text))} []"
