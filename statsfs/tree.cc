// The tree of sources: how they come, go, and are found.

#include "statsfs/statsfs.h"
#include "statsfs/tree_internal.h"

namespace dentree::statsfs {

using kernfs::ObjectId;

namespace {

constexpr kernfs::DirType kFolderDir{.provider = &kSourceProvider};
constexpr unsigned kKindBits = 3;
static_assert(kAggregateNames.size() < 1u << kKindBits);

// What a source's directory has besides its children.
const kernfs::DirType& DirTypeOf(const Contents& contents) {
  if (contents.values) return contents.schema->values;
  if (contents.rows != nullptr) return contents.schema->table;
  return kFolderDir;
}

ObjectId ObjectOf(uint64_t source) { return source << kKindBits; }
ObjectId ObjectOf(uint64_t source, size_t aggregate) { return ObjectOf(source) | (1 + aggregate); }
uint64_t SourceOf(ObjectId object) { return object >> kKindBits; }

std::optional<size_t> AggregateNamed(std::string_view name) {
  for (size_t i = 0; i < kAggregateNames.size(); ++i) {
    if (kAggregateNames[i] == name) return i;
  }
  return std::nullopt;
}

}  // namespace

// --- Statsfs and Source ---

Statsfs::Statsfs(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
Statsfs::~Statsfs() = default;

Result<std::unique_ptr<Statsfs>> Statsfs::Create(std::shared_ptr<kernfs::Kernfs> kernfs) {
  vfs::Vfs& vfs = kernfs->vfs();
  auto tree = std::make_unique<Tree>(vfs);
  TRY(tree->Build(std::move(kernfs)));
  vfs.RegisterType(std::make_unique<kernfs::FileSystem>(
      kernfs::FileSystem::Init{.name = "statsfs", .magic = kMagic, .root = tree->root_ref()}));
  return std::unique_ptr<Statsfs>(new Statsfs(std::move(tree)));
}

Result<Source> Statsfs::Add(std::string_view name, const Contents& contents) {
  return Source(*TRY(tree_->Add(tree_->top(), name, contents)));
}

kernfs::Root& Statsfs::root() const { return tree_->root(); }

Source::~Source() {
  if (node_ != nullptr) node_->tree.Remove(*node_);
}

Result<Source> Source::Add(std::string_view name, const Contents& contents) const {
  return Source(*TRY(node_->tree.Add(*node_, name, contents)));
}

void Source::Revoke() const { node_->tree.Revoke(*node_); }

bool Source::revoked() const { return node_->state.load() & SourceNode::kRevoked; }

// --- Tree ---

Tree::Tree(vfs::Vfs& vfs)
    : vfs_(vfs), cache_(vfs.memory(), "statsfs_source"), top_(*this, nullptr, "", 0, Folder()) {}

Status Tree::Build(std::shared_ptr<kernfs::Kernfs> kernfs) {
  root_ = TRY(kernfs::Root::Create(std::move(kernfs),
                                   {.type = &kFolderDir, .priv = &top_, .permissions = 0700}));
  return {};
}

Tree::~Tree() {
  CHECK(top_.children.empty(), "a Statsfs outlives its sources");
  if (root_ != nullptr) root_->Remove(root_->top());
}

// --- coming ---

Status Tree::CheckName(const SourceNode& parent, std::string_view name) const {
  if (name.size() > vfs::kNameMax) return Err(Errno::kNameTooLong);
  if (!kernfs::table_check::NameIsGood(name)) return Err(Errno::kInval);
  // Revoked or not: what a schema has, nobody else gets.
  if (DirTypeOf(parent.contents).table.Contains(name)) return Err(Errno::kExist);
  if (parent.has_aggregates() && AggregateNamed(name)) return Err(Errno::kExist);
  return {};
}

Result<SourceNode*> Tree::Make(SourceNode& parent, std::string_view name,
                               const Contents& contents) {
  auto* const text = static_cast<char*>(memory().AllocBytes(name.size(), "mm:statsfs_name"));
  if (text == nullptr) return Err(Errno::kNoMem);
  name.copy(text, name.size());
  const uint64_t hash = base::HashName(vfs_.hash_key(), parent.number, name);
  SourceNode* const source =
      cache_.New(*this, &parent, std::string_view(text, name.size()), hash, contents);
  if (source == nullptr) {
    memory().FreeBytes(text, name.size());
    return Err(Errno::kNoMem);
  }
  return source;
}

Status Tree::Link(SourceNode& source) {
  base::WriteLock lock(lock_);
  DCHECK(!source.parent->dying, "a source outlives the sources added to it");
  if (FindLocked(*source.parent, source.name, source.name_hash) != nullptr) {
    return Err(Errno::kExist);
  }
  TRY(names_.Reserve(vfs_.rcu(), 1));
  TRY(ids_.Reserve(vfs_.rcu(), 1));
  source.number = ++last_id_;
  names_.Insert(&source);
  ids_.Append(&source);
  source.parent->children.PushBack(source);
  return {};
}

Result<SourceNode*> Tree::Add(SourceNode& parent, std::string_view name, const Contents& contents) {
  TRY(CheckName(parent, name));
  SourceNode* const source = TRY(Make(parent, name, contents));
  const Status linked = Link(*source);
  if (linked) return source;
  Free(source);
  return Err(linked.error());
}

// --- going ---

// From here on no pin succeeds; those there are, are waited for.
void Tree::Revoke(SourceNode& source) {
  source.state.fetch_or(SourceNode::kRevoked, std::memory_order_seq_cst);
  SYNC_POINT(sync_points(), "statsfs:revoke:marked");
  {
    base::MutexLock lock(drain_mutex_);
    while (source.state.load(std::memory_order_seq_cst) != SourceNode::kRevoked) {
      drained_.Wait(drain_mutex_);
    }
  }
  root_->PresenceChanged(ObjectOf(source.number));
}

// Whoever lists or walks over it while it goes finds its way on, because it stays among its
// siblings to the last; whoever looks for it by name or number does not find it.
void Tree::Remove(SourceNode& source) {
  Revoke(source);
  {
    base::WriteLock lock(lock_);
    CHECK(source.children.empty(), "a source outlives the sources added to it");
    source.dying = true;
    names_.Remove(&source);
    ids_.Remove(vfs_.rcu(), &source);
  }
  SYNC_POINT(sync_points(), "statsfs:remove:unfound");
  if (source.has_aggregates()) {
    for (size_t i = 0; i < kAggregateNames.size(); ++i) {
      root_->RemoveObject(ObjectOf(source.number, i));
    }
  }
  root_->RemoveObject(ObjectOf(source.number));
  {
    base::WriteLock lock(lock_);
    source.siblings.Unlink();
  }
  Free(&source);
}

void Tree::Free(SourceNode* source) {
  if (auto* const marks = source->cleared_at.load(std::memory_order_relaxed)) {
    memory().FreeBytes(marks, source->fields().size() * sizeof(*marks));
  }
  auto* const text = const_cast<char*>(source->name.data());
  const size_t size = source->name.size();
  cache_.Delete(source);
  memory().FreeBytes(text, size);
}

// --- pins and the walk ---

bool Tree::TryPin(SourceNode& source) {
  uint32_t state = source.state.load(std::memory_order_relaxed);
  while (!(state & SourceNode::kRevoked)) {
    if (source.state.compare_exchange_weak(state, state + 1, std::memory_order_seq_cst)) {
      return true;
    }
  }
  return false;
}

void Tree::Unpin(SourceNode& source) {
  if (source.state.fetch_sub(1, std::memory_order_seq_cst) != (SourceNode::kRevoked | 1)) return;
  // The source may be gone by now.
  base::MutexLock lock(drain_mutex_);
  drained_.NotifyAll();
}

// The source after `at` among those below `top`: parents before children.
SourceNode* Tree::FollowingLocked(SourceNode& at, SourceNode& top) {
  if (!at.children.empty()) return &at.children.front();
  for (SourceNode* node = &at; node != &top; node = node->parent) {
    if (SourceNode* const next = node->parent->children.Next(*node)) return next;
  }
  return nullptr;
}

SourceNode* Tree::PinNext(SourceNode* at, SourceNode& top, const Schema& schema) {
  base::ReadLock lock(lock_);
  SourceNode* next = at == nullptr ? &top : FollowingLocked(*at, top);
  while (next != nullptr) {
    if (next->contents.schema == &schema && next->has_values() && TryPin(*next)) return next;
    next = FollowingLocked(*next, top);
  }
  return nullptr;
}

Status Tree::ForEach(SourceNode& top, const Schema& schema,
                     absl::FunctionRef<Status(SourceNode&)> visit) {
  Status status;
  SourceNode* at = PinNext(nullptr, top, schema);
  while (at != nullptr) {
    SYNC_POINT(sync_points(), "statsfs:walk:pinned");
    status = visit(*at);
    SourceNode* const next = status ? PinNext(at, top, schema) : nullptr;
    Unpin(*at);
    at = next;
  }
  return status;
}

// --- what the provider says ---

SourceNode* Tree::FindLocked(const SourceNode& parent, std::string_view name, uint64_t hash) const {
  return names_.Find(
      hash, [&](const SourceNode& each) { return each.parent == &parent && each.name == name; });
}

std::optional<ObjectId> Tree::Find(SourceNode& dir, std::string_view name) {
  if (dir.has_aggregates()) {
    if (const auto aggregate = AggregateNamed(name)) return ObjectOf(dir.number, *aggregate);
  }
  const uint64_t hash = base::HashName(vfs_.hash_key(), dir.number, name);
  base::ReadLock lock(lock_);
  const SourceNode* const found = FindLocked(dir, name, hash);
  if (found == nullptr) return std::nullopt;
  return ObjectOf(found->number);
}

// The first child with an id above `after`. Looks at all only when that one is gone.
SourceNode* Tree::FirstChildLocked(SourceNode& dir, uint64_t after) {
  if (dir.children.empty()) return nullptr;
  if (SourceNode* const last = after == 0 ? nullptr : ids_.Find(after)) {
    if (last->parent == &dir) return dir.children.Next(*last);
  }
  SourceNode* child = &dir.children.front();
  while (child != nullptr && child->number <= after) child = dir.children.Next(*child);
  return child;
}

void Tree::List(SourceNode& dir, ObjectId after, kernfs::ChildSink& sink) {
  for (size_t i = 0; dir.has_aggregates() && i < kAggregateNames.size(); ++i) {
    const ObjectId object = ObjectOf(dir.number, i);
    if (object <= after) continue;
    if (!sink.Take(object, kAggregateNames[i], vfs::FileType::kDir)) return;
  }
  base::ReadLock lock(lock_);
  for (SourceNode* child = FirstChildLocked(dir, SourceOf(after)); child != nullptr;
       child = dir.children.Next(*child)) {
    if (child->dying) continue;
    if (!sink.Take(ObjectOf(child->number), child->name, vfs::FileType::kDir)) return;
  }
}

std::optional<kernfs::Provided> Tree::Describe(ObjectId object) {
  base::ReadLock lock(lock_);
  SourceNode* const source = ids_.Find(SourceOf(object));
  if (source == nullptr) return std::nullopt;
  const bool itself = object == ObjectOf(source->number);
  return kernfs::Provided{
      .mode = S_IFDIR | 0755,
      .dir = itself ? &DirTypeOf(source->contents) : &source->contents.schema->aggregate,
      .priv = source};
}

namespace {

SourceNode& NodeOf(void* priv) { return *static_cast<SourceNode*>(priv); }

}  // namespace

std::optional<ObjectId> SourceProvider::Find(const kernfs::Dir& dir, std::string_view name) const {
  SourceNode& source = NodeOf(dir.priv);
  return source.tree.Find(source, name);
}

void SourceProvider::List(const kernfs::Dir& dir, ObjectId after, kernfs::ChildSink& sink) const {
  SourceNode& source = NodeOf(dir.priv);
  source.tree.List(source, after, sink);
}

std::optional<kernfs::Provided> SourceProvider::Describe(kernfs::Node& domain,
                                                         ObjectId object) const {
  return NodeOf(domain.priv()).tree.Describe(object);
}

kernfs::Presence UnlessRevoked(const kernfs::Dir& dir) {
  return {.here = !(NodeOf(dir.priv).state.load() & SourceNode::kRevoked)};
}

}  // namespace dentree::statsfs
