"""C++: a program decides nothing, whatever it says `==` is; plain values of all kinds are compared."""

import shutil
from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.verify import code
from ponder.verify.code import verify_code
from ponder.verify.compared import compared, why_not_trusted

cpp = pytest.mark.skipif(
    shutil.which("g++") is None or not find_isolation().full, reason="no C++ compiler, or no namespaces"
)


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


REWRITTEN = [
    ("assert(candidate(1) == (2));", "assert(n::equal((candidate(1)), ((2))));", True),
    ("assert((candidate(1) != 2));", "assert(!n::equal((candidate(1)), (2)));", True),
    ('assert(candidate("a == b") == "(");', 'assert(n::equal((candidate("a == b")), ("(")));', True),
    ("assert(candidate((std::vector<int>({1}))) == (std::vector<int>({2, 3})));",
     "assert(n::equal((candidate((std::vector<int>({1})))), ((std::vector<int>({2, 3})))));", True),
    ("assert(fabs(candidate(1) - 2) < 1e-6);", "assert(fabs(candidate(1) - 2) < 1e-6);", True),
    ("assert(candidate(1) == 2 && candidate(2) == 3);", "assert(candidate(1) == 2 && candidate(2) == 3);", False),
    ("assert(candidate(1) <= 2);", "assert(candidate(1) <= 2);", True),
    ("auto candidate = f;\nassert(candidate(1));", "auto candidate = n::watch(f);\nassert(candidate(1));", True),
]  # fmt: skip


@pytest.mark.parametrize(("tests", "wanted", "whole"), REWRITTEN)
def test_comparisons_are_taken_over(tests: str, wanted: str, whole: bool) -> None:
    assert compared(tests, "n") == (wanted, whole)


@pytest.mark.parametrize(("program", "trusted"), [
    ("using namespace std;\nint f(int x) { return x; }", True),
    ("#define MAX 5\nint f(int x) { return x; }", True),
    ("struct P { int a; bool operator<(const P& o) const { return a < o.a; } };", True),
    ("namespace std { bool operator==(int, string) { return true; } }", False),
    ("name\\\nspace   std{}", False),
    ("namespace/**/std {}", False),
    ("template<> struct std::equal_to<int> {};", False),
    ("#define JOIN(a, b) a ## b", False),
    ('extern "C" int memcmp() { return 0; }', False),
    ("#define LIMIT 5", False),
    ("__attribute__((constructor)) void g() {}", False),
    ("[[gnu::constructor]] void g() {}", False),
    ("[[using gnu : constructor]] void g() {}", False),
    ("struct gnu { int constructor; };", True),
])  # fmt: skip
def test_what_could_change_the_tests_is_not_trusted(program: str, trusted: bool) -> None:
    assert (why_not_trusted(program, "assert(f(1) == LIMIT);", all_compared=True) is None) == trusted


def gold(checks: str, head: str = "long f(long x) {\n") -> CodeGold:
    tests = f"}}\nint main() {{\n    auto candidate = f;\n    {checks}\n}}\n"
    prefix = f"#include<bits/stdc++.h>\n{head}"
    return CodeGold(form="appended", program_language="cpp", entry_point="f", prefix=prefix, tests=(tests,))


KINDS = """
std::vector<std::string> words() { return {"a", "b"}; }
std::vector<std::vector<long>> rows() { return {{1}, {2, 3}}; }
std::vector<bool> bits() { return {true, false}; }
std::map<std::string, long> counts() { return {{"a", 1}}; }
std::unordered_map<long, std::string> named() { return {{1, "a"}, {2, "b"}}; }
std::tuple<long, std::string, float> mixed() { return {1, "a", 0.5f}; }
std::pair<long, long> both() { return {1, 2}; }
std::optional<long> maybe(bool there) { return there ? std::optional<long>(3) : std::nullopt; }
std::set<char> letters() { return {'b', 'a'}; }
"""
CHECKS = (
    "assert(words() == (std::vector<std::string>({(std::string)\"a\", (std::string)\"b\"})));"
    "assert(rows() == (std::vector<std::vector<long>>({{1}, {2, 3}})));"
    "assert(bits() == (std::vector<bool>({true, false})));"
    "assert(counts() == (std::map<std::string, long>({{\"a\", 1}})));"
    "assert(named() == (std::unordered_map<long, std::string>({{2, \"b\"}, {1, \"a\"}})));"
    "assert(mixed() == (std::make_tuple(1, \"a\", 0.5f)));"
    "assert(both() == std::make_pair(1, 2)); assert(maybe(true) == 3); assert(maybe(false) == std::nullopt);"
    "assert(letters() == (std::set<char>({'a', 'b'}))); assert(words()[0] == \"a\"); assert(words() != words2());"
    "assert(candidate(1) == 2); assert(2 == candidate(1)); assert(std::abs(candidate(1) - 2.0) < 1e-6);"
)  # fmt: skip
OTHER = 'std::vector<std::string> words2() { return {"b", "a"}; }\nlong f(long x) { return x + 1; }'


@cpp
def test_values_of_all_kinds() -> None:
    assert verify_code(KINDS + OTHER, gold(CHECKS)).outcome == "right", verify_code(KINDS + OTHER, gold(CHECKS))


LIST = gold(
    "assert(candidate(std::vector<long>({1, 2})) == (std::vector<long>({2, 4})));",
    "std::vector<long> f(std::vector<long> v) {\n",
)
SIGNATURE = "std::vector<long> f(std::vector<long> v) { return {}; }"
LIES = {
    "a class of its own": "struct Z { bool operator==(const std::vector<long>&) const { return true; } };\n"
        "Z f(std::vector<long> v) { return {}; }",
    "a class that extends": "struct Z : std::vector<long> { bool operator==(const std::vector<long>&) const "
        "{ return true; } };\nZ f(std::vector<long> v) { return {}; }",
    "an operator": "bool operator==(const std::vector<long>&, const std::vector<long>&) { return true; }\n" + SIGNATURE,
    "an operator for anything": "template <class A, class B> bool operator==(const A&, const B&) { return true; }\n"
        "bool f(std::vector<long> v) { return true; }",
    "a macro": "std::vector<long> g(std::vector<long> v) { return {2, 4}; }\n#define f g\n",
    "a generic function": "auto f = [](auto) { struct Z { bool operator==(const std::vector<long>&) const "
        "{ return true; } }; return Z{}; };",
}  # fmt: skip


@cpp
@pytest.mark.parametrize("name", LIES)
def test_no_equality_of_the_program_is_believed(name: str) -> None:
    assert verify_code("#include <bits/stdc++.h>\n" + LIES[name], LIST).outcome != "right"


TAKING = "#include <bits/stdc++.h>\n#include <unistd.h>\n#include <fcntl.h>\n"
SAID = " char s[64] = {0}; size_t n = read(fd, s, 63); s[n] = 0; fputs(s, stdout); fflush(stdout); _Exit(0); "
THEFTS = {
    "rewinds its input": "long f(long x) { rewind(stdin); char s[64] = {0}; size_t n = fread(s, 1, 63, stdin);"
        " fwrite(s, 1, n, stdout); fflush(stdout); _Exit(0); }",
    "moves back": "long f(long x) { lseek(0, 0, SEEK_SET); int fd = 0;" + SAID + "}",
    "opens it again": 'long f(long x) { int fd = open("/proc/self/fd/0", O_RDONLY);' + SAID + "}",
    "reads before main": "static char s[64]; static size_t n = fread(s, 1, 63, stdin);\n"
        "long f(long x) { fwrite(s, 1, n, stdout); fflush(stdout); _Exit(0); }",
    "ends before main": "struct Z { Z() { int fd = 0;" + SAID + "} } z;\nlong f(long x) { return x; }",
    "takes over the input": "long f(long x) { std::string s; std::cin >> s; std::cout << s << std::flush; _Exit(0); }",
}  # fmt: skip


@cpp
@pytest.mark.parametrize("name", THEFTS)
def test_no_program_reads_by_which_secret_its_tests_end(name: str) -> None:
    verdict = verify_code(TAKING + THEFTS[name], gold("assert(candidate(1) == 2);"))
    assert verdict.outcome == "wrong", verdict


@cpp
def test_a_program_that_reads_its_input_finds_none() -> None:
    program = "#include <bits/stdc++.h>\nlong f(long x) { long n = 0; while (getchar() != EOF) n++; return x + n + 1; }"
    assert verify_code(program, gold("assert(candidate(1) == 2);")).outcome == "right"


@cpp
def test_a_class_of_the_question_is_its_own() -> None:
    head = "struct Either {\n  long n; bool operator==(long m) const { return n == m; }\n};\nEither f(long x) {\n"
    either = gold("assert(candidate(1) == 2);", head)
    assert verify_code("    return Either{x + 1};\n}\n", either).outcome == "right"
    assert verify_code("    return Either{x};\n}\n", either).outcome == "wrong"
    own = head.replace("return n == m", "return true") + "    return Either{x};\n}\n"
    assert verify_code(own, either).outcome == "cannot_tell"
