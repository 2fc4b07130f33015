// Streams of bytes: where a command reads and writes.
//
// Source and Sink are the ends a command sees; behind them is a descriptor of the host, a
// descriptor of a Task (a redirection), the neighbour in a pipeline, or a string (a test). Thread
// safety: a stream belongs to one thread, a Pipe to two. Lifetime: what a stream stands on outlives
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/base.h"
#include "uring/ring_task.h"

namespace dentree::shell {

// Bytes that a pipe holds before its writer waits; as in Linux.
inline constexpr size_t kPipeCapacity = 64 * 1024;
// Bytes that an Output collects before it writes.
inline constexpr size_t kOutputBuffer = 32 * 1024;
// Bytes in one line that ReadLine gives; a longer one comes in pieces.
inline constexpr size_t kMaxLine = 1 << 20;

// Set when the user pressed control-C: what waits or loops gives up with kIntr.
using Interrupt = std::atomic<bool>;

// Bytes to read. ReadLine and Read may be mixed: what one has not given the other gives.
class Source {
 public:
  virtual ~Source() = default;
  virtual bool is_terminal() const { return false; }
  // From now on reads that wait end with kIntr when this becomes true. Some never wait.
  virtual void WatchInterrupt(std::shared_ptr<const Interrupt>) {}

  // The size of the regular file this reads; nothing for what is none.
  virtual std::optional<uint64_t> FileSize() const { return std::nullopt; }

  // At least one byte, or 0 at the end.
  base::Result<size_t> Read(std::span<char> out);
  // Through the next '\n', which is kept; an empty string at the end.
  base::Result<std::string> ReadLine();
  base::Result<std::string> ReadAll();

 protected:
  virtual base::Result<size_t> Fill(std::span<char> out) = 0;

 private:
  base::Status Refill();

  std::string buffer_;
  size_t begin_ = 0;
};

// Where bytes go. kPipe: nobody will read them.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual bool is_terminal() const { return false; }
  virtual size_t columns() const { return 80; }
  virtual base::Status Write(std::string_view bytes) = 0;
};

class StringSource final : public Source {
 public:
  explicit StringSource(std::string text) : text_(std::move(text)) {}

 private:
  base::Result<size_t> Fill(std::span<char> out) override;
  std::string text_;
  size_t pos_ = 0;
};

// Thread safety: Write from any thread, as the commands of a pipeline share one for their errors.
class StringSink final : public Sink {
 public:
  base::Status Write(std::string_view bytes) override;
  std::string text() const;

 private:
  mutable base::Mutex<base::LockRank::kLeaf> mutex_;
  std::string text_ DT_GUARDED_BY(mutex_);
};

// A descriptor of the host, not owned.
class HostSource final : public Source {
 public:
  explicit HostSource(int fd) : fd_(fd) {}
  bool is_terminal() const override;
  std::optional<uint64_t> FileSize() const override;
  void WatchInterrupt(std::shared_ptr<const Interrupt> interrupt) override {
    interrupt_ = std::move(interrupt);
  }

 private:
  base::Result<size_t> Fill(std::span<char> out) override;
  const int fd_;
  std::shared_ptr<const Interrupt> interrupt_;  // null: reads block
};

class HostSink final : public Sink {
 public:
  explicit HostSink(int fd) : fd_(fd) {}
  bool is_terminal() const override;
  size_t columns() const override;
  base::Status Write(std::string_view bytes) override;

 private:
  const int fd_;
};

// A descriptor of a Task, closed at the end.
class TaskSource final : public Source {
 public:
  TaskSource(uring::RingTask& task, int fd) : task_(task), fd_(fd) {}
  ~TaskSource() override;
  std::optional<uint64_t> FileSize() const override;

 private:
  base::Result<size_t> Fill(std::span<char> out) override;
  uring::RingTask& task_;
  const int fd_;
};

class TaskSink final : public Sink {
 public:
  TaskSink(uring::RingTask& task, int fd) : task_(task), fd_(fd) {}
  ~TaskSink() override;
  base::Status Write(std::string_view bytes) override;

 private:
  uring::RingTask& task_;
  const int fd_;
};

// A bounded queue of bytes between two threads. The writer waits while it is full; it gets kPipe
// once the reader is gone. The reader waits while it is empty and gets the end once the writer is.
class Pipe {
 public:
  explicit Pipe(const Interrupt& interrupt) : interrupt_(interrupt) {}

  base::Result<size_t> Read(std::span<char> out);
  base::Status Write(std::string_view bytes);
  void CloseReader();
  void CloseWriter();

 private:
  const Interrupt& interrupt_;
  base::Mutex<base::LockRank::kLeaf> mutex_;
  base::CondVar changed_;
  std::string bytes_ DT_GUARDED_BY(mutex_);
  bool reader_gone_ DT_GUARDED_BY(mutex_) = false;
  bool writer_gone_ DT_GUARDED_BY(mutex_) = false;
};

class PipeSource final : public Source {
 public:
  explicit PipeSource(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeSource() override { pipe_->CloseReader(); }

 private:
  base::Result<size_t> Fill(std::span<char> out) override { return pipe_->Read(out); }
  const std::shared_ptr<Pipe> pipe_;
};

class PipeSink final : public Sink {
 public:
  explicit PipeSink(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeSink() override { pipe_->CloseWriter(); }
  base::Status Write(std::string_view bytes) override { return pipe_->Write(bytes); }

 private:
  const std::shared_ptr<Pipe> pipe_;
};

enum class Buffering : uint8_t { kNone, kFull };

// What a command prints to: a Sink with a buffer before it. After a write failed the rest is
// dropped and status() says why.
class Output {
 public:
  Output(Sink& sink, Buffering buffering) : sink_(sink), buffering_(buffering) {}

  void Put(std::string_view text);
  void Flush();
  base::Status status() const { return status_; }
  bool failed() const { return !status_.has_value(); }
  bool is_terminal() const { return sink_.is_terminal(); }
  Sink& sink() const { return sink_; }

 private:
  Sink& sink_;
  const Buffering buffering_;
  std::string buffer_;
  base::Status status_;
};

}  // namespace dentree::shell
