// Task: extended attributes.
#include "vfs/task.h"

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

Result<Path> Task::XattrPlace(int dir, std::string_view path, int flags) {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return Err(Errno::kInval);
  if (path.empty() && (flags & AT_EMPTY_PATH) && dir != kAtFdCwd) {
    const FileRef file = TRY(fds_.Get(dir));
    if (file->path_only()) return Err(Errno::kBadF);
    return file->path();
  }
  return PlaceAt(dir, path, flags);
}

Result<size_t> Task::GetxattrAt(int dir, std::string_view path, std::string_view name,
                                std::span<std::byte> out, int flags) {
  TRY(CheckXattrName(name));
  return RetryStale([&]() -> Result<size_t> {
    const Path place = TRY(XattrPlace(dir, path, flags));
    return vfs_.ops().Getxattr(place, name, out, *creds_);
  });
}

Status Task::SetxattrAt(int dir, std::string_view path, std::string_view name,
                        std::span<const std::byte> value, int xattr_flags, int flags) {
  TRY(CheckXattr(name, value, xattr_flags));
  return RetryStale([&]() -> Status {
    const Path place = TRY(XattrPlace(dir, path, flags));
    return vfs_.ops().Setxattr(place, name, value, xattr_flags, *creds_);
  });
}

Result<size_t> Task::ListxattrAt(int dir, std::string_view path, std::span<char> out, int flags) {
  return RetryStale([&]() -> Result<size_t> {
    const Path place = TRY(XattrPlace(dir, path, flags));
    return vfs_.ops().Listxattr(place, out, *creds_);
  });
}

Status Task::RemovexattrAt(int dir, std::string_view path, std::string_view name, int flags) {
  TRY(CheckXattrName(name));
  return RetryStale([&]() -> Status {
    const Path place = TRY(XattrPlace(dir, path, flags));
    return vfs_.ops().Removexattr(place, name, *creds_);
  });
}

namespace {

int AtFlags(Follow follow) { return follow == Follow::kNo ? AT_SYMLINK_NOFOLLOW : 0; }

}  // namespace

Result<std::string> Task::ReadXattr(std::string_view path, std::string_view name, Follow follow) {
  std::string value(kXattrSizeMax, '\0');
  value.resize(TRY(
      GetxattrAt(kAtFdCwd, path, name, std::as_writable_bytes(std::span(value)), AtFlags(follow))));
  return value;
}

Result<std::vector<std::string>> Task::ListXattrs(std::string_view path, Follow follow) {
  std::string list(kXattrListMax, '\0');
  list.resize(TRY(ListxattrAt(kAtFdCwd, path, std::span(list), AtFlags(follow))));
  std::vector<std::string> names;
  for (size_t at = 0; at < list.size(); at += names.back().size() + 1) {
    names.emplace_back(list.c_str() + at);
  }
  return names;
}

}  // namespace dentree::vfs
