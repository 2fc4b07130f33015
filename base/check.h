#pragma once

// CHECK states what must be true in every build, DCHECK what debug builds verify. A failed check
// prints its place, its text and the reason given, and aborts: an invariant that does not hold
// cannot be repaired.
//
//   CHECK(count_ == 0);
//   CHECK(node->parent != nullptr, "only the root has no parent");

namespace dentree::base {

[[noreturn, gnu::cold]] void CheckFailed(const char* file, int line, const char* condition,
                                         const char* why = nullptr);

// Whether the library was compiled with optimization; without it atomic stores are stronger than
// they say.
[[nodiscard]] bool BuiltOptimized();

}  // namespace dentree::base

#define DENTREE_CHECK(cond, ...) \
  (static_cast<bool>(cond)       \
       ? static_cast<void>(0)    \
       : ::dentree::base::CheckFailed(__FILE__, __LINE__, #cond __VA_OPT__(, ) __VA_ARGS__))

#define CHECK(cond, ...) DENTREE_CHECK(cond __VA_OPT__(, ) __VA_ARGS__)

#ifdef NDEBUG
#define DCHECK(cond, ...) static_cast<void>(sizeof(static_cast<bool>(cond)))
#else
#define DCHECK(cond, ...) DENTREE_CHECK(cond __VA_OPT__(, ) __VA_ARGS__)
#endif
