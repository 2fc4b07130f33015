#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace dentree::base {

// The secret of a hash table: whoever does not know it cannot choose names that collide.
struct HashKey {
  uint64_t seed[2];

  // From the kernel's random numbers.
  [[nodiscard]] static HashKey Random();
};

namespace internal {

__extension__ using Uint128 = unsigned __int128;

// 64 x 64 -> 128 bit multiply, folded.
inline uint64_t Mum(uint64_t a, uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
inline uint64_t Load8(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline uint64_t Load4(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
// The first `n` bytes at `p`, at most 8, with zeros behind them. Never reads outside of them.
inline uint64_t LoadPadded(const char* p, size_t n) {
  if (n >= 8) return Load8(p);
  if (n >= 4) return Load4(p) | Load4(p + n - 4) << (8 * (n - 4));
  if (n == 0) return 0;
  const auto byte = [p](size_t i) { return uint64_t{static_cast<unsigned char>(p[i])} << (8 * i); };
  return byte(0) | byte(n >> 1) | byte(n - 1);
}

// The first `n` bytes at `p`, at most 16, as two words with zeros behind them; nothing else is
// read.
inline void LoadPadded(const char* p, size_t n, uint64_t& word0, uint64_t& word1) {
  word0 = LoadPadded(p, n);
  word1 = n <= 8 ? 0 : Load8(p + n - 8) >> (8 * (16 - n));
}

// Odd constants with balanced bits, taken from the fractions of square roots.
inline constexpr uint64_t kHashA = 0x6a09e667f3bcc909;  // 2
inline constexpr uint64_t kHashB = 0xbb67ae8584caa73b;  // 3
inline constexpr uint64_t kHashC = 0x3c6ef372fe94f82b;  // 5

uint64_t HashLong(const HashKey& key, uint64_t state, const char* data, size_t size);

}  // namespace internal

// A bijection that spreads every input bit over the whole word; for integers and pointers.
inline uint64_t Mix64(uint64_t x) {
  x = (x ^ x >> 32) * 0xe9846af9b1a615d;
  x = (x ^ x >> 32) * 0xe9846af9b1a615d;
  return x ^ x >> 28;
}

// Hash of a name in a directory. `parent_salt` is what tells directories apart (an id or an
// address). Never reads outside the name.
inline uint64_t HashName(const HashKey& key, uint64_t parent_salt, std::string_view name) {
  using namespace internal;  // NOLINT(google-build-using-namespace)
  const char* p = name.data();
  const size_t n = name.size();
  // The salt goes in last, so that a path's names can be hashed before their parents are known.
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t state = key.seed[0] ^ n * kHashC;
  if (n <= 16) [[likely]] {
    if (n >= 8) {
      a = Load8(p);
      b = Load8(p + n - 8);
    } else if (n >= 4) {
      a = Load4(p);
      b = Load4(p + n - 4);
    } else {
      a = LoadPadded(p, n);
    }
  } else if (n <= 32) {
    state = Mum(Load8(p) ^ kHashA ^ key.seed[1], Load8(p + 8) ^ state);
    a = Load8(p + n - 16);
    b = Load8(p + n - 8);
  } else {
    state = HashLong(key, state, p, n);
    a = Load8(p + n - 16);
    b = Load8(p + n - 8);
  }
  const uint64_t text = Mum(a ^ kHashA ^ state, b ^ kHashB ^ key.seed[1]);
  // One name in very many directories is the common case, and their salts are evenly spaced: both
  // operands must depend on name and salt, else one key in a hundred would fold such a series onto
  // few buckets.
  return Mum(text ^ parent_salt * kHashC, text * kHashB + parent_salt);
}

// Hash of at most 16 bytes without zeros among them, that are at hand as two words, zero-padded.
class WordsHash {
 public:
  explicit WordsHash(const HashKey& key)
      : a_(internal::kHashA ^ key.seed[0]), b_(internal::kHashB ^ key.seed[1]) {}
  [[nodiscard]] uint64_t operator()(uint64_t word0, uint64_t word1) const {
    return internal::Mum(word0 ^ a_, word1 ^ b_);
  }

 private:
  uint64_t a_;
  uint64_t b_;
};

// Hash of bytes that stand in no directory.
inline uint64_t HashBytes(const HashKey& key, std::string_view bytes) {
  return HashName(key, 0, bytes);
}

}  // namespace dentree::base
