#include "base/seqcount.h"

#include <sched.h>

#include "base/futex_internal.h"

namespace dentree::base {

uint32_t SeqCount::ReadBeginSlow() const {
  for (int turn = 0;; ++turn) {
    const uint32_t seq = Sample();
    if ((seq & 1) == 0) return seq;
    if (turn < internal::kSpinTurns) {
      internal::CpuRelax();
    } else {
      sched_yield();
    }
  }
}

}  // namespace dentree::base
