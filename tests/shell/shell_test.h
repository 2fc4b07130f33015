// ShellTest: a shell in a Vfs of its own, run on text, with its output caught. With VIA_RING in
// the environment its calls go through a request loop: each program runs both ways.
#pragma once

#include <stdlib.h>

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

inline bool ViaRing() { return ::getenv("VIA_RING") != nullptr; }

class ShellTest : public fixture::VfsTest {
 protected:
  using VfsTest::VfsTest;

  // A class that overrides it calls it first, and looks at IsSkipped().
  void SetUp() override {
    if (!ViaRing()) return;
    auto started = uring::Loop::Start(vfs());
    if (!started) GTEST_SKIP() << "no request loop here: " << started.error().reason;
    loop_ = *std::move(started);
  }
  void TearDown() override {
    ring_task_.reset();
    loop_.reset();
    VfsTest::TearDown();
  }

  // Null: not via the ring.
  uring::Loop* loop() { return loop_.get(); }
  // As task(), for what takes the shell's kind.
  uring::RingTask& ring_task() {
    if (ring_task_ == nullptr) {
      ring_task_ = std::make_unique<uring::RingTask>(TaskOf(vfs::Creds::Root()), loop());
    }
    return *ring_task_;
  }

  // Runs text in a shell of its own, as root; `input` is its standard input.
  Outcome Run(std::string_view text, std::string input = {}) {
    return RunAs(vfs::Creds::Root(), text, std::move(input));
  }
  Outcome RunAs(vfs::Creds creds, std::string_view text, std::string input = {}) {
    auto out = std::make_shared<StringSink>();
    auto err = std::make_shared<StringSink>();
    Shell shell(
        TaskOf(std::move(creds)),
        Streams{.in = std::make_shared<StringSource>(std::move(input)), .out = out, .err = err},
        loop());
    const int status = shell.RunText(text);
    return {status, out->text(), err->text()};
  }

 private:
  std::unique_ptr<uring::Loop> loop_;
  std::unique_ptr<uring::RingTask> ring_task_;
};

}  // namespace dentree::shell
