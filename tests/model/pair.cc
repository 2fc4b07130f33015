#include "tests/model/pair.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_format.h"

namespace dentree::model {

std::string Divergence::Signature() const {
  return std::string(op.kind == nullptr ? "" : op.kind->name) + ": " + where + ": " + what;
}

Pair::Pair(std::unique_ptr<System> kernel, std::unique_ptr<System> dentree)
    : kernel_(std::move(kernel)),
      dentree_(std::move(dentree)),
      compares_times_(KernelTellsTimesApart()) {}

std::unique_ptr<Pair> Pair::New(vfs::Vfs& vfs, const std::string& name,
                                const KernelOptions& options, const Injection* injection,
                                std::string& why_not) {
  std::unique_ptr<System> kernel = NewKernelSystem(options, why_not);
  if (kernel == nullptr) return nullptr;
  auto dentree = Inject(NewDentreeSystem(vfs, name, options), injection);
  return std::unique_ptr<Pair>(new Pair(std::move(kernel), std::move(dentree)));
}

// Kernels before 6.13 give all changes of a few milliseconds one time.
bool Pair::KernelTellsTimesApart() {
  kernel_->Mknod(AT_FDCWD, "/probe", S_IFREG | 0600, 0);
  Attr last;
  kernel_->Stat(AT_FDCWD, "/probe", false, last);
  bool apart = true;
  for (int i = 0; i < 8; ++i) {
    kernel_->Chmod("/probe", 0600);
    Attr now;
    kernel_->Stat(AT_FDCWD, "/probe", false, now);
    apart &= now.ctime != last.ctime;
    last = now;
  }
  kernel_->Unlink(AT_FDCWD, "/probe");
  return apart;
}

Pair::Trees Pair::Take() {
  Trees trees;
  trees.kernel = TakeTree(*kernel_);
  trees.dentree = TakeTree(*dentree_);
  return trees;
}

// What open files are and where they stand; the only look at those without a name.
std::string Pair::DescriptorDifference() {
  for (int slot = 0; slot < kSlots; ++slot) {
    const int kernel_fd = kernel_->Slot(slot);
    const int dentree_fd = dentree_->Slot(slot);
    if (kernel_fd < 0 || dentree_fd < 0) continue;
    Attr attrs[2];
    kernel_->Fstat(kernel_fd, attrs[0]);
    dentree_->Fstat(dentree_fd, attrs[1]);
    for (const Filter& filter : Filters()) {
      if (filter.attrs != nullptr) filter.attrs(attrs[0], attrs[1]);
    }
    std::string difference = AttrDifference(attrs[0], attrs[1], pairs_);
    const int64_t kernel_pos = kernel_->Lseek(kernel_fd, 0, SEEK_CUR);
    const int64_t dentree_pos = dentree_->Lseek(dentree_fd, 0, SEEK_CUR);
    if (difference.empty() && kernel_pos != dentree_pos && !S_ISDIR(attrs[0].mode)) {
      difference = absl::StrFormat("position: kernel %s, dentree %s", ResultText(kernel_pos),
                                   ResultText(dentree_pos));
    }
    if (!difference.empty()) return absl::StrFormat("%d: %s", slot, difference);
  }
  return {};
}

std::pair<const char*, std::string> Pair::Difference(const Op& op, bool checkpoint) {
  Trees before, after;
  if (checkpoint) {
    before = Take();
    kernel_->Tick();
  }
  kernel_out_.Clear();
  dentree_out_.Clear();
  op.kind->run(*kernel_, op, kernel_out_);
  op.kind->run(*dentree_, op, dentree_out_);
  const Compared compared{op, *kernel_, *dentree_, kernel_out_, dentree_out_};
  std::string difference = AnswerDifference(compared, pairs_);
  if (!difference.empty() || !checkpoint) return {"answer", std::move(difference)};
  after = Take();
  difference = LevelledTreeDifference(after.kernel, after.dentree, pairs_);
  if (!difference.empty()) return {"tree", std::move(difference)};
  difference = DescriptorDifference();
  if (!difference.empty()) return {"descriptor", std::move(difference)};
  if (!compares_times_) return {"", ""};
  return {"times", MovedDifference(before.kernel, after.kernel, before.dentree, after.dentree)};
}

std::optional<Divergence> Pair::Run(const Op& op, bool checkpoint) {
  auto [where, what] = Difference(op, checkpoint);
  const size_t at = done_++;
  if (what.empty()) return std::nullopt;
  return Divergence{at, where, std::move(what), op};
}

}  // namespace dentree::model
