// What most files include: read once per library instead of once per file. Only to save time: every file
// includes what it uses, and ./dev lint builds without this (-Db_pch=false).
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include "vfs/vfs.h"
