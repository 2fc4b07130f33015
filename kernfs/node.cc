// Nodes: making and freeing them, and their place in the listed tree.

#include "kernfs/node.h"

#include <cstring>
#include <new>

#include "kernfs/caches_internal.h"
#include "kernfs/children_internal.h"
#include "kernfs/root.h"
#include "kernfs/symlink_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

Root& Node::root() const {
  const Node* node = this;
  while (!node->Is(kTop)) node = node->up_.parent;
  return *node->up_.root;
}

// A chain of parents is let go in a loop: each lives by its children.
void Node::Put(Node* node) {
  while (node != nullptr && node->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    Node* const parent = node->parent();
    Root::FreeNode(node);
    node = parent;
  }
}

void Root::FreeNode(Node* node) {
  Root& root = node->root();
  mm::Memory& memory = root.vfs().memory();
  DCHECK(node->entries_ == nullptr, "freed while something is cached of it");
  if (node->is_dir()) {
    ChildIndex::Free(memory, node->body_.children);
  } else if (node->body_.target != nullptr) {
    memory.FreeBytes(node->body_.target, std::strlen(node->body_.target) + 1);
  }
  if (node->name_size_ > sizeof(node->name_.inside)) {
    memory.FreeBytes(node->name_.outside, node->name_size_);
  }
  node->~Node();
  root.kernfs().caches().nodes.Free(node);
}

// Writes the name where it belongs; kNoMem when it is long and memory is short.
Status Root::NameNode(Node& node, std::string_view name) {
  node.name_size_ = static_cast<uint8_t>(name.size());
  char* place = node.name_.inside;
  if (name.size() > sizeof(node.name_.inside)) {
    place = static_cast<char*>(vfs().memory().AllocBytes(name.size(), "mm:kernfs_name"));
    node.name_.outside = place;
  }
  if (place == nullptr) return base::Err(Errno::kNoMem);
  std::memcpy(place, name.data(), name.size());
  return {};
}

Result<NodeRef> Root::MakeNode(Node* parent, const NodeInit& init, vfs::FileType kind) {
  Node* const memory = kernfs().caches().nodes.Alloc();
  if (memory == nullptr) return base::Err(Errno::kNoMem);
  Node* const node = new (memory) Node;
  if (parent != nullptr) {
    Node::Get(parent);
    node->up_.parent = parent;
  } else {
    node->up_.root = this;
    node->flags_ = Node::kTop;
  }
  NodeRef ref = NodeRef::Adopt(node);
  if (init.ownership == Ownership::kDomain) node->SetFlag(Node::kOwnerDomain);
  node->mode_ = static_cast<Mode>(vfs::TypeBits(kind) | (init.permissions & 07777));
  node->priv_ = init.priv;
  TRY(NameNode(*node, init.name));
  return ref;
}

uint32_t Root::HashOf(std::string_view name) const {
  return vfs::Name(vfs().hash_key(), name).hash();
}

// --- the listed tree ---

// Gives the node its id and its place. kExist, kNoEnt, kNoMem.
Status Root::Link(Node& node, uint8_t flags) {
  const uint32_t hash = HashOf(node.name());
  ChildIndex* spare = nullptr;
  Result<uint32_t> wanted = TryLink(node, hash, flags, spare);
  while (wanted && *wanted != 0) {
    ChildIndex::Free(vfs().memory(), spare);
    spare = ChildIndex::Make(vfs().memory(), *wanted);
    if (spare == nullptr) return base::Err(Errno::kNoMem);
    wanted = TryLink(node, hash, flags, spare);
  }
  ChildIndex::Free(vfs().memory(), spare);
  if (!wanted) return base::Err(wanted.error());
  return {};
}

// Links the node and returns 0, or returns the capacity of the block that is missing for it. A
// block that is used or not needed any more changes places with `spare`.
Result<uint32_t> Root::TryLink(Node& node, uint32_t hash, uint8_t flags, ChildIndex*& spare) {
  base::WriteLock lock(tree_);
  Node& parent = *node.parent();
  ChildIndex*& index = parent.body_.children;
  if (parent.dead()) return base::Err(Errno::kNoEnt);
  if (index != nullptr && index->Find(hash, node.name()) != nullptr)
    return base::Err(Errno::kExist);
  if (index == nullptr || index->full()) {
    const uint32_t wanted = index == nullptr ? ChildIndex::kFirstCapacity : index->NextCapacity();
    if (spare == nullptr || spare->capacity() < wanted) return wanted;
    if (index != nullptr) index->MoveTo(*spare);
    std::swap(index, spare);
  }
  node.id_ = ++last_id_;
  node.SetFlag(Node::kLinked | flags);
  Node::Get(&node);
  index->Insert(hash, node);
  return 0;
}

// Takes the node out of its parent's index, if it still is there.
void Root::Unlink(Node& node) {
  {
    base::WriteLock lock(tree_);
    if (!node.Is(Node::kLinked)) return;
    node.flags_.fetch_and(static_cast<uint8_t>(~Node::kLinked), std::memory_order_release);
    node.parent()->body_.children->Remove(node);
  }
  Node::Put(&node);
}

NodeRef Root::FindLinked(Node& parent, std::string_view name, uint32_t hash) {
  base::ReadLock lock(tree_);
  const ChildIndex* const index = parent.body_.children;
  Node* const child = index == nullptr ? nullptr : index->Find(hash, name);
  return child == nullptr || !child->alive() ? nullptr : NodeRef::Share(child);
}

// The tree below `top` in post-order: children before their parent, top last.
Node& Root::FirstBelowLocked(Node& top) {
  Node* node = &top;
  while (node->is_dir() && node->body_.children != nullptr && node->body_.children->live() > 0) {
    node = node->body_.children->Next(0);
  }
  return *node;
}

Node* Root::NextLocked(Node& node, Node& top) {
  if (&node == &top) return nullptr;
  Node* const sibling = node.parent()->body_.children->Next(node.id());
  return sibling == nullptr ? node.parent() : &FirstBelowLocked(*sibling);
}

void Root::MarkAll(Node& top, uint8_t flag) {
  base::WriteLock lock(tree_);
  for (Node* node = &FirstBelowLocked(top); node != nullptr; node = NextLocked(*node, top)) {
    node->SetFlag(flag);
  }
}

void Root::CheckInvariants() {
  {
    base::ReadLock lock(tree_);
    for (Node* node = &FirstBelowLocked(*top_); node != nullptr; node = NextLocked(*node, *top_)) {
      CHECK(node->refs() > 0, "a node in the tree without a reference");
      CHECK(node == top_.get() || node->Is(Node::kLinked), "in an index but not linked");
      if (node->is_dir() && node->body_.children != nullptr) {
        node->body_.children->CheckInvariants(*node);
      }
    }
  }
  entries_->CheckInvariants();
}

}  // namespace dentree::kernfs
