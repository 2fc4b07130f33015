// The tree as clients build and ask it. Removal is in remove.cc, what the VFS sees in inode.cc.

#include "kernfs/root.h"

#include "kernfs/attrs_internal.h"
#include "kernfs/caches_internal.h"
#include "kernfs/symlink_internal.h"
#include "kernfs/transient_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

// --- Kernfs ---

Kernfs::Kernfs(vfs::Vfs& vfs) : vfs_(vfs), caches_(std::make_unique<Caches>(vfs.memory())) {}

std::shared_ptr<Kernfs> Kernfs::Create(vfs::Vfs& vfs) {
  return std::shared_ptr<Kernfs>(new Kernfs(vfs));
}

Kernfs::~Kernfs() = default;

size_t Kernfs::live_nodes() const { return caches_->nodes.active_objects(); }
size_t Kernfs::live_transients() const { return caches_->transients.active_objects(); }
size_t Kernfs::live_open_files() const { return caches_->open_files.active_objects(); }

// --- Root ---

Root::Root(std::shared_ptr<Kernfs> kernfs, const Init& init)
    : kernfs_(std::move(kernfs)),
      syscalls_(init.syscalls),
      born_(vfs().clock().NowNs()),
      entries_(std::make_unique<EntryIndex>(vfs().memory(), entries_lock_)),
      attrs_(std::make_unique<AttrMap>(vfs().memory(), this->kernfs().caches().overrides, born_)) {}

Result<std::shared_ptr<Root>> Root::Create(std::shared_ptr<Kernfs> kernfs, const Init& init) {
  CHECK(init.type != nullptr, "a root has a directory type");
  std::shared_ptr<Root> root(new Root(std::move(kernfs), init));
  root->top_ = TRY(root->MakeNode(nullptr,
                                  {.name = "",
                                   .permissions = init.permissions,
                                   .priv = init.priv,
                                   .ownership = Ownership::kDomain},
                                  vfs::FileType::kDir));
  Node& top = *root->top_;
  top.type_.dir = init.type;
  base::WriteLock lock(root->tree_);
  top.id_ = ++root->last_id_;
  top.SetFlag(Node::kActive);
  return root;
}

Root::~Root() {
  if (top_ == nullptr) return;
  KillTree(*top_);
  // What was cached goes after a grace period, and knows its root until then.
  vfs().rcu().Drain();
  {
    base::MutexLock lock(entries_lock_);
    CHECK(super_ == nullptr, "a tree outlives its mounts");
  }
  CHECK(top_->refs() == 1, "references to nodes outlive their tree");
  top_ = nullptr;
}

// --- building ---

Status Root::CheckNewName(const Node& parent, std::string_view name) const {
  if (name.size() > vfs::kNameMax) return base::Err(Errno::kNameTooLong);
  if (!table_check::NameIsGood(name)) return base::Err(Errno::kInval);
  if (!parent.is_dir()) return base::Err(Errno::kNotDir);
  // Present or not: what a table may have, nobody else gets.
  if (parent.dir_type().table.Contains(name)) return base::Err(Errno::kExist);
  return {};
}

// Links a complete node and shows it, unless that is left for later. The name is taken before the
// provider is asked, as the provider's registry takes it before it looks here: of two that want one
// name at once at least one sees the other.
Result<NodeRef> Root::Publish(NodeRef node, Node& parent, const NodeInit& init) {
  const Provider* const provider = parent.dir_type().provider;
  const bool simple = provider == nullptr && !init.uid && !init.gid;
  const bool now = init.publish == Publish::kNow;
  TRY(Link(*node, simple && now ? Node::kActive : 0));
  SYNC_POINT(vfs().sync_points(), "kernfs:create:linked");
  if (simple) return node;
  Status status;
  if (provider != nullptr && provider->Find({parent, kSelf, parent.priv()}, init.name)) {
    status = base::Err(Errno::kExist);
  } else if (init.uid || init.gid) {
    status = attrs_->Set({.domain = node->id()}, {.uid = init.uid, .gid = init.gid},
                         AttrMap::Scope::kOne);
  }
  if (!status) {
    KillTree(*node);
    return base::Err(status.error());
  }
  if (now) Activate(*node);
  return node;
}

Result<NodeRef> Root::CreateDir(Node& parent, const NodeInit& init, const DirType& type) {
  TRY(CheckNewName(parent, init.name));
  NodeRef node = TRY(MakeNode(&parent, init, vfs::FileType::kDir));
  node->type_.dir = &type;
  return Publish(std::move(node), parent, init);
}

Result<NodeRef> Root::CreateFile(Node& parent, const NodeInit& init, const NodeOps& ops) {
  TRY(CheckNewName(parent, init.name));
  NodeRef node = TRY(MakeNode(&parent, init, vfs::FileType::kRegular));
  node->type_.file = &ops;
  return Publish(std::move(node), parent, init);
}

Result<NodeRef> Root::CreateSymlink(Node& parent, const NodeInit& init, const LinkOps& ops) {
  TRY(CheckNewName(parent, init.name));
  NodeInit link = init;
  link.permissions = 0777;
  NodeRef node = TRY(MakeNode(&parent, link, vfs::FileType::kSymlink));
  node->type_.link = &ops;
  return Publish(std::move(node), parent, link);
}

Result<NodeRef> Root::CreateSymlink(Node& parent, const NodeInit& init, std::string_view target) {
  TRY(CheckNewName(parent, init.name));
  if (target.size() >= vfs::kPathMax) return base::Err(Errno::kNameTooLong);
  NodeInit link = init;
  link.permissions = 0777;
  NodeRef node = TRY(MakeNode(&parent, link, vfs::FileType::kSymlink));
  node->type_.link = &kConstantLink;
  auto* const text =
      static_cast<char*>(vfs().memory().AllocBytes(target.size() + 1, "mm:kernfs_name"));
  if (text == nullptr) return base::Err(Errno::kNoMem);
  target.copy(text, target.size());
  text[target.size()] = '\0';
  node->body_.target = text;
  return Publish(std::move(node), parent, link);
}

void Root::Activate(Node& node) { MarkAll(node, Node::kActive); }

Result<std::string> ConstantLink::Target(const Dir& link) const {
  return std::string(link.domain.body_.target);
}

// --- looking ---

NodeRef Root::Find(Node& parent, std::string_view name) {
  return parent.is_dir() ? FindLinked(parent, name, HashOf(name)) : nullptr;
}

// Within a domain a bijection of (object, index); across domains as unlikely to meet as random
// numbers.
vfs::Ino Root::InoOf(const Identity& entry) const {
  const base::HashKey& key = vfs().hash_key();
  const uint64_t what = entry.object << 16 | entry.index;
  const uint64_t ino = base::Mix64(what ^ base::Mix64(entry.domain ^ key.seed[0]));
  return ino > 1 ? ino : ino + 2;
}

std::string Root::PathOf(const Node& node) const {
  std::string path;
  for (const Node* at = &node; at->parent() != nullptr; at = at->parent()) {
    path.insert(0, at->name());
    path.insert(0, 1, '/');
  }
  return path.empty() ? "/" : path;
}

// --- changes ---

void Root::PresenceChanged(Node& domain, ObjectId object) { entries_->MarkStale(&domain, object); }

void Root::PresenceChanged(ObjectId object) {
  DCHECK(object != kSelf, "in all domains: of one object");
  entries_->MarkStale(nullptr, object);
}

void Root::Notify(const Identity& entry) {
  kernfs().stats().Add<&KernfsStats::notifications>();
  if (const TransientRef t = entries_->Find(entry)) t->Bump();
}

// --- attributes ---

void Root::SetMountOwner(std::optional<vfs::Uid> uid, std::optional<vfs::Gid> gid) {
  attrs_->SetMountOwner(uid, gid);
}

Status Root::SetTopPermissions(Mode permissions) {
  return attrs_->Set({.domain = top_->id()}, {.mode = permissions}, AttrMap::Scope::kMany);
}

}  // namespace dentree::kernfs
