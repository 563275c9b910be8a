#!/usr/bin/env python3
"""The rules of the tree that a compiler does not check.

  check.py ROOT        checks the sources below ROOT; one `file:line: reason` for each violation
  check.py --self-test builds small trees that break each rule once and expects to be told so

Rules: the arrows between modules and between the stages of a module; size of files and lines;
left-over marks; calls that are banned; which file may include which C library.
"""

import os
import re
import sys
import tempfile
import unicodedata

FILE_LINES_MAX = 800
LINE_COLUMNS_MAX = 100

# What a module may include besides itself.
MODULES = {
    "base": set(),
    "sensor": {"base"},
    "policy": {"base"},
    "audit": {"base"},
    "compliance": {"base"},
    "console": {"base", "sensor", "policy", "audit", "compliance"},
    "apps": {"base", "sensor", "policy", "audit", "compliance", "console"},
}

# What a stage may include besides itself. Folders that are not named are helpers without an
# order; `testing` is for tests, so product code may not include it.
STAGES = {
    "sensor": {
        "packet": set(),
        "capture": {"packet"},
        "flow": {"packet"},
        "stream": {"packet", "flow"},
        "proto": {"packet", "flow", "stream"},
        "detect": {"packet", "flow", "stream", "proto"},
        "engine": {"packet", "capture", "flow", "stream", "proto", "detect"},
    },
    "policy": {
        "text": set(),
        "model": {"text"},
        "nft": {"text", "model"},
        "prove": {"text", "model", "nft"},
        "import": {"text", "model"},
    },
    "audit": {
        "record": set(),
        "store": {"record"},
        "verify": {"record", "store"},
        "export": {"record", "store"},
        "client": {"record"},
    },
    "compliance": {
        "catalogue": set(),
        "collect": {"catalogue"},
        "checks": {"catalogue", "collect"},
        "tasks": {"catalogue", "collect", "checks"},
        "assess": {"catalogue", "collect", "checks", "tasks"},
        "runs": {"catalogue", "collect", "checks", "tasks", "assess"},
        "report": {"catalogue", "collect", "checks", "tasks", "assess", "runs"},
    },
    "console": {
        "http": set(),
        "api": {"http"},
        "app": {"http", "api"},
    },
}

# Call or construct -> what to use.
BANNED = [
    (r"\b(?:strcpy|strcat|stpcpy)\s*\(", "no bound: use std::string or std::copy"),
    (r"\bv?sprintf\s*\(", "no bound: use fmt::format"),
    (r"(?<![\w.>])gets\s*\(", "no bound: use read_file or a stream"),
    (r"(?<![\w.>])s?rand\s*\(", "predictable: use <random> or getrandom"),
    (r"\b(?:atoi|atol|atoll|atof)\s*\(", "no errors: use std::from_chars"),
    (r"\busing\s+namespace\s+std\s*;", "name what is used"),
    (r"(?<!operator )\bnew\s+[A-Za-z_:(]", "raw new: use std::make_unique or a Handle"),
    (r"(?<!= )(?<!operator )\bdelete\s*(?:\[\s*\])?\s+?[A-Za-z_*(]", "raw delete: use an owner"),
]
# Tests prepare namespaces and the like with the tools that an administrator has.
BANNED_IN_PRODUCT = [
    (r"(?<![\w.>])system\s*\(", "runs a shell: use posix_spawn with arguments"),
    (r"\bpopen\s*\(", "runs a shell: use posix_spawn with arguments"),
]
# For an object with a private constructor, which std::make_unique cannot reach: its owner stands right
# before it, a std::unique_ptr or a member (a raw one would need the delete that is banned).
OWNED_NEW = re.compile(r"((?:unique_ptr<[^;{}]*?>\s*(?:\w+\s*)?|\b\w+_)[({]\s*)new\b")

# Header -> the product files that may include it (tests, fuzzers and benchmarks are free).
LIBRARIES = [
    (r"yaml-cpp/", {"base/yaml.cpp"}),
    (r"seccomp\.h$", {"base/sandbox.cpp"}),
    (r"cap-ng\.h$", {"base/sandbox.cpp"}),
    (r"linux/landlock\.h$", {"base/sandbox.cpp"}),
    (r"systemd/", {"base/service.cpp"}),
    (r"pcap(?:/|\.h$)", {"sensor/capture/"}),
    (r"hs(?:/|\.h$)", {"sensor/detect/"}),
    (r"pcre2\.h$", {"sensor/detect/regex.cpp", "compliance/checks/evaluate.cpp"}),
    (r"htp/", {"sensor/proto/"}),
    (r"nghttp2/", {"sensor/proto/"}),
    (r"libnetfilter_queue/", {"sensor/capture/"}),
    (r"libnetfilter_log/", {"policy/nft/"}),
    (r"libnftnl/", {"policy/nft/"}),
    (r"libmnl/", {"policy/nft/", "sensor/capture/"}),
    (r"sqlite3\.h$", {"audit/store/sqlite.cpp", "audit/testing/"}),
    (r"openssl/", {"base/", "audit/crypto/", "audit/transport/", "compliance/catalogue/digest.cpp",
                   "sensor/detect/", "sensor/proto/", "console/http/"}),
    (r"magic\.h$", {"sensor/proto/file.cpp"}),
    (r"xlsxwriter", {"compliance/report/workbook.cpp"}),
    (r"CLI/", {"apps/"}),
    (r"httplib\.h$", {"console/http/"}),
    (r"argon2\.h$|liboath/|qrencode\.h$", {"console/api/sign_in.cpp"}),
]

SOURCE = (".cpp", ".hpp")
SCRIPT = (".py",)  # size and left-over marks only: clang-format does not lay them out
SKIPPED = {"build", ".git", ".cache", "node_modules", "__pycache__"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
# Spelled in two halves, so that this file passes its own rule.
LEFTOVER = re.compile(r"\b(?:FIX" + "ME|TO" + "DO|XX" + r"X)\b")


def columns(line):
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else
               0 if unicodedata.combining(c) else 1 for c in line)


TOKEN = re.compile(
    r'//[^\n]*(?:\\\n[^\n]*)*'
    r'|/\*.*?\*/'
    r'|R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'", re.S)


def code_only(text):
    """The text with comments and literals blanked, line by line as before."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def is_test(path):
    return bool(re.search(
        r"_(?:test|fuzz|bench)\.cpp$|/test_\w+\.hpp$|/testing/|^tests/|^bench/", path))


def check_arrow(path, included):
    """Why `path` may not include the project's header `included`; None where it may."""
    here, there = path.split("/"), included.split("/")
    if here[0] not in MODULES or there[0] not in MODULES:
        if there[0] == "tests" and not is_test(path):
            return "product code may not include what is for tests"
        return None
    if here[0] != there[0]:
        if there[0] in MODULES[here[0]]:
            return None
        return f"{here[0]} may not include {there[0]}"
    if is_test(included) and not is_test(path):
        return "product code may not include what is for tests"
    stages = STAGES.get(here[0], {})
    if is_test(path) or len(here) < 3 or len(there) < 3:
        return None
    if here[1] == there[1] or here[1] not in stages or there[1] not in stages:
        return None
    if there[1] in stages[here[1]]:
        return None
    return f"{here[0]}: stage {here[1]} may not include stage {there[1]}"


def check_library(path, included):
    if is_test(path) or path.split("/")[0] not in MODULES:
        return None
    for header, allowed in LIBRARIES:
        if re.match(header, included) and not any(
                path == a or (a.endswith("/") and path.startswith(a)) for a in allowed):
            return f"<{included}> is included only by {', '.join(sorted(allowed))}"
    return None


def check_file(root, path):
    """Yields (line, reason)."""
    with open(os.path.join(root, path), encoding="utf-8", newline="") as file:
        text = file.read()
    lines = text.split("\n")
    if len(lines) - (lines[-1] == "") > FILE_LINES_MAX:
        yield FILE_LINES_MAX + 1, f"file is longer than {FILE_LINES_MAX} lines"
    for number, line in enumerate(lines, 1):
        if path.endswith(SOURCE) and columns(line) > LINE_COLUMNS_MAX:
            yield number, f"line is wider than {LINE_COLUMNS_MAX} columns"
        if LEFTOVER.search(line):
            yield number, "left-over mark: do it, or write down where it is tracked"
        include = INCLUDE.match(line) if path.endswith(SOURCE) else None
        if not include:
            continue
        reason = check_arrow(path, include[1]) if include[1] else check_library(path, include[2])
        if reason:
            yield number, reason
    if path.endswith(SCRIPT):
        return
    code = OWNED_NEW.sub(lambda m: m[1] + "   ", code_only(text))
    banned = BANNED if is_test(path) else BANNED + BANNED_IN_PRODUCT
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, instead in banned:
            found = re.search(pattern, line)
            if found:
                yield number, f"banned: {found.group().strip()}: {instead}"


def sources(root):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(d for d in folders if d not in SKIPPED)
        for name in sorted(files):
            if name.endswith(SOURCE + SCRIPT):
                yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def check_tree(root):
    """All violations, as text; and the number of files looked at."""
    found, files = [], 0
    for path in sources(root):
        files += 1
        try:
            found += [f"{path}:{line}: {reason}" for line, reason in sorted(check_file(root, path))]
        except UnicodeDecodeError:
            found.append(f"{path}:1: file is not UTF-8")
    return found, files


# (path, content, expected violations as "line: part of the reason")
CASES = [
    ("audit/a.cpp", '#include "policy/p.hpp"\n', ["1: audit may not include policy"]),
    ("base/a.cpp", '#include "audit/p.hpp"\n', ["1: base may not include audit"]),
    ("sensor/a.cpp", '\n# include "console/p.hpp"\n', ["2: sensor may not include console"]),
    ("console/a.cpp", '#include "apps/p.hpp"\n', ["1: console may not include apps"]),
    ("console/b.cpp", '#include "audit/p.hpp"\n#include "base/ip.hpp"\n', []),
    ("apps/a.cpp", '#include "console/p.hpp"\n', []),
    ("sensor/packet/a.cpp", '#include "sensor/flow/f.hpp"\n', ["1: stage packet may not"]),
    ("sensor/capture/a.cpp", '#include "sensor/flow/f.hpp"\n', ["1: stage capture may not"]),
    ("sensor/engine/a.cpp", '#include "sensor/capture/f.hpp"\n', []),
    ("policy/nft/a.cpp", '#include "policy/import/f.hpp"\n', ["1: stage nft may not"]),
    ("policy/text/a.cpp", '#include "policy/model/f.hpp"\n', ["1: stage text may not"]),
    ("audit/client/a.cpp", '#include "audit/record/r.hpp"\n#include "audit/store/s.hpp"\n',
     ["2: stage client may not"]),
    ("audit/verify/a.cpp", '#include "audit/export/f.hpp"\n', ["1: stage verify may not"]),
    ("compliance/checks/a.cpp", '#include "compliance/assess/f.hpp"\n', ["1: stage checks"]),
    ("compliance/report/a.cpp", '#include "compliance/catalogue/f.hpp"\n', []),
    ("console/http/a.cpp", '#include "console/api/f.hpp"\n', ["1: stage http may not"]),
    ("console/api/a.cpp", '#include "console/app/f.hpp"\n', ["1: stage api may not"]),
    ("console/app/a.cpp", '#include "console/api/f.hpp"\n#include "policy/p.hpp"\n', []),
    ("audit/store/a.cpp", '#include "audit/testing/f.hpp"\n', ["1: for tests"]),
    ("sensor/flow/a.cpp", '#include "sensor/packet/test_batch.hpp"\n', ["1: for tests"]),
    ("sensor/packet/test_batch.hpp", '#include "tests/testkit/f.hpp"\n', []),
    ("audit/store/a_test.cpp", '#include "audit/testing/f.hpp"\n', []),
    ("base/b.cpp", '#include "tests/testkit/f.hpp"\n', ["1: for tests"]),
    ("base/b_test.cpp", '#include "tests/testkit/f.hpp"\n', []),
    ("audit/record/c_test.cpp", '#include "policy/p.hpp"\n', ["1: audit may not include policy"]),
    ("base/long.cpp", "\n" * (FILE_LINES_MAX + 1), [f"{FILE_LINES_MAX + 1}: longer than"]),
    ("base/full.cpp", "\n" * FILE_LINES_MAX, []),
    ("base/wide.cpp", "//" + "x" * 99 + "\n//" + "x" * 98 + "\n//" + "门" * 50 + "\n",
     ["1: wider", "3: wider"]),
    ("base/left.cpp", "// TO" + "DO later\n", ["1: left-over"]),
    ("base/ban.cpp", "void f() {\n  strcpy(a, b);\n  sprintf(a, b);\n  ::system(a);\n"
     "  popen(a, b);\n  int i = rand();\n  i = std::atoi(a);\n  gets(a);\n}\n"
     "using namespace std;\nint* p = new int;\nvoid g() { delete p; delete[] p; }\n",
     ["2: banned", "3: banned", "4: banned", "5: banned", "6: banned", "7: banned", "8: banned",
      "10: banned", "11: raw new", "12: raw delete"]),
    ("base/fine.cpp", "// a new rule; strcpy(x), delete it\n/* new\n new int */\n"
     'const char* t = "new int; system(x)";\nconst char* r = R"x(gets(a) )" new int)x";\n'
     "struct A { A(const A&) = delete; void* operator new(unsigned long); };\n"
     "int operand(); int file_system(int); int x = o.system(1) + 1'000'000; char q = '\"';\n"
     "snprintf(a, 1, b); fgets(a, 1, b); renew(a);\n", []),
    ("base/owned.cpp", "auto a = std::unique_ptr<A<B>>(\n    new A<B>(1));\n"
     "std::unique_ptr<A> b(new A);\nC::C() : state_(new State{1}) {}\nf(new A);\n", ["5: raw new"]),
    ("tests/x.py", "system(x)\n# FIX" "ME\n" + "x" * 101 + "\n", ["2: left-over"]),
    ("base/shell_test.cpp", "system(x);\n", []),
    ("policy/lib.cpp", "#include <sqlite3.h>\n", ["1: <sqlite3.h> is included only by"]),
    ("policy/lib_test.cpp", "#include <sqlite3.h>\n", []),
    ("policy/nft/lib.cpp", "#include <libnftnl/rule.h>\n#include <linux/netfilter.h>\n", []),
    ("base/other.cpp", "#include <yaml-cpp/yaml.h>\n", ["1: <yaml-cpp/yaml.h>"]),
    ("build/skipped.cpp", "system(x);\n", []),
]


def self_test():
    failures = 0
    for path, content, expected in CASES:
        with tempfile.TemporaryDirectory() as root:
            file = os.path.join(root, path)
            os.makedirs(os.path.dirname(file))
            with open(file, "w", encoding="utf-8") as out:
                out.write(content)
            found, _ = check_tree(root)
        want = [(f"{path}:{e.split(':')[0]}:", e.split(": ", 1)[1]) for e in expected]
        good = len(found) == len(want) and all(
            f.startswith(place) and part in f for f, (place, part) in zip(found, want))
        if not good:
            failures += 1
            print(f"{path}: expected {expected}, found {found}")
    with tempfile.TemporaryDirectory() as root:
        if main([root]) == 0:
            failures += 1
            print("a tree without sources must not pass")
    print(f"{len(CASES) + 1} cases, {failures} failed")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found, files = check_tree(arguments[0])
    for violation in found:
        print(violation)
    print(f"{files} files, {len(found)} violations")
    return 1 if found or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
