// The operations of the files in and below events/.
#pragma once

#include "eventfs/control_ops.h"

namespace dentree::eventfs {

// --- in a directory about an event ---

class EventEnable final : public ValueControl {
 public:
  constexpr EventEnable() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
  bool must_not_fail() const override { return true; }  // to be turned off
};

class EventFilter final : public ValueControl {
 public:
  constexpr EventFilter() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
};

class EventTrigger final : public TextControl {
 public:
  constexpr EventTrigger() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
};

class EventFormat final : public TextControl {
 public:
  constexpr EventFormat() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

class EventId final : public ValueControl {
 public:
  constexpr EventId() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

// What histograms of the event say: nothing while it has none.
class EventHist final : public TextControl {
 public:
  constexpr EventHist() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

// Written only; which no record to inject is accepted for yet.
class EventInject final : public ValueControl {
 public:
  constexpr EventInject() = default;
};

// --- in a directory about a system ---

class SystemEnable final : public ValueControl {
 public:
  constexpr SystemEnable() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
  bool must_not_fail() const override { return true; }  // to be turned off
};

class SystemFilter final : public ValueControl {
 public:
  constexpr SystemFilter() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
};

// --- in events/ ---

class TopEnable final : public ValueControl {
 public:
  constexpr TopEnable() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
  bool must_not_fail() const override { return true; }  // to be turned off
};

class HeaderPage final : public ValueControl {
 public:
  constexpr HeaderPage() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

class HeaderEvent final : public ValueControl {
 public:
  constexpr HeaderEvent() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

}  // namespace dentree::eventfs
