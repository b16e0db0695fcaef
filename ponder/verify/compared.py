"""C++: what a program returns is compared by code that the program cannot reach.

The comparison stands before the program, in a namespace whose name it does not know, and takes plain values apart:
numbers, texts, and the containers of the standard library. The tests' own `==` would be what the program says it is.
There, too, the secret that tells the end of the tests is taken from the standard input before any code of the program
runs, and nothing is left to read.
"""

import re

__all__ = ["NOT_PLAIN", "compared", "comparison", "given", "why_not_trusted"]

NOT_PLAIN = "ponder: the program hands over what is no plain value"
_COMPARISON = """#include <bits/stdc++.h>
namespace NAME {
static char secret[64];
__attribute__((constructor(101))) static void take() {
    setvbuf(stdin, nullptr, _IONBF, 0);
    if (fread(secret, 1, 63, stdin) == 0 || freopen("/dev/null", "r", stdin) == nullptr) abort();
}
template <class T> struct given : std::false_type {};
template <class T> struct plain : std::bool_constant<std::is_arithmetic_v<T> || given<T>::value> {};
template <> struct plain<std::string> : std::true_type {};
template <> struct plain<const char*> : std::true_type {};
template <> struct plain<std::nullopt_t> : std::true_type {};
template <class T> struct plain<std::optional<T>> : plain<T> {};
template <class T, size_t N> struct plain<std::array<T, N>> : plain<T> {};
template <class A, class B> struct plain<std::pair<A, B>> : std::conjunction<plain<A>, plain<B>> {};
template <class... T> struct plain<std::tuple<T...>> : std::conjunction<plain<T>...> {};
template <class T> struct items : std::false_type {};
template <class T> struct items<std::vector<T>> : std::true_type { using type = T; };
template <class T> struct items<std::list<T>> : std::true_type { using type = T; };
template <class T> struct items<std::deque<T>> : std::true_type { using type = T; };
template <class T> struct items<std::set<T>> : std::true_type { using type = T; };
template <class T> struct items<std::multiset<T>> : std::true_type { using type = T; };
template <class K, class V> struct items<std::map<K, V>> : std::true_type { using type = std::pair<const K, V>; };
template <class T> struct plain<std::vector<T>> : plain<T> {};
template <class T> struct plain<std::list<T>> : plain<T> {};
template <class T> struct plain<std::deque<T>> : plain<T> {};
template <class T> struct plain<std::set<T>> : plain<T> {};
template <class T> struct plain<std::multiset<T>> : plain<T> {};
template <class T> struct plain<std::unordered_set<T>> : plain<T> {};
template <class K, class V> struct plain<std::map<K, V>> : std::conjunction<plain<K>, plain<V>> {};
template <class K, class V> struct plain<std::unordered_map<K, V>> : std::conjunction<plain<K>, plain<V>> {};
template <class A, class B, class = void> struct same {
    static_assert(plain<A>::value && plain<B>::value, "NOT_PLAIN");
    static_assert(!(plain<A>::value && plain<B>::value) || given<A>::value || given<B>::value, "of different kinds");
    static bool is(const A& a, const B& b) {
        if constexpr (given<A>::value || given<B>::value) return a == b;
        else return false;
    }
};
template <class A, class B> struct same<A, B, std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>> {
    static bool is(A a, B b) { return a == b; }
};
inline bool same_text(const char* a, size_t m, const char* b, size_t n) {
    if (m != n) return false;
    for (size_t i = 0; i < m; i++) if (a[i] != b[i]) return false;
    return true;
}
inline size_t length(const char* a) { size_t n = 0; while (a[n]) n++; return n; }
template <> struct same<std::string, std::string> {
    static bool is(const std::string& a, const std::string& b) {
        return same_text(a.data(), a.size(), b.data(), b.size());
    }
};
template <> struct same<std::string, const char*> {
    static bool is(const std::string& a, const char* b) { return same_text(a.data(), a.size(), b, length(b)); }
};
template <> struct same<const char*, std::string> {
    static bool is(const char* a, const std::string& b) { return same_text(a, length(a), b.data(), b.size()); }
};
template <class A, class B> struct same<A, B, std::enable_if_t<items<A>::value && items<B>::value>> {
    static bool is(const A& a, const B& b) {
        if (a.size() != b.size()) return false;
        auto j = b.begin();
        for (auto i = a.begin(); i != a.end(); ++i, ++j)
            if (!same<typename items<A>::type, typename items<B>::type>::is(*i, *j)) return false;
        return true;
    }
};
template <class A, class B> struct same<std::unordered_set<A>, std::unordered_set<B>> {
    static bool is(const std::unordered_set<A>& a, const std::unordered_set<B>& b) {
        return same<std::set<A>, std::set<B>>::is({a.begin(), a.end()}, {b.begin(), b.end()});
    }
};
template <class K, class V, class L, class W> struct same<std::unordered_map<K, V>, std::unordered_map<L, W>> {
    static bool is(const std::unordered_map<K, V>& a, const std::unordered_map<L, W>& b) {
        return same<std::map<K, V>, std::map<L, W>>::is({a.begin(), a.end()}, {b.begin(), b.end()});
    }
};
template <class A, class B, class C, class D> struct same<std::pair<A, B>, std::pair<C, D>> {
    static bool is(const std::pair<A, B>& a, const std::pair<C, D>& b) {
        return same<std::decay_t<A>, std::decay_t<C>>::is(a.first, b.first) && same<B, D>::is(a.second, b.second);
    }
};
template <class... A, class... B>
struct same<std::tuple<A...>, std::tuple<B...>, std::enable_if_t<sizeof...(A) == sizeof...(B)>> {
    template <size_t... I>
    static bool each(const std::tuple<A...>& a, const std::tuple<B...>& b, std::index_sequence<I...>) {
        return (same<A, B>::is(std::get<I>(a), std::get<I>(b)) && ...);
    }
    static bool is(const std::tuple<A...>& a, const std::tuple<B...>& b) {
        return each(a, b, std::index_sequence_for<A...>());
    }
};
template <class A, class B, size_t N> struct same<std::array<A, N>, std::array<B, N>> {
    static bool is(const std::array<A, N>& a, const std::array<B, N>& b) {
        for (size_t i = 0; i < N; i++) if (!same<A, B>::is(a[i], b[i])) return false;
        return true;
    }
};
template <class A, class B> struct same<std::optional<A>, std::optional<B>> {
    static bool is(const std::optional<A>& a, const std::optional<B>& b) {
        return a.has_value() == b.has_value() && (!a.has_value() || same<A, B>::is(*a, *b));
    }
};
template <class A> struct same<std::optional<A>, std::nullopt_t> {
    static bool is(const std::optional<A>& a, std::nullopt_t) { return !a.has_value(); }
};
template <class A, class B> struct same<std::optional<A>, B, std::enable_if_t<plain<B>::value>> {
    static bool is(const std::optional<A>& a, const B& b) { return a.has_value() && same<A, B>::is(*a, b); }
};
template <class A, class B> bool equal(const A& a, const B& b) {
    return same<std::decay_t<const A>, std::decay_t<const B>>::is(a, b);
}
template <class T> T seen(T value) {
    static_assert(std::is_void_v<T> || plain<std::decay_t<T>>::value, "NOT_PLAIN");
    return value;
}
template <class R, class... P> struct watched {
    R (*f)(P...);
    R operator()(P... a) const {
        static_assert(std::is_void_v<R> || plain<std::decay_t<R>>::value, "NOT_PLAIN");
        return f(std::forward<P>(a)...);
    }
};
template <class R, class... P> watched<R, P...> watch(R (*f)(P...)) { return {f}; }
template <class F> auto watch(const F& f) {
    return [f](auto&&... a) { return seen(f(std::forward<decltype(a)>(a)...)); };
}
}
"""
_MASKED = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\d)'(?:\\.|[^'\\\n])*'""", re.DOTALL)
_CANDIDATE = re.compile(r"\bauto\s+candidate\s*=\s*(\w+)\s*;")
_NOT_TRUSTED = re.compile(
    r"""\bnamespace\s+std\b|\btemplate\s*<\s*>[^;{]*\bstd\s*::|\#\#|%:|\?\?=|\bextern\s*"C|\b(?:__)?asm(?:__)?\b|\bpush_macro\b"""
    r"|\b__attribute(?:__)?\b|\b(?:__)?gnu(?:__)?\s*(?:::|:)"  # what runs before everything else, too
)
_DEFINED = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)


def comparison(name: str) -> str:
    """What stands before the program; `name` is that of its namespace."""
    return _COMPARISON.replace("NAME", name).replace("NOT_PLAIN", NOT_PLAIN)


def given(prefix: str, program: str, name: str) -> str:
    """What stands after the program: classes that the question defines, and the program does not, say themselves what
    is equal to them."""
    classes = re.findall(r"^[ \t]*(?:struct|class|union)\s+(\w+)\s*\{", prefix, re.MULTILINE)
    own = re.search(r"\boperator\b", program) is not None
    lines = [
        f"namespace {name} {{ template <> struct given<::{one}> : std::true_type {{}}; }}\n"
        for one in classes
        if not own and re.search(rf"\b(?:struct|class|union)\s+{one}\b", program) is None
    ]
    return "".join(lines)


def compared(tests: str, name: str) -> tuple[str, bool]:
    """The tests with their comparisons made by the namespace `name`, and whether that is so of all of them."""
    masked = _MASKED.sub(lambda said: "_" * len(said[0]), tests)
    parts: list[str] = []
    done, all_of_them = 0, True
    for found in re.finditer(r"\bassert\s*\(", masked):
        if found.start() < done:
            continue
        end = _end(masked, found.end())
        start, stop = _bare(masked, found.end(), end)
        operators = _operators(masked, start, stop)
        if len(operators) == 1:
            (at,) = operators
            sides = f"({tests[start:at].strip()}), ({tests[at + 2 : stop].strip()})"
            negated = "!" if masked[at] == "!" else ""
            parts += [tests[done : found.end()], f"{negated}{name}::equal({sides})"]
            done = end
        else:
            all_of_them = all_of_them and re.search("[=!]=", masked[start:stop]) is None
    whole = "".join([*parts, tests[done:]])
    return _CANDIDATE.sub(rf"auto candidate = {name}::watch(\1);", whole), all_of_them


def why_not_trusted(program: str, tests: str, *, all_compared: bool) -> str | None:
    """What a program says that could change what its tests mean."""
    text = re.sub(r"\\[ \t]*\n", "", program)
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"\busing\s+namespace\s+std\s*;", "", text)
    found = _NOT_TRUSTED.search(text)
    if found is not None:
        return f"the program says {found[0]!r}, which could change what its tests mean"
    if not all_compared and re.search(r"\boperator\b", text):
        return "the program defines operators, and its tests compare in more than one way"
    shared = sorted(set(_DEFINED.findall(text)) & set(re.findall(r"\b[A-Z][A-Z_0-9]+\b", tests)))
    return f"the program defines {shared[0]}, of which its tests speak" if shared else None


def _end(text: str, start: int) -> int:
    """Where the bracket closes that is open before `start`."""
    depth, place = 1, start
    while place < len(text):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
        place += 1
    return place


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of what stands in brackets that is not in brackets as a whole once more."""
    while True:
        inner = text[start:end]
        begin, finish = start + len(inner) - len(inner.lstrip()), end - (len(inner) - len(inner.rstrip()))
        if text[begin : begin + 1] != "(" or _end(text, begin + 1) != finish - 1:
            return begin, finish
        start, end = begin + 1, finish - 1


def _operators(text: str, start: int, end: int) -> list[int]:
    """Where `==` and `!=` stand outside of all brackets; none where other conditions stand beside them."""
    depth = 0
    found: list[int] = []
    for place in range(start, end):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[place], 0)
        two = text[place : place + 2]
        if depth == 0 and (two in ("&&", "||") or text[place] == "?"):
            return []
        if depth == 0 and two in ("==", "!=") and text[place - 1] not in "=!<>":
            found.append(place)
    return found
