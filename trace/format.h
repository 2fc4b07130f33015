#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "trace/event.h"

// What the `format` file of an event says, and the notation of fields it is made from. The text is
// made when asked for and kept nowhere.

namespace dentree::trace {

// The most text the fields of one event may have.
inline constexpr size_t kMaxFieldsBytes = 32 * 1024;

// One field as a catalogue writes it (docs/event-catalogues.md): `declaration:offset:size:signed`.
struct FieldView {
  std::string_view declaration;  // "pid_t prev_pid", "__data_loc char[] name", "u8 mac[6]"
  std::string_view name;         // "prev_pid"
  uint32_t offset;               // from the start of the record
  uint32_t size;                 // bytes; 0 for an array that takes the rest of the record
  bool is_signed;
};

// Where in the text something is wrong, from its first byte, and what.
struct FieldError {
  size_t at;
  const char* reason;
};

std::expected<FieldView, FieldError> ParseField(std::string_view text);

// Whether every field of a ';'-joined list is well formed and lies behind the record's header.
std::expected<void, FieldError> CheckFields(std::string_view fields);

// The text of the event's format file, as Linux prints it:
//
//   name: NAME / ID: TYPE / format: / the common fields / an empty line / the event's fields /
//   an empty line / print fmt: "FORMAT", ARGUMENTS
//
// Where the event has no format string of its own the last line is made from the fields, one
// NAME=VALUE each: true to the record, though not what the kernel that has the event would print.
std::string FormatText(const Event& event);

// Bytes of a page of the ring buffer, its header included, as readers get it if nobody asked for
// more.
inline constexpr size_t kSubBufferBytes = 4096;

// What events/header_page and events/header_event say: how a page of the ring buffer and an entry
// in it are laid out. Readers take the size of a page from the first.
std::string HeaderPageText(size_t subbuf_bytes = kSubBufferBytes);
std::string_view HeaderEventText();

}  // namespace dentree::trace
