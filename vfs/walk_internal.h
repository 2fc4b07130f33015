// The one step that walks and operations share.
#pragma once

#include <algorithm>
#include <string_view>

#include "vfs/dentry.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Vfs;

// The components of a path, one after the other.
class Components {
 public:
  Components() = default;
  explicit Components(std::string_view path) : rest_(path) { SkipSlashes(); }

  // Takes the next component off; empty at the end. Whether slashes followed it is remembered.
  std::string_view Next() {
    const size_t end = rest_.find('/');
    const std::string_view component = rest_.substr(0, end);
    rest_.remove_prefix(component.size());
    trailing_slash_ = !rest_.empty();
    SkipSlashes();
    return component;
  }
  bool empty() const { return rest_.empty(); }
  bool trailing_slash() const { return trailing_slash_; }

 private:
  void SkipSlashes() { rest_.remove_prefix(std::min(rest_.find_first_not_of('/'), rest_.size())); }
  std::string_view rest_;
  bool trailing_slash_ = false;
};

// A name that is looked up: kNameTooLong, or kNoEnt where nothing is any more.
Status CheckLength(const Dentry& dir, std::string_view name);

// The child `name` of `dir`: cached and still true, or the file system's answer made into a dentry.
// The directory's semaphore, held for writing by the caller, makes callers with the same question
// wait for the first one's answer. kNoEnt.
Result<DentryRef> LookupLocked(Vfs& vfs, Dentry& dir, const Name& name);

// What `once` answers; if that is kStale, what it answers the second time. A file system may find
// out on the way that what it let us believe holds no longer, and then it knows better.
template <class Once>
auto RetryStale(Once once) {
  auto result = once();
  if (!result && result.error() == Errno::kStale) result = once();
  return result;
}

}  // namespace dentree::vfs
