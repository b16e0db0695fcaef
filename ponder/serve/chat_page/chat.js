// The page: conversations kept in the browser, one reply under way at a time, painted at most PAINTS times a second.

const PAINTS = 15;
const PREFIX = "ponder:chat:";
const SETTINGS = "ponder:settings";
const FIELDS = ["thinking", "budget", "vote", "temperature", "max_tokens", "check", "gold"];
const at = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.settings = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}");
    this.service = new Service(() => at("key").value.trim());
    this.chats = new Map();
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX)).sort()) {
      try {
        this.chats.set(key.slice(PREFIX.length), Conversation.read(localStorage.getItem(key)));
      } catch (error) {
        this.damaged = error.message; // it stays where it is, and the others are shown
      }
    }
    this.live = null;
    spoken = this.settings.language ?? (navigator.language.startsWith("zh") ? "zh" : "en");
    for (const name of FIELDS) at(name).value = this.settings[name] ?? at(name).value;
    at("key").value = sessionStorage.getItem("ponder:key") ?? "";
    this.listen();
    this.theme(this.settings.theme);
    this.begin();
    this.translate();
    this.findModels();
  }

  listen() {
    const on = (id, event, act) => at(id).addEventListener(event, act);
    on("new", "click", () => (this.begin(), this.side(false), this.draw(), at("input").focus()));
    on("export", "click", () => this.export());
    on("import", "click", () => at("file").click());
    on("file", "change", () => this.import());
    on("language", "click", () => ((spoken = spoken === "en" ? "zh" : "en"), this.keep({ language: spoken }), this.translate()));
    on("theme", "click", () => this.theme(document.documentElement.classList.contains("dark") ? "light" : "dark", true));
    on("options", "click", () => this.unfold("settings", "options"));
    on("menu", "click", (event) => (event.stopPropagation(), this.side(!at("side").classList.contains("open"))));
    document.querySelector("main").addEventListener("click", () => this.side(false));
    on("composer", "submit", (event) => (event.preventDefault(), this.submit()));
    on("settings", "submit", (event) => event.preventDefault());
    on("stop", "click", () => this.stop());
    on("input", "input", () => this.grow());
    on("input", "keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), this.submit());
    });
    on("model", "change", () => this.keep({ model: at("model").value }));
    on("system", "change", () => ((this.chat.system = at("system").value), this.store(this.chat)));
    on("key", "change", () => (sessionStorage.setItem("ponder:key", at("key").value), this.findModels()));
    for (const name of FIELDS) on(name, "change", () => (this.keep({ [name]: at(name).value }), this.gold()));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme(this.settings.theme));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.live) this.stop();
      if (!event.altKey || event.ctrlKey || event.metaKey) return;
      const act = { KeyA: () => this.answerNow(), KeyR: () => this.regenerate(), KeyN: () => at("new").click() }[event.code];
      if (act) (event.preventDefault(), act());
    });
  }

  // Settings and texts.

  keep(change) {
    Object.assign(this.settings, change);
    localStorage.setItem(SETTINGS, JSON.stringify(this.settings));
  }

  theme(wanted, chosen = false) {
    const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.classList.toggle("dark", dark);
    if (chosen) this.keep({ theme: wanted });
  }

  unfold(id, by) {
    at(id).hidden = !at(id).hidden;
    at(by).setAttribute("aria-expanded", String(!at(id).hidden));
  }

  // The list of conversations, where the page is narrow.
  side(open) {
    at("side").classList.toggle("open", open);
    at("menu").setAttribute("aria-expanded", String(open));
  }

  translate() {
    document.documentElement.lang = spoken;
    for (const one of document.querySelectorAll("[data-text]")) one.textContent = say(one.dataset.text);
    for (const one of document.querySelectorAll("[data-hint]")) one.placeholder = say(one.dataset.hint);
    for (const one of document.querySelectorAll("[data-label]")) (one.setAttribute("aria-label", say(one.dataset.label)), (one.title = say(one.dataset.label)));
    this.gold();
    this.draw();
  }

  gold() {
    const kind = at("check").value;
    at("gold_label").hidden = !kind;
    if (kind) at("gold_text").textContent = at("gold").placeholder = say(`gold_${kind}`);
  }

  notice(text) {
    at("notice").hidden = !text;
    at("notice").textContent = text ?? "";
  }

  async findModels() {
    try {
      const models = await this.service.models();
      at("model").replaceChildren(...models.map((one) => new Option(one.id, one.id)));
      if (models.some((one) => one.id === this.settings.model)) at("model").value = this.settings.model;
      this.notice(this.damaged && say("damaged", { why: this.damaged }));
    } catch (error) {
      this.notice(error.status === 401 ? say("needs_key") : say("failed", { why: this.why(error) }));
    }
  }

  why(error) {
    if (error instanceof Refused) return error.message === "cut" ? say("cut") : error.message;
    return error instanceof TypeError ? say("away") : String(error);
  }

  // Conversations.

  begin() {
    this.chat = new Conversation();
    this.id = `${Date.now().toString(36).padStart(9, "0")}${Math.random().toString(36).slice(2, 6)}`;
  }

  store(chat, id = this.id) {
    if (!chat.nodes.length) return;
    this.chats.set(id, chat);
    try {
      localStorage.setItem(PREFIX + id, JSON.stringify(chat));
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      this.notice(say("full"));
    }
  }

  export() {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(this.chat, null, 1)], { type: "application/json" }));
    link.download = "conversation.json";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async import() {
    const file = at("file").files[0];
    at("file").value = "";
    if (!file) return;
    try {
      const found = Conversation.read(await file.text());
      this.begin();
      this.chat = found;
      this.store(found);
      this.draw();
    } catch (error) {
      this.notice(say("no_conversation", { why: error.message }));
    }
  }

  // What is shown.

  draw() {
    const path = this.chat.path();
    const views = path.map((node) => (node.role === "user" ? this.question(node) : this.reply(node)));
    if (!views.length) views.push(make("div", "empty", say("empty")));
    at("log").replaceChildren(...views);
    at("log").scrollTop = at("log").scrollHeight;
    at("system").value = this.chat.system;
    at("send").hidden = Boolean(this.live);
    at("stop").hidden = !this.live;
    this.list();
    this.total(path);
  }

  list() {
    const rows = [...this.chats].reverse().map(([id, chat]) => {
      const open = make("button", "", chat.title || say("conversation"));
      open.title = chat.title;
      open.addEventListener("click", () => ((this.chat = chat), (this.id = id), this.side(false), this.draw()));
      const remove = make("button", "", "×");
      remove.setAttribute("aria-label", say("delete"));
      remove.addEventListener("click", () => this.remove(id));
      const row = make("li", id === this.id ? "chosen" : "", open, remove);
      return row;
    });
    at("conversations").replaceChildren(...rows);
  }

  remove(id) {
    if (!confirm(say("delete_sure"))) return;
    if (this.live?.id === id) this.stop();
    this.chats.delete(id);
    localStorage.removeItem(PREFIX + id);
    if (id === this.id) this.begin();
    this.draw();
  }

  // Tokens and cost of all replies of this conversation, those of other branches too: they were paid.
  total() {
    const replies = this.chat.nodes.filter((node) => node.usage);
    const tokens = replies.reduce((sum, node) => sum + (node.usage.total_tokens || 0), 0);
    const costs = new Map();
    for (const { ponder } of replies) {
      if (ponder?.cost) costs.set(ponder.cost.currency, (costs.get(ponder.cost.currency) ?? 0) + ponder.cost.amount);
    }
    const parts = [...costs].map(([currency, amount]) => costOf(amount, currency));
    at("total").textContent = replies.length ? [say("total", { tokens: tokens.toLocaleString(spoken) }), ...parts].join(" · ") : "";
  }

  question(node) {
    const said = make("div", "said", node.content);
    const tools = make("div", "tools", ...this.branches(node), button("edit", () => this.edit(node, article)), this.copier(node));
    const article = make("article", "user", said, tools);
    article.setAttribute("aria-label", say("you"));
    return article;
  }

  reply(node) {
    const live = this.live?.node === node;
    const view = live ? this.live.view : new Reply();
    view.show(node, live);
    const tools = live
      ? [this.nowButton()]
      : [...this.branches(node), button("regenerate", () => this.answer(node.parent)), this.copier(node)];
    const article = make("article", "assistant", view.element, make("div", "tools", ...tools));
    article.setAttribute("aria-label", say("assistant"));
    return article;
  }

  nowButton() {
    const made = button("answer_now", () => this.answerNow());
    this.live.now = made;
    made.hidden = !thinks(this.live.node);
    return made;
  }

  branches(node) {
    const all = this.chat.siblings(node);
    if (all.length < 2) return [];
    const here = all.indexOf(node);
    const step = (sign, name, to) => {
      const made = make("button", "", sign);
      made.disabled = !all[to];
      made.setAttribute("aria-label", say(name));
      made.addEventListener("click", () => (this.chat.show(all[to]), this.store(this.chat), this.draw()));
      return made;
    };
    return [step("‹", "earlier", here - 1), make("span", "meter", `${here + 1}/${all.length}`), step("›", "later", here + 1)];
  }

  copier(node) {
    const made = button("copy", async () => {
      await navigator.clipboard.writeText(node.content);
      made.textContent = say("copied");
    });
    return made;
  }

  edit(node, article) {
    const text = make("textarea");
    text.value = node.content;
    text.setAttribute("aria-label", say("edit"));
    const send = () => {
      if (this.live || !text.value.trim()) return;
      this.answer(this.chat.add(node.parent, { role: "user", content: text.value }).id);
    };
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), send());
    });
    article.replaceChildren(text, make("div", "tools", button("save", send), button("cancel", () => this.draw())));
    text.focus();
  }

  grow() {
    at("input").style.height = "auto";
    at("input").style.height = `${at("input").scrollHeight + 2}px`;
  }

  // Asking.

  submit() {
    const content = at("input").value;
    if (this.live || !content.trim()) return;
    const message = this.chat.add(this.chat.leaf, { role: "user", content });
    this.chat.title ||= content.trim().slice(0, 60);
    at("input").value = "";
    this.grow();
    this.answer(message.id);
  }

  regenerate() {
    const last = this.chat.path().findLast((node) => node.role === "user");
    if (last) this.answer(last.id);
  }

  // The request, or an Error that says which setting cannot be read.
  body(parent) {
    const number = (name) => (at(name).value.trim() ? Number(at(name).value) : undefined);
    const [vote, kind] = [number("vote"), at("check").value];
    const own = vote > 1 ? { vote, samples: true } : {};
    if (kind) own.check = checkOf(kind, at("gold").value.trim());
    return {
      model: at("model").value || undefined,
      messages: this.chat.messages(parent),
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      thinking: at("thinking").value === "off" ? { type: "disabled" } : undefined,
      thinking_token_budget: number("budget"),
      temperature: number("temperature"),
      max_tokens: number("max_tokens"),
      ponder: Object.keys(own).length ? own : undefined,
    };
  }

  async answer(parent) {
    if (this.live) return;
    let body;
    try {
      body = this.body(parent);
    } catch (error) {
      this.notice(error.message);
      return;
    }
    this.notice();
    const node = this.chat.add(parent, { role: "assistant", content: "", model: at("model").value });
    const live = { node, chat: this.chat, id: this.id, view: new Reply(), controller: new AbortController(), began: performance.now() };
    this.live = live;
    this.store(live.chat, live.id);
    this.draw();
    const clock = setInterval(() => this.paint(), 500);
    try {
      for await (const event of this.service.chat(body, live.controller.signal)) {
        take(node, event, live);
        this.paint();
      }
      node.remarks = missed(body, node);
    } catch (error) {
      node.ended = live.controller.signal.aborted ? "stopped" : "failed";
      if (node.ended === "failed") node.why = this.why(error);
      if (error.status === 401) this.notice(say("needs_key"));
    } finally {
      clearInterval(clock);
      clearTimeout(live.timer);
      thinkingTime(node, live);
      delete node.vote;
      this.live = null;
      this.store(live.chat, live.id);
      live.view.show(node, false);
      if (this.chat === live.chat) this.draw();
      else this.list();
      at("send").hidden = false;
      at("stop").hidden = true;
    }
  }

  stop() {
    this.live?.controller.abort();
  }

  async answerNow() {
    const live = this.live;
    if (!live?.identity || !thinks(live.node)) return;
    live.now.disabled = true;
    try {
      await this.service.endThinking(live.identity);
    } catch (error) {
      this.notice(say("failed", { why: this.why(error) }));
    }
  }

  // Soon, and not too often.
  paint() {
    const live = this.live;
    if (!live || live.timer) return;
    const wait = Math.max(0, Math.ceil((live.painted ?? 0) + 1000 / PAINTS - performance.now()));
    live.timer = setTimeout(() => {
      live.timer = 0;
      live.painted = performance.now();
      if (this.live !== live || this.chat !== live.chat) return;
      const log = at("log");
      const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
      thinkingTime(live.node, live);
      live.view.show(live.node, true);
      live.now.hidden = !thinks(live.node);
      if (follows) log.scrollTop = log.scrollHeight;
    }, wait);
  }
}

// What an event adds to a reply.
function take(node, event, live) {
  if (event.ignored) live.ignored = event.ignored;
  if (event.vote) node.vote = event.vote;
  const chunk = event.chunk;
  if (!chunk) return;
  live.identity = chunk.id;
  const choice = chunk.choices?.[0];
  const thought = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
  if (thought) {
    node.reasoning_content = (node.reasoning_content ?? "") + thought;
    node.thinking_tokens = (node.thinking_tokens ?? 0) + 1; // until the server counts, below
  }
  if (choice?.delta?.content) {
    if (!node.content) thinkingTime(node, live);
    node.content += choice.delta.content;
  }
  if (choice?.finish_reason) node.ended = choice.finish_reason;
  if (chunk.usage) {
    node.usage = chunk.usage;
    node.thinking_tokens = chunk.usage.completion_tokens_details?.reasoning_tokens ?? node.thinking_tokens;
  }
  if (chunk.ponder) node.ponder = chunk.ponder;
  if (live.ignored) node.ignored = live.ignored;
}

function thinks(node) {
  return Boolean(node.reasoning_content) && !node.content;
}

function thinkingTime(node, live) {
  if (thinks(node)) node.thinking_seconds = (performance.now() - live.began) / 1000;
}

// What was asked for and did not come.
function missed(body, node) {
  const found = [];
  if (node.ignored) found.push(say("ignored", { names: node.ignored }));
  if (body.ponder?.vote && !node.ponder?.vote) found.push(say("no_vote"));
  if (body.ponder?.check && !node.ponder?.check) found.push(say("no_check_came"));
  return found;
}

function checkOf(kind, text) {
  if (kind !== "expression" && text) return { kind, answer: text };
  const found = /^([\d\s,]+)=\s*(-?\d+)$/.exec(text);
  if (kind !== "expression" || !found) throw new Error(say("bad_gold", { text: text || "-" }));
  return { kind, numbers: found[1].match(/\d+/g).map(Number), target: Number(found[2]) };
}

const page = new Page();
