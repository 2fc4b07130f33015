#include "tests/uring/uring_test.h"

#include <algorithm>
#include <cstring>

namespace dentree::uring {

namespace {

class PipeOps final : public kernfs::NodeOps {
 public:
  Result<size_t> Read(kernfs::OpenFile& file, std::span<std::byte> out, uint64_t) const override {
    auto& pipe = file.priv_as<Pipe>();
    return Repeat(file, [&] { return pipe.Take(out); });
  }
  Result<size_t> Write(kernfs::OpenFile& file, std::string_view in, uint64_t) const override {
    auto& pipe = file.priv_as<Pipe>();
    return Repeat(file, [&] { return pipe.Add(in); });
  }

 private:
  template <class F>
  static Result<size_t> Repeat(kernfs::OpenFile& file, F move) {
    for (;;) {
      const uint32_t seen = file.event();
      if (const size_t n = move(); n != 0) {
        file.root().Notify(file.domain());
        return n;
      }
      if (file.nonblocking()) return base::Err(Errno::kAgain);
      SYNC_POINT(file.priv_as<Pipe>().sync(), "test:pipe:wait");
      TRY(file.Wait(seen));
    }
  }
};
constexpr PipeOps kPipeOps;
constexpr kernfs::DirType kTopType{};

}  // namespace

void Pipe::Put(std::string_view bytes) {
  base::MutexLock lock(mutex_);
  bytes_ += bytes;
}

size_t Pipe::Take(std::span<std::byte> out) {
  base::MutexLock lock(mutex_);
  const size_t n = std::min(out.size(), bytes_.size());
  std::memcpy(out.data(), bytes_.data(), n);
  bytes_.erase(0, n);
  return n;
}

size_t Pipe::Add(std::string_view bytes) {
  base::MutexLock lock(mutex_);
  const size_t n = std::min(bytes.size(), kCapacity - std::min(kCapacity, bytes_.size()));
  bytes_ += bytes.substr(0, n);
  return n;
}

size_t Pipe::size() const {
  base::MutexLock lock(mutex_);
  return bytes_.size();
}

void UringTest::SetUp() {
  auto started = Loop::Start(vfs(), loop_options_);
  if (!started) GTEST_SKIP() << "no request loop here: " << started.error().reason;
  loop_ = *std::move(started);
  pipe_ = std::make_unique<Pipe>(sync());
  kernfs_ = kernfs::Kernfs::Create(vfs());
  root_ = kernfs::Root::Create(kernfs_, {.type = &kTopType, .permissions = 0755}).value();
  pipe_node_ =
      root_
          ->CreateFile(root_->top(), {.name = "pipe", .permissions = 0666, .priv = pipe_.get()},
                       kPipeOps)
          .value();
  vfs().RegisterType(std::make_unique<kernfs::FileSystem>(
      kernfs::FileSystem::Init{.name = "testfs", .magic = 0x74657374, .root = root_}));
  ASSERT_OK(task().Mkdir("/k", 0755));
  ASSERT_OK(task().Mount("none", "/k", "testfs", ""));
}

void UringTest::TearDown() {
  loop_.reset();
  if (root_ != nullptr) {
    task().fds().CloseAll();
    EXPECT_OK(task().Umount("/k"));
    root_->CheckInvariants();
    pipe_node_ = nullptr;
    EXPECT_EQ(kernfs_->live_open_files(), 0u);
    root_->Remove(root_->top());
    root_ = nullptr;
    kernfs_ = nullptr;
  }
  VfsTest::TearDown();
}

void UringTest::Settle(Queue& queue) {
  constexpr uint64_t kMark = UINT64_MAX;
  ASSERT_OK(queue.Push(Entry::Nop(), kMark));
  Completion done;
  ASSERT_EQ(queue.Wait({&done, 1}), 1u);
  ASSERT_EQ(done.user_data, kMark);
}

void UringTest::Feed(std::string_view bytes) {
  pipe_->Put(bytes);
  root_->Notify(*pipe_node_);
}

void UringTest::RemovePipe() { root_->Remove(*pipe_node_); }

}  // namespace dentree::uring
