"""Chat templates that know tools, each in its own form, and a byte-level tokenizer that has one."""

from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

__all__ = [
    "BARE",
    "LINES",
    "LIST",
    "NO_TOOLS",
    "PYTHON",
    "SILENT",
    "TAGS",
    "TEXT_ARGUMENTS",
    "UNREADABLE",
    "tokenizer",
]

TURN = "<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n"
DECLARES = "{% if tools %}<|start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|end|>\n{% endif %}"
REPLY = "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"


def chat(call: str, *, before: str = "", after: str = "", declares: str = DECLARES) -> str:
    """A chat template that writes each call `c` as `call`."""
    return (
        declares + "{% for m in messages %}{% if m.tool_calls %}<|start|>assistant\n" + before
        + "{% for t in m.tool_calls %}{% set c = t.function %}" + call + "{% endfor %}" + after + "<|end|>\n"
        + "{% else %}" + TURN + "{% endif %}{% endfor %}" + REPLY
    )  # fmt: skip


TAGS = chat('<tool_call>\n{"name": "{{ c.name }}", "arguments": {{ c.arguments | tojson }}}\n</tool_call>')
LINES = chat(
    "<tool_call>\n<function={{ c.name }}>\n{% for k, v in c.arguments.items() %}<parameter={{ k }}>\n{{ v }}\n"
    "</parameter>\n{% endfor %}</function>\n</tool_call>"
)
LIST = chat(
    '{"name": "{{ c.name }}", "arguments": {{ c.arguments | tojson }}}{% if not loop.last %}, {% endif %}',
    before="[TOOL_CALLS] [",
    after="]",
)
BARE = chat('{"name": "{{ c.name }}", "parameters": {{ c.arguments | tojson }}}')
TEXT_ARGUMENTS = chat('<tool_call>{"name": "{{ c.name }}", "arguments": {{ "" + c.arguments }}}</tool_call>')
UNREADABLE = chat("CALL {{ c.name }} WITH {{ c.arguments | tojson }}")
PYTHON = chat('<tool_call>{"name": "{{ c.name }}", "arguments": {{ c.arguments }}}</tool_call>')
SILENT = chat("<tool_call>{{ c | tojson }}</tool_call>", declares="")
NO_TOOLS = "{% for m in messages %}" + TURN + "{% endfor %}" + REPLY


def tokenizer(chat_template: str | None) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|start|>", "<|end|>"])
    core.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"])
    made: Any = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
    made.chat_template = chat_template
    found: PreTrainedTokenizerFast = made
    return found
