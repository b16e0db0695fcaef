"""GGUF files in llama.cpp itself, in a process of its own: what it draws greedily is what transformers draws."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.export.command import Gguf, export_command

_LLAMA = """
import json, sys, xllamacpp
asked = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.warmup = sys.argv[1], 1024, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
for ids in asked:
    reply = server.handle_completions({"prompt": ids, "n_predict": 48, "temperature": 0})
    print("TEXT", json.dumps(reply["choices"][0]["text"]), flush=True)
"""


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp (llama.cpp) is not installed")
@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_greedy_texts_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    file = Gguf(path=tmp_path / "m.gguf", type=kind, ids_only=True)  # type: ignore[arg-type]
    export_command("micro", tmp_path / "folder", None, file, None)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "folder")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "folder", dtype=torch.float32)
    prompts, texts = [], []
    for a, b in [(3, 4), (17, 25), (100, 250), (7, 7)]:
        chat = [{"role": "user", "content": f"What is {a} + {b}? Then take away {a % 7}."}]
        prompts.append(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))
        ids = model.generate(torch.tensor([prompts[-1]]), max_new_tokens=48, do_sample=False)[0, len(prompts[-1]) :]
        texts.append(tokenizer.decode([i for i in ids if i != tokenizer.eos_token_id]))
    command = [sys.executable, "-c", _LLAMA, str(tmp_path / "m.gguf")]
    done = subprocess.run(command, input=json.dumps(prompts), capture_output=True, text=True, timeout=240)
    if done.returncode < 0:
        pytest.skip(f"llama.cpp as it was built does not run on this processor: signal {-done.returncode}")
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("TEXT ")]
    assert [text.strip() for text in said] == [text.strip() for text in texts]
