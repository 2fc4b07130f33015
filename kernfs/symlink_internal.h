// ConstantLink: symlinks whose target was given once.
#pragma once

#include <string>

#include "kernfs/node.h"
#include "kernfs/ops.h"

namespace dentree::kernfs {

class ConstantLink final : public LinkOps {
 public:
  constexpr ConstantLink() = default;
  Result<std::string> Target(const Dir& link) const override;
};

inline constexpr ConstantLink kConstantLink{};

}  // namespace dentree::kernfs
