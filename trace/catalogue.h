#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "trace/registry.h"

namespace dentree::trace {

// A line longer than this is refused.
inline constexpr size_t kMaxCatalogueLine = 64 * 1024;

// Why a catalogue was refused, and where.
struct CatalogueError {
  base::Errno error;
  size_t line;         // from 1; 0 if it is about no line
  const char* column;  // "system", "event", "id", "files", "fields", or "" if it is about the line
  size_t byte;         // from 1, in the line; 0 if it is about no byte
  std::string reason;

  // "line 3, column fields, byte 57: signed must be 0 or 1"
  std::string ToString() const;
};

// What a catalogue brought.
struct CatalogueSummary {
  size_t events = 0;
  size_t text_bytes = 0;  // names and fields, kept once for all events that share them
};

// Adds all events of a catalogue to the registry, or none. `text` is a whole file in the format of
// docs/event-catalogues.md, and not needed afterwards. Loading a second one is fine as long as no
// name and no id meets.
std::expected<CatalogueSummary, CatalogueError> LoadCatalogue(Registry& registry,
                                                              std::string_view text);

}  // namespace dentree::trace
