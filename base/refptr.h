#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace dentree::base {

// A counted reference to a T, whose counting is T's own: Get(T*) and Put(T*) are static members of
// T or functions found beside it.
//
//   Ref<Dentry> d = Ref<Dentry>::Adopt(AllocDentry(...));  // takes over the caller's reference
//   Ref<Dentry> e = Ref<Dentry>::Share(parent);            // takes one more
//
// Thread safety: as a pointer's. Lifetime: the object lives at least as long as the reference.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  Ref(const Ref& other) : object_(other.object_) { Acquire(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U>&& other) noexcept : object_(other.Leak()) {}  // NOLINT(google-explicit-constructor)
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) Release(object_);
  }

  [[nodiscard]] static Ref Adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  [[nodiscard]] static Ref Share(T* object) {
    Ref ref = Adopt(object);
    ref.Acquire();
    return ref;
  }

  [[nodiscard]] T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref& other) const { return object_ == other.object_; }
  bool operator==(const T* other) const { return object_ == other; }

  // Gives the reference to the caller, who must Put it.
  [[nodiscard]] T* Leak() { return std::exchange(object_, nullptr); }

 private:
  void Acquire() {
    if (object_ == nullptr) return;
    if constexpr (requires { T::Get(object_); }) {
      T::Get(object_);
    } else {
      Get(object_);
    }
  }
  static void Release(T* object) {
    if constexpr (requires { T::Put(object); }) {
      T::Put(object);
    } else {
      Put(object);
    }
  }

  T* object_ = nullptr;
};

}  // namespace dentree::base
