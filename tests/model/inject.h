// Injected bugs: a System over dentree's that misbehaves as a file system with a mistake would, to
// prove that the comparison sees it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "tests/model/system.h"

namespace dentree::model {

struct Injection {
  const char* name;
  const char* what;  // the mistake
};
std::span<const Injection> Injections();
const Injection* FindInjection(std::string_view name);  // null: none of this name

// `system` with the mistake; null: without any.
std::unique_ptr<System> Inject(std::unique_ptr<System> system, const Injection* injection);

}  // namespace dentree::model
