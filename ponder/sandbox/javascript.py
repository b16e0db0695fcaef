"""JavaScript: the program in one process of node, its tests in another that calls it through the same kind of channel.

    tests (job 3, verdict 4, channel 5) -- {"name", "args"} --> program (source 3, channel 4)
                                        <-- {"value"} | {"error"} | {"odd": what is no plain value} --

    (tests) <-- {"call", "args"} -- a function of the tests; it gives back {"value"} | {"error"}

Values are JSON with tags for what JSON lacks: undefined, NaN, infinities, big integers, maps and sets; functions of the
tests are numbers. Arguments that the program changes are changed for the tests, errors are of the built-in class that
they are of. The program never learns what is expected, and the tests' `assert` is out of its reach. The verdict is in
the form of `judge`.
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
  if (v instanceof Date) return {d: v.getTime()};
  if (v instanceof Set) return {s: [...v].map(encode)};
  if (v instanceof Map) return {m: [...v].map(e => e.map(encode))};
  const kind = typeof v === 'object' ? Object.getPrototypeOf(v) : undefined;
  if (kind === null || kind === Object.prototype) return {o: Object.entries(v).map(([k, w]) => [k, encode(w)])};
  if (typeof v === 'function' && lend) return {f: lend(v)};
  throw new Odd(typeof v === 'object' ? 'an object of a class' : 'a ' + typeof v);
}
let lend = null, lent = null;
function decode(v) {
  if (v === null || typeof v !== 'object') return v;
  if (Array.isArray(v)) return v.map(decode);
  if ('u' in v) return undefined;
  if ('n' in v) return Number(v.n);
  if ('b' in v) return BigInt(v.b);
  if ('d' in v) return new Date(v.d === null ? NaN : v.d);
  if ('f' in v) return lent(v.f);
  if ('s' in v) return new Set(v.s.map(decode));
  if ('m' in v) return new Map(v.m.map(e => e.map(decode)));
  const made = {};
  const plain = {writable: true, enumerable: true, configurable: true};
  for (const [k, w] of v.o) Object.defineProperty(made, k, {value: decode(w), ...plain});
  return made;
}
const kinds = {TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError};
function described(e) {
  if (!(e instanceof Error)) { try { return {thrown: encode(e)}; } catch { return {thrown: 'what is no error'}; } }
  const kind = Object.keys(kinds).find(k => e instanceof kinds[k]) || 'Error';
  return {kind, name: String(e.name).slice(0, 100), message: String(e.message).slice(0, 10000)};
}
function remade(told) {
  if ('thrown' in told) return decode(told.thrown);
  const e = new (kinds[told.kind] || Error)(told.message);
  if (e.name !== told.name) Object.defineProperty(e, 'name', {value: told.name, configurable: true, writable: true});
  return e;
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
_INPUT = """
const fs = require('fs'), paths = new Set(['/dev/stdin', '/proc/self/fd/0', 'file:///dev/stdin']);
const own = path => paths.has(String(path));
for (const name of ['readFileSync', 'readFile']) {
  const real = fs[name];
  fs[name] = (path, ...rest) => real(own(path) ? 0 : path, ...rest);
}
const {openSync, open, createReadStream, existsSync} = fs, {readFile} = fs.promises;
fs.openSync = (path, ...rest) => own(path) ? 0 : openSync(path, ...rest);
fs.open = (path, ...rest) => own(path) ? process.nextTick(rest.pop(), null, 0) : open(path, ...rest);
fs.createReadStream = (path, options) => own(path)
  ? createReadStream(null, {...typeof options === 'string' ? {encoding: options} : options, fd: 0})
  : createReadStream(path, options);
fs.existsSync = path => own(path) || existsSync(path);
fs.promises.readFile = async (path, ...rest) => own(path) ? fs.readFileSync(0, ...rest) : readFile(path, ...rest);
"""
"""What knows standard input by its path, without the /proc that it leads to."""
_PROGRAM = (
    _COMMON
    + """
globalThis.require = require; globalThis.module = {exports: {}}; globalThis.exports = globalThis.module.exports;
const source = fs.readFileSync(3, 'utf8');
try { vm.runInThisContext(source, {filename: 'program.js'}); send(4, {ready: 1}); }
catch (e) { send(4, {error: String(e).slice(0, 300)}); process.exit(0); }
const known = new Map();
lent = number => {
  if (!known.has(number)) known.set(number, (...args) => {
    send(4, {call: number, args: args.map(encode)});
    const told = settle();
    if ('error' in told) throw remade(told.error);
    return decode(told.value);
  });
  return known.get(number);
};
lend = f => {
  for (const [number, g] of known) if (f === g) return number;
  throw new Odd('a function');
};
function settle() {
  for (let text; (text = line(4)) !== null;) {
    const told = JSON.parse(text);
    if (!('name' in told)) return told;
    send(4, answered(told));
  }
  process.exit(0);
}
function answered({name, args}) {
  try {
    const f = vm.runInThisContext(name);
    if (typeof f === 'function' && /^class\\b/.test(Function.prototype.toString.call(f))) throw new Odd('a class');
    const given = args.map(decode), before = args.map(a => JSON.stringify(a));
    const value = f(...given);
    const same = typeof value === 'object' && value !== null ? given.indexOf(value) : -1;
    const after = given.map(encode);
    const changed = after.map((a, i) => [i, a]).filter(([i, a]) => JSON.stringify(a) !== before[i]);
    return same >= 0 ? {same, changed} : {value: encode(value), changed};
  } catch (e) { return e instanceof Odd ? {odd: e.message} : {error: described(e)}; }
}
settle();
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
let used = 0, checks = 0, calling = 0;
const first = hear();
if (!first.ready) { say('gone', false, 'the program failed: ' + first.error); process.exit(0); }
function give(form) {
  const end = why => { say('failed', false, why); process.exit(0); };
  try { return form(); } catch (e) { end('the tests cannot be run: they hand over ' + e.message); }
}
const functions = [];
lend = f => {
  if (f === ask) throw new Odd('the function under test');
  const number = functions.indexOf(f);
  return number >= 0 ? number : functions.push(f) - 1;
};
lent = number => {
  if (!Number.isInteger(number) || !(number in functions)) throw new Error('no such function');
  return functions[number];
};
function called({call, args}) {
  calling += 1;
  let told, error = null;
  try { const value = lent(call)(...args.map(decode)); told = () => ({value: encode(value)}); }
  catch (e) { error = e; told = () => ({error: described(e)}); }
  calling -= 1;
  send(5, give(told));
  return error;
}
function ask(...args) {
  if (new.target) give(() => { throw new Odd('new to the program'); });
  used += 1;
  send(5, give(() => ({name: job.entry, args: args.map(encode)})));
  let failed = null, answer;
  while ('call' in (answer = hear())) failed = called(answer) || failed;
  if ('odd' in answer) { say('failed', false, 'the program hands over ' + answer.odd); process.exit(0); }
  if (failed instanceof assert.AssertionError && !('error' in answer))
    say('unsure', true, 'the program passed over what a function of the tests raised');
  let value;
  try {
    for (const [i, after] of answer.changed || []) update(args[i], decode(after));
    if ('error' in answer) value = remade(answer.error);
    else value = Number.isInteger(answer.same) ? args[answer.same] : decode(answer.value);
  } catch (e) { say('gone', false, 'malformed answer'); process.exit(0); }
  if ('error' in answer) throw value;
  return value;
}
function update(mine, after) {
  const renewed = (old, now) => typeof old === 'object' && old && typeof now === 'object' && now
    && Object.getPrototypeOf(old) === Object.getPrototypeOf(now) ? (update(old, now), old) : now;
  if (Array.isArray(mine)) { const kept = mine.splice(0); after.forEach((v, i) => mine.push(renewed(kept[i], v))); }
  else if (mine instanceof Set) { mine.clear(); after.forEach(v => mine.add(v)); }
  else if (mine instanceof Map) {
    const kept = new Map(mine);
    mine.clear(); after.forEach((v, k) => mine.set(k, renewed(kept.get(k), v)));
  } else {
    for (const k of Object.keys(mine)) if (!Object.hasOwn(after, k)) delete mine[k];
    for (const k of Object.keys(after)) mine[k] = Object.hasOwn(mine, k) ? renewed(mine[k], after[k]) : after[k];
  }
}
const assert = require('assert');
const counted = f => typeof f !== 'function' ? f : (...a) => {
  const result = f.apply(assert, a);
  if (used && !calling) checks += 1;
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
let tests;
try { tests = new vm.Script(job.tests, {filename: 'tests.js'}); }
catch (e) { say('failed', false, 'the tests do not compile: ' + e.message); process.exit(0); }
try { tests.runInThisContext(); } catch (e) { fail(e); }
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
    with open("input.js", "w") as first:
        first.write(_INPUT)
    _become("--require", "/tmp/input.js", "program.js")
    return 1


run_node_program = _role(_PROGRAM)
run_node_tests = _role(_TESTS)
