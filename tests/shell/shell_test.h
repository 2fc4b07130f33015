// ShellTest: a shell in a Vfs of its own, run on text, with its output caught.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fixture/fixture.h"
#include "shell/shell.h"

namespace dentree::shell {

struct Outcome {
  int status = 0;
  std::string out, err;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

inline void PrintTo(const Outcome& outcome, std::ostream* os) {
  *os << "status " << outcome.status << "\n--- out\n"
      << outcome.out << "--- err\n"
      << outcome.err << "---";
}

inline Outcome Ok(std::string out = {}) { return {0, std::move(out), {}}; }
inline Outcome Fails(int status, std::string err, std::string out = {}) {
  return {status, std::move(out), std::move(err)};
}

class ShellTest : public fixture::VfsTest {
 protected:
  using VfsTest::VfsTest;

  // Runs text in a shell of its own, as root; `input` is its standard input.
  Outcome Run(std::string_view text, std::string input = {}) {
    return RunAs(vfs::Creds::Root(), text, std::move(input));
  }
  Outcome RunAs(vfs::Creds creds, std::string_view text, std::string input = {}) {
    auto out = std::make_shared<StringSink>();
    auto err = std::make_shared<StringSink>();
    Shell shell(
        TaskOf(std::move(creds)),
        Streams{.in = std::make_shared<StringSource>(std::move(input)), .out = out, .err = err});
    const int status = shell.RunText(text);
    return {status, out->text(), err->text()};
  }
};

}  // namespace dentree::shell
