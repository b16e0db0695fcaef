// A conversation: a tree of messages, of which one path is shown. Editing and regenerating grow branches; nothing said is
// lost. Its JSON is what `ponder chat` saves and loads, too:
//   {"form": "ponder-chat-1", "title": "...", "system": "...", "leaf": 2, "nodes": [{"id": 1, "parent": 0, "role": "user", ...}]}

class Conversation {
  constructor(json) {
    this.form = "ponder-chat-1";
    this.title = json?.title ?? "";
    this.system = json?.system ?? "";
    this.nodes = json?.nodes ?? [];
    this.leaf = json?.leaf ?? 0;
  }

  // What a file says, or an Error with why it is no conversation.
  static read(text) {
    const json = JSON.parse(text);
    const fail = (why) => {
      throw new Error(why);
    };
    if (json?.form !== "ponder-chat-1" || !Array.isArray(json.nodes)) fail("form");
    const known = new Set([0]);
    for (const node of json.nodes) {
      if (!Number.isInteger(node?.id) || node.id < 1 || known.has(node.id) || !known.has(node.parent)) fail("id");
      if (!["user", "assistant"].includes(node.role) || typeof node.content !== "string") fail("role");
      if (typeof (node.reasoning_content ?? "") !== "string" || typeof (node.usage ?? {}) !== "object") fail("reply");
      const { cost, samples } = node.ponder ?? {};
      if ((cost && typeof cost.amount !== "number") || !Array.isArray(samples ?? [])) fail("ponder");
      known.add(node.id);
    }
    if (!known.has(json.leaf)) fail("leaf");
    return new Conversation(json);
  }

  add(parent, message) {
    const id = 1 + this.nodes.reduce((most, node) => Math.max(most, node.id), 0);
    const node = { id, parent, ...message };
    this.nodes.push(node);
    this.leaf = id;
    return node;
  }

  node(id) {
    return this.nodes.find((one) => one.id === id);
  }

  siblings(node) {
    return this.nodes.filter((one) => one.parent === node.parent);
  }

  // From the first message to `leaf`.
  path(leaf = this.leaf) {
    const byId = new Map(this.nodes.map((one) => [one.id, one]));
    const found = [];
    for (let node = byId.get(leaf); node; node = byId.get(node.parent)) found.unshift(node);
    return found;
  }

  // Show the branch of a node: down to the newest message below it.
  show(node) {
    const below = new Set([node.id]);
    for (const one of this.nodes) if (below.has(one.parent)) below.add(one.id);
    this.leaf = Math.max(...below);
  }

  // What is sent. Thinking is left out, as R1's chat does.
  messages(leaf = this.leaf) {
    const said = this.path(leaf).map(({ role, content }) => ({ role, content }));
    return this.system ? [{ role: "system", content: this.system }, ...said] : said;
  }
}
