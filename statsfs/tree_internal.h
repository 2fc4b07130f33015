// Tree: the sources of a Statsfs, found by name and by id, and walked for aggregates. SourceNode:
// what is behind a Source.
//
// Who protects what:
//     who is whose child, names, ids, dying   lock_ (kRegistry); shared to look
//     that a source is read                   state: a count of pins, and a mark that ends them
//     where values were cleared               atomics
// Values are read with none of these locks held: of one source because kernfs's active reference
// keeps it, of many because the one that the walk stands at is pinned. A pinned source stays
// linked, so the walk finds its way on from there; who takes it away waits.
//
// An object of kernfs is (id of the source << 3 | 0 for itself, 1 + Aggregate for its aggregates).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/base.h"
#include "kernfs/kernfs.h"
#include "mm/mm.h"
#include "statsfs/source.h"
#include "trace/id_order.h"
#include "trace/name_table.h"
#include "vfs/vfs.h"

namespace dentree::statsfs {

class Tree;

struct SourceNode {
  SourceNode(Tree& of, SourceNode* above, std::string_view its_name, uint64_t its_hash,
             const Contents& what)
      : tree(of), parent(above), name(its_name), name_hash(its_hash), contents(what) {}

  uint64_t hash() const { return name_hash; }  // for trace::NameTable
  uint64_t id() const { return number; }       // for trace::IdOrder
  bool has_aggregates() const { return contents.aggregates == Contents::Aggregates::kYes; }
  bool has_values() const { return contents.values.has_value() || contents.rows != nullptr; }
  std::span<const base::StatField> fields() const { return contents.schema->fields; }

  // A value as its reader sees it: from where it was last cleared. REQUIRES: pinned.
  int64_t Value(size_t index) const;
  // Counts from here. Exact against any number of writers and of other clears. REQUIRES: pinned.
  // kPerm: cannot be cleared; kNoMem.
  Status Clear(size_t index);

  Tree& tree;
  SourceNode* const parent;  // null: the top
  const std::string_view name;
  const uint64_t name_hash;
  const Contents contents;
  uint64_t number = 0;  // constant once added

  // For each value, what it was when it was last cleared; null until one is.
  std::atomic<std::atomic<uint64_t>*> cleared_at{nullptr};

  static constexpr uint32_t kRevoked = 1u << 31;
  std::atomic<uint32_t> state{0};  // kRevoked | pins

  // Tree::lock_
  bool dying = false;
  base::ListNode siblings;
  base::List<SourceNode, &SourceNode::siblings> children;  // ids ascend
};

class Tree {
 public:
  explicit Tree(vfs::Vfs& vfs);
  ~Tree();

  Status Build(std::shared_ptr<kernfs::Kernfs> kernfs);

  SourceNode& top() { return top_; }
  kernfs::Root& root() const { return *root_; }
  const kernfs::RootRef& root_ref() const { return root_; }
  mm::Memory& memory() { return vfs_.memory(); }
  base::SyncPoints& sync_points() { return vfs_.sync_points(); }

  Result<SourceNode*> Add(SourceNode& parent, std::string_view name, const Contents& contents);
  void Revoke(SourceNode& source);
  void Remove(SourceNode& source);

  // --- what the provider says ---
  std::optional<kernfs::ObjectId> Find(SourceNode& dir, std::string_view name);
  void List(SourceNode& dir, kernfs::ObjectId after, kernfs::ChildSink& sink);
  std::optional<kernfs::Provided> Describe(kernfs::ObjectId object);

  // --- reading ---

  // Holds off the end of a source's values for a scope; check `ok` before anything else.
  class Pin {
   public:
    // REQUIRES: the node cannot go before this has returned: lock_ or an active reference.
    explicit Pin(SourceNode& source) : source_(TryPin(source) ? &source : nullptr) {}
    ~Pin() {
      if (source_ != nullptr) source_->tree.Unpin(*source_);
    }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    bool ok() const { return source_ != nullptr; }

   private:
    SourceNode* const source_;
  };

  // Calls `visit` with each source at or below `top` that has values or rows of this schema, pinned
  // meanwhile, in one pass; with no lock held. A source that comes or goes during the pass is met
  // or not. Ends early when `visit` fails. `top` cannot go: an active reference.
  Status ForEach(SourceNode& top, const Schema& schema,
                 absl::FunctionRef<Status(SourceNode&)> visit);

 private:
  using Lock = base::RwSem<base::LockRank::kRegistry>;
  using DrainMutex = base::Mutex<base::LockRank::kStats>;

  static bool TryPin(SourceNode& source);
  void Unpin(SourceNode& source);
  SourceNode* PinNext(SourceNode* at, SourceNode& top, const Schema& schema);
  static SourceNode* FollowingLocked(SourceNode& at, SourceNode& top);

  Status CheckName(const SourceNode& parent, std::string_view name) const;
  Result<SourceNode*> Make(SourceNode& parent, std::string_view name, const Contents& contents);
  Status Link(SourceNode& source);
  void Free(SourceNode* source);
  SourceNode* FindLocked(const SourceNode& parent, std::string_view name, uint64_t hash) const
      DT_REQUIRES_SHARED(lock_);
  SourceNode* FirstChildLocked(SourceNode& dir, uint64_t after) DT_REQUIRES_SHARED(lock_);

  vfs::Vfs& vfs_;
  mm::ObjectCache<SourceNode> cache_;
  SourceNode top_;
  kernfs::RootRef root_;

  Lock lock_;
  uint64_t last_id_ DT_GUARDED_BY(lock_) = 0;
  trace::NameTable<SourceNode> names_ DT_GUARDED_BY(lock_);  // by parent and name
  trace::IdOrder<SourceNode> ids_ DT_GUARDED_BY(lock_);

  DrainMutex drain_mutex_;
  base::CondVar drained_;  // a revoked source lost its last pin
};

}  // namespace dentree::statsfs
