// SM3 (GB/T 32905-2016) of many messages at once: one message in each lane of a vector register.
// OpenSSL has no such call, and a Merkle tree is nothing but many short messages. The results are
// OpenSSL's, bit for bit (tree_test compares them at every length).
//
// Uses AVX-512 or AVX2 where the processor has them. Thread-safe; allocates nothing.
#pragma once

#include <cstddef>
#include <span>

#include "audit/crypto/digest.hpp"

namespace menshen::audit {

// out[i] = SM3(prefix || messages[i]).
void sm3_many(std::byte prefix, std::span<const Bytes> messages, std::span<Digest> out) noexcept;

}  // namespace menshen::audit
