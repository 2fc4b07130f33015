#include "bench/peer_llvm.h"

namespace dentree::bench {

std::unique_ptr<LlvmFiles> LlvmFiles::Create() { return nullptr; }
int LlvmFiles::Version() { return 0; }

}  // namespace dentree::bench
