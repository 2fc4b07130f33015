// Listing. A position says where the *next* entry comes from, so the position after an entry (its
// d_off) is one that listing can resume from without knowing that entry:
//
//     bits 62..60   segment: 0 dots, 1 table, 2 listed, 3 provided, 7 end
//     bits 59..0    inside it: dots and table: number of the next one; listed: id of the node
//     before;
//                   provided: object id before
//
// Ids only grow and are never reused, and a table entry keeps its number while it is absent. So
// what exists during a whole listing is seen exactly once, whatever comes and goes meanwhile, and
// positions stay good for ever. Nothing is allocated, no node, inode or dentry is made: names are
// copied to a page on the stack and given to the sink with no lock held.

#include "kernfs/dir_internal.h"

#include <cstring>
#include <new>

#include "kernfs/file_internal.h"
#include "kernfs/lookup_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

using base::Err;

namespace {

enum class Segment : int64_t { kDots = 0, kTable = 1, kListed = 2, kProvided = 3, kEnd = 7 };
constexpr int kSegmentShift = 60;
constexpr int64_t kInsideMask = (int64_t{1} << kSegmentShift) - 1;

constexpr int64_t At(Segment segment, uint64_t inside) {
  return static_cast<int64_t>(segment) << kSegmentShift | static_cast<int64_t>(inside);
}

// Children copied out of a tree or registry, to be emitted without its lock.
class Batch final : public ChildSink {
 public:
  struct Child {
    uint64_t id;  // node or object
    vfs::FileType type;
    uint8_t name_size;
    // The name follows.
  };

  bool Take(ObjectId id, std::string_view name, vfs::FileType type) override {
    const size_t need = (sizeof(Child) + name.size() + alignof(Child) - 1) & ~(alignof(Child) - 1);
    if (need > sizeof(page_) - used_) return false;
    // In place: a copy would be read while its parts are still on their way to memory.
    ::new (page_ + used_) Child{id, type, static_cast<uint8_t>(name.size())};
    std::memcpy(page_ + used_ + sizeof(Child), name.data(), name.size());
    used_ += need;
    return true;
  }
  bool empty() const { return used_ == 0; }

  // Calls fn(child, name) in order until it returns false; returns whether all were taken.
  template <class Fn>
  bool ForEach(Fn fn) const {
    for (size_t at = 0; at < used_;) {
      const Child& child = *std::launder(reinterpret_cast<const Child*>(page_ + at));
      if (!fn(child, std::string_view(page_ + at + sizeof(Child), child.name_size))) return false;
      at += (sizeof(Child) + child.name_size + alignof(Child) - 1) & ~(alignof(Child) - 1);
    }
    return true;
  }

 private:
  alignas(Child) char page_[4096];
  size_t used_ = 0;
};

// One call of Iterate.
class Listing {
 public:
  Listing(vfs::File& file, int64_t pos, vfs::DirSink& sink)
      : file_(file),
        root_(Lookups::RootOf(file.inode())),
        dir_(Lookups::Of(file.inode())),
        sink_(sink),
        pos_(pos) {}

  // Returns the position after the last entry taken.
  int64_t Run() {
    bool room = true;
    while (room && segment() != Segment::kEnd) {
      switch (segment()) {
        case Segment::kDots:
          room = Dots();
          break;
        case Segment::kTable:
          room = Table();
          break;
        case Segment::kListed:
          room = Listed();
          break;
        case Segment::kProvided:
          room = Provided();
          break;
        default:
          pos_ = At(Segment::kEnd, 0);
      }
    }
    root_.kernfs().stats().Add<&KernfsStats::listed>(count_);
    return pos_;
  }

 private:
  Segment segment() const { return static_cast<Segment>(pos_ >> kSegmentShift); }
  uint64_t inside() const { return static_cast<uint64_t>(pos_ & kInsideMask); }

  bool Emit(std::string_view name, vfs::Ino ino, vfs::FileType type, int64_t next) {
    if (!sink_.Emit(name, ino, type, next)) return false;
    pos_ = next;
    ++count_;
    return true;
  }

  bool Dots() {
    constexpr auto kDir = vfs::FileType::kDir;
    if (inside() == 0 && !Emit(".", file_.inode().ino(), kDir, At(Segment::kDots, 1))) return false;
    const vfs::Ino parent = file_.dentry().parent()->inode().ino();
    return inside() > 1 || Emit("..", parent, kDir, At(Segment::kTable, 0));
  }

  bool Table() {
    const EntryTable& table = dir_.dir_type().table;
    for (uint64_t i = inside(); i < table.size(); ++i) {
      const TableEntry& entry = table[i];
      if (entry.present != nullptr && !entry.present(dir_.dir()).here) continue;
      Identity identity{.domain = dir_.domain().id(), .object = dir_.object()};
      if (vfs::IsDir(entry.mode)) {
        identity.object = entry.object;
      } else {
        identity.index = static_cast<uint16_t>(i);
      }
      if (!Emit(entry.name, root_.InoOf(identity), vfs::TypeOf(entry.mode),
                At(Segment::kTable, i + 1))) {
        return false;
      }
    }
    pos_ = At(Segment::kListed, 0);
    return true;
  }

  bool Listed() {
    if (dir_.is_listed()) {
      Batch batch;
      Lookups::ListListed(root_, dir_.domain(), inside(), batch);
      if (!batch.empty()) {
        return batch.ForEach([this](const Batch::Child& child, std::string_view name) {
          return Emit(name, root_.InoOf({.domain = child.id}), child.type,
                      At(Segment::kListed, child.id));
        });
      }
    }
    pos_ = At(Segment::kProvided, 0);
    return true;
  }

  bool Provided() {
    if (const Provider* const provider = dir_.dir_type().provider) {
      base::AssertMayCallOut();
      Batch batch;
      provider->List(dir_.dir(), inside(), batch);
      if (!batch.empty()) {
        const uint64_t domain = dir_.domain().id();
        return batch.ForEach([this, domain](const Batch::Child& child, std::string_view name) {
          return Emit(name, root_.InoOf({.domain = domain, .object = child.id}), child.type,
                      At(Segment::kProvided, child.id));
        });
      }
    }
    pos_ = At(Segment::kEnd, 0);
    return true;
  }

  vfs::File& file_;
  Root& root_;
  Transient& dir_;
  vfs::DirSink& sink_;
  int64_t pos_;
  uint64_t count_ = 0;
};

}  // namespace

vfs::Status DirOps::Open(vfs::File& file) const {
  const ActiveRef active(Lookups::Of(file.inode()));
  if (!active.ok()) return Err(Errno::kNoEnt);
  return {};
}

vfs::Result<int64_t> DirOps::Iterate(vfs::File& file, int64_t pos, vfs::DirSink& sink) const {
  const ActiveRef active(Lookups::Of(file.inode()));
  if (!active.ok()) return Err(Errno::kNoEnt);
  if (pos < 0) return Err(Errno::kInval);
  return Listing(file, pos, sink).Run();
}

vfs::Result<uint64_t> DirOps::Seek(vfs::File& file, int64_t offset, vfs::Whence whence) const {
  if (Lookups::Of(file.inode()).dead()) return Err(Errno::kNoEnt);
  if (whence != vfs::Whence::kSet || offset < 0) return Err(Errno::kInval);
  return static_cast<uint64_t>(offset);
}

}  // namespace dentree::kernfs
