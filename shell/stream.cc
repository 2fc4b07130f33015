#include "shell/stream.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace dentree::shell {

using base::Err;
using base::Errno;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr size_t kReadSize = 16 * 1024;
// How long a waiting stream sleeps before it looks whether the user interrupted it.
constexpr std::chrono::duration<int, std::milli> kInterruptPoll{50};

Errno HostError() { return static_cast<Errno>(errno); }

}  // namespace

// --- Source -----------------------------------------------------------------------------------

Status Source::Refill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t had = buffer_.size();
  buffer_.resize(had + kReadSize);
  auto got = Fill(std::span(buffer_).subspan(had));
  buffer_.resize(had + got.value_or(0));
  if (!got) return Err(got.error());
  return {};
}

Result<size_t> Source::Read(std::span<char> out) {
  if (begin_ == buffer_.size()) return Fill(out);
  const size_t n = std::min(out.size(), buffer_.size() - begin_);
  std::memcpy(out.data(), buffer_.data() + begin_, n);
  begin_ += n;
  return n;
}

Result<std::string> Source::ReadLine() {
  size_t looked = begin_;
  while (true) {
    const size_t newline = buffer_.find('\n', looked);
    const size_t held = buffer_.size() - begin_;
    const bool at_limit = newline == std::string::npos && held >= kMaxLine;
    if (newline != std::string::npos || at_limit) {
      const size_t end = at_limit ? buffer_.size() : newline + 1;
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end;
      return line;
    }
    TRY(Refill());
    looked = held;
    if (buffer_.size() == held) {  // the end: what is left is the last line
      begin_ = held;
      return buffer_;
    }
  }
}

Result<std::string> Source::ReadAll() {
  std::string all = buffer_.substr(begin_);
  begin_ = buffer_.size();
  while (true) {
    const size_t had = all.size();
    all.resize(had + kReadSize);
    auto got = Fill(std::span(all).subspan(had));
    all.resize(had + got.value_or(0));
    if (!got) return Err(got.error());
    if (*got == 0) return all;
  }
}

// --- strings ----------------------------------------------------------------------------------

Result<size_t> StringSource::Fill(std::span<char> out) {
  const size_t n = std::min(out.size(), text_.size() - pos_);
  std::memcpy(out.data(), text_.data() + pos_, n);
  pos_ += n;
  return n;
}

Status StringSink::Write(std::string_view bytes) {
  base::MutexLock lock(mutex_);
  text_ += bytes;
  return {};
}

std::string StringSink::text() const {
  base::MutexLock lock(mutex_);
  return text_;
}

// --- descriptors ------------------------------------------------------------------------------

bool HostSource::is_terminal() const { return ::isatty(fd_) == 1; }

std::optional<uint64_t> HostSource::FileSize() const {
  struct stat st{};
  if (::fstat(fd_, &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(st.st_size);
}

Result<size_t> HostSource::Fill(std::span<char> out) {
  while (true) {
    if (interrupt_ != nullptr) {
      if (interrupt_->load(std::memory_order_relaxed)) return Err(Errno::kIntr);
      pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, kInterruptPoll.count()) == 0) continue;
    }
    const ssize_t n = ::read(fd_, out.data(), out.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return Err(HostError());
  }
}

bool HostSink::is_terminal() const { return ::isatty(fd_) == 1; }

size_t HostSink::columns() const {
  winsize size{};
  return ::ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : Sink::columns();
}

Status HostSink::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return Err(HostError());
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

TaskSource::~TaskSource() { (void)task_.Close(fd_); }

std::optional<uint64_t> TaskSource::FileSize() const {
  const auto st = task_.Fstat(fd_);
  if (!st || !vfs::IsRegular(st->mode)) return std::nullopt;
  return st->size;
}

Result<size_t> TaskSource::Fill(std::span<char> out) {
  return task_.Read(fd_, std::as_writable_bytes(out));
}

TaskSink::~TaskSink() { (void)task_.Close(fd_); }

Status TaskSink::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t n = TRY(task_.Write(fd_, bytes));
    if (n == 0) return Err(Errno::kIo);
    bytes.remove_prefix(n);
  }
  return {};
}

// --- Pipe -------------------------------------------------------------------------------------

Result<size_t> Pipe::Read(std::span<char> out) {
  MutexLock lock(mutex_);
  while (bytes_.empty() && !writer_gone_) {
    if (interrupt_.load(std::memory_order_relaxed)) return Err(Errno::kIntr);
    (void)changed_.WaitFor(mutex_, kInterruptPoll, [this]() DT_NO_THREAD_SAFETY_ANALYSIS {
      return !bytes_.empty() || writer_gone_;
    });
  }
  const size_t n = std::min(out.size(), bytes_.size());
  std::memcpy(out.data(), bytes_.data(), n);
  bytes_.erase(0, n);
  changed_.NotifyAll();
  return n;
}

Status Pipe::Write(std::string_view bytes) {
  MutexLock lock(mutex_);
  while (!bytes.empty()) {
    if (reader_gone_) return Err(Errno::kPipe);
    if (interrupt_.load(std::memory_order_relaxed)) return Err(Errno::kIntr);
    const size_t n = std::min(bytes.size(), kPipeCapacity - bytes_.size());
    bytes_ += bytes.substr(0, n);
    bytes.remove_prefix(n);
    changed_.NotifyAll();
    if (bytes.empty()) break;
    (void)changed_.WaitFor(mutex_, kInterruptPoll, [this]() DT_NO_THREAD_SAFETY_ANALYSIS {
      return bytes_.size() < kPipeCapacity || reader_gone_;
    });
  }
  return {};
}

void Pipe::CloseReader() {
  MutexLock lock(mutex_);
  reader_gone_ = true;
  changed_.NotifyAll();
}

void Pipe::CloseWriter() {
  MutexLock lock(mutex_);
  writer_gone_ = true;
  changed_.NotifyAll();
}

// --- Output -----------------------------------------------------------------------------------

void Output::Put(std::string_view text) {
  if (failed()) return;
  buffer_ += text;
  if (buffering_ == Buffering::kNone || buffer_.size() >= kOutputBuffer) Flush();
}

void Output::Flush() {
  if (buffer_.empty() || failed()) return;
  status_ = sink_.Write(buffer_);
  buffer_.clear();
}

}  // namespace dentree::shell
