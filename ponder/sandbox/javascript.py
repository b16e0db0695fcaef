"""JavaScript: the program in one process of node, its tests in another that calls it through the same kind of channel.

    tests (job 3, verdict 4, channel 5) -- {"name", "args"} --> program (source 3, channel 4)
                                        <-- {"value"} | {"error"} | {"odd": what is no plain value} --

Values are JSON with tags for what JSON lacks: undefined, NaN, infinities, big integers, maps and sets. The program
never learns what is expected, and the tests' `assert` is out of its reach. The verdict is in the form of `judge`.
"""

import os
from collections.abc import Callable

__all__ = ["NODE", "run_node_program", "run_node_script", "run_node_tests"]

_PLACES = ("/usr/bin/node", "/usr/local/bin/node")
NODE = next(filter(os.path.exists, _PLACES), _PLACES[0])
"""Where programs can see it."""
_SETTINGS = ("--max-old-space-size=256", "--stack-size=4000", "--v8-pool-size=1", "--single-threaded")
_COMMON = """
const fs = require('fs'), vm = require('vm');
class Odd extends Error {}
function encode(v) {
  if (v === undefined) return {u: 1};
  if (v === null || typeof v === 'boolean' || typeof v === 'string') return v;
  if (Object.is(v, -0)) return {n: '-0'};
  if (typeof v === 'number') return Number.isFinite(v) ? v : {n: String(v)};
  if (typeof v === 'bigint') return {b: String(v)};
  if (Array.isArray(v)) return Array.from(v, encode);
  if (v instanceof Set) return {s: [...v].map(encode)};
  if (v instanceof Map) return {m: [...v].map(e => e.map(encode))};
  const kind = typeof v === 'object' ? Object.getPrototypeOf(v) : undefined;
  if (kind === null || kind === Object.prototype) return {o: Object.entries(v).map(([k, w]) => [k, encode(w)])};
  throw new Odd(typeof v === 'object' ? 'an object of a class' : 'a ' + typeof v);
}
function decode(v) {
  if (v === null || typeof v !== 'object') return v;
  if (Array.isArray(v)) return v.map(decode);
  if ('u' in v) return undefined;
  if ('n' in v) return Number(v.n);
  if ('b' in v) return BigInt(v.b);
  if ('s' in v) return new Set(v.s.map(decode));
  if ('m' in v) return new Map(v.m.map(e => e.map(decode)));
  const made = {};
  const plain = {writable: true, enumerable: true, configurable: true};
  for (const [k, w] of v.o) Object.defineProperty(made, k, {value: decode(w), ...plain});
  return made;
}
let rest = Buffer.alloc(0);
function line(fd) {
  for (;;) {
    const end = rest.indexOf(10);
    if (end >= 0) { const text = rest.subarray(0, end).toString(); rest = rest.subarray(end + 1); return text; }
    if (rest.length > 64 << 20) process.exit(9);
    const chunk = Buffer.alloc(65536), size = fs.readSync(fd, chunk);
    if (size === 0) return null;
    rest = Buffer.concat([rest, chunk.subarray(0, size)]);
  }
}
function send(fd, value) {
  let data = Buffer.from(JSON.stringify(value) + '\\n');
  while (data.length) data = data.subarray(fs.writeSync(fd, data));
}
"""
_PROGRAM = (
    _COMMON
    + """
globalThis.require = require; globalThis.module = {exports: {}}; globalThis.exports = globalThis.module.exports;
const source = fs.readFileSync(3, 'utf8');
try { vm.runInThisContext(source, {filename: 'program.js'}); send(4, {ready: 1}); }
catch (e) { send(4, {error: String(e).slice(0, 300)}); process.exit(0); }
for (let text; (text = line(4)) !== null;) {
  let answer;
  try {
    const {name, args} = JSON.parse(text);
    const f = vm.runInThisContext(name);
    answer = {value: encode(f(...args.map(decode)))};
  } catch (e) { answer = e instanceof Odd ? {odd: e.message} : {error: String(e).slice(0, 300)}; }
  send(4, answer);
}
"""
)
_TESTS = (
    _COMMON
    + """
const job = JSON.parse(fs.readFileSync(3, 'utf8'));
const say = (what, value, note) => send(4, [job.secret, what, value, String(note || '').slice(0, 300)]);
function hear() {
  const text = line(5);
  if (text === null) { say('gone', false, 'the program ended before its tests were done'); process.exit(0); }
  try { return JSON.parse(text); } catch (e) { say('gone', false, 'malformed answer'); process.exit(0); }
}
let used = 0, checks = 0;
const first = hear();
if (!first.ready) { say('gone', false, 'the program failed: ' + first.error); process.exit(0); }
function ask(...args) {
  used += 1;
  let request;
  try { request = {name: job.entry, args: args.map(encode)}; }
  catch (e) { say('failed', false, 'the tests cannot be run: they hand over ' + e.message); process.exit(0); }
  send(5, request);
  const answer = hear();
  if ('odd' in answer) { say('failed', false, 'the program hands over ' + answer.odd); process.exit(0); }
  if ('error' in answer) throw new Error(answer.error);
  try { return decode(answer.value); } catch (e) { say('gone', false, 'malformed answer'); process.exit(0); }
}
const assert = require('assert');
const counted = f => typeof f !== 'function' ? f : (...a) => {
  const result = f.apply(assert, a);
  if (used) checks += 1;
  return result;
};
const members = Object.entries(assert).map(([k, f]) => [k, counted(f)]);
const checked = Object.assign(counted(assert), Object.fromEntries(members));
checked.strict = checked;
globalThis.require = name => ['assert', 'node:assert', 'assert/strict'].includes(name) ? checked : require(name);
globalThis[job.entry] = ask;
say('total', 1);
let ended = false;
process.on('exit', () => {
  if (!ended) return;
  if (!failed) say(0, true);
  say('done', checks);
});
let failed = false;
const fail = e => { if (!failed) { failed = true; say(0, false, String(e && e.message || e).split('\\n')[0]); } };
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
try { vm.runInThisContext(job.tests, {filename: 'tests.js'}); } catch (e) { fail(e); }
ended = true;
"""
)


def _become(*arguments: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "UV_THREADPOOL_SIZE": "1"}
    os.execve(NODE, ["node", *_SETTINGS, *arguments], environment)


def _role(code: str) -> Callable[[], int]:
    def become() -> int:
        _become("-e", f"(() => {{{code}}})();")  # none of its names are seen by what it runs
        return 1

    return become


def run_node_script() -> int:
    """Role: run the program (3) as a script."""
    with open(3, "rb") as stream, open("program.js", "wb") as copied:
        copied.write(stream.read())
    _become("program.js")
    return 1


run_node_program = _role(_PROGRAM)
run_node_tests = _role(_TESTS)
