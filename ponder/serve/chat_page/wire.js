// The service over HTTP: a stream of events read piece by piece, errors as texts.

class Refused extends Error {}

// Server-sent events of a body: {data} and {comment}. One decoder for the whole stream: a character may straddle pieces.
async function* eventsOf(body) {
  const decoder = new TextDecoder("utf-8");
  const reader = body.getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? decoder.decode() + "\n\n" : decoder.decode(value, { stream: true });
      const held = !done && rest.endsWith("\r") ? 1 : 0; // half of a line end, perhaps
      const lines = rest.slice(0, rest.length - held).split(/\r\n|\r|\n/);
      rest = lines.pop() + (held ? "\r" : "");
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        else if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
        else if (!line && data.length) {
          yield { data: data.join("\n") };
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// `: vote 12/64 {"42": 9, "41": 3}`
function voteOf(comment) {
  const found = /^vote (\d+)\/(\d+)(?: (\{.*\}))?$/.exec(comment);
  return found && { done: +found[1], of: +found[2], counts: found[3] ? JSON.parse(found[3]) : {} };
}

class Service {
  constructor(keyOf) {
    this.keyOf = keyOf;
  }

  // Paths are relative: the page may stand below a folder of another server.
  async call(path, options = {}) {
    const headers = { "content-type": "application/json" };
    if (this.keyOf()) headers.authorization = `Bearer ${this.keyOf()}`;
    const reply = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    if (reply.ok) return reply;
    const text = await reply.text();
    let said = text.slice(0, 300);
    try {
      said = JSON.parse(text).error.message;
    } catch {
      // no body of ours, such as a proxy's page: its text is said
    }
    const error = new Refused(said || `HTTP ${reply.status}`);
    error.status = reply.status;
    throw error;
  }

  async models() {
    return (await (await this.call("v1/models")).json()).data;
  }

  async endThinking(id) {
    await this.call("v1/chat/completions/control", {
      method: "POST",
      body: JSON.stringify({ id, action: "reasoning_end" }),
    });
  }

  // Yields {ignored}, {chunk} and {vote}; Refused for an error, also in the middle of a stream.
  async *chat(body, signal) {
    const reply = await this.call("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
    const ignored = reply.headers.get("x-ponder-ignored");
    if (ignored) yield { ignored };
    for await (const event of eventsOf(reply.body)) {
      if (event.comment !== undefined) {
        const vote = voteOf(event.comment);
        if (vote) yield { vote };
      } else if (event.data === "[DONE]") return;
      else {
        const chunk = JSON.parse(event.data);
        if (chunk.error) throw new Refused(chunk.error.message);
        yield { chunk };
      }
    }
    throw new Refused("cut");
  }
}
