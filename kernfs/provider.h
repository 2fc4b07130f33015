// Provider: answers for children that nobody has listed, from a registry that many directories
// share.
//
// A directory whose type has a provider has, besides its other children, whatever the provider
// finds. An untouched child costs nothing; a million objects under a thousand instances cost what
// the registry costs once.
//
// The contract of object ids (ObjectId, entry_table.h):
//   - an id is unique within the root over all levels and all providers, and is never reused;
//   - an id never changes its name, its parent, its kind or its priv.
//   - one object may appear in many domains (an event in every instance) but in one place of each.
//
// How an object goes away:
//   1. the registry marks it dead: from then on Find, List and Describe do not give it;
//   2. Root::RemoveObject(id), holding no lock: waits for operations on the object in every domain,
//      releases its open files, forgets its cached names;
//   3. the registry frees it.
// Describe may hand out pointers to the object (priv) and look at it without the registry's lock:
// both stay good until step 2 has returned. Find and List may not: there an object may be freed as
// soon as the registry's lock is dropped, so they take ids and copy names under it. How an object
// comes: the registry adds it; nothing needs to be told.
//
// Names: a registry refuses a name that the directory's table has, present or not
// (EntryTable::Contains), so nothing is ever listed twice. Root creates no listed node over a name
// that Find knows.
//
// Thread safety: every member may be called by any number of threads at once, with active
// references held but no lock of rank kNode or above; it may take locks of ranks kInstance and
// kRegistry (and leaves) for a short time, must not wait for anything else, and must not call back
// into kernfs. Lifetime: outlives the root.
#pragma once

#include <optional>
#include <string_view>

#include "kernfs/entry_table.h"
#include "vfs/types.h"

namespace dentree::kernfs {

// What an object is in a directory. Exactly one of dir, ops and link, as the type in `mode` says.
struct Provided {
  Mode mode = 0;  // type and permissions
  const DirType* dir = nullptr;
  const NodeOps* ops = nullptr;
  const LinkOps* link = nullptr;
  void* priv = nullptr;
};

// Receives children of a listing.
class ChildSink {
 public:
  // Copies the name. Returns false when it wants no more: List then stops without taking this one.
  virtual bool Take(ObjectId object, std::string_view name, vfs::FileType type) = 0;

 protected:
  ~ChildSink() = default;
};

class Provider {
 public:
  // The living child of `dir` with this name.
  virtual std::optional<ObjectId> Find(const Dir& dir, std::string_view name) const = 0;

  // Gives living children of `dir` with ids above `after`, in ascending order, until there are no
  // more or the sink refuses one. May hold the registry's lock meanwhile: the sink only copies.
  virtual void List(const Dir& dir, ObjectId after, ChildSink& sink) const = 0;

  // What a living object is below `domain`; nothing when it is dead or not there.
  virtual std::optional<Provided> Describe(Node& domain, ObjectId object) const = 0;

 protected:
  constexpr Provider() = default;
  constexpr ~Provider() = default;
};

}  // namespace dentree::kernfs
