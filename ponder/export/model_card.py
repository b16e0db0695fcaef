"""The card of a model: `README.md` of its folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.export.card import UNKNOWN, card_text
from ponder.export.history import (
    data_section,
    decontamination_section,
    hub_datasets,
    licence_section,
    stages_section,
    versions_section,
)
from ponder.export.licence import Licence, base_licence
from ponder.export.lineage import Base, Lineage, read_lineage
from ponder.export.scored import Measured, measured, scores_section
from ponder.export.source import ModelSource
from ponder.text.template import Template
from ponder.watch.alarms import read_alarms

__all__ = ["ModelFacts", "model_card", "model_licence"]

_USE = """\
```python
from transformers import AutoModelForCausalLM, TOKENIZER

folder = "."  # this folder, or its name on the hub
tokenizer = TOKENIZER.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
messages = [{"role": "user", "content": "What is 2 + 3?"}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
ids = model.generate(**prompt, max_new_tokens=MAX_TOKENS)
print(tokenizer.decode(ids[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True))
```"""
_USE_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What the model itself says: its architecture, its tokens at a time, and the form of its prompts, which may have
    been `chosen` for the export; and what its folder is to others: whether a chat template `renders` that form, whether
    transformers 4 loads it, too (`portable`), and the class that loads its tokenizer."""

    architecture: str
    parameters: int
    window: int
    template: Template
    chosen: bool = False
    renders: bool = True
    portable: bool = True
    tokenizer: str = "AutoTokenizer"


def model_licence(source: ModelSource) -> Licence:
    """Of the model that the weights came from."""
    base = Base(reference=source.reference, digest=None) if source.stage is None else read_lineage(source.stage).base
    return Licence(id=None, said=UNKNOWN) if base is None else base_licence(base)


def model_card(source: ModelSource, facts: ModelFacts, licence: Licence, stated: str | None) -> str:
    """The text of README.md; `stated` is the licence that the user gives it, None takes that of the base."""
    lineage = None if source.stage is None else read_lineage(source.stage)
    found = [] if lineage is None else measured(lineage)
    base = lineage.base if lineage is not None else None
    hub_id = base.hub.repository if base is not None and base.hub is not None else source.hub_id
    front: Mapping[str, Any] = {
        "license": stated or licence.id or UNKNOWN,
        **(dict(licence.fields) if stated is None else {}),
        "base_model": hub_id,
        "datasets": hub_datasets(lineage) if lineage is not None else [],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["ponder", *_tags(lineage, facts)],
    }
    sections: list[tuple[str, Sequence[str]]] = [("", _opening(source, facts, lineage))]
    sections.append(("Use", _use(facts, trained=_in_its_form(lineage, facts))))
    if lineage is not None:
        sections += [
            ("Base and stages", stages_section(lineage)),
            ("Data", data_section(lineage) or ["Unknown."]),
            ("Decontamination", decontamination_section(lineage) or ["Unknown."]),
            ("Scores", scores_section(found, lineage)),
        ]
    sections.append(("Limits", _limits(facts, lineage, found)))
    sections.append(("Licences", licence_section(licence, stated, lineage)))
    sections.append(("Versions", versions_section(lineage)))
    return card_text(front, source.name, sections)


def _opening(source: ModelSource, facts: ModelFacts, lineage: Lineage | None) -> list[str]:
    what = f"A {facts.architecture} of {facts.parameters:,} parameters"
    if lineage is None:
        where = f"`{source.hub_id}`" if source.hub_id else f"`{Path(source.reference).name}`"
        return [
            f"{what}, exported by ponder from {where}. No run of ponder stands beside it, so what it was trained on, "
            f"how, and how well it does is unknown here."
        ]
    own = lineage.links[-1]
    text = [
        f"{what}: stage `{own.name}` (kind `{own.record.kind}`) of the recipe `{own.manifest.recipe}`, run by ponder."
    ]
    if own.manifest.smoke:
        text.append("**A smoke run: a tiny random model after two steps, of no use but to see that everything works.**")
    if source.step is not None:
        text.append(
            f"**The stage is not finished ({own.record.status}): these are the weights of step {source.step:,}.**"
        )
    return text


def _in_its_form(lineage: Lineage | None, facts: ModelFacts) -> bool:
    """Whether the model is known to have been trained in the form of its prompts."""
    return lineage is not None and not facts.chosen


def _use(facts: ModelFacts, *, trained: bool) -> list[str]:
    template = facts.template
    tokens = min(_USE_TOKENS, facts.window // 2)
    snippet = _USE.replace("MAX_TOKENS", str(tokens)).replace("TOKENIZER", facts.tokenizer)
    text = [
        snippet,
        f"{_form(facts, trained)} `generation_config.json` samples at temperature 0.6, top-p 0.95. The weights are "
        f"bfloat16.",
    ]
    if not facts.portable:
        text.append("Load it with transformers 5: 4 does not read its positions in `config.json`, and says nothing.")
    if facts.tokenizer != "AutoTokenizer":
        text.append("`AutoTokenizer` would split text otherwise than the model's own tokenizer does.")
    said = []
    if template.thinking and trained:
        said.append("Replies think first, between `<think>` and `</think>`, and answer then.")
    if template.prefill and facts.renders:
        said.append(f"A prompt ends in {json.dumps(template.prefill)}, so a reply goes on from there.")
    return [*text, " ".join(said)] if said else text


def _form(facts: ModelFacts, trained: bool) -> str:
    """Which prompts the folder makes, and what is known of their form."""
    known = "which the model was trained with" if trained else "chosen at export" if facts.chosen else "its folder's"
    form = f"the form `{facts.template.name}`, {known}"
    if facts.renders:
        return f"`chat_template.jinja` renders the prompts in {form};"
    return f"No chat template renders the prompts in {form}: `ponder serve` and `ponder chat` make them, others do not;"


def _tags(lineage: Lineage | None, facts: ModelFacts) -> list[str]:
    kinds = [] if lineage is None else [link.record.kind for link in lineage.weights]
    thinks = facts.template.thinking and _in_its_form(lineage, facts)
    return list(dict.fromkeys([*kinds, *(["reasoning"] if thinks else []), facts.architecture]))


def _limits(facts: ModelFacts, lineage: Lineage | None, found: Sequence[Measured]) -> list[str]:
    lines = [f"It reads and writes {facts.window:,} tokens at most, prompt and reply together."]
    if lineage is not None:
        lines += _trained_limits(lineage)
        if not any(one.scores.overall.safe is not None for one in found):
            lines.append("No score here says how safe its answers are.")
        if not found:
            lines.append("No score here says how good they are.")
    lines.append("What a control token spells becomes that token in programs other than ponder, also inside a message.")
    return ["\n".join(f"- {line}" for line in lines)]


def _trained_limits(lineage: Lineage) -> list[str]:
    lines = []
    for link in lineage.weights:
        config = link.record.config
        if link.record.kind == "rl":
            lines.append(f"In `{link.name}` replies of up to {config['sampling']['max_tokens']:,} tokens were trained.")
        elif link.record.kind == "sft" and config["max_tokens"] is not None:
            lines.append(f"In `{link.name}` examples of up to {config['max_tokens']:,} tokens were trained.")
        alarms = read_alarms(link.record.folder)
        lines += [
            f"`{link.name}` raised the alarm {alarm.name} at step {alarm.step:,}: {alarm.text}" for alarm in alarms
        ]
    return lines
