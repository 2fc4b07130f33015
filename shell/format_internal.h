// How commands show attributes, and names of paths.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vfs/types.h"

namespace dentree::shell {

std::string ModeText(vfs::Mode mode);            // "drwxr-xr-x"
std::string OwnerText(uint32_t id);              // "root" for 0, otherwise the number
std::string HumanSize(uint64_t bytes);           // "0", "12K", "1.5M": rounded up, as ls -h
std::string_view TypeText(const vfs::Stat& st);  // "regular empty file"
// strftime in the local time zone.
std::string TimeText(int64_t ns, const char* format);

std::string JoinPath(std::string_view dir, std::string_view name);
// The last component without trailing slashes; "/" of "/".
std::string BaseName(std::string_view path);

}  // namespace dentree::shell
