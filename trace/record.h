#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace dentree::trace {

class Event;

// What every record begins with: Linux's common fields, byte for byte, because readers of the ring
// buffer (libtraceevent, KernelShark) find the type and the pid at these offsets.
struct RecordHeader {
  uint16_t type = 0;          // the event's trace type
  uint8_t flags = 0;          // interrupt context in Linux; here always 0
  uint8_t preempt_count = 0;  // always 0
  int32_t pid = 0;            // the writing thread's id
};
static_assert(sizeof(RecordHeader) == 8);

// The same header in the notation of a catalogue (docs/event-catalogues.md). Field text never
// repeats it: every event has it.
inline constexpr std::string_view kCommonFields =
    "unsigned short common_type:0:2:0;unsigned char common_flags:2:1:0;"
    "unsigned char common_preempt_count:3:1:0;int common_pid:4:4:1";

// A record no event may exceed: half a sub-buffer page, so that a page always holds at least one.
inline constexpr size_t kMaxRecordBytes = 2048;

// One record on its way into the buffers: `bytes` starts with a RecordHeader and lives on the
// writer's stack for the length of the call.
struct RecordView {
  const Event& event;
  std::span<const std::byte> bytes;
};

}  // namespace dentree::trace
