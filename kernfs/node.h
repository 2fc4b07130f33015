// Node: a listed entry of a kernfs tree: a directory, file or symlink that a client has created.
//
// A listed node is a *domain*: entries of its table and everything its provider gives, at any
// depth, are identified by (its id, object, table index), and live and die with it.
//
// States (flags_): created -> active -> dead. A node that is not active occupies its name but
// nobody finds it. A dead one is gone for ever: held files answer kNoDev, held directories kNoEnt.
//
// Thread safety: id, parent, kind, type and priv never change; mode is read through Root
// (attributes). Everything else belongs to Root, under its tree lock or its entries lock as named
// below. Lifetime: counted. The parent's index holds one reference until removal; child pins
// parent; whatever is cached of the domain pins it. Nodes never point at dentries or inodes.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/base.h"
#include "kernfs/entry_table.h"
#include "vfs/types.h"

namespace dentree::kernfs {

class ChildIndex;
class Root;
class Transient;

enum class Publish : uint8_t { kNow, kLater };         // kLater: unseen until Root::Activate
enum class Ownership : uint8_t { kInherit, kDomain };  // kDomain: what is below inherits from here

// What a new node is. `name` is copied.
struct NodeInit {
  std::string_view name;
  Mode permissions = 0;
  void* priv = nullptr;
  std::optional<vfs::Uid> uid = {};  // not set: inherited
  std::optional<vfs::Gid> gid = {};
  Publish publish = Publish::kNow;
  Ownership ownership = Ownership::kInherit;
};

class Node {
 public:
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  std::string_view name() const {
    return {name_size_ <= sizeof(name_.inside) ? name_.inside : name_.outside, name_size_};
  }
  uint64_t id() const { return id_; }
  Node* parent() const { return Is(kTop) ? nullptr : up_.parent; }  // null: the root
  Root& root() const;
  void* priv() const { return priv_; }
  template <class T>
  T& priv_as() const {
    return *static_cast<T*>(priv_);
  }
  vfs::FileType kind() const { return vfs::TypeOf(mode_); }
  bool is_dir() const { return vfs::IsDir(mode_); }
  Mode created_mode() const { return mode_; }  // type and permissions; chmod is kept elsewhere
  const DirType& dir_type() const { return *type_.dir; }

  // Found by lookups now. May change at once, except under an active reference.
  bool alive() const {
    return (flags_.load(std::memory_order_acquire) & (kActive | kDead)) == kActive;
  }
  bool dead() const { return flags_.load(std::memory_order_acquire) & kDead; }
  // What is below inherits its owner.
  bool owns() const { return Is(kOwnerDomain); }

  static void Get(Node* node) { node->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(Node* node);
  int32_t refs() const { return refs_.load(std::memory_order_relaxed); }

 private:
  friend class ConstantLink;
  friend class EntryIndex;
  friend class Lookups;
  friend class Root;

  enum Flag : uint8_t {
    kActive = 1 << 0,
    kDead = 1 << 1,
    kTop = 1 << 2,  // the root's node
    kOwnerDomain = 1 << 3,
    kSelfRemoval = 1 << 4,  // an operation has won the right to remove it
    kLinked = 1 << 5,       // in its parent's index
  };

  Node() = default;
  ~Node() = default;
  void SetFlag(uint8_t flags) { flags_.fetch_or(flags, std::memory_order_release); }
  bool Is(Flag flag) const { return flags_.load(std::memory_order_relaxed) & flag; }

  std::atomic<int32_t> refs_{1};
  Mode mode_ = 0;                  // as created; changed modes are overrides
  std::atomic<uint8_t> flags_{0};  // changed under the tree lock
  uint8_t name_size_ = 0;
  union {
    Node* parent;
    Root* root;  // kTop
  } up_ = {};
  uint64_t id_ = 0;
  union {
    const DirType* dir;
    const NodeOps* file;
    const LinkOps* link;
  } type_ = {};
  void* priv_ = nullptr;
  Transient* entries_ = nullptr;  // what is cached of the domain; entries lock
  union {
    ChildIndex* children;  // directories; null until the first; tree lock
    char* target;          // constant symlinks: a text with its NUL
  } body_ = {};
  union {
    char inside[8];
    char* outside;  // name_size_ bytes
  } name_ = {};
};
static_assert(sizeof(Node) == 64);

using NodeRef = base::Ref<Node>;

}  // namespace dentree::kernfs
