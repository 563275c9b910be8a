// Ownership of a C library's objects: Handle<pcap_t, &pcap_close>. One pointer wide, never copied.
#pragma once

#include <memory>

namespace menshen {

template <auto Free>
struct FreeWith {
  void operator()(auto* object) const noexcept { static_cast<void>(Free(object)); }
};

template <class T, auto Free>
using Handle = std::unique_ptr<T, FreeWith<Free>>;

}  // namespace menshen
