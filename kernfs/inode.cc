// What a walk asks of a kernfs tree: names, attributes, mkdir and rmdir.

#include "kernfs/attrs_internal.h"
#include "kernfs/caches_internal.h"
#include "kernfs/children_internal.h"
#include "kernfs/dir_internal.h"
#include "kernfs/file_internal.h"
#include "kernfs/inode_internal.h"
#include "kernfs/lookup_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

using base::Err;

// --- Lookups ---

std::optional<Found> Lookups::Child(Root& root, Transient& dir, std::string_view name,
                                    uint32_t hash) {
  const DirType& type = dir.dir_type();
  if (const auto index = type.table.Find(name)) {
    const TableEntry& entry = type.table[*index];
    Found found{.domain = NodeRef::Share(&dir.domain()), .entry = &entry};
    if (vfs::IsDir(entry.mode)) {
      found.object = entry.object;
    } else {
      found.object = dir.object();
      found.index = *index;
    }
    return found;
  }
  if (dir.is_listed()) {
    if (NodeRef node = root.FindLinked(dir.domain(), name, hash)) {
      return Found{.domain = std::move(node)};
    }
  }
  if (type.provider == nullptr) return std::nullopt;
  base::AssertMayCallOut();
  const auto object = type.provider->Find(dir.dir(), name);
  if (!object) return std::nullopt;
  DCHECK(*object != kSelf && *object <= kMaxObject);
  return Found{
      .domain = NodeRef::Share(&dir.domain()), .object = *object, .provider = type.provider};
}

namespace {

void BecomeEntry(Transient& t, const TableEntry& entry, const Presence& presence, void* dir_priv) {
  const auto mode = static_cast<Mode>(
      presence.permissions == 0 ? entry.mode : (entry.mode & S_IFMT) | presence.permissions);
  void* const priv = presence.priv == nullptr ? dir_priv : presence.priv;
  if (entry.dir != nullptr) {
    t.BecomeDir(mode, *entry.dir, priv);
  } else if (entry.ops != nullptr) {
    t.BecomeFile(mode, *entry.ops, priv);
  } else {
    t.BecomeLink(mode, *entry.link, priv);
  }
}

void BecomeProvided(Transient& t, const Provided& provided) {
  switch (vfs::TypeOf(provided.mode)) {
    case vfs::FileType::kDir:
      return t.BecomeDir(provided.mode, *provided.dir, provided.priv);
    case vfs::FileType::kSymlink:
      return t.BecomeLink(provided.mode, *provided.link, provided.priv);
    default:
      return t.BecomeFile(provided.mode, *provided.ops, provided.priv);
  }
}

void Fill(vfs::Inode::Update&& update, Transient& t, const AttrMap::Effective& e) {
  if (t.attrs_generation() == 0) update.AllTimes(e.times.btime);
  update.Mode(e.mode).Owner(e.uid, e.gid);
  update.Atime(e.times.atime).Mtime(e.times.mtime).Ctime(e.times.ctime);
  t.set_attrs_generation(e.generation);
}

Presence PresenceOf(const TableEntry& entry, const Transient& dir) {
  return entry.present == nullptr ? Presence{} : entry.present(dir.dir());
}

}  // namespace

void Lookups::BecomeListed(Transient& t) {
  const Node& node = t.domain();
  switch (node.kind()) {
    case vfs::FileType::kDir:
      return t.BecomeDir(node.mode_, *node.type_.dir, node.priv());
    case vfs::FileType::kSymlink:
      return t.BecomeLink(node.mode_, *node.type_.link, node.priv());
    default:
      return t.BecomeFile(node.mode_, *node.type_.file, node.priv());
  }
}

// Asks whose entry it is, after the transient was published.
Status Lookups::Describe(Transient& t, const Found& child, Transient* dir) {
  base::AssertMayCallOut();
  if (child.entry != nullptr) {
    const Presence presence = PresenceOf(*child.entry, *dir);
    if (!presence.here) return Err(Errno::kNoEnt);
    BecomeEntry(t, *child.entry, presence, dir->priv());
    return {};
  }
  if (child.provider != nullptr) {
    const auto provided = child.provider->Describe(t.domain(), t.object());
    if (!provided) return Err(Errno::kNoEnt);
    BecomeProvided(t, *provided);
    return {};
  }
  BecomeListed(t);
  return {};
}

Result<vfs::InodeRef> Lookups::Make(SuperBlock& sb, Transient* dir, const Found& child) {
  Root& root = sb.tree();
  const TransientRef t = TransientRef::Adopt(
      root.kernfs().caches().transients.New(child.domain, child.object, child.index));
  if (t == nullptr) return Err(Errno::kNoMem);
  TRY(root.entries_->Publish(*t));
  SYNC_POINT(root.vfs().sync_points(), "kernfs:lookup:published");
  Result<vfs::InodeRef> made = Err(Errno::kNoEnt);
  if (const Status known = Describe(*t, child, dir); known) {
    made = root.vfs().icache().New(sb, kInodeOps, root.InoOf(t->identity()), t->mode());
  } else {
    made = Err(known.error());
  }
  if (made) {
    vfs::Inode& inode = **made;
    Transient::Get(t.get());
    inode.set_private_data(t.get());
    inode.set_op_flags(vfs::kHasGetattr);
    const auto attrs = root.attrs_->Get(t->domain(), t->identity(), t->mode());
    Fill(vfs::Inode::Update(inode, vfs::Inode::Unpublished()), *t, attrs);
  } else {
    root.entries_->Unpublish(*t);
  }
  t->Release();
  return made;
}

Result<vfs::InodeRef> Lookups::InodeOf(SuperBlock& sb, Transient* dir, const Found& child) {
  Root& root = sb.tree();
  const Identity identity = child.identity();
  vfs::InodeRef inode = TRY(root.vfs().icache().Get(
      sb, root.InoOf(identity),
      [&identity](const vfs::Inode& each) { return Of(each).identity() == identity; },
      [&] { return Make(sb, dir, child); }));
  Transient& t = Of(*inode);
  if (t.state() & Transient::kStale) {
    // Cleared first: a change from here on sets it again.
    t.ClearState(Transient::kStale);
    if (child.entry != nullptr && !PresenceOf(*child.entry, *dir).here) {
      t.SetState(Transient::kStale);
      return Err(Errno::kNoEnt);
    }
  }
  if (t.dead()) return Err(Errno::kNoEnt);
  return inode;
}

void Lookups::StoreAttrs(Root& root, vfs::Inode& inode) {
  Transient& t = Of(inode);
  const AttrMap::Effective e = root.attrs_->Get(t.domain(), t.identity(), t.mode());
  Fill(vfs::Inode::Update(inode), t, e);
}

vfs::Stat Lookups::Attrs(vfs::Inode& inode) {
  Root& root = RootOf(inode);
  Transient& t = Of(inode);
  const uint32_t generation = t.attrs_generation();
  vfs::Stat stat = inode.Attrs();
  if (generation != root.attrs_->Generation()) [[unlikely]] {
    const AttrMap::Effective e = root.attrs_->Get(t.domain(), t.identity(), t.mode());
    stat.mode = e.mode;
    stat.uid = e.uid;
    stat.gid = e.gid;
    if (inode.sem().TryLock()) {
      StoreAttrs(root, inode);
      inode.sem().Unlock();
    }
  }
  if (t.dead()) stat.nlink = 0;
  return stat;
}

void Lookups::ListListed(Root& root, Node& dir, uint64_t after, ChildSink& sink) {
  base::ReadLock lock(root.tree_);
  const ChildIndex* const index = dir.body_.children;
  if (index == nullptr) return;
  for (Node* node = index->Next(after); node != nullptr; node = index->Next(node->id())) {
    if (node->alive() && !sink.Take(node->id(), node->name(), node->kind())) return;
  }
}

// --- InodeOps ---

Result<vfs::InodeRef> InodeOps::Lookup(vfs::Inode& dir_inode, const vfs::Name& name) const {
  Root& root = Lookups::RootOf(dir_inode);
  Transient& dir = Lookups::Of(dir_inode);
  root.kernfs().stats().Add<&KernfsStats::lookups>();
  const ActiveRef active(dir);
  if (!active.ok()) return Err(Errno::kNoEnt);
  const auto child = Lookups::Child(root, dir, name.text(), name.hash());
  if (!child) {
    root.kernfs().stats().Add<&KernfsStats::misses>();
    return Err(Errno::kNoEnt);
  }
  SYNC_POINT(root.vfs().sync_points(), "kernfs:lookup:found");
  return Lookups::InodeOf(static_cast<SuperBlock&>(dir_inode.sb()), &dir, *child);
}

vfs::Validity InodeOps::Revalidate(const vfs::Inode&, const vfs::Dentry& child) const {
  return RevalidateRcu(child.inode());
}

Result<vfs::Stat> InodeOps::Getattr(vfs::Inode& inode) const { return Lookups::Attrs(inode); }

std::optional<vfs::Stat> InodeOps::AttrsRcu(const vfs::Inode& inode) const {
  const Transient& t = Lookups::Of(inode);
  const uint32_t generation = t.attrs_generation();
  if (generation != Lookups::AttrsOf(Lookups::RootOf(inode)).Generation()) return std::nullopt;
  vfs::Stat stat = inode.Attrs();
  if (t.dead()) stat.nlink = 0;
  return stat;
}

vfs::Validity InodeOps::RevalidateRcu(const vfs::Inode& child) const {
  return Lookups::Of(child).state() == 0 ? vfs::Validity::kValid : vfs::Validity::kStale;
}

// The size of a control file cannot be changed: such a change is accepted and means nothing, not
// even for its times, so that writing with O_TRUNC leaves nothing behind.
Status InodeOps::Setattr(vfs::Inode& inode, const vfs::SetAttr& attr) const {
  Root& root = Lookups::RootOf(inode);
  Transient& t = Lookups::Of(inode);
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoDev);
  if (attr.size && !attr.mode && !attr.uid && !attr.gid) return {};
  const bool many = t.is_listed() && t.domain().owns() && (attr.uid || attr.gid);
  TRY(Lookups::AttrsOf(root).Set(t.identity(), attr,
                                 many ? AttrMap::Scope::kMany : AttrMap::Scope::kOne));
  Lookups::StoreAttrs(root, inode);
  return {};
}

Result<std::string> InodeOps::Readlink(vfs::Inode& inode) const {
  if (!inode.is_symlink()) return Err(Errno::kInval);
  Transient& t = Lookups::Of(inode);
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoEnt);
  base::AssertMayCallOut();
  return t.link_ops().Target(t.dir());
}

Result<vfs::InodeRef> InodeOps::Create(vfs::Inode& dir_inode, vfs::Dentry& dentry,
                                       const vfs::CreateArgs& args) const {
  Root& root = Lookups::RootOf(dir_inode);
  Transient& dir = Lookups::Of(dir_inode);
  const ActiveRef active(dir);
  if (!active.ok()) return Err(Errno::kNoEnt);
  if (vfs::IsRegular(args.mode)) return Err(Errno::kAccess);
  SyscallOps* const syscalls = Lookups::Syscalls(root);
  if (!vfs::IsDir(args.mode) || syscalls == nullptr || !dir.is_listed()) return Err(Errno::kPerm);
  base::AssertMayCallOut();
  const NodeRef node =
      TRY(syscalls->Mkdir(dir.domain(), dentry.NameCopy(), static_cast<Mode>(args.mode & 07777)));
  auto inode = Lookups::InodeOf(static_cast<SuperBlock&>(dir_inode.sb()), &dir, {.domain = node});
  if (!inode && inode.error() == Errno::kNoMem) {
    // A mkdir that fails leaves nothing.
    SyscallOps::Victim victim(root, dir.domain(), *node, nullptr);
    static_cast<void>(syscalls->Rmdir(victim));
  }
  return inode;
}

Status InodeOps::Rmdir(vfs::Inode& dir_inode, vfs::Dentry& victim_dentry) const {
  Root& root = Lookups::RootOf(dir_inode);
  Transient& dir = Lookups::Of(dir_inode);
  Transient& t = Lookups::Of(victim_dentry.inode());
  const ActiveRef active(dir);
  if (!active.ok()) return Err(Errno::kNoEnt);
  SyscallOps* const syscalls = Lookups::Syscalls(root);
  if (syscalls == nullptr || !t.is_listed()) return Err(Errno::kPerm);
  const ActiveRef victim_active(t);
  if (!victim_active.ok()) return Err(Errno::kNoEnt);
  base::AssertMayCallOut();
  SyscallOps::Victim victim(root, dir.domain(), t.domain(), &t);
  return syscalls->Rmdir(victim);
}

Result<const vfs::FileOps*> InodeOps::OpenOps(vfs::Inode& inode) const {
  if (inode.is_dir()) return &kDirOps;
  if (vfs::IsRegular(inode.mode())) return &kFileOps;
  return Err(Errno::kNxIo);
}

bool InodeOps::MustNotFail(const vfs::Inode& inode) const {
  return vfs::IsRegular(inode.mode()) && Lookups::Of(inode).file_ops().must_not_fail();
}

// --- SyscallOps ---

Result<NodeRef> SyscallOps::Mkdir(Node&, std::string_view, Mode) { return Err(Errno::kPerm); }
Status SyscallOps::Rmdir(Victim&) { return Err(Errno::kPerm); }

}  // namespace dentree::kernfs
