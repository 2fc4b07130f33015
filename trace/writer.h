#pragma once

namespace dentree::trace {

// Marks the calling thread as writing a record, so that a tracepoint fired by the write path itself
// (from a filter, a trigger, a signal handler on the same thread) is dropped instead of recursing.
//
// The mark is the room's only thread_local: it says something about the thread and nothing about
// any Registry, like the thread registration of RCU.
//
// Thread safety: an object belongs to the thread that made it.
class WriterScope {
 public:
  WriterScope() : outermost_(!writing_) { writing_ = true; }
  ~WriterScope() {
    if (outermost_) writing_ = false;
  }
  WriterScope(const WriterScope&) = delete;
  WriterScope& operator=(const WriterScope&) = delete;

  // False when the thread was writing already: the record must be dropped.
  bool outermost() const { return outermost_; }

 private:
  static inline constinit thread_local bool writing_ = false;
  const bool outermost_;
};

}  // namespace dentree::trace
