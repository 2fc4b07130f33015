// The host changes while we walk: what must hold whatever the order was.

#include <fcntl.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/hostfs/hostfs_test.h"

namespace dentree::hostfs {
namespace {

using vfs::Errno;

class Race : public HostfsTest {
 protected:
  // `fn(task)` over and over in `count` threads while `host_fn` runs in this one.
  template <class Fn, class HostFn>
  void While(HostFn host_fn, int count, Fn fn) {
    std::atomic<bool> stop{false};
    std::atomic<int> running{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        vfs::Task own(vfs(), vfs::Creds::Root());
        do {
          fn(own);
          running.fetch_add(1);
        } while (!stop.load());
      });
    }
    while (running.load() < count) std::this_thread::yield();
    host_fn();
    stop.store(true);
  }

  static void Exchange(const filesystem::path& a, const filesystem::path& b) {
    CHECK(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0, "exchange");
  }

  // Everything there is to be learned of the secret by this path.
  static void ExpectNoSecret(vfs::Task& own, const char* path) {
    const auto text = own.ReadFile(path);
    EXPECT_FALSE(text && *text == HostTree::kSecret);
    const auto stat = own.Stat(path);
    EXPECT_FALSE(stat && stat->size == HostTree::kSecret.size());
  }
};

TEST_F(Race, RenamesOnTheHostDuringTheWalkNeverLeadOut) {
  host().Text("d/e/secret", "inside");
  filesystem::create_directories(host().outside() / "e");
  HostTree::Write(host().outside() / "e/secret", HostTree::kSecret);
  host().Link("../outside", "link");
  for (const char* options : {"ttl=0", "ttl=1"}) {
    Mount(options);
    While(
        [&] {
          for (int i = 0; i < 2000; ++i) {
            Exchange(host().At("d"), host().At("link"));
            if (i % 10 == 0) Expire();
          }
        },
        2,
        [](vfs::Task& own) {
          ExpectNoSecret(own, "/host/d/e/secret");
          ExpectNoSecret(own, "/host/d/../d/e/secret");
          ExpectNoSecret(own, "/host/link/e/secret");
        });
    ASSERT_OK(task().Umount("/host"));
  }
  EXPECT_GT(stats().not_found.Value() + stats().stale.Value(), 0u) << "they have met";
}

TEST_F(Race, DirectoriesMovedOutDuringTheWalkTakeNobodyAlong) {
  host().Dir("d/e");
  Mount("ttl=0");
  While(
      [&] {
        for (int i = 0; i < 500; ++i) {
          const filesystem::path out = host().outside() / absl::StrCat("d", i);
          filesystem::rename(host().At("d"), out);
          HostTree::Write(out / "e/secret", HostTree::kSecret);
          host().Dir("d/e");
        }
      },
      2, [](vfs::Task& own) { ExpectNoSecret(own, "/host/d/e/secret"); });
}

TEST_F(Race, ListingsNeverLeadOut) {
  host().Text("d/e/inside", "");
  filesystem::create_directories(host().outside() / "e");
  HostTree::Write(host().outside() / "e/secret", HostTree::kSecret);
  host().Link("../outside", "link");
  Mount("ttl=0");
  While(
      [&] {
        for (int i = 0; i < 2000; ++i) Exchange(host().At("d"), host().At("link"));
      },
      2,
      [](vfs::Task& own) {
        const auto entries = own.ListDir("/host/d/e");
        if (!entries) return;
        for (const vfs::DirEntry& entry : *entries) EXPECT_EQ(entry.name, "inside");
      });
}

TEST_F(Race, LookupsAgainstUnlinksOnTheHost) {
  host().Dir("d");
  Mount("ttl=0");
  While(
      [&] {
        for (int i = 0; i < 1000; ++i) {
          host().Text("d/f", "text");
          filesystem::remove(host().At("d/f"));
        }
      },
      2,
      [](vfs::Task& own) {
        const auto stat = own.Stat("/host/d/f");
        EXPECT_TRUE(stat || stat.error() == Errno::kNoEnt || stat.error() == Errno::kStale)
            << base::ErrnoName(stat.error());
        const auto text = own.ReadFile("/host/d/f");
        EXPECT_TRUE(!text || *text == "text" || text->empty());
      });
  vfs().CheckInvariants();
  EXPECT_FALSE(task().Stat("/host/d/f"));
}

TEST_F(Race, LookupsAgainstUnlinksOfOurs) {
  host().Dir("d");
  Mount("rw");
  vfs::Task maker(vfs(), vfs::Creds::Root());
  While(
      [&] {
        for (int i = 0; i < 300; ++i) {
          EXPECT_OK(maker.WriteFile("/host/d/f", "text", O_CREAT | O_EXCL, 0644));
          EXPECT_OK(maker.Rename("/host/d/f", "/host/d/g"));
          EXPECT_OK(maker.Unlink("/host/d/g"));
        }
      },
      2,
      [](vfs::Task& own) {
        for (const char* path : {"/host/d/f", "/host/d/g"}) {
          const auto stat = own.Stat(path);
          EXPECT_TRUE(stat || stat.error() == Errno::kNoEnt || stat.error() == Errno::kStale)
              << base::ErrnoName(stat.error());
        }
      });
  vfs().CheckInvariants();
  EXPECT_TRUE(filesystem::is_empty(host().At("d")));
}

TEST_F(Race, AppendsOfManyTasksAllArrive) {
  host().Text("f", "");
  Mount("rw");
  constexpr int kThreads = 3;
  constexpr int kAppends = 200;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        vfs::Task own(vfs(), vfs::Creds::Root());
        const int fd = own.Open("/host/f", O_WRONLY | O_APPEND).value();
        for (int n = 0; n < kAppends; ++n) EXPECT_OK(own.Write(fd, "12345678"));
        EXPECT_OK(own.Close(fd));
      });
    }
  }
  EXPECT_EQ(host().Stat("f").st_size, kThreads * kAppends * 8);
  EXPECT_EQ(task().Stat("/host/f")->size, kThreads * kAppends * 8u);
}

// A ttl of a day: whatever is believed wrongly now stays so.
TEST_F(Race, WhatChangedDuringTheWalkIsSeenAfterwards) {
  host().Dir("d");
  Mount("ttl=86400");
  const auto path = [](int i) { return absl::StrCat("d/f", i % 16); };
  While(
      [&] {
        for (int i = 0; i < 4000; ++i) {
          if (i % 3 == 0) {
            host().Text(path(i), std::string(static_cast<size_t>(i % 5), 'x'));
          } else {
            filesystem::remove(host().At(path(i)));
          }
          if (i % 2 == 0) clock().Advance(kListenNs / 2);
        }
      },
      2,
      [&](vfs::Task& own) {
        for (int i = 0; i < 16; ++i) {
          static_cast<void>(own.Stat("/host/" + path(i)));
          static_cast<void>(own.ReadFile("/host/" + path(i)));
        }
      });
  clock().Advance(kListenNs);
  for (int i = 0; i < 16; ++i) {
    const bool there = filesystem::exists(host().At(path(i)));
    const auto seen = task().Stat("/host/" + path(i));
    EXPECT_EQ(seen.has_value(), there) << path(i);
    if (seen && there) {
      EXPECT_EQ(seen->size, static_cast<uint64_t>(host().Stat(path(i)).st_size)) << path(i);
    }
  }
  EXPECT_GT(stats().events.Value(), 0u);
}

}  // namespace
}  // namespace dentree::hostfs
