#include "trace/event.h"

#include <cstring>
#include <new>
#include <utility>

#include "trace/registry.h"

namespace dentree::trace {

TextBlock* TextBlock::Create(std::string_view text) {
  void* memory = ::operator new(sizeof(TextBlock) + text.size(), std::nothrow);
  if (memory == nullptr) return nullptr;
  TextBlock* block = new (memory) TextBlock(text.size());
  if (!text.empty()) std::memcpy(static_cast<void*>(block + 1), text.data(), text.size());
  return block;
}

void TextBlock::Put(TextBlock* block) {
  if (block->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) ::operator delete(block);
}

Event::Event(Registry& registry, const EventSpec& spec)
    : flags_(spec.flags),
      type_(spec.type),
      tracepoint_(spec.tracepoint),
      name_(spec.name),
      fields_(spec.fields),
      print_format_(spec.print_format),
      text_(spec.text),
      registry_(registry) {
  registry.NoteObject(1);
}

base::RcuDomain& Event::Unreferenced() {
  base::RcuDomain& rcu = registry_.rcu();
  if (system_ != nullptr) System::Put(system_);
  registry_.NoteObject(-1);
  return rcu;
}

System::System(Registry& registry, std::string name, uint64_t hash)
    : hash_(hash), name_(std::move(name)), registry_(registry) {
  registry.NoteObject(1);
}

base::RcuDomain& System::Unreferenced() {
  base::RcuDomain& rcu = registry_.rcu();
  registry_.NoteObject(-1);
  return rcu;
}

}  // namespace dentree::trace
