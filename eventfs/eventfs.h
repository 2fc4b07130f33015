// eventfs: the events/ directory of a tracing directory. Umbrella of the room.
//
//     events/            enable  header_page  header_event      and a directory for each system
//     events/SYS/        enable  filter                         and one for each of its events
//     events/SYS/EV/     enable  filter  trigger  format  id  (hist  hist_debug  inject)
//
// Systems and events come from the trace registry through providers, files from constant tables, so
// none of the 2,400 directories and 12,000 files costs a tracing instance a byte. Which files an
// event has follows from what can be done with it (trace::EventFlags), by callbacks in the table.
//
// A tracing directory puts kEventsDir in its own table and has a Host as the priv of its node:
//
//     inline constexpr auto kFiles = kernfs::MakeTable(
//         kernfs::Subdir("events", 0755, eventfs::kEventsDir, eventfs::kEventsObject), ...);
//
// and for the life of the tree a RegistryWatch, which takes removed events away from it.
#pragma once

#include <span>
#include <string_view>

#include "eventfs/control_ops.h"
#include "eventfs/host.h"
#include "kernfs/kernfs.h"
#include "trace/trace.h"

namespace dentree::eventfs {

extern const kernfs::DirType kEventsDir;

// Systems and events are objects in this space of their root, with their ids in the registry; id 0,
// which the registry gives to nobody, is events/ itself. Others keep to spaces of their own.
inline constexpr uint8_t kObjectSpace = 1;
inline constexpr kernfs::ObjectId kEventsObject = kernfs::ObjectIn(kObjectSpace, 0);

// Names of the files beside systems, and beside events: for trace::Registry::Options, so that
// neither can be hidden by one.
std::span<const std::string_view> ReservedSystemNames();
std::span<const std::string_view> ReservedEventNames();

// Takes what is removed from the registry out of a tree.
//
// Thread safety: as RegistryObserver. Lifetime: the registry's observer from construction to
// destruction.
class RegistryWatch final : public trace::RegistryObserver {
 public:
  RegistryWatch(trace::Registry& registry, kernfs::Root& root);
  ~RegistryWatch() override;
  RegistryWatch(const RegistryWatch&) = delete;
  RegistryWatch& operator=(const RegistryWatch&) = delete;

  void EventRemoved(trace::Event& event) override;
  void SystemRemoved(trace::System& system) override;

 private:
  trace::Registry& registry_;
  kernfs::Root& root_;
};

}  // namespace dentree::eventfs
