// What must not fail does not: with the budget exhausted, and with every allocation failing.
//
// Each operation is how somebody gets out of a shortage: give back, turn off, remove, look.

#include <functional>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "os/os.h"

namespace dentree::os {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::StartsWith;

constexpr size_t kLimit = 4 << 20;
constexpr std::string_view kInstance = "/sys/kernel/tracing/instances/web";
constexpr std::string_view kCatalogue =
    "http\trequest\t1001\tenable,filter,format,id,trigger\tu64 request:8:8:0\n"
    "http\tanswer\t1002\tenable,filter,format,id,trigger\tu64 request:8:8:0\n";

class MustNotFail : public testing::Test {
 protected:
  MustNotFail()
      : os_(Os::Boot({.catalogues = {kCatalogue}, .memory_limit = kLimit}).value()),
        task_(os_->NewTask()) {
    CHECK(task().Mkdir(kInstance, 0755).has_value());
    CHECK(task().WriteFile(Event("enable"), "1").has_value());
    CHECK(task().Mkdir("/tmp/dir", 0755).has_value());
    CHECK(task().WriteFile("/tmp/file", "x").has_value());
  }
  ~MustNotFail() override {
    task_.reset();
    os_->vfs().Shutdown();
    EXPECT_EQ(os_->vfs().LeakReport(), "");
  }

  vfs::Task& task() { return *task_; }
  static std::string Event(std::string_view file) {
    return absl::StrFormat("%s/events/http/request/%s", kInstance, file);
  }

  // Fills the budget with what cannot be reclaimed, to the last byte an ordinary charge may have,
  // and then the free objects that slabs still have.
  void Exhaust() {
    mm::Memory& memory = os_->vfs().memory();
    os_->vfs().DropCaches();
    for (size_t step = 64 * 1024; step != 0; step /= 2) {
      while (memory.Charge(step)) charged_ += step;
    }
    while (task().Mkdir(absl::StrFormat("/tmp/%d", made_), 0755)) ++made_;
    for (const std::string& path : {std::string("/tmp/file"), Event("format")}) {
      for (auto fd = task().Open(path, O_RDONLY); fd; fd = task().Open(path, O_RDONLY)) {
        open_.push_back(*fd);
      }
    }
    ASSERT_THAT(task().Mkdir("/tmp/no", 0755), FailsWith(Errno::kNoMem));
    ASSERT_THAT(task().Open("/tmp/file", O_RDONLY), FailsWith(Errno::kNoMem));
  }
  void Relieve() {
    for (int fd : std::exchange(open_, {})) EXPECT_OK(task().Close(fd));
    os_->vfs().memory().Uncharge(std::exchange(charged_, 0));
  }

  // The operation succeeds in both shortages. It is undone between them by `again`.
  void SucceedsInBoth(const std::function<Status()>& operation,
                      const std::function<void()>& again) {
    Exhaust();
    EXPECT_OK(operation()) << "with the budget exhausted";
    EXPECT_LE(os_->vfs().memory().high_water(), kLimit);
    Relieve();
    again();
    {
      os_->vfs().DropCaches();
      const base::ScopedFault fault(os_->faults(), base::FaultPlan::Always("*"));
      EXPECT_OK(operation()) << "with every allocation failing";
    }
    os_->vfs().CheckInvariants();
  }

  std::unique_ptr<Os> os_;
  std::unique_ptr<vfs::Task> task_;
  size_t charged_ = 0;
  int made_ = 0;
  std::vector<int> open_;
};

TEST_F(MustNotFail, ClosingAFile) {
  int fd = -1;
  const auto open = [&] { fd = task().Open("/tmp/file", O_RDWR).value(); };
  open();
  SucceedsInBoth([&] { return task().Close(fd); }, open);
}

TEST_F(MustNotFail, ClosingAControlFile) {
  int fd = -1;
  const auto open = [&] { fd = task().Open(Event("format"), O_RDONLY).value(); };
  open();
  SucceedsInBoth([&] { return task().Close(fd); }, open);
}

TEST_F(MustNotFail, DisablingAnEvent) {
  SucceedsInBoth([&] { return task().WriteFile(Event("enable"), "0\n"); },
                 [&] {
                   EXPECT_THAT(task().ReadFile(Event("enable")), Holds("0\n"));
                   ASSERT_OK(task().WriteFile(Event("enable"), "1\n"));
                 });
  EXPECT_THAT(task().ReadFile(Event("enable")), Holds("0\n"));
}

TEST_F(MustNotFail, DisablingASystem) {
  const std::string file = absl::StrFormat("%s/events/http/enable", kInstance);
  SucceedsInBoth([&] { return task().WriteFile(file, "0"); },
                 [&] { ASSERT_OK(task().WriteFile(file, "1")); });
  EXPECT_THAT(task().ReadFile(Event("enable")), Holds("0\n"));
}

TEST_F(MustNotFail, DisablingAllEvents) {
  const std::string file = absl::StrFormat("%s/events/enable", kInstance);
  SucceedsInBoth([&] { return task().WriteFile(file, "0"); },
                 [&] { ASSERT_OK(task().WriteFile(file, "1")); });
  EXPECT_THAT(task().ReadFile(Event("enable")), Holds("0\n"));
}

TEST_F(MustNotFail, RemovingAFile) {
  SucceedsInBoth([&] { return task().Unlink("/tmp/file"); },
                 [&] { ASSERT_OK(task().WriteFile("/tmp/file", "x")); });
}

TEST_F(MustNotFail, RemovingADirectory) {
  SucceedsInBoth([&] { return task().Rmdir("/tmp/dir"); },
                 [&] { ASSERT_OK(task().Mkdir("/tmp/dir", 0755)); });
}

TEST_F(MustNotFail, RemovingAnInstance) {
  SucceedsInBoth([&] { return task().Rmdir(kInstance); },
                 [&] { ASSERT_OK(task().Mkdir(kInstance, 0755)); });
}

TEST_F(MustNotFail, ReadingTheMemoryReport) {
  const auto read = [&]() -> Status {
    const auto text = task().ReadFile("/proc/memory_report");
    if (!text) return base::Err(text.error());
    EXPECT_THAT(*text, StartsWith("verdict: "));
    return {};
  };
  SucceedsInBoth(read, [] {});
}

// The reserve is for these: what else opens files is refused before and after.
TEST_F(MustNotFail, WhatMayFailDoesNotTakeTheReserve) {
  Exhaust();
  EXPECT_THAT(task().ReadFile("/tmp/file"), FailsWith(Errno::kNoMem));
  EXPECT_THAT(task().ReadFile(Event("format")), FailsWith(Errno::kNoMem));
  EXPECT_THAT(task().WriteFile("/tmp/other", "x"), FailsWith(Errno::kNoMem));
  EXPECT_OK(task().WriteFile(Event("enable"), "0"));
  EXPECT_GT(os_->vfs().memory().stats().reserve_charges.Value(), 0u);
  Relieve();
}

}  // namespace
}  // namespace dentree::os
