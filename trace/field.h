#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "trace/record.h"

// The fields a typed tracepoint is made of: Field, Array, Str and DynStr. Each knows how its value
// is passed, how it lies in the record and how Linux would declare it.
//
//   Field<"id", uint64_t>        u64 id             an integer, bool or enum
//   Array<"mac", uint8_t, 6>     u8 mac[6]          a fixed number of integers
//   Str<"path", 32>              char path[32]      cut to fit, always terminated
//   DynStr<"name">               __data_loc char[] name   as long as the text, see kMaxDynStrBytes

namespace dentree::trace {

// A string literal as a template argument.
template <size_t N>
struct Literal {
  char data[N];
  consteval Literal(const char (&text)[N]) { std::copy_n(text, N, data); }  // NOLINT: implicit
  constexpr std::string_view view() const { return {data, N - 1}; }
};

// The most one DynStr takes in a record, its terminator included; longer text is cut.
inline constexpr size_t kMaxDynStrBytes = 256;

// How a value of T is called in a format file. Sizes and signs, not these names, are what readers
// go by.
template <class T>
consteval std::string_view FieldTypeName() {
  if constexpr (std::is_enum_v<T>) {
    return FieldTypeName<std::underlying_type_t<T>>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return "bool";
  } else if constexpr (std::is_same_v<T, char>) {
    return "char";
  } else {
    constexpr std::string_view kSigned[] = {"s8", "s16", "s32", "s64"};
    constexpr std::string_view kUnsigned[] = {"u8", "u16", "u32", "u64"};
    constexpr size_t kIndex = sizeof(T) == 8 ? 3 : sizeof(T) / 2;
    return std::is_signed_v<T> ? kSigned[kIndex] : kUnsigned[kIndex];
  }
}

template <class T>
concept FieldScalar = std::is_integral_v<T> || std::is_enum_v<T>;

template <class T>
consteval bool IsSignedField() {
  if constexpr (std::is_enum_v<T>) {
    return std::is_signed_v<std::underlying_type_t<T>>;
  } else {
    return std::is_signed_v<T> && !std::is_same_v<T, char>;
  }
}

enum class FieldShape : uint8_t { kScalar, kArray, kText };

// Where a field of the record is being written: the record from its first byte, and the end of what
// is used of it, behind which a DynStr puts its bytes.
struct RecordCursor {
  std::byte* record;
  size_t end;
};

template <Literal Name, FieldScalar T>
struct Field {
  using Arg = T;
  static constexpr FieldShape kShape = FieldShape::kScalar;
  static constexpr size_t kSize = sizeof(T), kAlign = alignof(T), kDynamicBytes = 0;
  static constexpr bool kSigned = IsSignedField<T>();
  static constexpr std::string_view kType = FieldTypeName<T>(), kName = Name.view();
  static constexpr size_t kCount = 0;

  static void Store(RecordCursor& cursor, size_t offset, T value) {
    std::memcpy(cursor.record + offset, &value, sizeof(T));
  }
};

template <Literal Name, FieldScalar T, size_t N>
struct Array {
  static_assert(N > 0);
  using Arg = std::span<const T, N>;
  static constexpr FieldShape kShape = FieldShape::kArray;
  static constexpr size_t kSize = sizeof(T) * N, kAlign = alignof(T), kDynamicBytes = 0;
  static constexpr bool kSigned = IsSignedField<T>();
  static constexpr std::string_view kType = FieldTypeName<T>(), kName = Name.view();
  static constexpr size_t kCount = N;

  static void Store(RecordCursor& cursor, size_t offset, Arg values) {
    std::memcpy(cursor.record + offset, values.data(), kSize);
  }
};

template <Literal Name, size_t N>
struct Str {
  static_assert(N > 1);
  using Arg = std::string_view;
  static constexpr FieldShape kShape = FieldShape::kText;
  static constexpr size_t kSize = N, kAlign = 1, kDynamicBytes = 0;
  static constexpr bool kSigned = false;
  static constexpr std::string_view kType = "char", kName = Name.view();
  static constexpr size_t kCount = N;

  static void Store(RecordCursor& cursor, size_t offset, std::string_view text) {
    const size_t n = std::min(text.size(), N - 1);
    std::memcpy(cursor.record + offset, text.data(), n);
    std::memset(cursor.record + offset + n, 0, N - n);
  }
};

// In the record: a word with the offset of the text in its low half and the length, terminator
// included, in its high half; the text lies behind the fixed part.
template <Literal Name>
struct DynStr {
  using Arg = std::string_view;
  static constexpr FieldShape kShape = FieldShape::kText;
  static constexpr size_t kSize = 4, kAlign = 4, kDynamicBytes = kMaxDynStrBytes;
  static constexpr bool kSigned = false;
  static constexpr std::string_view kType = "__data_loc char[]", kName = Name.view();
  static constexpr size_t kCount = 0;

  static void Store(RecordCursor& cursor, size_t offset, std::string_view text) {
    const size_t n = std::min(text.size(), kMaxDynStrBytes - 1);
    const auto where = static_cast<uint32_t>(cursor.end | (n + 1) << 16);
    std::memcpy(cursor.record + offset, &where, sizeof(where));
    std::memcpy(cursor.record + cursor.end, text.data(), n);
    cursor.record[cursor.end + n] = std::byte{0};
    cursor.end += n + 1;
  }
};

// Text under construction at compile time.
template <size_t N>
struct ConstText {
  char data[N] = {};
  size_t size = 0;

  constexpr void Append(std::string_view text) {
    for (char c : text) data[size++] = c;
  }
  constexpr void Append(size_t number) {
    if (number >= 10) Append(number / 10);
    data[size++] = static_cast<char>('0' + number % 10);
  }
  constexpr std::string_view view() const { return {data, size}; }
};

// Appends `declaration:offset:size:signed`, behind a ';' if it is not the first.
template <class F, size_t N>
constexpr void AppendFieldText(ConstText<N>& text, size_t offset) {
  if (text.size > 0) text.Append(";");
  text.Append(F::kType);
  text.Append(" ");
  text.Append(F::kName);
  if (F::kCount > 0) {
    text.Append("[");
    text.Append(F::kCount);
    text.Append("]");
  }
  for (size_t number : {offset, F::kSize, size_t{F::kSigned}}) {
    text.Append(":");
    text.Append(number);
  }
}

// The record of a tracepoint with these fields: each at its natural alignment in the order given,
// behind the header, as a C struct would lie.
template <class... Fields>
struct RecordLayout {
  static constexpr size_t kFieldCount = sizeof...(Fields);

  static constexpr std::array<size_t, kFieldCount + 1> kOffsets = [] {
    std::array<size_t, kFieldCount + 1> offsets{};
    size_t end = sizeof(RecordHeader), i = 0;
    ((end = (end + Fields::kAlign - 1) / Fields::kAlign * Fields::kAlign, offsets[i++] = end,
      end += Fields::kSize),
     ...);
    offsets[i] = end;
    return offsets;
  }();

  static constexpr size_t kFixedBytes = kOffsets[kFieldCount];
  static constexpr size_t kMaxBytes = kFixedBytes + (size_t{0} + ... + Fields::kDynamicBytes);
  static_assert(kMaxBytes <= kMaxRecordBytes);

  // The fields in the notation of a catalogue (docs/event-catalogues.md).
  static constexpr auto kText = [] {
    ConstText<1 + (size_t{0} + ... + (Fields::kType.size() + Fields::kName.size() + 48))> text;
    size_t i = 0;
    (AppendFieldText<Fields>(text, kOffsets[i++]), ...);
    return text;
  }();
};

// The format string of a tracepoint, printf's, checked against the fields while compiling: as many
// conversions as fields, %s for text, an integer conversion of the right width for a scalar.
// Arrays have no conversion; a tracepoint with one needs no format string (see Tracepoint).
template <class... Fields>
class PrintFormat {
 public:
  template <size_t N>
  consteval PrintFormat(const char (&text)[N]) : text_(text, N - 1) {  // NOLINT: implicit
    size_t at = 0;
    (Check<Fields>(at), ...);
    if (NextConversion(at) != std::string_view::npos) throw "more conversions than fields";
  }
  constexpr std::string_view view() const { return text_; }

 private:
  // Position behind the next '%' that starts a conversion, npos if there is none.
  constexpr size_t NextConversion(size_t at) const {
    for (; at < text_.size(); ++at) {
      if (text_[at] != '%') continue;
      if (at + 1 < text_.size() && text_[at + 1] != '%') return at + 1;
      ++at;
    }
    return std::string_view::npos;
  }

  template <class F>
  consteval void Check(size_t& at) const {
    at = NextConversion(at);
    if (at == std::string_view::npos) throw "fewer conversions than fields";
    constexpr std::string_view kFlags = "-+ #0123456789.", kIntegers = "diuxXoc";
    while (at < text_.size() && kFlags.find(text_[at]) != kFlags.npos) ++at;
    size_t longs = 0;
    while (at < text_.size() && text_[at] == 'l') ++at, ++longs;
    while (at < text_.size() && text_[at] == 'h') ++at;
    const char kind = at < text_.size() ? text_[at++] : '\0';
    if (F::kShape == FieldShape::kText) {
      if (kind != 's' || longs > 0) throw "text needs %s";
    } else if (F::kShape == FieldShape::kArray) {
      throw "an array has no conversion";
    } else if (kind == 'p') {
      if (F::kSize != 8) throw "%p needs a field of 8 bytes";
    } else {
      if (kIntegers.find(kind) == kIntegers.npos) throw "an integer needs %d, %u, %x, %o or %c";
      if ((F::kSize == 8) != (longs > 0)) throw "%ll is for fields of 8 bytes, and they need it";
    }
  }

  std::string_view text_;
};

}  // namespace dentree::trace
