// Netlink attributes through libmnl's checked walkers: a short or overlong attribute ends the walk.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace menshen::policy::nft {

namespace detail {
template <class F>
int call(const nlattr* attribute, void* data) {
  (*static_cast<F*>(data))(attribute);
  return MNL_CB_OK;
}
}  // namespace detail

// f(const nlattr*) for each attribute behind the first `skip` bytes of the message's payload.
template <class F>
void for_each_attribute(const nlmsghdr* message, std::size_t skip, F f) {
  mnl_attr_parse(message, static_cast<unsigned>(skip), detail::call<F>, &f);
}

template <class F>
void for_each_nested(const nlattr* nest, F f) {
  if (nest != nullptr) mnl_attr_parse_nested(nest, detail::call<F>, &f);
}

// The attributes of one level by type; nullptr: not there. Types beyond max are left out.
template <std::size_t max>
using Attributes = std::array<const nlattr*, max + 1>;

template <std::size_t max>
auto keep_by_type(Attributes<max>& out) {
  return [&out](const nlattr* attribute) {
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type <= max) out[type] = attribute;
  };
}

template <std::size_t max>
Attributes<max> attributes_of(const nlmsghdr* message, std::size_t skip) {
  Attributes<max> out{};
  for_each_attribute(message, skip, keep_by_type<max>(out));
  return out;
}

template <std::size_t max>
Attributes<max> nested_of(const nlattr* nest) {
  Attributes<max> out{};
  for_each_nested(nest, keep_by_type<max>(out));
  return out;
}

}  // namespace menshen::policy::nft
