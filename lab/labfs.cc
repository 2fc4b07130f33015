#include "lab/labfs.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/string_util.h"

namespace dentree::lab {

using base::Err;
using vfs::Dentry;
using vfs::Errno;
using vfs::FileType;
using vfs::Ino;
using vfs::Inode;
using vfs::InodeRef;
using vfs::Mode;
using vfs::Result;
using vfs::Status;

namespace {

constexpr uint32_t kLabMagic = 0x6c616266;  // "labf"

// An object of the far side. Its names are guarded by the semaphore of its inode; it is kept by its
// name and by each inode that stands for it.
struct Node {
  Node(Ino number, Mode type_and_permissions) : ino(number), mode(type_and_permissions) {}

  const Ino ino;
  const Mode mode;
  std::atomic<uint32_t> refs{1};
  absl::flat_hash_map<std::string, Node*, base::StringHash, base::StringEq> names = {};

  Node* Get() {
    refs.fetch_add(1, std::memory_order_relaxed);
    return this;
  }
  void Put() {
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  Node* Find(std::string_view name) const {
    const auto it = names.find(name);
    return it == names.end() ? nullptr : it->second;
  }
};

class LabSuper final : public vfs::SuperBlock {
 public:
  LabSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, uint64_t cost_ns)
      : SuperBlock(vfs, {.type = &type, .magic = kLabMagic}),
        cost_ns_(cost_ns),
        root_(new Node(NextIno(), S_IFDIR | 0755)) {}
  ~LabSuper() override { PutTree(root_); }

  Node* root_node() const { return root_; }
  base::Sharded<LabStats>& stats() { return stats_; }
  uint64_t cost_ns() const { return cost_ns_.load(std::memory_order_relaxed); }
  void set_cost_ns(uint64_t ns) { cost_ns_.store(ns, std::memory_order_relaxed); }
  Ino NextIno() { return last_ino_.fetch_add(1, std::memory_order_relaxed) + 1; }

  Node* NewNode(Mode mode) { return new Node(NextIno(), mode); }

  // The cached inode of a node that has a name, or a new one.
  Result<InodeRef> InodeOf(Node& node) {
    return vfs().icache().Get(
        *this, node.ino, [](const Inode&) { return true; }, [&] { return NewInode(node); });
  }

  void EvictInode(Inode& inode) override { inode.priv<Node>().Put(); }
  std::string ShowOptions() const override {
    return cost_ns() == 0 ? "" : ",cost_ns=" + std::to_string(cost_ns());
  }

 private:
  Result<InodeRef> NewInode(Node& node);

  static void PutTree(Node* top) {
    std::vector<Node*> waiting = {top};
    while (!waiting.empty()) {
      Node* const node = waiting.back();
      waiting.pop_back();
      for (const auto& [name, child] : node->names) waiting.push_back(child);
      node->Put();
    }
  }

  std::atomic<uint64_t> cost_ns_;
  std::atomic<Ino> last_ino_{0};
  Node* const root_;
  base::Sharded<LabStats> stats_;
};

LabSuper& SuperOf(const Inode& inode) { return static_cast<LabSuper&>(inode.sb()); }
Node& NodeOf(const Inode& inode) { return inode.priv<Node>(); }

void KeepBusy(uint64_t ns) {
  using Clock = std::chrono::steady_clock;
  if (ns == 0) return;
  const auto end = Clock::now() + std::chrono::nanoseconds(ns);
  while (Clock::now() < end) {
  }
}

class LabFileOps final : public vfs::FileOps {
 public:
  constexpr LabFileOps() = default;

  Result<size_t> Read(vfs::File& file, std::span<std::byte>, uint64_t) const override {
    if (file.inode().is_dir()) return Err(Errno::kIsDir);
    return size_t{0};
  }

  Result<size_t> Write(vfs::File&, std::span<const std::byte> in, uint64_t) const override {
    if (!in.empty()) return Err(Errno::kNoSpc);
    return size_t{0};
  }

  // Positions are inode numbers plus 2: the order in which the objects were made.
  Result<int64_t> Iterate(vfs::File& file, int64_t pos, vfs::DirSink& sink) const override {
    const Inode& dir = file.inode();
    std::vector<std::pair<Ino, std::pair<std::string, FileType>>> entries;
    {
      base::ReadLock lock(dir.sem());
      if (dir.dead()) return Err(Errno::kNoEnt);
      for (const auto& [name, node] : NodeOf(dir).names) {
        if (static_cast<int64_t>(node->ino) + 2 <= pos) continue;
        entries.push_back({node->ino, {name, vfs::TypeOf(node->mode)}});
      }
    }
    std::ranges::sort(entries);
    if (pos == 0 && sink.Emit(".", dir.ino(), FileType::kDir, 1)) pos = 1;
    if (pos == 1 && sink.Emit("..", dir.ino(), FileType::kDir, 2)) pos = 2;
    if (pos < 2) return pos;
    for (const auto& [ino, entry] : entries) {
      const auto next = static_cast<int64_t>(ino) + 2;
      if (!sink.Emit(entry.first, ino, entry.second, next)) break;
      pos = next;
    }
    return pos;
  }
};

constexpr LabFileOps kLabFileOps;

class LabOps final : public vfs::InodeOps {
 public:
  constexpr LabOps() = default;

  Result<InodeRef> Lookup(Inode& dir, const vfs::Name& name) const override {
    LabSuper& super = SuperOf(dir);
    KeepBusy(super.cost_ns());
    super.stats().Add<&LabStats::lookups>();
    Node* const node = NodeOf(dir).Find(name.text());
    if (node != nullptr) return super.InodeOf(*node);
    super.stats().Add<&LabStats::misses>();
    return Err(Errno::kNoEnt);
  }

  Result<InodeRef> Create(Inode& dir, Dentry& dentry, const vfs::CreateArgs& args) const override {
    if (!vfs::IsDir(args.mode) && !vfs::IsRegular(args.mode)) return Err(Errno::kPerm);
    Node* const node = SuperOf(dir).NewNode(args.mode);
    auto inode = SuperOf(dir).InodeOf(*node);
    if (!inode) {
      node->Put();
      return inode;
    }
    Inode::Update(**inode).Owner(args.uid, args.gid);
    NodeOf(dir).names.emplace(dentry.NameCopy(), node);
    Changed(dir);
    return inode;
  }

  Status Unlink(Inode& dir, Dentry& victim) const override { return Remove(dir, victim); }
  Status Rmdir(Inode& dir, Dentry& victim) const override {
    if (!NodeOf(victim.inode()).names.empty()) return Err(Errno::kNotEmpty);
    return Remove(dir, victim);
  }

  Status Rename(Inode& old_dir, Dentry& dentry, Inode& new_dir, const vfs::Name& new_name,
                Dentry* target, unsigned flags) const override {
    auto& from = NodeOf(old_dir).names;
    auto& to = NodeOf(new_dir).names;
    const std::string old_name = dentry.NameCopy();
    Node* const moved = from.find(old_name)->second;
    if (flags & vfs::kRenameExchange) {
      std::swap(from.find(old_name)->second, to.find(new_name.text())->second);
    } else {
      if (target != nullptr && !NodeOf(target->inode()).names.empty()) {
        return Err(Errno::kNotEmpty);
      }
      from.erase(old_name);
      if (target != nullptr) NodeGone(target->inode());
      to.insert_or_assign(std::string(new_name.text()), moved);
    }
    Changed(old_dir);
    if (&new_dir != &old_dir) Changed(new_dir);
    return {};
  }

  Result<const vfs::FileOps*> OpenOps(Inode&) const override { return &kLabFileOps; }

 private:
  static Status Remove(Inode& dir, Dentry& victim) {
    NodeOf(dir).names.erase(victim.NameCopy());
    NodeGone(victim.inode());
    Changed(dir);
    return {};
  }

  static void Changed(Inode& dir) {
    const int64_t now = dir.vfs().clock().NowNs();
    Inode::Update(dir).Mtime(now).Ctime(now);
  }
  static void NodeGone(Inode& inode) {
    Inode::Update(inode).Nlink(0).Ctime(inode.vfs().clock().NowNs());
    NodeOf(inode).Put();
  }
};

constexpr LabOps kLabOps;

// A directory has one link: nobody counts the ones in it.
Result<InodeRef> LabSuper::NewInode(Node& node) {
  InodeRef inode = TRY(vfs().icache().New(*this, kLabOps, node.ino, node.mode));
  inode->set_private_data(node.Get());
  Inode::Update(*inode).Nlink(1).AllTimes(vfs().clock().NowNs());
  return inode;
}

class LabContext final : public vfs::MountContext {
 public:
  explicit LabContext(const vfs::FileSystemType& type) : type_(type) {}

  Status ParseOption(std::string_view key, std::string_view value) override {
    if (key != "cost_ns") return MountContext::ParseOption(key, value);
    const auto cost = base::ParseU64(value);
    if (!cost || *cost > kMaxCostNs) return Fail(Errno::kInval, "cost_ns: not a cost");
    cost_ns_ = *cost;
    return {};
  }

  Result<vfs::SuperRef> GetTree(vfs::Vfs& vfs) override {
    auto super = base::Ref<LabSuper>::Adopt(new LabSuper(vfs, type_, cost_ns_.value_or(0)));
    InodeRef root = TRY(super->InodeOf(*super->root_node()));
    TRY(super->MakeRoot(std::move(root)));
    return super;
  }

  Status Reconfigure(vfs::SuperBlock& super) override {
    if (cost_ns_) static_cast<LabSuper&>(super).set_cost_ns(*cost_ns_);
    return {};
  }

 private:
  const vfs::FileSystemType& type_;
  std::optional<uint64_t> cost_ns_;
};

class LabType final : public vfs::FileSystemType {
 public:
  std::string_view name() const override { return "labfs"; }
  std::unique_ptr<vfs::MountContext> NewContext() override {
    return std::make_unique<LabContext>(*this);
  }
};

LabSuper& SuperOf(const vfs::Path& place) {
  vfs::SuperBlock& super = place.dentry->inode().sb();
  CHECK(super.magic() == kLabMagic, "the place is not on a labfs");
  return static_cast<LabSuper&>(super);
}

}  // namespace

std::unique_ptr<vfs::FileSystemType> Labfs() { return std::make_unique<LabType>(); }

void AddName(const vfs::Path& place, std::string_view path, FileType type) {
  LabSuper& super = SuperOf(place);
  Node* at = super.root_node();
  while (!path.empty()) {
    const std::string_view name = base::NextToken(path, '/');
    if (name.empty()) continue;
    Node*& child = at->names[std::string(name)];
    const bool dir = !path.empty() || type == FileType::kDir;
    if (child == nullptr) child = super.NewNode(dir ? S_IFDIR | 0755 : S_IFREG | 0644);
    at = child;
  }
}

base::Sharded<LabStats>& LabStatsOf(const vfs::Path& place) { return SuperOf(place).stats(); }

}  // namespace dentree::lab
