#include "bench/limit.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <unordered_set>

#include "base/check.h"

namespace dentree::bench {

// A name in a directory. An unused one has the id 0.
struct alignas(64) Limit::Entry {
  uint64_t parent;
  uint64_t head, tail;  // of the name: its first and last bytes, together all of them
  uint64_t size;
  uint64_t id;
};

namespace {

using Entry = Limit::Entry;
using Tables = Limit::Tables;

constexpr uint64_t kRootId = 1;
constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
constexpr uint64_t kIdMask = (uint64_t{1} << 48) - 1;
constexpr size_t kNameMax = 16;
// Keys that are tried until no name of so few is displaced: one probe each is the definition.
constexpr int kKeys = 1000;
constexpr size_t kFewNames = 64;

// --- finding slashes: bit i of the result is byte i ---

struct Sse2 {
  static uint64_t Slashes(const char* line) {
    const __m128i slash = _mm_set1_epi8('/');
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
      const __m128i part = _mm_load_si128(reinterpret_cast<const __m128i*>(line) + i);
      const auto equal = static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(part, slash)));
      bits |= uint64_t{equal} << (16 * i);
    }
    return bits;
  }
};

struct Avx2 {
  [[gnu::target("avx2")]] static uint64_t Slashes(const char* line) {
    const __m256i slash = _mm256_set1_epi8('/');
    const auto half = [&](int i) __attribute__((target("avx2"))) {
      const __m256i part = _mm256_load_si256(reinterpret_cast<const __m256i*>(line) + i);
      return uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(part, slash)))};
    };
    return half(0) | half(1) << 32;
  }
};

struct Avx512 {
  [[gnu::target("avx512bw")]] static uint64_t Slashes(const char* line) {
    return _mm512_cmpeq_epi8_mask(_mm512_load_si512(line), _mm512_set1_epi8('/'));
  }
};

// --- names ---

template <class Word>
uint64_t Load(const char* p) {
  Word word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

struct Name {
  uint64_t head, tail, size;
};

// 1 to 16 bytes.
[[gnu::always_inline]] inline Name NameAt(const char* p, size_t n) {
  if (n >= 8) [[likely]]
    return {Load<uint64_t>(p), Load<uint64_t>(p + n - 8), n};
  if (n >= 4) return {Load<uint32_t>(p), Load<uint32_t>(p + n - 4), n};
  return {Load<uint8_t>(p) | Load<uint8_t>(p + n / 2) << 8, Load<uint8_t>(p + n - 1), n};
}

[[gnu::always_inline]] inline uint64_t HashOf(const Tables& tables, const Name& name) {
  // By hand, because g++ 12 takes the product through the stack; and so that the directory's id is
  // not mixed in before this is done: that is the chain.
  uint64_t low, high;
  asm("mul %3"
      : "=a"(low), "=d"(high)
      : "0"(name.head ^ tables.key[0] ^ name.size), "r"(name.tail ^ tables.key[1])
      : "cc");
  asm("xor %1, %0" : "+r"(low) : "r"(high) : "cc");
  return low;
}

[[gnu::always_inline]] inline bool Is(const Entry& entry, uint64_t parent, const Name& name) {
  return entry.parent == parent && entry.head == name.head && entry.tail == name.tail &&
         entry.size == name.size;
}

// Where the entry of such a place is, in bytes: a shift and a mask, which is one step less than an
// index.
[[gnu::always_inline]] inline Entry* EntryAt(const Tables& tables, uint64_t offset) {
  return reinterpret_cast<Entry*>(reinterpret_cast<char*>(tables.entries) + offset);
}

// --- one component: the id of `name` in the directory with the id `parent`, or 0 ---

struct InEntries {
  [[gnu::always_inline]] static uint64_t Find(const Tables& tables, uint64_t parent,
                                              const Name& name) {
    const uint64_t place = (HashOf(tables, name) ^ parent) * kMultiplier;
    const Entry* const entry =
        EntryAt(tables, place >> tables.shift & ~uint64_t{sizeof(Entry) - 1});
    if (Is(*entry, parent, name)) [[likely]]
      return entry->id;
    return FindBehind(tables, entry, parent, name);
  }
  [[gnu::noinline, gnu::cold]] static uint64_t FindBehind(const Tables& tables, const Entry* entry,
                                                          uint64_t parent, Name name) {
    const Entry* const end = tables.entries + tables.mask + 1;
    while (entry->id != 0) {
      if (++entry == end) entry = tables.entries;
      if (Is(*entry, parent, name)) return entry->id;
    }
    return 0;
  }
};

struct InSlots {
  static uint64_t TagOf(uint64_t place) { return place << 48; }

  [[gnu::always_inline]] static uint64_t Find(const Tables& tables, uint64_t parent,
                                              const Name& name) {
    const uint64_t place = (HashOf(tables, name) ^ parent) * kMultiplier;
    for (size_t i = place >> tables.shift;; i = (i + 1) & tables.mask) {
      const uint64_t slot = tables.slots[i];
      if (slot == 0) return 0;
      if (((slot ^ TagOf(place)) & ~kIdMask) != 0) continue;
      const uint64_t id = slot & kIdMask;
      if (Is(tables.entries[id], parent, name)) [[likely]]
        return id;
    }
  }
};

// --- a path ---

// The components that end at the bits of `ends`, the first of them beginning at `start`.
template <class Table>
[[gnu::always_inline]] inline uint64_t Components(const Tables& tables, uint64_t at,
                                                  const char* path, size_t line, size_t& start,
                                                  uint64_t ends) {
  for (; ends != 0; ends &= ends - 1) {
    const size_t end = line + static_cast<size_t>(std::countr_zero(ends));
    at = Table::Find(tables, at, NameAt(path + start, end - start));
    if (at == 0) return 0;
    start = end + 1;
  }
  return at;
}

// What ends a component in the last line: the slashes before byte `length`, and that byte.
[[gnu::always_inline]] inline uint64_t EndsOf(uint64_t slashes, size_t length) {
  return (slashes | uint64_t{1} << length) & (~uint64_t{0} >> (63 - length));
}

// `path` begins a line. Ends at the first component that is not there.
template <class Scan, class Table>
[[gnu::always_inline]] inline uint64_t WalkOneLine(const Tables& tables, const char* path,
                                                   size_t length) {
  size_t start = 1;
  const uint64_t slashes = Scan::Slashes(path) & ~uint64_t{1};
  return Components<Table>(tables, kRootId, path, 0, start, EndsOf(slashes, length));
}

template <class Scan, class Table>
[[gnu::always_inline]] inline uint64_t WalkLines(const Tables& tables, const char* path,
                                                 size_t length) {
  size_t start = 1;
  uint64_t at = kRootId;
  uint64_t keep = ~uint64_t{1};  // but the first slash
  for (size_t line = 0; at != 0; line += Paths::kLine, keep = ~uint64_t{0}) {
    uint64_t ends = Scan::Slashes(path + line) & keep;
    const bool last = length - line < Paths::kLine;
    if (last) ends = EndsOf(ends, length - line);
    at = Components<Table>(tables, at, path, line, start, ends);
    if (last) break;
  }
  return at;
}

struct Ring {
  const char *path, *begin, *end;
  size_t stride, length;
};

// Two loops, so that the usual one has all registers.
template <Pace kPace, class Scan, class Table, bool kOneLine>
[[gnu::always_inline]] inline const char* WalkRing(const Tables& tables, const Ring& ring,
                                                   uint64_t n) {
  const uint64_t zero = HiddenZero();
  uint64_t last = 0;
  const char* path = ring.path;
  for (; n != 0; --n) {
    const char* const begin = kPace == Pace::kLatency ? path + (last & zero) : path;
    last = kOneLine ? WalkOneLine<Scan, Table>(tables, begin, ring.length)
                    : WalkLines<Scan, Table>(tables, begin, ring.length);
    asm volatile("" : : "r"(last));
    path += ring.stride;
    if (path == ring.end) path = ring.begin;
  }
  return path;
}

// The loops as a whole have the target, so that the scan becomes part of them.
template <Pace kPace, class Table, bool kOneLine>
[[gnu::noinline, gnu::target("avx512bw,bmi,bmi2")]] const char* WalkAvx512(Tables tables, Ring ring,
                                                                           uint64_t n) {
  return WalkRing<kPace, Avx512, Table, kOneLine>(tables, ring, n);
}
template <Pace kPace, class Table, bool kOneLine>
[[gnu::noinline, gnu::target("avx2,bmi,bmi2")]] const char* WalkAvx2(Tables tables, Ring ring,
                                                                     uint64_t n) {
  return WalkRing<kPace, Avx2, Table, kOneLine>(tables, ring, n);
}
template <Pace kPace, class Table, bool kOneLine>
[[gnu::noinline]] const char* WalkSse2(Tables tables, Ring ring, uint64_t n) {
  return WalkRing<kPace, Sse2, Table, kOneLine>(tables, ring, n);
}

template <Pace kPace, class Table>
void WalkWidest(const Tables& tables, const Paths& paths, size_t& at, uint64_t n) {
  const Ring ring{paths.at(at), paths.at(0), paths.at(paths.count()), paths.stride(),
                  paths.length()};
  const bool one_line = paths.length() < Paths::kLine;
  const char* next;
  if (__builtin_cpu_supports("avx512bw")) {
    next = one_line ? WalkAvx512<kPace, Table, true>(tables, ring, n)
                    : WalkAvx512<kPace, Table, false>(tables, ring, n);
  } else if (__builtin_cpu_supports("avx2")) {
    next = one_line ? WalkAvx2<kPace, Table, true>(tables, ring, n)
                    : WalkAvx2<kPace, Table, false>(tables, ring, n);
  } else {
    next = one_line ? WalkSse2<kPace, Table, true>(tables, ring, n)
                    : WalkSse2<kPace, Table, false>(tables, ring, n);
  }
  at = paths.IndexOf(next);
}

// Zeroed, and in huge pages where there are any: what a page table costs is not the limit.
void* MapZeroed(size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "no memory for the limit");
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

// Names as paths from the root on.
size_t CountNames(const std::vector<std::string>& paths) {
  std::unordered_set<std::string_view> names;
  for (const std::string_view path : paths) {
    for (size_t end = 0; end != path.npos;) {
      end = path.find('/', end + 1);
      names.insert(path.substr(0, end));
    }
  }
  return names.size();
}

}  // namespace

Limit::Limit(Layout layout, const std::vector<std::string>& paths, size_t names) : layout_(layout) {
  if (names == 0) names = CountNames(paths);
  const size_t places = std::bit_ceil(std::max<size_t>(2 * names, 64));
  tables_.mask = places - 1;
  tables_.shift = static_cast<unsigned>(64 - std::countr_zero(places));
  if (layout == Layout::kEntries) tables_.shift -= std::countr_zero(sizeof(Entry));
  bytes_ = (layout == Layout::kEntries ? places : names + kRootId + 1) * sizeof(Entry);
  tables_.entries = static_cast<Entry*>(MapZeroed(bytes_));
  if (layout == Layout::kSlots) {
    slot_bytes_ = places * sizeof(uint64_t);
    tables_.slots = static_cast<uint64_t*>(MapZeroed(slot_bytes_));
  }
  tables_.key[0] = 0x6a09e667f3bcc909;
  tables_.key[1] = 0xbb67ae8584caa73b;
  for (int tries = 0; tries < kKeys; ++tries) {
    Fill(paths);
    if (displaced_ == 0 || names > kFewNames) return;
    tables_.key[0] *= kMultiplier;
  }
}

void Limit::Fill(const std::vector<std::string>& paths) {
  if (entries_ != 0) std::memset(static_cast<void*>(tables_.entries), 0, bytes_);
  if (entries_ != 0 && slot_bytes_ != 0) std::memset(tables_.slots, 0, slot_bytes_);
  entries_ = kRootId;
  displaced_ = 0;
  for (const std::string_view path : paths) {
    uint64_t at = kRootId;
    for (size_t start = 1; start < path.size();) {
      const size_t end = std::min(path.find('/', start), path.size());
      at = Insert(at, path.substr(start, end - start));
      start = end + 1;
    }
  }
}

Limit::~Limit() {
  munmap(tables_.entries, bytes_);
  if (tables_.slots != nullptr) munmap(tables_.slots, slot_bytes_);
}

uint64_t Limit::Insert(uint64_t parent, std::string_view text) {
  CHECK(!text.empty() && text.size() <= kNameMax, "names of 1 to 16 bytes");
  const Name name = NameAt(text.data(), text.size());
  const uint64_t found = layout_ == Layout::kEntries ? InEntries::Find(tables_, parent, name)
                                                     : InSlots::Find(tables_, parent, name);
  if (found != 0) return found;
  const uint64_t id = ++entries_;
  CHECK(2 * (id - kRootId) <= tables_.mask + 1, "more names than announced");
  const uint64_t place = (HashOf(tables_, name) ^ parent) * kMultiplier;
  const Entry entry{parent, name.head, name.tail, name.size, id};
  if (layout_ == Layout::kEntries) {
    Entry* const end = tables_.entries + tables_.mask + 1;
    Entry* free = EntryAt(tables_, place >> tables_.shift & ~uint64_t{sizeof(Entry) - 1});
    if (free->id != 0) ++displaced_;
    while (free->id != 0) free = free + 1 == end ? tables_.entries : free + 1;
    *free = entry;
  } else {
    size_t i = place >> tables_.shift;
    if (tables_.slots[i] != 0) ++displaced_;
    while (tables_.slots[i] != 0) i = (i + 1) & tables_.mask;
    tables_.slots[i] = InSlots::TagOf(place) | id;
    tables_.entries[id] = entry;
  }
  return id;
}

uint64_t Limit::Find(std::string_view path) const {
  const Paths one({std::string(path)});
  return layout_ == Layout::kEntries ? WalkLines<Sse2, InEntries>(tables_, one.at(0), one.length())
                                     : WalkLines<Sse2, InSlots>(tables_, one.at(0), one.length());
}

template <Pace kPace>
void Limit::LookUp(const Paths& paths, size_t& at, uint64_t n) const {
  if (layout_ == Layout::kEntries) {
    WalkWidest<kPace, InEntries>(tables_, paths, at, n);
  } else {
    WalkWidest<kPace, InSlots>(tables_, paths, at, n);
  }
}
template void Limit::LookUp<Pace::kThroughput>(const Paths&, size_t&, uint64_t) const;
template void Limit::LookUp<Pace::kLatency>(const Paths&, size_t&, uint64_t) const;

const char* Limit::WidestLoad() {
  if (__builtin_cpu_supports("avx512bw")) return "AVX-512";
  return __builtin_cpu_supports("avx2") ? "AVX2" : "SSE2";
}

double ClockGhz() {
  constexpr int kMultiplications = 1'000'000;
  constexpr int kCycles = 3;
  double best = 0;
  for (int round = 0; round < 20; ++round) {
    uint64_t value = HiddenZero() + 1;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kMultiplications; ++i) asm volatile("imul %0, %0" : "+r"(value));
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, double{kMultiplications} * kCycles / took.count());
  }
  return best;
}

}  // namespace dentree::bench
