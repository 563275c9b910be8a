// One function object out of several, for std::visit.
#pragma once

namespace menshen {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang 14 needs it said

}  // namespace menshen
