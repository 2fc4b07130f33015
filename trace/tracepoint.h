#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/errno.h"
#include "trace/event.h"
#include "trace/field.h"
#include "trace/record.h"

// Typed tracepoints: places of a program that tell, while somebody wants to know, what happens
// there.
//
//   struct ServerTrace {
//     trace::Tracepoint<"net", "req_done", trace::Field<"id", uint64_t>,
//                       trace::Field<"status", int32_t>, trace::DynStr<"path">>
//         req_done{"id=%llu status=%d path=%s"};
//   };
//   ServerTrace trace;                                            // one per Registry
//   trace::Registration r = TRY(registry.Register(trace.req_done));
//   ...
//   trace.req_done(request.id, 200, request.path);
//
// While no instance has the event enabled a call costs one load, one test and one branch not taken;
// the arguments are evaluated all the same, so what is expensive to compute stands behind
// `if (trace.req_done.enabled())`.

namespace dentree::trace {

class Registry;

// What all tracepoints have in common; made by Tracepoint only.
//
// Thread safety: fired from any thread, under any lock: it takes none, never allocates, and when a
// record is being written by this thread already, drops the new one.
// Lifetime: registered with one registry at a time, which outlives every call. Must not be
// destroyed while registered or while a thread may call it.
class TracepointBase {
 public:
  bool enabled() const { return flag_.load(std::memory_order_relaxed) != 0; }

  TracepointBase(const TracepointBase&) = delete;
  TracepointBase& operator=(const TracepointBase&) = delete;

 protected:
  struct Info {
    std::string_view system, name, fields;
  };

  constexpr TracepointBase(const Info& info, std::string_view print_format)
      : info_(&info), print_format_(print_format) {}
  ~TracepointBase() = default;

  // Fills in the header of `record` and hands it to every instance that wants it.
  void Commit(std::span<std::byte> record) const;

 private:
  friend class Registry;
  friend class Instance;

  std::atomic<uint8_t> flag_{0};              // 1 while any instance has the event enabled
  std::atomic<Event*> event_{nullptr};        // null while not registered
  std::atomic<Registry*> registry_{nullptr};  // the last one registered with
  const Info* info_;
  std::string_view print_format_;
};

template <Literal System, Literal Name, class... Fields>
class Tracepoint : public TracepointBase {
 public:
  using Layout = RecordLayout<Fields...>;

  // Without a format string, the text of a record is made from the fields: "id=%llu status=%d".
  constexpr Tracepoint() : TracepointBase(kInfo, {}) {}
  constexpr Tracepoint(PrintFormat<Fields...> format)  // NOLINT: implicit
      : TracepointBase(kInfo, format.view()) {}

  [[gnu::always_inline]] void operator()(typename Fields::Arg... values) const {
    if (enabled()) [[unlikely]]
      Write(values...);
  }

 private:
  static constexpr Info kInfo{System.view(), Name.view(), Layout::kText.view()};

  [[gnu::noinline, gnu::cold]] void Write(typename Fields::Arg... values) const {
    alignas(8) std::byte record[Layout::kMaxBytes];
    std::fill_n(record, Layout::kFixedBytes, std::byte{0});  // what lies between fields
    RecordCursor cursor{record, Layout::kFixedBytes};
    size_t i = 0;
    (Fields::Store(cursor, Layout::kOffsets[i++], values), ...);
    Commit({record, cursor.end});
  }
};

// Keeps an event in its registry; taking it away disables the event everywhere and removes it.
//
// Thread safety: none. Lifetime: ends before the tracepoint and the registry. Its end waits for
// operations on the event's files, so it must not come under a lock or from such an operation.
class [[nodiscard]] Registration {
 public:
  Registration() = default;
  Registration(Registration&&) noexcept = default;
  Registration& operator=(Registration&& other) noexcept;
  ~Registration() { Reset(); }

  Event* event() const { return event_.get(); }
  void Reset();

 private:
  friend class Registry;
  explicit Registration(base::Ref<Event> event) : event_(std::move(event)) {}

  base::Ref<Event> event_;
};

}  // namespace dentree::trace
