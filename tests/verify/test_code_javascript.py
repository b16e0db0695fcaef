"""JavaScript: what programs read, and what passes between a program and its tests."""

import os
from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.javascript import NODE
from ponder.verify import code
from ponder.verify.code import verify_code
from ponder.verify.pool import VerifierPool

pytestmark = [
    pytest.mark.skipif(not find_isolation().full, reason="other languages need namespaces"),
    pytest.mark.skipif(not os.path.exists(NODE), reason="no node"),
]


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


SUM = CodeGold(form="stdio", program_language="javascript", tests=("2\n3 4\n",), outputs=("7\n",))
READS = {
    "by path": "const said = require('fs').readFileSync('/dev/stdin', 'utf8');",
    "by path, bytes": "const said = require('node:fs').readFileSync('/dev/stdin').toString();",
    "by name": "const {readFileSync} = require('fs'); const said = readFileSync('/dev/stdin', {encoding: 'utf8'});",
    "opened": "const fs = require('fs'), b = Buffer.alloc(99); "
        "const said = b.subarray(0, fs.readSync(fs.openSync('/dev/stdin', 'r'), b)).toString();",
    "by number": "const said = require('fs').readFileSync(0, 'utf8');",
}  # fmt: skip
LATER = {
    "a stream": "let s = ''; require('fs').createReadStream('/dev/stdin').on('data', c => s += c)"
        ".on('end', () => done(s));",
    "a callback": "require('fs').readFile('/dev/stdin', 'utf8', (e, s) => done(s));",
    "a promise": "require('fs/promises').readFile('/dev/stdin', 'utf8').then(done);",
    "lines": "const all = []; require('readline').createInterface({input: process.stdin})"
        ".on('line', l => all.push(l)).on('close', () => done(all.join('\\n')));",
}  # fmt: skip
ADD = "const done = s => console.log(s.trim().split('\\n')[1].split(' ').map(Number).reduce((a, b) => a + b));\n"


@pytest.mark.parametrize("program", [*(f"{ADD}{read}\ndone(said);" for read in READS.values()),
                                     *(ADD + read for read in LATER.values())])  # fmt: skip
def test_scripts_read_as_they_like(program: str) -> None:
    assert verify_code(program, SUM).outcome == "right", verify_code(program, SUM)
    assert verify_code(program.replace("a + b", "a - b"), SUM).outcome == "wrong"


def test_a_worker_of_little_memory_runs_node() -> None:
    with VerifierPool(workers=1) as pool:
        assert pool.submit(f"{ADD}{READS['by path']}\ndone(said);", SUM).result().outcome == "right"


# name: (checks, a right program, a wrong one, what the right one gets)
TESTS = {
    "a class of errors": (
        "assert.throws(() => f(null), TypeError); assert.throws(() => f(null), {name: 'TypeError'});",
        "function f(x) { return x.length; }",
        "function f(x) { if (x === null) throw new RangeError('x'); return x.length; }", "right"),
    "a message": (
        "assert.throws(() => f(-1), /^Error: below: -1$/); assert.throws(() => f(-1), {message: 'below: -1'});",
        "function f(x) { if (x < 0) throw new Error('below: ' + x); }",
        "function f(x) { if (x < 0) throw new Error('no: ' + x); }", "right"),
    "an error of its own": (
        "assert.throws(() => f(), {name: 'Empty', message: 'none'}); assert.throws(() => f(), Error);",
        "class Empty extends Error { constructor(m) { super(m); this.name = 'Empty'; } }\n"
        "function f() { throw new Empty('none'); }",
        "function f() { throw new Error('none'); }", "right"),
    "what is no error": (
        "try { f(); assert.fail('no'); } catch (e) { assert.strictEqual(e, 7); }",
        "function f() { throw 7; }", "function f() { throw 8; }", "right"),
    "a changed argument": (
        "const a = [3, 1], m = new Map([['a', [1]]]); f(a, m); assert.deepEqual(a, [1, 3]); "
        "assert.deepEqual(m.get('a'), [1, 2]);",
        "function f(a, m) { a.sort(); m.get('a').push(2); }", "function f(a, m) { a = [1, 3]; }", "right"),
    "the same argument": (
        "const a = [1]; assert.strictEqual(f(a), a);",
        "function f(a) { return a; }", "function f(a) { return [...a]; }", "right"),
    "a function handed over": (
        "assert.deepEqual(f([1, 2, 3], x => x % 2), [1, 3]); const seen = []; f([1, 2], x => seen.push(x)); "
        "assert.deepEqual(seen, [1, 2]);",
        "const f = (xs, p) => xs.filter(x => p(x));", "const f = (xs, p) => xs.filter(x => !p(x));", "right"),
    "a function that throws": (
        "assert.throws(() => f(() => { throw new RangeError('mine'); }), RangeError); assert.equal(f(() => 1), 1);",
        "const f = g => g();", "const f = g => { try { return g(); } catch { return 1; } };", "right"),
    "a date": (
        "assert.deepStrictEqual(f(0), new Date(0));",
        "const f = t => new Date(t);", "const f = t => new Date(t + 1);", "right"),
    "a class": (
        "const s = new f(); s.push(1); assert.equal(s.size, 1);",
        "class f { constructor() { this.a = []; } push(x) { this.a.push(x); } get size() { return this.a.length; } }",
        None, "cannot_tell"),
    "checks that the program may leave out": (
        "f([1], x => assert.equal(x, 2));",
        "const f = (xs, g) => xs.map(x => g(x + 1));", "const f = () => 1;", "cannot_tell"),
    "a failed check that the program passes over": (
        "f(1, x => assert.equal(x, 2)); assert.equal(f(1, () => 0), 0);",
        "const f = (x, g) => g(x + 1) || 0;",
        "const f = (x, g) => { try { return g(x); } catch { return 0; } };", "right"),
    "a test file that does not compile": (
        "assert.equal(f(1), 1;", "const f = x => x;", "const f = x => 2;", "cannot_tell"),
}  # fmt: skip


@pytest.mark.parametrize("name", TESTS)
def test_what_passes_between_them(name: str) -> None:
    checks, right, wrong, outcome = TESTS[name]
    tests = f"const assert = require('node:assert');\nfunction test() {{\n  {checks}\n}}\ntest();"
    gold = CodeGold(form="appended", program_language="javascript", entry_point="f", tests=(tests,))
    verdict = verify_code(right, gold)
    assert verdict.outcome == outcome, verdict
    assert wrong is None or verify_code(wrong, gold).outcome != "right", verify_code(wrong, gold)
