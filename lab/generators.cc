#include "lab/generators.h"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"

namespace dentree::lab {

namespace {

// Directories of Mix::kSpread, names of a burst of kNss, names of a process of kShortTasks, misses
// between two names of kTrickle; how many names later a ghost comes again: multiples of 4.
constexpr uint64_t kSpreadDirectories = 5000;
constexpr uint64_t kNssBurst = 1000;
constexpr uint64_t kShortTaskNames = 50;
constexpr uint64_t kTricklePause = 20;
constexpr std::array<uint64_t, 3> kGhostDistances = {600, 3000, 12000};
constexpr uint64_t kDayRounds = 4;

// The same on every machine, which the distributions of <random> need not be.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t Below(uint64_t n) { return engine_() % n; }
  double Unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

// Numbers below n: number i comes 1/(i+1) as often as number 0.
class Zipf {
 public:
  explicit Zipf(uint64_t n) {
    double sum = 0;
    for (uint64_t i = 0; i < n; ++i) sums_.push_back(sum += 1.0 / static_cast<double>(i + 1));
  }
  uint64_t Pick(Random& random) const {
    const auto at = std::ranges::upper_bound(sums_, random.Unit() * sums_.back());
    return static_cast<uint64_t>(std::min(at, sums_.end() - 1) - sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

// Adds the junk of a mix, piece by piece.
class Junk {
 public:
  Junk(Trace& out, const Mix& mix, uint32_t first_process)
      : out_(out), mix_(mix), first_process_(first_process) {}

  // After a miss of the trace, by this process.
  void AfterMiss(uint32_t process) {
    ++misses_;
    switch (mix_.kind) {
      case Mix::Kind::kTrickle:
        if (misses_ % kTricklePause == 0) Name(process);
        return;
      case Mix::Kind::kNss:
        // As many names as the ratio asks for, but all at once.
        if (misses_ * mix_.ratio % kNssBurst < mix_.ratio) Burst(process);
        return;
      default:
        for (uint64_t i = 0; i < mix_.ratio; ++i) Piece(process);
    }
  }

 private:
  void Name(uint32_t process) {
    const std::string path = absl::StrFormat("/junk/scan/%08d", made_++);
    for (uint64_t i = 0; i < mix_.times; ++i) out_.Miss(path, process);
  }

  void Burst(uint32_t process) {
    for (uint64_t i = 0; i < kNssBurst; ++i) {
      out_.Miss(absl::StrFormat("/junk/nssdb/.%d_dOeSnotExist_.db", made_++), process);
    }
  }

  void Temporary(uint32_t process) {
    const std::string path = absl::StrFormat("/junk/tmp/tmp%08x", made_++);
    for (int i = 0; i < 3; ++i) out_.Miss(path, process);
    out_.Add(path, Op::kCreate, Outcome::kOk, process);
    out_.Add(path, Op::kUnlink, Outcome::kOk, process);
  }

  // Every fourth name comes again, at each of the distances.
  void Ghost(uint32_t process) {
    out_.Miss(absl::StrFormat("/junk/ghost/%08d", made_), process);
    if (made_ % 4 == 0) {
      for (const uint64_t distance : kGhostDistances) {
        if (made_ < distance) continue;
        out_.Miss(absl::StrFormat("/junk/ghost/%08d", made_ - distance), process);
      }
    }
    ++made_;
  }

  void Piece(uint32_t process) {
    switch (mix_.kind) {
      case Mix::Kind::kSpread:
        out_.Miss(absl::StrFormat("/junk/d%04d/%06d", made_ % kSpreadDirectories,
                                  made_ / kSpreadDirectories),
                  process);
        ++made_;
        return;
      case Mix::Kind::kTemporary:
        return Temporary(process);
      case Mix::Kind::kGhosts:
        return Ghost(process);
      case Mix::Kind::kShortTasks:
        return Name((first_process_ + static_cast<uint32_t>(made_ / kShortTaskNames)) %
                    kMaxProcesses);
      default:
        return Name(process);
    }
  }

  Trace& out_;
  const Mix mix_;
  const uint32_t first_process_;
  uint64_t made_ = 0;
  uint64_t misses_ = 0;
};

std::string NameOf(const Mix& mix) {
  switch (mix.kind) {
    case Mix::Kind::kScan:
      return mix.times == 1 ? absl::StrFormat("scan%d:1", mix.ratio)
                            : absl::StrFormat("scan%d:1x%d", mix.ratio, mix.times);
    case Mix::Kind::kSpread:
      return "spread";
    case Mix::Kind::kGhosts:
      return "ghosts";
    case Mix::Kind::kNss:
      return "nss";
    case Mix::Kind::kTemporary:
      return "tmp";
    case Mix::Kind::kShortTasks:
      return "tasks";
    case Mix::Kind::kTrickle:
      return "trickle";
  }
  return "";
}

// What the day leaves out: programs that run by themselves, or do one thing very often.
bool IsOfTheDay(std::string_view name) {
  for (const std::string_view prefix :
       {"make_headers_", "cmake_", "tmpfile_", "flipflop_", "node_start"}) {
    if (name.starts_with(prefix)) return false;
  }
  return true;
}

}  // namespace

Trace UniqueNames(uint64_t count) {
  Trace trace("unique");
  for (uint64_t i = 0; i < count; ++i) trace.Miss(absl::StrFormat("/unique/%08d", i));
  return trace;
}

Trace ZipfInOneDirectory(uint64_t count, uint64_t hot, uint64_t seed) {
  Trace trace("zipf");
  Random random(seed);
  const Zipf zipf(hot);
  for (uint64_t i = 0; i < count; ++i) {
    if (random.Below(10) == 0) {
      trace.Miss(absl::StrFormat("/zipf/hot%05d", zipf.Pick(random)));
    } else {
      trace.Miss(absl::StrFormat("/zipf/once%08d", i));
    }
  }
  return trace;
}

Trace Loop(uint64_t names, uint64_t rounds) {
  Trace trace("loop");
  for (uint64_t round = 0; round < rounds; ++round) {
    for (uint64_t i = 0; i < names; ++i) trace.Miss(absl::StrFormat("/loop/%08d", i));
  }
  return trace;
}

Trace FlipFlop(uint64_t rounds) {
  Trace trace("flipflop");
  for (uint64_t i = 0; i < rounds; ++i) {
    trace.Miss("/var/lock/lock");
    trace.Add("/var/lock/lock", Op::kCreate, Outcome::kOk);
    trace.Add("/var/lock/lock", Op::kUnlink, Outcome::kOk);
  }
  return trace;
}

Trace Survive(uint64_t hot, uint64_t scan) {
  Trace trace("survive");
  const auto look_up_hot = [&] {
    for (uint64_t i = 0; i < hot; ++i) trace.Miss(absl::StrFormat("/hot/%04d", i));
  };
  look_up_hot();
  look_up_hot();
  for (uint64_t i = 0; i < scan; ++i) trace.Miss(absl::StrFormat("/junk/scan/%08d", i));
  look_up_hot();
  return trace;
}

Trace Compiler(uint64_t files, uint64_t headers, uint64_t directories, uint64_t seed) {
  constexpr uint64_t kHeaders = 4000;
  Trace trace("compiler");
  Random random(seed);
  const Zipf zipf(kHeaders);
  for (uint64_t file = 0; file < files; ++file) {
    const auto process = static_cast<uint32_t>(file);
    trace.Add(absl::StrFormat("/src/file%d.c", file), Op::kLookup, Outcome::kOk, process);
    for (uint64_t i = 0; i < headers; ++i) {
      const uint64_t header = zipf.Pick(random);
      const uint64_t home = header * 7 % directories;
      for (uint64_t dir = 0; dir <= home; ++dir) {
        trace.Add(absl::StrFormat("/usr/include/dir%d/header%d.h", dir, header), Op::kLookup,
                  dir == home ? Outcome::kOk : Outcome::kNoEnt, process);
      }
    }
    trace.Add(absl::StrFormat("/src/file%d.o", file), Op::kCreate, Outcome::kOk, process);
  }
  return trace;
}

Trace Mixed(const Trace& trace, const Mix& mix) {
  Trace out(trace.name() + "+" + NameOf(mix));
  Junk junk(out, mix, trace.processes());
  for (const Event& event : trace.events()) {
    out.Add(trace.PathOf(event), event.op, event.outcome, event.process);
    if (event.outcome == Outcome::kNoEnt) junk.AfterMiss(event.process);
  }
  return out;
}

Trace DeveloperDay(std::span<const Trace> traces) {
  Trace day("day");
  uint32_t process = 0;
  for (uint64_t round = 0; round < kDayRounds; ++round) {
    for (const Trace& trace : traces) {
      if (!IsOfTheDay(trace.name())) continue;
      day.Append(trace, process);
      process = (process + trace.processes()) % kMaxProcesses;
    }
  }
  return day;
}

}  // namespace dentree::lab
