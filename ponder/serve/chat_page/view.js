// How a message looks: a thought that folds, an answer that grows, votes as bars, the verifier's badge, what it cost.

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function button(name, act, values) {
  const made = make("button", "", say(name, values));
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

// A thought: text that grows at its end, with the words by which it turns on itself marked.
class Thought {
  constructor() {
    this.summary = make("summary");
    this.text = make("div", "text");
    this.text.tabIndex = 0;
    this.element = make("details", "thought", this.summary, this.text);
    this.element.hidden = true;
    this.shown = 0;
    this.tail = [];
    this.summary.addEventListener("click", () => (this.touched = true));
  }

  show(reply, live) {
    const thought = reply.reasoning_content ?? "";
    this.element.hidden = !thought;
    if (!thought) return;
    const seconds = reply.thinking_seconds;
    this.summary.textContent = say(live ? "thinking_now" : seconds === undefined ? "thought_of_sample" : "thought", {
      seconds: seconds?.toFixed(seconds < 10 ? 1 : 0),
      tokens: reply.thinking_tokens ?? 0,
    });
    this.summary.title = say("marked");
    this.element.classList.toggle("live", live);
    if (!this.touched) this.element.open = live;
    if (this.shown === thought.length) return;
    const follows = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 40;
    for (const node of this.tail) node.remove();
    // A word at the end may still grow: what follows the last blank or mark is drawn anew next time.
    const boundary = live ? this.shown + thought.slice(this.shown).search(/[^\s.,;:!?，。；：！？、]*$/) : thought.length;
    this.text.append(...this.marked(thought, this.shown, boundary));
    this.tail = this.marked(thought, boundary, thought.length);
    this.text.append(...this.tail);
    this.shown = boundary;
    if (live && follows) this.text.scrollTop = this.text.scrollHeight;
  }

  marked(text, from, to) {
    const found = [];
    let at = from;
    REFLECTION.lastIndex = from;
    for (let word; (word = REFLECTION.exec(text)) && word.index + word[0].length <= to; ) {
      found.push(document.createTextNode(text.slice(at, word.index)), make("mark", "", word[0]));
      at = word.index + word[0].length;
    }
    found.push(document.createTextNode(text.slice(at, to)));
    return found;
  }
}

// Votes: a bar for each answer, and every sample behind it.
class Vote {
  constructor() {
    this.element = make("section", "vote");
    this.element.hidden = true;
    this.title = make("div", "title");
    this.bars = make("div");
    this.samples = make("div");
    this.element.append(this.title, this.bars, this.samples);
    this.rows = new Map();
  }

  show(reply, live) {
    const running = live ? reply.vote : null;
    const final = reply.ponder?.vote;
    const counts = Object.entries(final?.counts ?? running?.counts ?? {}).sort((a, b) => b[1] - a[1]);
    this.element.hidden = !final && !running;
    if (this.element.hidden) return;
    const samples = reply.ponder?.samples ?? [];
    const silent = final ? samples.filter((one) => !(one.cluster ?? one.answer)).length : 0;
    if (silent && !counts.some(([answer]) => !answer)) counts.push(["", silent]); // they do not vote, but can be read
    const of = final ? final.of ?? Math.max(samples.length, counts.reduce((sum, [, count]) => sum + count, 0)) : running.of;
    this.title.textContent = final
      ? say("voted", { votes: counts[0]?.[0] ? counts[0][1] : 0, of })
      : say("voting", { done: running.done, of });
    for (const [index, [answer, count]] of counts.entries()) {
      const row = this.rows.get(answer) ?? this.row(answer);
      row.element.classList.toggle("lead", index === 0 && answer !== "");
      row.meter.max = of;
      row.meter.value = count;
      row.count.textContent = String(count);
      row.open = () => this.open(samples, answer);
      row.element.disabled = !final;
      if (this.bars.children[index] !== row.element) this.bars.insertBefore(row.element, this.bars.children[index] ?? null);
    }
  }

  row(answer) {
    const row = { meter: make("meter"), count: make("span", "count") };
    const name = make("span", "name", answer || say("no_answer"));
    name.title = answer;
    row.meter.setAttribute("aria-hidden", "true");
    row.element = make("button", "bar", name, row.meter, row.count);
    row.element.type = "button";
    row.element.addEventListener("click", () => row.open());
    this.rows.set(answer, row);
    return row;
  }

  // The samples of one answer: the first is shown, every other is one click away.
  open(samples, answer) {
    if (this.opened === answer) {
      this.opened = undefined;
      this.samples.replaceChildren();
      return;
    }
    this.opened = answer;
    const here = make("div", "sample");
    const those = samples.map((one, index) => [one, index]).filter(([one]) => (one.cluster ?? one.answer ?? "") === answer);
    const choices = those.map(([sample, index]) => {
      const choice = button("sample", () => {
        for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
        const view = new Reply();
        view.show({ ...sample, role: "assistant", content: sample.content ?? sample.answer ?? "", thinking_tokens: sample.thinking_tokens, ponder: { check: sample.check } }, false);
        here.replaceChildren(view.element);
      }, { number: index + 1 });
      return choice;
    });
    this.samples.replaceChildren(make("div", "samples", ...(choices.length ? choices : [say("samples_missing")])), here);
    choices[0]?.click();
  }
}

// The verifier's word. Green is for `right` alone, grey for what it cannot tell; agreement never makes a badge.
function badge(check) {
  const known = { right: "✓", wrong: "✗", cannot_tell: "?" };
  const outcome = check.outcome in known ? check.outcome : "cannot_tell";
  const made = make("span", `badge ${outcome}`, known[outcome], " ", say(outcome));
  if (check.reason) made.append(` · ${check.reason}`);
  return made;
}

function meterOf(reply) {
  const usage = reply.usage;
  if (!usage) return "";
  const hit = usage.prompt_cache_hit_tokens ?? 0;
  const parts = [say("reply_meter", {
    hit,
    miss: (usage.prompt_tokens || 0) - hit,
    written: usage.completion_tokens || 0,
    rate: Math.round(reply.ponder?.timing?.tokens_per_second ?? 0),
  })];
  if (reply.ponder?.cost) parts.push(costOf(reply.ponder.cost.amount, reply.ponder.cost.currency));
  return parts.join(" · ");
}

function costOf(amount, currency) {
  return say("cost", { amount: amount.toLocaleString(spoken, { maximumSignificantDigits: 3, maximumFractionDigits: 9 }), currency });
}

// One reply of the model. `show` may be called as often as wanted: it draws what is new.
class Reply {
  constructor() {
    this.thought = new Thought();
    this.vote = new Vote();
    this.answer = make("div", "answer");
    this.answer.setAttribute("aria-live", "polite");
    this.ended = make("div", "ended");
    this.ended.hidden = true;
    this.foot = make("div", "row");
    this.element = make("div", "", this.thought.element, this.vote.element, this.answer, this.ended, this.foot);
    this.growing = new markdown.Growing(this.answer);
    this.paints = 0;
  }

  show(reply, live) {
    this.paints++;
    this.thought.show(reply, live && !reply.content);
    this.vote.show(reply, live);
    this.answer.setAttribute("aria-busy", String(live));
    if (this.content !== reply.content) this.growing.show(reply.content);
    this.content = reply.content;
    const waiting = live && !reply.content && !reply.reasoning_content;
    const word = live ? waiting && "waiting" : { stopped: "stopped", length: "length", content_filter: "filtered", failed: "failed" }[reply.ended];
    this.ended.hidden = !word;
    this.ended.classList.toggle("error", reply.ended === "failed");
    if (word) this.ended.textContent = say(word, { why: reply.why });
    if (live) return;
    const notes = [reply.ponder?.check && badge(reply.ponder.check), meterOf(reply) && make("span", "meter", meterOf(reply))];
    this.foot.replaceChildren(...notes.filter(Boolean));
    for (const note of [...(reply.ponder?.notes ?? []), ...(reply.remarks ?? [])]) this.foot.append(make("div", "note", note));
  }
}
