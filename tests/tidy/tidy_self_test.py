#!/usr/bin/env python3
"""Shows that every check of tidy.py passes a good tree and finds what it is for."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import tidy

COMPILER = sys.argv.pop(1) if len(sys.argv) > 1 else "g++"

GOOD = {
    "meson.build": "rooms = ['base', 'ramfs', 'kernfs']\n",
    "base/meson.build": "",
    "base/base.h": '#pragma once\n#include <string>\ninline int One() { return 1; }\n',
    "base/lock_rank.h": "enum class LockRank : uint8_t {\n  kMount,  // kNot\n  kDir,\n};\n",
    "ramfs/meson.build": "static_library('ramfs', 'dir.cc')\n",
    "ramfs/ramfs.h": "#pragma once\n",
    "ramfs/dir.cc": '#include "absl/container/btree_map.h"\n#include "base/base.h"\n#include "ramfs/dir_internal.h"\n',
    "tests/ramfs/meson.build": "room_tests = {'dir': 'unit'}\n",
    "tests/ramfs/dir_test.cc": '#include "ramfs/dir_internal.h"\n',
    "examples/meson.build": "executable('embed', 'embed.cc')\n",
    "examples/embed.cc": "int main() {}\n",
    "README.md": "See [locking](docs/locking.md).\n```cpp\nint main() {}\n```\n",
    "docs/locking.md": "| rank | guards |\n|---|---|\n| `kMount` | a |\n| `kDir` | b |\n",
    "docs/tour.md": "| What is one? | `base/base.h` | `One` |\n",
    "dev": "echo hello\n",
    "build/junk.cc": "// TO" "DO, but not ours\n",
}


def body(lines, head="int F() {"):
    return head + "\n" + "  x();\n" * (lines - 2) + "}\n"


class TidyTest(unittest.TestCase):
    def findings(self, check, **changes):
        """What `check` says of the good tree with `changes`; a key is a path with __ for / and _dot_ for '.'."""
        files = GOOD | {k.replace("__", "/").replace("_dot_", "."): v for k, v in changes.items()}
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text.replace("@ROOT@", folder))
            tree = tidy.Tree(pathlib.Path(folder), COMPILER)
            return list(getattr(tidy, "check_" + check)(tree))

    def assert_finds(self, check, part, **changes):
        found = self.findings(check, **changes)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_a_good_tree_passes_every_check(self):
        for name in [n[len("check_"):] for n in dir(tidy) if n.startswith("check_")]:
            with self.subTest(name):
                self.assertEqual(self.findings(name), [])

    def test_room_order_finds_an_include_from_below(self):
        self.assert_finds("room_order", "base may not include kernfs", base__x_dot_cc='#include "kernfs/node.h"\n')

    def test_room_order_finds_an_include_across_one_floor(self):
        self.assert_finds("room_order", "one floor", kernfs__x_dot_cc='#include "ramfs/dir.h"\n')

    def test_room_order_finds_another_rooms_internal_header(self):
        self.assert_finds("room_order", "private to base", ramfs__x_dot_cc='#include "base/slab_internal.h"\n')

    def test_room_order_finds_a_room_that_includes_tests(self):
        self.assert_finds("room_order", "base may not include tests", base__x_dot_cc='#include "tests/a.h"\n')

    def test_room_order_finds_an_include_that_is_not_from_the_root(self):
        self.assert_finds("room_order", "not a path from the root", base__x_dot_cc='#include "x.h"\n')

    def test_room_order_finds_a_file_in_no_room(self):
        self.assert_finds("room_order", "in no room", misc__x_dot_cc="\n")

    def test_umbrella_finds_a_header_that_leans_on_its_includer(self):
        self.assert_finds("umbrella", "does not compile alone",
                          base__base_dot_h="#pragma once\ninline std::string Empty() { return {}; }\n")

    def test_umbrella_finds_a_header_that_cannot_be_included_twice(self):
        self.assert_finds("umbrella", "does not compile alone", base__base_dot_h="int one = 1;\n")

    def test_umbrella_finds_a_room_without_one(self):
        self.assert_finds("umbrella", "without an umbrella", kernfs__meson_dot_build="")

    def test_all_compiled_finds_a_source_and_a_test_that_are_not(self):
        self.assert_finds("all_compiled", "ramfs/file.cc", ramfs__file_dot_cc="\n")
        self.assert_finds("all_compiled", "tests/ramfs/file_test.cc", tests__ramfs__file_test_dot_cc="\n")

    def test_function_length_finds_71_lines_and_lets_70_pass(self):
        self.assertEqual(self.findings("function_length", base__x_dot_cc=body(70)), [])
        self.assert_finds("function_length", "base/x.cc:1: a function of 71 lines", base__x_dot_cc=body(71))

    def test_function_length_finds_methods_tests_and_lambdas(self):
        for head in ("class A {\n void F() const override {", "TEST_F(A, B) {", "auto f = [](int x) {",
                     "A::A(int x) : a_{x}, b_(x) {", "struct S* F(int x) {", "template <class T>\nT F(T t) noexcept {"):
            with self.subTest(head):
                self.assertEqual(len(self.findings("function_length", base__x_dot_cc=body(71, head))), 1)

    def test_function_length_counts_no_types_arrays_or_namespaces(self):
        for head in ("namespace a {", "class alignas(64) A : public B {", "constexpr A kAll[] = {", "enum class E {",
                     "class DT_CAPABILITY(\"mutex\") M {", "template <class T>\nclass A {"):
            with self.subTest(head):
                self.assertEqual(self.findings("function_length", base__x_dot_cc=body(71, head)), [])

    def test_function_length_is_not_misled_by_braces_in_text(self):
        odd = "const char* s = \"}{{\";\nchar c = '{';  // {{{\nauto r = R\"(}}{)\";\n"
        self.assertEqual(self.findings("function_length", base__x_dot_cc=odd + body(70)), [])
        self.assertEqual(len(self.findings("function_length", base__x_dot_cc=odd + body(71))), 1)

    def test_function_length_takes_a_reason_but_not_an_empty_one(self):
        self.assertEqual(self.findings("function_length", base__x_dot_cc="// long: one table\n" + body(71)), [])
        self.assertEqual(len(self.findings("function_length", base__x_dot_cc="// long:\n" + body(71))), 1)
        self.assertEqual(
            len(self.findings("function_length", base__x_dot_cc="// long: a table\n" + body(9) + body(71))), 1)

    def test_absl_in_headers_finds_a_type_and_an_include(self):
        self.assert_finds("absl_in_headers", "base/x.h:1", base__x_dot_h="absl::string_view Name();\n")
        self.assert_finds("absl_in_headers", "base/x.h:1", base__x_dot_h='#include "absl/strings/str_format.h"\n')
        self.assertEqual(self.findings("absl_in_headers", base__x_dot_cc='#include "absl/strings/str_format.h"\n'), [])

    def test_absl_in_headers_finds_its_mutex_anywhere(self):
        self.assert_finds("absl_in_headers", "x.cc:1", base__x_dot_cc='#include "absl/synchronization/mutex.h"\n')

    def test_leftovers_finds_one_in_code_and_in_a_script(self):
        self.assert_finds("leftovers", "base/x.cc:2", base__x_dot_cc="\n// TO" "DO(me): later\n")
        self.assert_finds("leftovers", "dev:1", dev="# FIX" "ME\n")

    def test_try_first_finds_a_leak_and_lets_arguments_pass(self):
        self.assert_finds("try_first", "vfs/x.cc:2", vfs__x_dot_cc="auto F() {\n  return Path{Mount(), TRY(G())};\n}\n")
        self.assert_finds("try_first", "vfs/x.cc:3", vfs__x_dot_cc="auto F() {\n  return {a,\n TRY(G())};\n}\n")
        self.assertEqual(self.findings("try_first", vfs__x_dot_cc="auto F() { return H(a, TRY(G())); }\n"), [])

    def test_machine_paths_finds_the_trees_own_path(self):
        self.assert_finds("machine_paths", "README.md:1", README_dot_md="in @ROOT@/build\n")

    def test_machine_paths_finds_a_host_in_a_script(self):
        self.assert_finds("machine_paths", "names a host", dev="curl https:/" "/example.org\n")

    def test_file_names_finds_capitals_and_hyphens(self):
        self.assert_finds("file_names", "DirEntry.h", base__DirEntry_dot_h="\n")
        self.assert_finds("file_names", "dir-entry.h", **{"base__dir-entry_dot_h": "\n"})

    def test_lock_order_finds_two_ranks_swapped(self):
        self.assert_finds("lock_order", "kDir kMount", docs__locking_dot_md="| `kDir` | b |\n| `kMount` | a |\n")

    def test_readme_example_finds_a_block_that_has_drifted(self):
        self.assert_finds("readme_example", "word for word", README_dot_md="```cpp\nint main() { }\n```\n")
        self.assert_finds("readme_example", "word for word", README_dot_md="See the example.\n")

    def test_doc_links_finds_a_dead_link(self):
        self.assert_finds("doc_links", "nothing is at", README_dot_md="[x](docs/none.md)\n")

    def test_doc_links_finds_a_function_that_moved(self):
        self.assert_finds("doc_links", "no a::Two in base/base.h", docs__tour_dot_md="| q | `base/base.h` | `a::Two` |\n")

    def test_doc_links_finds_a_file_that_moved(self):
        self.assert_finds("doc_links", "no file base/b.h", docs__tour_dot_md="| q | `base/b.h` | `One` |\n")


if __name__ == "__main__":
    unittest.main()
