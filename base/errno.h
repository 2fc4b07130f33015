#pragma once

#include <cerrno>
#include <cstdint>
#include <expected>
#include <string_view>
#include <utility>

namespace dentree::base {

// The errors of the system-call surface; the value of each is Linux's errno. There is no "success"
// value: success is a Result that holds one.
enum class Errno : uint16_t {
  kPerm = EPERM,
  kNoEnt = ENOENT,
  kSrch = ESRCH,
  kIntr = EINTR,
  kIo = EIO,
  kNxIo = ENXIO,
  kTooBig = E2BIG,
  kNoExec = ENOEXEC,
  kBadF = EBADF,
  kChild = ECHILD,
  kAgain = EAGAIN,
  kNoMem = ENOMEM,
  kAccess = EACCES,
  kFault = EFAULT,
  kNotBlk = ENOTBLK,
  kBusy = EBUSY,
  kExist = EEXIST,
  kXDev = EXDEV,
  kNoDev = ENODEV,
  kNotDir = ENOTDIR,
  kIsDir = EISDIR,
  kInval = EINVAL,
  kNFile = ENFILE,
  kMFile = EMFILE,
  kNotTy = ENOTTY,
  kTxtBsy = ETXTBSY,
  kFBig = EFBIG,
  kNoSpc = ENOSPC,
  kSPipe = ESPIPE,
  kRoFs = EROFS,
  kMLink = EMLINK,
  kPipe = EPIPE,
  kDom = EDOM,
  kRange = ERANGE,
  kDeadlk = EDEADLK,
  kNoLck = ENOLCK,
  kNameTooLong = ENAMETOOLONG,
  kNoSys = ENOSYS,
  kNotEmpty = ENOTEMPTY,
  kLoop = ELOOP,
  kNoData = ENODATA,
  kTime = ETIME,
  kProto = EPROTO,
  kBadMsg = EBADMSG,
  kOverflow = EOVERFLOW,
  kNotUniq = ENOTUNIQ,
  kIlSeq = EILSEQ,
  kUsers = EUSERS,
  kMsgSize = EMSGSIZE,
  kProtoNoSupport = EPROTONOSUPPORT,
  kOpNotSupp = EOPNOTSUPP,
  kAddrInUse = EADDRINUSE,
  kConnAborted = ECONNABORTED,
  kConnReset = ECONNRESET,
  kNoBufs = ENOBUFS,
  kIsConn = EISCONN,
  kNotConn = ENOTCONN,
  kShutDown = ESHUTDOWN,
  kTimedOut = ETIMEDOUT,
  kConnRefused = ECONNREFUSED,
  kAlready = EALREADY,
  kInProgress = EINPROGRESS,
  kStale = ESTALE,
  kRemoteIo = EREMOTEIO,
  kDQuot = EDQUOT,
  kCanceled = ECANCELED,
};

// "ENOENT". Values unknown to the C library give "E?".
std::string_view ErrnoName(Errno error);

// "No such file or directory": the C library's text in the C locale.
std::string_view ErrnoText(Errno error);

// A value or the reason why there is none. Functions that return one are [[nodiscard]].
template <class T = void>
using Result = std::expected<T, Errno>;
using Status = Result<void>;

[[nodiscard]] constexpr std::unexpected<Errno> Err(Errno error) {
  return std::unexpected<Errno>(error);
}

// For TRY: moves the value out of a result that holds one.
template <class T, class E>
constexpr T TakeValue(std::expected<T, E>& result) {
  return std::move(*result);
}
template <class E>
constexpr void TakeValue(std::expected<void, E>&) {}

}  // namespace dentree::base

#define DENTREE_CONCAT_INNER(a, b) a##b
#define DENTREE_CONCAT(a, b) DENTREE_CONCAT_INNER(a, b)

// The value of `expr`, a Result; if it holds an error, returns that error from the enclosing
// function.
//
//   Dentry* child = TRY(Lookup(parent, name));
//
// It leaves the function from the middle of an expression, and the compiler does not destroy what the same
// expression had made before: TRY comes first in its expression, never after another argument that owns
// something (`Path{mount, TRY(...)}` would leak the mount).
#define TRY(...) DENTREE_TRY_AS(DENTREE_CONCAT(try_result_, __COUNTER__), __VA_ARGS__)
#define DENTREE_TRY_AS(result, ...)             \
  __extension__({                               \
    auto result = (__VA_ARGS__);                \
    if (!result.has_value()) [[unlikely]]       \
      return ::std::unexpected(result.error()); \
    ::dentree::base::TakeValue(result);         \
  })
