// A small tracing-like tree on kernfs, and the fixture whose tests have one mounted on /k.
//
//     /k                     listed; its table:
//       README                 text
//       sometimes              text, present while Instance::sometimes
//       value                  text that takes a number
//       pipe                   waits for Instance::data
//       delete                 writing removes the directory it is in
//       events                 a table's directory; its table: enable; provided: systems
//         SYSTEM                 its table: enable; provided: events
//           EVENT                  its table: enable, id (while Event::has_id), format
//       instances              listed; mkdir and rmdir are allowed in it
//         NAME                   listed, of the same type as the top
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fixture/fixture.h"
#include "kernfs/kernfs.h"

namespace dentree::kernfs {

using fixture::FailsWith;
using fixture::Holds;
using fixture::IsOk;

// --- a registry that all instances share ---

struct Event {
  uint64_t id = 0;
  uint64_t system = 0;  // 0: a system itself
  std::string name;
  std::atomic<bool> has_id{true};
  std::atomic<int> operations{0};  // running in it now
};

class Registry {
 public:
  uint64_t Add(std::string name, uint64_t system = 0);
  // Its id: an event may be gone as soon as the lock is dropped. 0: there is none.
  uint64_t Find(std::string_view name, uint64_t system = 0) const;
  Event* Get(uint64_t id) const;
  // Marks dead; the event lives on until Free.
  std::unique_ptr<Event> Kill(uint64_t id);
  void List(uint64_t system, uint64_t after, uint8_t space, ChildSink& sink) const;
  size_t calls() const { return calls_.load(); }

 private:
  mutable base::Mutex<base::LockRank::kRegistry> mutex_;
  std::map<uint64_t, std::unique_ptr<Event>> events_;
  uint64_t last_ = 0;
  mutable std::atomic<size_t> calls_{0};
};

inline constexpr uint8_t kEventSpace = 2;
inline constexpr ObjectId kEventsDir = ObjectIn(1, 1);
inline ObjectId ObjectOf(uint64_t event) { return ObjectIn(kEventSpace, event); }

// --- an instance: what a listed directory is about ---

struct Instance {
  explicit Instance(Registry& r) : registry(r) {}
  Registry& registry;
  std::atomic<int> value{0};
  std::atomic<bool> sometimes{true};
  std::atomic<int> opens{0}, releases{0}, operations{0};
  std::atomic<int> data{0};
  std::atomic<int> self_removals{0};
};

// Indexes in the table of instances.
enum : uint16_t { kReadme, kSometimes, kValue, kPipe, kDelete, kEvents };

extern const DirType kInstanceType;
extern const DirType kPlainType;      // nothing but listed children
extern const DirType kProvidingType;  // systems of the instance that is its priv

// --- the fixture ---

class KernfsTest : public fixture::VfsTest, public SyscallOps {
 protected:
  explicit KernfsTest(const fixture::Options& options = {});
  ~KernfsTest() override;
  void SetUp() override;
  void TearDown() override;

  // SyscallOps: only in the stashed node.
  Result<NodeRef> Mkdir(Node& parent, std::string_view name, Mode permissions) override;
  Status Rmdir(Victim& victim) override;

  NodeRef MakeInstance(std::string_view name);
  // Removes it as rmdir would, from the program's side.
  void RemoveInstance(std::string_view name);
  // Removes an event as its registry would, and frees it.
  void RemoveEvent(uint64_t id);

  std::vector<std::string> Names(std::string_view path);
  // Everything below a path, each with its inode number: from listing if `stat` is kNo.
  enum class AlsoStat : uint8_t { kNo, kYes };
  size_t Walk(const std::string& path, AlsoStat stat);

  Kernfs& kernfs() { return *kernfs_; }
  Root& root() { return *root_; }
  Node& instances() { return *instances_; }
  Registry& registry() { return registry_; }
  Instance& top() { return *top_instance_; }

  bool busy_ = false;  // rmdir answers kBusy
  bool mount_ = true;  // SetUp mounts on /k

 private:
  Registry registry_;
  std::unique_ptr<Instance> top_instance_;
  base::Mutex<base::LockRank::kInstance> mutex_;
  std::map<std::string, std::unique_ptr<Instance>, std::less<>> live_;
  std::shared_ptr<Kernfs> kernfs_;
  RootRef root_;
  NodeRef instances_;
};

// Reads a descriptor from its position to the end.
std::string ReadAll(vfs::Task& task, int fd);
inline std::span<std::byte> Bytes(std::span<char> chars) { return std::as_writable_bytes(chars); }

}  // namespace dentree::kernfs
