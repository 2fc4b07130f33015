#include "trace/format.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/string_util.h"
#include "trace/record.h"

namespace dentree::trace {

namespace {

constexpr uint32_t kMaxFieldNumber = 0xffff;

bool IsNameByte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }

// "u8 mac[6]" gives "mac"; empty if there is no name.
std::string_view NameOf(std::string_view declaration) {
  if (declaration.ends_with(']')) {
    const size_t open = declaration.rfind('[');
    declaration = declaration.substr(0, open == declaration.npos ? 0 : open);
  }
  size_t begin = declaration.size();
  while (begin > 0 && IsNameByte(declaration[begin - 1])) --begin;
  return declaration.substr(begin);
}

// Takes the number behind the last ':' off `rest`.
std::expected<uint32_t, FieldError> TakeNumber(std::string_view& rest) {
  const size_t colon = rest.rfind(':');
  if (colon == rest.npos) {
    return std::unexpected(FieldError{0, "a field needs declaration:offset:size:signed"});
  }
  const base::Result<uint64_t> number = base::ParseU64(rest.substr(colon + 1));
  if (!number || *number > kMaxFieldNumber) {
    return std::unexpected(FieldError{colon + 1, "not a number from 0 to 65535"});
  }
  rest = rest.substr(0, colon);
  return static_cast<uint32_t>(*number);
}

}  // namespace

std::expected<FieldView, FieldError> ParseField(std::string_view text) {
  FieldView field{};
  std::string_view rest = text;
  const uint32_t sign = TRY(TakeNumber(rest));
  if (sign > 1) return std::unexpected(FieldError{rest.size() + 1, "signed must be 0 or 1"});
  field.is_signed = sign == 1;
  field.size = TRY(TakeNumber(rest));
  field.offset = TRY(TakeNumber(rest));
  if (std::ranges::any_of(rest, IsControl)) {
    return std::unexpected(FieldError{0, "a control character in the declaration"});
  }
  field.declaration = rest;
  field.name = NameOf(rest);
  if (field.name.empty() || field.name.size() == rest.size()) {
    return std::unexpected(FieldError{0, "a declaration needs a type and a name"});
  }
  return field;
}

namespace {

// Calls `visit(FieldView)` for each well-formed field of a list.
template <class Visit>
void ForEachField(std::string_view fields, Visit visit) {
  while (!fields.empty()) {
    const std::string_view one = fields.substr(0, fields.find(';'));
    if (auto field = ParseField(one)) visit(*field);
    fields.remove_prefix(std::min(fields.size(), one.size() + 1));
  }
}

}  // namespace

std::expected<void, FieldError> CheckFields(std::string_view fields) {
  if (fields.size() > kMaxFieldsBytes) {
    return std::unexpected(FieldError{kMaxFieldsBytes, "more than 32 KiB of fields"});
  }
  size_t at = 0;
  while (at < fields.size()) {
    const std::string_view one = fields.substr(at, fields.find(';', at) - at);
    const auto field = ParseField(one);
    if (!field) return std::unexpected(FieldError{at + field.error().at, field.error().reason});
    if (field->offset < sizeof(RecordHeader)) {
      return std::unexpected(FieldError{at, "the field lies in the record's header"});
    }
    at += one.size() + 1;
    if (at == fields.size()) return std::unexpected(FieldError{at, "a field is missing"});
  }
  return {};
}

// --- print fmt -----------------------------------------------------------------------------------

namespace {

// How a field is shown: the conversion and the argument that goes with it.
struct Shown {
  std::string conversion;
  std::string argument;
};

// Splits "__data_loc char[] name" and "char name[16]" into what decides how they are shown.
struct FieldShapeView {
  std::string_view type;   // without array brackets and leading keyword
  std::string_view count;  // between the brackets, if any
  bool is_array = false;
  bool is_dynamic = false;   // __data_loc or __rel_loc
  bool is_relative = false;  // __rel_loc
};

FieldShapeView ShapeOf(const FieldView& field) {
  FieldShapeView shape;
  const auto name_at = static_cast<size_t>(field.name.data() - field.declaration.data());
  shape.type = base::Trim(field.declaration.substr(0, name_at));
  const std::string_view behind = field.declaration.substr(name_at + field.name.size());
  shape.is_array = !behind.empty();
  if (shape.is_array) shape.count = behind.substr(1, behind.size() - 2);
  constexpr std::string_view kDynamic = "__data_loc ", kRelative = "__rel_loc ";
  shape.is_relative = shape.type.starts_with(kRelative);
  shape.is_dynamic = shape.is_relative || shape.type.starts_with(kDynamic);
  if (shape.is_dynamic) {
    shape.type.remove_prefix(shape.is_relative ? kRelative.size() : kDynamic.size());
    if (shape.type.ends_with("[]")) shape.type.remove_suffix(2);
  }
  return shape;
}

std::string Call(std::string_view function, std::string_view name) {
  std::string call(function);
  return call.append("(").append(name).append(")");
}

Shown ShowDynamic(const FieldView& field, const FieldShapeView& shape) {
  const bool relative = shape.is_relative;
  if (shape.type == "char") {
    return {"%s", Call(relative ? "__get_rel_str" : "__get_str", field.name)};
  }
  const std::string bytes =
      Call(relative ? "__get_rel_dynamic_array" : "__get_dynamic_array", field.name);
  const std::string length =
      Call(relative ? "__get_rel_dynamic_array_len" : "__get_dynamic_array_len", field.name);
  return {"%s", Call("__print_hex", bytes + ", " + length)};
}

Shown ShowArray(const FieldView& field, const FieldShapeView& shape) {
  const std::string value = "REC->" + std::string(field.name);
  if (shape.type == "char") return {"%s", value};
  const base::Result<uint64_t> count = base::ParseU64(shape.count);
  const uint64_t element = count && *count > 0 ? field.size / *count : 0;
  if (element != 0 && element <= 8 && (element & (element - 1)) == 0) {
    return {"%s", Call("__print_array",
                       value + ", " + std::to_string(*count) + ", " + std::to_string(element))};
  }
  return {"%s", Call("__print_hex", value + ", " + std::to_string(field.size))};
}

Shown ShowScalar(const FieldView& field, const FieldShapeView& shape) {
  const std::string value = "REC->" + std::string(field.name);
  if (shape.type.ends_with('*')) return {"%p", value};
  if (field.size == 8) return {field.is_signed ? "%lld" : "%llu", value};
  if (field.size <= 4) return {field.is_signed ? "%d" : "%u", value};
  return {"%s", Call("__print_hex", value + ", " + std::to_string(field.size))};
}

Shown Show(const FieldView& field) {
  const FieldShapeView shape = ShapeOf(field);
  if (shape.is_dynamic) return ShowDynamic(field, shape);
  return shape.is_array ? ShowArray(field, shape) : ShowScalar(field, shape);
}

// An array without a length, other than text, takes the rest of the record: nothing in a print fmt
// can say that.
bool CanShow(const FieldView& field) { return field.size > 0 || ShapeOf(field).type == "char"; }

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  out += '"';
}

void AppendPrintFormat(std::string& out, const Event& event) {
  std::string format, arguments;
  ForEachField(event.fields(), [&](const FieldView& field) {
    if (!CanShow(field)) return;
    const Shown shown = Show(field);
    if (!format.empty()) format += ' ';
    format.append(field.name).append("=").append(shown.conversion);
    arguments.append(", ").append(shown.argument);
  });
  AppendQuoted(out, event.print_format().empty() ? format : event.print_format());
  out += arguments;
}

void AppendFields(std::string& out, std::string_view fields) {
  ForEachField(fields, [&](const FieldView& field) {
    out.append("\tfield:").append(field.declaration);
    out.append(";\toffset:").append(std::to_string(field.offset));
    out.append(";\tsize:").append(std::to_string(field.size));
    out.append(field.is_signed ? ";\tsigned:1;\n" : ";\tsigned:0;\n");
  });
}

}  // namespace

std::string FormatText(const Event& event) {
  std::string text;
  text.reserve(512 + 3 * event.fields().size());
  text.append("name: ").append(event.name()).append("\nID: ");
  text.append(std::to_string(event.type())).append("\nformat:\n");
  AppendFields(text, kCommonFields);
  text += '\n';
  AppendFields(text, event.fields());
  text += "\nprint fmt: ";
  AppendPrintFormat(text, event);
  text += '\n';
  return text;
}

std::string HeaderPageText(size_t subbuf_bytes) {
  constexpr size_t kHeaderBytes = 16;
  return "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
         "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
         "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
         "\tfield: char data;\toffset:16;\tsize:" +
         std::to_string(subbuf_bytes - kHeaderBytes) + ";\tsigned:0;\n";
}

std::string_view HeaderEventText() {
  return "# compressed entry header\n"
         "\ttype_len    :    5 bits\n"
         "\ttime_delta  :   27 bits\n"
         "\tarray       :   32 bits\n"
         "\n"
         "\tpadding     : type == 29\n"
         "\ttime_extend : type == 30\n"
         "\ttime_stamp : type == 31\n"
         "\tdata max type_len  == 28\n";
}

}  // namespace dentree::trace
