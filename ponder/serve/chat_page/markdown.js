// Markdown as models write it, built as DOM nodes: no HTML is ever parsed, so nothing in a text can run or load.
// Paragraphs, headings, lists, quotes, tables, rules, code, emphasis, links, maths. Links lead to http(s) only; an image
// is a link to it. Every step is linear in the text, and nesting ends at a depth, whatever a model writes.

const markdown = (() => {
  const DEEPEST = 8;
  const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
  const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
  const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
  const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
  const QUOTE = /^ {0,3}> ?/;
  const DELIMITERS = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
  const ENVIRONMENT = /^\\begin\{(equation|align|gather|multline|alignat|aligned|cases|[pbvB]?matrix)(\*?)\}/;
  const LINK = /!?\[([^[\]]{0,400})\]\(\s*<?([^\s()<>]{0,2000}(?:\([^\s()<>]{0,200}\)[^\s()<>]{0,2000})?)>?(?:\s+"[^"]{0,200}")?\s*\)/y;
  const ADDRESS = /https?:\/\/[^\s<>"'`]{1,2000}/y;
  const SPECIAL = /[\\`*_~[!$h]/g;
  const ESCAPED = /[!-/:-@[-`{-~]/;
  const WORD = /[\p{L}\p{N}]/u;

  function element(tag, ...children) {
    const made = document.createElement(tag);
    made.append(...children);
    return made;
  }

  // Maths. Temml writes some styles as attributes, which the page's policy forbids: they go through the style object.

  function restyle(node) {
    const style = node.attributes?.style;
    if (style) {
      for (const [name, value] of style.split(";").map((one) => one.split(":"))) {
        if (value) node.style[name.trim()] = value.trim();
      }
      delete node.attributes.style;
    }
    for (const child of node.children ?? []) restyle(child);
  }

  function maths(source, display) {
    try {
      const tree = temml.__renderToMathMLTree(source, { displayMode: display, throwOnError: true, trust: false });
      restyle(tree);
      return tree.toNode();
    } catch (error) {
      const shown = element("code", source);
      shown.className = "unread";
      shown.title = String(error.message ?? error).slice(0, 200);
      return shown;
    }
  }

  // Text within a block. `missing` remembers what no further delimiter was found for, so that no end is sought twice.

  function inline(text, depth = 0) {
    const made = document.createDocumentFragment();
    const missing = new Set();
    let plain = "";
    let at = 0;
    const flush = () => {
      if (plain) made.append(plain);
      plain = "";
    };
    const put = (node, end) => {
      flush();
      made.append(node);
      at = end;
    };
    const find = (mark, from) => {
      if (missing.has(mark)) return -1;
      const found = text.indexOf(mark, from);
      if (found < 0) missing.add(mark);
      return found;
    };
    while (at < text.length) {
      SPECIAL.lastIndex = at;
      const next = SPECIAL.exec(text)?.index ?? text.length;
      plain += text.slice(at, next);
      at = next;
      if (at === text.length) break;
      const taken =
        code(text, at, find, put) ||
        formula(text, at, find, put) ||
        link(text, at, depth, put) ||
        (depth < DEEPEST && emphasis(text, at, depth, find, put));
      if (taken) continue;
      if (text[at] === "\\" && text[at + 1] === "\n") put(element("br"), at + 2);
      else if (text[at] === "\\" && ESCAPED.test(text[at + 1] ?? "")) {
        plain += text[at + 1];
        at += 2;
      } else plain += text[at++];
    }
    flush();
    return made;
  }

  function run(text, at) {
    let end = at;
    while (text[end] === text[at]) end++;
    return text.slice(at, end);
  }

  function code(text, at, find, put) {
    if (text[at] !== "`") return false;
    const ticks = run(text, at);
    let end = find(ticks, at + ticks.length);
    while (end >= 0 && run(text, end).length !== ticks.length) end = find(ticks, end + run(text, end).length);
    if (end < 0) put(document.createTextNode(ticks), at + ticks.length);
    else put(element("code", text.slice(at + ticks.length, end).replace(/^ (.*\S.*) $/s, "$1")), end + ticks.length);
    return true;
  }

  function formula(text, at, find, put) {
    for (const [open, close, display] of [["$$", "$$", true], ["\\[", "\\]", true], ["\\(", "\\)", false], ["$", "$", false]]) {
      if (!text.startsWith(open, at)) continue;
      const from = at + open.length;
      const end = find(close, from);
      if (end < 0) continue;
      const source = text.slice(from, end);
      if (!source.trim() || source.includes("\n\n")) continue;
      // A price is no formula: "$5 and $6" has a blank before its second sign, "$5-$6" a digit after it.
      if (open === "$" && (/^\s|\s$/.test(source) || /\d/.test(text[end + 1] ?? "") || source.includes("\n"))) continue;
      put(maths(source, display), end + close.length);
      return true;
    }
    return false;
  }

  function anchor(address, children) {
    let url;
    try {
      url = new URL(address);
    } catch {
      return null;
    }
    if (url.protocol !== "http:" && url.protocol !== "https:") return null;
    const made = element("a", children);
    made.href = url.href;
    made.rel = "noopener noreferrer nofollow";
    made.target = "_blank";
    made.title = url.href;
    return made;
  }

  function link(text, at, depth, put) {
    if (text[at] === "[" || text.startsWith("![", at)) {
      LINK.lastIndex = at;
      const found = LINK.exec(text);
      const made = found && anchor(found[2], depth < DEEPEST ? unlinked(found[1], depth + 1) : found[1]);
      if (!made) return false;
      put(made, LINK.lastIndex);
      return true;
    }
    if (text[at] !== "h" || WORD.test(text[at - 1] ?? "")) return false;
    ADDRESS.lastIndex = at;
    const address = ADDRESS.exec(text)?.[0].replace(/[^\w/#=&%~-]+$|[\u3000-\u303f\uff00-\uffef].*$/u, "");
    const made = address && anchor(address, address);
    if (!made) return false;
    put(made, at + address.length);
    return true;
  }

  function unlinked(text, depth) {
    const made = inline(text, depth);
    for (const inner of made.querySelectorAll("a")) inner.replaceWith(...inner.childNodes);
    return made;
  }

  const EMPHASES = [["**", "strong"], ["__", "strong"], ["~~", "del"], ["*", "em"], ["_", "em"]];

  function emphasis(text, at, depth, find, put) {
    for (const [mark, tag] of EMPHASES) {
      if (!text.startsWith(mark, at)) continue;
      const from = at + mark.length;
      if (/\s/.test(text[from] ?? " ") || (mark[0] === "_" && WORD.test(text[at - 1] ?? ""))) continue;
      let end = find(mark, from);
      // the closing mark of `*a **b** c*` is not one of the double marks within
      while (mark.length === 1 && end >= 0 && run(text, end).length === 2) end = find(mark, end + 2);
      if (end <= from || /\s/.test(text[end - 1])) continue;
      if (mark.length === 2 && text[end + 2] === mark[0]) end++; // ***both***
      if (mark[0] === "_" && WORD.test(text[end + mark.length] ?? "")) continue;
      put(element(tag, inline(text.slice(from, end), depth + 1)), end + mark.length);
      return true;
    }
    if (!"*_~".includes(text[at])) return false;
    const marks = run(text, at);
    if (marks.length < 4) return false;
    put(document.createTextNode(marks), at + marks.length); // a line of stars is text, taken at once
    return true;
  }

  // Blocks: [{kind, start, end, ...}] over the whole text. Only the last one may change when more text comes.

  function lines(text) {
    const found = [];
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf("\n", at);
      const stop = end < 0 ? text.length : end;
      found.push({ text: text.slice(at, stop).replace(/\r$/, ""), start: at, end: end < 0 ? stop : stop + 1 });
      at = found.at(-1).end;
    }
    found.unclosed = new Map(); // the end of a formula -> the line before which there is none
    return found;
  }

  const textOf = (all, from, to) => all.slice(from, to).map((one) => one.text).join("\n");
  const blank = (line) => !line.text.trim();
  const begins = (line) =>
    FENCE.test(line.text) || HEADING.test(line.text) || RULE.test(line.text) || QUOTE.test(line.text) ||
    ITEM.test(line.text) || opening(line.text) !== null;

  function opening(text) {
    const trimmed = text.trimStart();
    if (trimmed.startsWith("$$")) return ["$$", "$$"];
    if (trimmed.startsWith("\\[")) return ["\\[", "\\]"];
    const found = ENVIRONMENT.exec(trimmed);
    return found && ["", `\\end{${found[1]}${found[2]}}`];
  }

  function blocks(text) {
    const all = lines(text);
    const found = [];
    let at = 0;
    while (at < all.length) {
      if (blank(all[at])) {
        at++;
        continue;
      }
      const [block, next] = blockAt(all, at);
      found.push({ ...block, start: all[at].start, end: all[next - 1].end });
      at = next;
    }
    return found;
  }

  function blockAt(all, at) {
    const line = all[at].text;
    let found;
    if ((found = FENCE.exec(line))) {
      const close = new RegExp(`^ {0,3}${found[1][0]}{${found[1].length},}\\s*$`);
      let end = at + 1;
      while (end < all.length && !close.test(all[end].text)) end++;
      const body = textOf(all, at + 1, end);
      return [{ kind: "code", body, language: found[2].trim() }, Math.min(end + 1, all.length)];
    }
    const display = formulaAt(all, at);
    if (display) return display;
    if ((found = HEADING.exec(line))) return [{ kind: "heading", level: found[1].length, body: found[2] }, at + 1];
    if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
    if (QUOTE.test(line)) {
      let end = at;
      while (end < all.length && QUOTE.test(all[end].text)) end++;
      return [{ kind: "quote", body: all.slice(at, end).map((one) => one.text.replace(QUOTE, "")).join("\n") }, end];
    }
    if (ITEM.test(line)) return listAt(all, at);
    if (line.includes("|") && at + 1 < all.length && DELIMITERS.test(all[at + 1].text) && all[at + 1].text.includes("-")) {
      const [head, rule] = [cells(line), cells(all[at + 1].text)];
      if (head.length === rule.length) {
        let end = at + 2;
        while (end < all.length && !blank(all[end]) && all[end].text.includes("|")) end++;
        const sides = rule.map((one) => (one.endsWith(":") ? (one.startsWith(":") ? "center" : "end") : "start"));
        return [{ kind: "table", head, sides, rows: all.slice(at + 2, end).map((one) => cells(one.text)) }, end];
      }
    }
    let end = at + 1;
    while (end < all.length && !blank(all[end]) && !begins(all[end])) end++;
    return [{ kind: "paragraph", body: textOf(all, at, end) }, end];
  }

  // A formula that is not closed before a blank line is text; one that may still be closed is shown as it stands.
  function formulaAt(all, at) {
    const found = opening(all[at].text);
    if (!found) return null;
    const [open, close] = found;
    const first = all[at].text.trimStart().slice(open.length);
    let end = at;
    if (!first.includes(close)) {
      if ((all.unclosed.get(close) ?? 0) > at) return null; // it has been sought from further up
      do {
        end++;
        if (end === all.length) return [{ kind: "unclosed", body: textOf(all, at, end) }, end];
        if (blank(all[end])) {
          all.unclosed.set(close, end);
          return null;
        }
      } while (!all[end].text.includes(close));
    }
    const body = end > at ? [first, textOf(all, at + 1, end + 1)].join("\n") : first;
    const stop = body.indexOf(close);
    if (body.slice(stop + close.length).trim()) return null; // text goes on behind it: a paragraph
    return [{ kind: "maths", body: open ? body.slice(0, stop) : body.slice(0, stop + close.length) }, end + 1];
  }

  function listAt(all, at) {
    const [, , mark] = ITEM.exec(all[at].text);
    const ordered = /\d/.test(mark);
    const items = [];
    let loose = false;
    let end = at;
    while (end < all.length) {
      const found = ITEM.exec(all[end].text);
      if (!found || /\d/.test(found[2]) !== ordered || RULE.test(all[end].text)) break;
      const width = found[0].trimEnd().length + 1;
      const body = [all[end].text.slice(found[0].length)];
      end++;
      while (end < all.length) {
        const text = all[end].text;
        if (blank(all[end])) {
          const after = all.slice(end, end + 3).find((one) => !blank(one));
          if (!after || (!/^ {2,}/.test(after.text) && !ITEM.test(after.text))) break;
          body.push("");
        } else if (/^( {2,}|\t)/.test(text)) body.push(text.startsWith("\t") ? text.slice(1) : text.slice(indent(text, width)));
        else if (ITEM.test(text) || begins(all[end]) || body.at(-1) === "") break;
        else body.push(text);
        end++;
      }
      const parted = body.at(-1) === "" && end < all.length && ITEM.test(all[end].text);
      loose ||= parted || body.join("\n").trimEnd().includes("\n\n");
      items.push(body.join("\n").trimEnd());
    }
    return [{ kind: "list", ordered, first: parseInt(mark, 10), loose, items }, end];
  }

  function indent(text, most) {
    let width = 0;
    while (width < most && text[width] === " ") width++;
    return width;
  }

  const CELL = /(?:\\\||`[^`]*`|[^|])*/y;

  function cells(line) {
    const text = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
    const found = [];
    for (let at = 0; at <= text.length; at = CELL.lastIndex + 1) {
      CELL.lastIndex = at;
      found.push(CELL.exec(text)[0].trim().replaceAll("\\|", "|"));
    }
    return found;
  }

  function draw(block, depth = 0) {
    switch (block.kind) {
      case "code": {
        const made = element("pre", element("code", block.body));
        if (block.language) made.dataset.language = block.language.slice(0, 20);
        made.tabIndex = 0;
        return made;
      }
      case "maths": {
        const made = element("div", maths(block.body, true));
        made.className = "formula";
        return made;
      }
      case "unclosed": {
        const made = element("p", block.body);
        made.className = "unclosed";
        return made;
      }
      case "heading":
        return element(`h${Math.min(6, block.level + 2)}`, inline(block.body));
      case "rule":
        return element("hr");
      case "quote":
        return element("blockquote", ...within(block.body, depth));
      case "list": {
        const made = element(block.ordered ? "ol" : "ul");
        if (block.ordered && block.first !== 1) made.start = block.first;
        for (const item of block.items) made.append(element("li", ...within(item, depth, !block.loose)));
        return made;
      }
      case "table": {
        const row = (tag, texts) =>
          element("tr", ...block.sides.map((side, index) => {
            const made = element(tag, inline(texts[index] ?? ""));
            made.className = side;
            return made;
          }));
        const made = element("table", element("thead", row("th", block.head)));
        made.append(element("tbody", ...block.rows.map((texts) => row("td", texts))));
        const frame = element("div", made);
        frame.className = "wide";
        return frame;
      }
      default:
        return element("p", inline(block.body));
    }
  }

  // What stands in a quote or an item; `tight` items hold text rather than paragraphs.
  function within(text, depth, tight = false) {
    if (depth >= DEEPEST) return [text];
    return blocks(text).map((block) =>
      tight && block.kind === "paragraph" ? inline(block.body) : draw(block, depth + 1));
  }

  // A text that grows: blocks that are whole are drawn once, the last one anew each time.
  class Growing {
    constructor(parent) {
      this.parent = parent;
      this.settled = 0;
      this.last = [];
    }

    show(text) {
      for (const node of this.last) node.remove();
      const found = blocks(text.slice(this.settled));
      this.last = found.slice(-1).map((block) => draw(block));
      this.parent.append(...found.slice(0, -1).map((block) => draw(block)), ...this.last);
      if (found.length) this.settled += found.at(-1).start;
    }
  }

  return { blocks, draw, Growing };
})();
