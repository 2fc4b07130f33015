#pragma once

// Clang thread-safety annotations. Other compilers see nothing.

#if defined(__clang__)
#define DT_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define DT_THREAD_ATTRIBUTE(x)
#endif

#define DT_CAPABILITY(name) DT_THREAD_ATTRIBUTE(capability(name))
#define DT_SCOPED_CAPABILITY DT_THREAD_ATTRIBUTE(scoped_lockable)
#define DT_GUARDED_BY(...) DT_THREAD_ATTRIBUTE(guarded_by(__VA_ARGS__))
#define DT_PT_GUARDED_BY(...) DT_THREAD_ATTRIBUTE(pt_guarded_by(__VA_ARGS__))
#define DT_REQUIRES(...) DT_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define DT_REQUIRES_SHARED(...) DT_THREAD_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define DT_ACQUIRE(...) DT_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define DT_ACQUIRE_SHARED(...) DT_THREAD_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define DT_RELEASE(...) DT_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define DT_RELEASE_SHARED(...) DT_THREAD_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define DT_RELEASE_GENERIC(...) DT_THREAD_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define DT_TRY_ACQUIRE(...) DT_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define DT_TRY_ACQUIRE_SHARED(...) DT_THREAD_ATTRIBUTE(try_acquire_shared_capability(__VA_ARGS__))
#define DT_EXCLUDES(...) DT_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define DT_ASSERT_CAPABILITY(...) DT_THREAD_ATTRIBUTE(assert_capability(__VA_ARGS__))
#define DT_RETURN_CAPABILITY(x) DT_THREAD_ATTRIBUTE(lock_returned(x))
#define DT_NO_THREAD_SAFETY_ANALYSIS DT_THREAD_ATTRIBUTE(no_thread_safety_analysis)
