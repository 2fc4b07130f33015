#!/usr/bin/env python3
"""Checks what the tree promises about itself.

usage: tidy.py CHECK ROOT [COMPILER]

Prints one `path:line: what is wrong` per finding and exits with 1 if there is one. A check is a
function `check_<name>(tree)` that yields findings; tidy_self_test.py shows that each can fail.
"""

import ast
import concurrent.futures
import dataclasses
import itertools
import os
import pathlib
import re
import subprocess
import sys

MAX_FUNCTION_LINES = 70
# Rooms of one floor: neither includes the other.
SAME_FLOOR = set(map(frozenset, itertools.combinations(("ramfs", "hostfs", "kernfs"), 2)))
OPEN_TO_ALL_ROOMS = ("tests", "bench", "examples", "pch")
OTHERS_HEADERS = ("absl", "gtest", "gmock")
CODE = (".h", ".cc")
TEXT = CODE + (".py", ".md", ".build", ".txt", ".tsv", ".yml")


@dataclasses.dataclass(frozen=True)
class Tree:
    root: pathlib.Path
    compiler: str = "g++"

    def files(self, suffixes):
        """Paths of the project's files with these suffixes ('' = the scripts), build trees left out."""
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(f for f in folders if f == ".ci" or not f.startswith((".", "build")))
            for name in sorted(names):
                path = pathlib.Path(folder, name).relative_to(self.root)
                if path.suffix in suffixes and not name.startswith("."):
                    yield path

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def lines(self, path):
        return enumerate(self.text(path).splitlines(), 1)

    def rooms(self):
        """The rooms, topmost first, as the root meson.build lists them."""
        return ast.literal_eval(re.search(r"^rooms = (\[.*?\])", self.text("meson.build"), re.M | re.S)[1])

    def standing_rooms(self):
        return [room for room in self.rooms() if (self.root / room / "meson.build").exists()]


# ---- includes --------------------------------------------------------------------------------


def include_fault(rooms, path, target):
    """Why the file at `path` may not include "target", or None."""
    home, room = path.parts[0], target.split("/")[0]
    if room in OTHERS_HEADERS:
        return None
    if room not in rooms + list(OPEN_TO_ALL_ROOMS):
        return f'"{target}" is not a path from the root'
    if target.endswith("_internal.h") and room != home and path.parts[:2] != ("tests", room):
        return f'"{target}" is private to {room}'
    if home in OPEN_TO_ALL_ROOMS or room == home:
        return None
    if room not in rooms or rooms.index(room) > rooms.index(home):
        return f"{home} may not include {room}, which is not above it"
    if frozenset((home, room)) in SAME_FLOOR:
        return f"{home} and {room} are on one floor"
    return None


def check_room_order(tree):
    rooms = tree.rooms()
    for path in tree.files(CODE):
        if path.parts[0] not in rooms + list(OPEN_TO_ALL_ROOMS):
            yield f"{path}:1: is in no room"
            continue
        for number, line in tree.lines(path):
            include = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            fault = include and include_fault(rooms, path, include[1])
            if fault:
                yield f"{path}:{number}: {fault}"


def umbrella_fault(tree, room):
    header = f"{room}/{room}.h"
    if not (tree.root / header).exists():
        return f"{header}:1: room without an umbrella header"
    source = f'#include "{header}"\n#include "{header}"\n'
    done = subprocess.run(
        [tree.compiler, "-std=c++23", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{tree.root}",
         "-xc++", "-"], input=source, cwd=tree.root, capture_output=True, text=True, check=False)
    return f"{header}:1: does not compile alone\n{done.stderr}" if done.returncode else None


def check_umbrella(tree):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(lambda room: umbrella_fault(tree, room), tree.standing_rooms()))


def check_absl_in_headers(tree):
    header = re.compile(r"#\s*include\s*[\"<]absl/(strings|status|synchronization|types/(optional|variant|any))\b"
                        r"|\babsl::(string_view|optional|variant|any|Cord|Status\w*|Mutex\w*)\b")
    anywhere = re.compile(r"#\s*include\s*[\"<]absl/(synchronization|status)/")
    for path in tree.files(CODE):
        forbidden = header if path.suffix == ".h" else anywhere
        for number, line in tree.lines(path):
            if forbidden.search(line):
                yield f"{path}:{number}: a type of Abseil's that stays out of here"


def check_all_compiled(tree):
    """Every source is named in a meson.build, so that none rots unseen."""
    for path in tree.files((".cc",)):
        folder = path.parent if (tree.root / path.parent / "meson.build").exists() else path.parent.parent
        names = {path.name, str(path), path.stem, path.stem.removesuffix("_test"),
                 path.stem.removesuffix("_fuzz")}
        builds = [b for b in {folder / "meson.build", pathlib.Path("meson.build")} if (tree.root / b).exists()]
        if not names & {word for b in builds for word in re.findall(r"'([^']*)'", tree.text(b))}:
            yield f"{path}:1: no meson.build compiles it"


# ---- functions -------------------------------------------------------------------------------


def blank(match):
    """The same number of lines and nothing else."""
    return "\n" * match[0].count("\n") or " "


def without_comments_and_literals(text):
    pattern = (r'R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"' r'|"(?:\\.|[^"\\\n])*"' r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"
               r"|//[^\n]*|/\*.*?\*/" r"|^[ \t]*#(?:\\\n|[^\n])*")
    return re.sub(pattern, blank, text, flags=re.S | re.M)


def opens_function(head):
    """Whether what stands before a `{` outside functions is a function's head."""
    if re.search(r"\b(namespace|extern)\b", head) or head.endswith(("=", ",", "(")):
        return False
    head = re.sub(r"\b(alignas|DT_\w+)\([^()]*\)|\[\[.*?\]\]", "", head)  # of types as well as of functions
    return ")" in head and not re.match(r"(template\s*<.*>\s*)?(class|struct|union|enum)\b[^()]*$", head, re.S)


def functions(text):
    """Yields (first line, last line) of each function body in formatted code."""
    code = without_comments_and_literals(text)
    scopes, head, line = [], "", 1  # a scope: its kind and the line of its brace
    for i, c in enumerate(code):
        line += c == "\n"
        inside = any(kind == "function" for kind, _ in scopes)
        if c == "{":
            initialiser = i > 0 and not code[i - 1].isspace()  # the form puts a space before a body
            kind = "initialiser" if initialiser else "inner"
            if not inside and not initialiser:
                kind = "function" if opens_function(head.strip()) else "scope"
            scopes.append((kind, line))
            head = head if initialiser else ""
        elif c == "}" and scopes:
            kind, first = scopes.pop()
            if kind == "function":
                yield first, line
            head = head if kind == "initialiser" else ""
        elif c == ";":
            head = ""
        else:
            head += c


def has_reason(lines, first):
    """Whether the comment above the function whose brace is on line `first` says `long: why`."""
    above = first - 1
    while above > 0 and lines[above - 1].strip() and not lines[above - 1].rstrip().endswith(("}", ";")):
        above -= 1
    return any(re.search(r"// long: \w+", line) for line in lines[above:first])


def check_function_length(tree):
    for path in tree.files(CODE):
        text = tree.text(path)
        for first, last in functions(text):
            length = last - first + 1
            if length > MAX_FUNCTION_LINES and not has_reason(text.splitlines(), first):
                yield f"{path}:{first}: a function of {length} lines; the comment above it may say `// long: why`"


# ---- words and names -------------------------------------------------------------------------


def check_leftovers(tree):
    left = re.compile(r"\b(" + "|".join(("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK")) + r")\b")
    for path in tree.files(TEXT + ("",)):
        for number, line in tree.lines(path):
            if left.search(line):
                yield f"{path}:{number}: work left over"


def check_try_first(tree):
    """TRY leaves its expression without destroying what braces before it have made (base/errno.h)."""
    late = re.compile(r"\{(?:[^{};()]|\([^()]*\))*,\s*TRY\(")
    for path in tree.files(CODE):
        code = re.sub(r"//.*", "", tree.text(path))
        for found in late.finditer(code):
            yield f"{path}:{code.count(chr(10), 0, found.end()) + 1}: TRY after another member of a braced list"


def check_machine_paths(tree):
    """No path of the machine it was made on, and no host that a script fetches from."""
    own = re.compile(re.escape(str(tree.root)) + r"\b" + r"|/(home|Users)/\w+/(src|git|work|code)\b")
    host = re.compile(r"\w+://\w")
    for path in tree.files(TEXT + ("",)):
        script = path.suffix in ("", ".py", ".build", ".yml") and path.name != "LICENSE"
        for number, line in tree.lines(path):
            if own.search(line):
                yield f"{path}:{number}: a path of one machine"
            if script and host.search(line):
                yield f"{path}:{number}: a script names a host"


def check_file_names(tree):
    for path in tree.files(CODE + (".py",)):
        for part in path.parts:
            if not re.fullmatch(r"\.?[a-z0-9]+(_[a-z0-9]+)*(\.[a-z]+)?", part):
                yield f"{path}:1: {part} is not snake_case"


# ---- documents -------------------------------------------------------------------------------


def check_lock_order(tree):
    """docs/locking.md lists the ranks of base/lock_rank.h in their order."""
    enum = re.search(r"enum class LockRank[^{]*\{(.*?)\}", tree.text("base/lock_rank.h"), re.S)
    code = re.findall(r"\bk[A-Z]\w*", re.sub(r"//[^\n]*", "", enum[1])) if enum else []
    document = re.findall(r"^\| `(k[A-Z]\w*)`", tree.text("docs/locking.md"), re.M)
    if not code or code != document:
        yield f"docs/locking.md:1: lists {' '.join(document)}, base/lock_rank.h {' '.join(code)}"


def check_readme_example(tree):
    """The README's C++ is examples/embed.cc as it is compiled, and nothing else."""
    blocks = re.findall(r"^```cpp\n(.*?)^```", tree.text("README.md"), re.M | re.S)
    example = tree.root / "examples/embed.cc"
    if blocks != ([example.read_text()] if example.exists() else []):
        yield "README.md:1: its C++ is not examples/embed.cc, word for word"


def check_doc_links(tree):
    """Links lead somewhere, and where a row of the tour names a file and functions, they are in it."""
    for path in tree.files((".md",)):
        for number, line in tree.lines(path):
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", line):
                if not (tree.root / path.parent / target).exists():
                    yield f"{path}:{number}: nothing is at {target}"
    for number, line in tree.lines("docs/tour.md"):
        row = re.fullmatch(r"\|.*\| `([\w/]+\.(?:cc|h))` \| (.*) \|", line)
        if not row:
            continue
        source = tree.root / row[1]
        if not source.exists():
            yield f"docs/tour.md:{number}: no file {row[1]}"
            continue
        for name in re.findall(r"`([\w:~]+)`", row[2]):
            if not re.search(rf"\b{re.escape(name.split('::')[-1])}\b", source.read_text()):
                yield f"docs/tour.md:{number}: no {name} in {row[1]}"


def main(name, root, compiler="g++"):
    check = globals()["check_" + name.replace("-", "_")]
    findings = list(check(Tree(pathlib.Path(root).resolve(), compiler)))
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
