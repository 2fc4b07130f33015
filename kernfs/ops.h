// What clients implement: NodeOps and TextOps for files, LinkOps for symlinks, SyscallOps for mkdir
// and rmdir; and OpenFile, through which an operation learns what it is about.
//
// Every call runs under an active reference: removal of the entry, of its object or of its domain
// waits until the call has returned, so priv stays valid in it. No lock of rank kNode or above is
// held. A call that would sleep for long uses OpenFile::Wait, which gives the reference back
// meanwhile; on a request loop it is sent away and called again, so it keeps nothing across Wait.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/base.h"
#include "kernfs/entry_table.h"
#include "kernfs/node.h"
#include "vfs/creds.h"
#include "vfs/types.h"
#include "vfs/wait_queue.h"

namespace dentree::vfs {
class File;
class Mount;
}

namespace dentree::kernfs {

using base::Errno;
using base::Result;
using base::Status;

class Root;
class Transient;

// Limits.
inline constexpr size_t kMaxWriteBytes = 4096;     // one write takes no more (a short count)
inline constexpr size_t kMaxTextBytes = 16 << 20;  // of one Show: kOverflow beyond
inline constexpr uint16_t kNoIndex = 0xffff;       // OpenFile::index of what is not in a table

// An open kernfs file, made by open and handed to each of its operations.
//
// Thread safety: operations of one open file run one at a time (Poll may run beside them).
// Lifetime: from before NodeOps::Open until after NodeOps::Release.
class OpenFile {
 public:
  OpenFile(Root& root, Transient& entry, const vfs::File& file);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  // What was opened: entry `index` of the table (or kNoIndex) of `object` in `domain`.
  Root& root() const { return root_; }
  Node& domain() const;
  ObjectId object() const;
  uint16_t index() const;
  // The entry's private data: Provided::priv, Presence::priv or NodeInit::priv; a table entry has
  // its directory's.
  void* priv() const;
  template <class T>
  T& priv_as() const {
    return *static_cast<T*>(priv());
  }

  // As opened. Not in Release: the opener may be gone.
  const vfs::Creds& creds() const;
  vfs::OpenFlags flags() const;
  // The mount that it was opened in.
  const vfs::Mount& mount() const;
  bool readable() const;
  bool writable() const;
  bool nonblocking() const { return flags() & O_NONBLOCK; }

  // The operation's own state, from Open to Release.
  void* data() const { return data_; }
  void set_data(void* data) { data_ = data; }
  template <class T>
  T& data_as() const {
    return *static_cast<T*>(data_);
  }

  // --- waiting and polling ---

  // Moves on with every Root::Notify of this entry. An operation that finds nothing to do reads it
  // first, looks again, and then waits for it to change.
  uint32_t event() const;
  // Gives the active reference back, sleeps until event() is no longer `seen`, and takes it again.
  // kNoDev: the entry was removed meanwhile; priv and data are gone, return at once. kAgain: the
  // caller must not sleep; return it, and the operation is called again once event() has moved.
  [[nodiscard]] Status Wait(uint32_t seen);
  // Readable and writable; exceptional too when Notify was called since the last read of text.
  vfs::PollEvents DefaultPoll() const;

  // For an operation that removes what it is running on, directly or by waiting for somebody who
  // does: while one lives, removal does not wait for this operation. Afterwards priv and data may
  // be gone.
  class BreakActiveProtection {
   public:
    explicit BreakActiveProtection(OpenFile& file);
    ~BreakActiveProtection();
    BreakActiveProtection(const BreakActiveProtection&) = delete;
    BreakActiveProtection& operator=(const BreakActiveProtection&) = delete;

   private:
    OpenFile& file_;
  };

 private:
  friend class OpenFiles;
  friend class TextOps;
  friend class Transient;

  // Who is to be woken instead of sleeping; null: nobody.
  struct Nowait {
    vfs::Waiter* waiter;
  };

  Root& root_;
  Transient& entry_;
  const vfs::File& file_;
  void* data_ = nullptr;
  OpenFile* next_ = nullptr;  // the transient's list; Root's entries lock
  OpenFile** prev_ = nullptr;
  std::atomic<int32_t> refs_{1};
  std::atomic<bool> released_{false};
  bool has_text_ = false;                         // mutex_
  uint32_t charged_ = 0;                          // bytes of text_ in the budget; mutex_
  std::atomic<uint32_t> event_seen_;              // of the last text made
  base::Mutex<base::LockRank::kOpenFile> mutex_;  // one operation at a time
  std::optional<Nowait> nowait_;                  // of the operation that runs; mutex_
  std::string text_;                              // mutex_
};

// Operations of a file. Objects are stateless and shared: one constant per kind of file.
class NodeOps {
 public:
  // O_TRUNC is in flags(): a file for which it means something acts here.
  virtual Status Open(OpenFile& file) const;
  // Exactly once for each successful Open: at close, or earlier when the entry is removed.
  virtual void Release(OpenFile& file) const;

  virtual Result<size_t> Read(OpenFile& file, std::span<std::byte> out,
                              uint64_t pos) const;  // kInval
  // One call is one command: `in` is what one write brought. At most kMaxWriteBytes (a longer write
  // is taken in part) or, with a limit of its own, AtomicWriteBytes (a longer one is kTooBig).
  virtual Result<size_t> Write(OpenFile& file, std::string_view in, uint64_t pos) const;  // kInval
  virtual size_t AtomicWriteBytes() const { return 0; }
  // Whether opening, reading and writing the file use the reserve of memory where they must, because
  // it is a way out of a shortage: a switch to turn off, a report to read. Constant.
  virtual bool must_not_fail() const { return false; }

  // Default: bytes with the end at 0; kData and kHole kNxIo.
  virtual Result<uint64_t> Seek(OpenFile& file, int64_t offset, vfs::Whence whence) const;
  virtual vfs::PollEvents Poll(OpenFile& file) const { return file.DefaultPoll(); }
  virtual Result<uint64_t> Ioctl(OpenFile& file, unsigned cmd, uint64_t arg) const;  // kNotTy

 protected:
  constexpr NodeOps() = default;
  constexpr ~NodeOps() = default;
};

// A file that is a text when read and takes a command when written; what most files are.
//
// A read at position 0 makes the text anew, later reads go on in that same text: a reader sees one
// state however small its buffer is.
class TextOps : public NodeOps {
 public:
  virtual Result<std::string> Show(OpenFile& file) const;                // kInval
  virtual Status Store(OpenFile& file, std::string_view command) const;  // kInval

  Result<size_t> Read(OpenFile& file, std::span<std::byte> out, uint64_t pos) const final;
  // Calls Store. A file that can take a part of a command (a short count) does its own.
  Result<size_t> Write(OpenFile& file, std::string_view in, uint64_t pos) const override;
  // kSet and kCur; anything else kInval, as Linux's seq_file.
  Result<uint64_t> Seek(OpenFile& file, int64_t offset, vfs::Whence whence) const override;

 protected:
  constexpr TextOps() = default;
  constexpr ~TextOps() = default;

 private:
  Status Refresh(OpenFile& file) const;
};

// Target of a symlink, computed when asked. `dir` is the directory that has the link, with priv
// being the link's.
class LinkOps {
 public:
  virtual Result<std::string> Target(const Dir& dir) const = 0;

 protected:
  constexpr LinkOps() = default;
  constexpr ~LinkOps() = default;
};

// What mkdir and rmdir mean in a tree. The directory's semaphore is held (rmdir: the victim's too),
// and an active reference of the parent. Without it every change is kPerm. The parent is to be
// compared with the node the client has stashed: kPerm when it is not the one.
// Lifetime: outlives the root.
class SyscallOps {
 public:
  // Makes and publishes the listed directory `name` (not yet there; kExist if it is by now).
  virtual Result<NodeRef> Mkdir(Node& parent, std::string_view name, Mode permissions);

  // The directory to be removed. An active reference of it is held; Remove breaks it.
  class Victim {
   public:
    Victim(Root& root, Node& parent, Node& node, Transient* entry)
        : root_(root), parent_(parent), node_(node), entry_(entry) {}
    Node& parent() const { return parent_; }
    Node& node() const { return node_; }
    // Root::Remove of the node; when it returns nobody uses its priv. To be called once.
    void Remove();

   private:
    Root& root_;
    Node& parent_;
    Node& node_;
    Transient* const entry_;  // whose active reference is held; null: nobody has looked at it yet
  };
  // Decides (kBusy, kPerm) and calls victim.Remove().
  virtual Status Rmdir(Victim& victim);

  // Appended to the owner and mode options: ",name=value", or empty.
  virtual std::string ShowOptions() { return {}; }

 protected:
  SyscallOps() = default;
  ~SyscallOps() = default;
};

}  // namespace dentree::kernfs
