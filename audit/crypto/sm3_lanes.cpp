#include "audit/crypto/sm3_lanes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace menshen::audit {
namespace {

constexpr std::size_t chunk_bytes = 64;
constexpr std::array<std::uint32_t, 8> initial{0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                                               0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};

constexpr std::array<std::uint32_t, 64> round_constants = [] {
  std::array<std::uint32_t, 64> constants{};
  for (unsigned j = 0; j < 64; ++j) {
    constants[j] = std::rotl(j < 16 ? 0x79cc4519U : 0x7a879d8aU, static_cast<int>(j % 32));
  }
  return constants;
}();

template <std::size_t Lanes>
struct VectorOf {
  typedef std::uint32_t Type __attribute__((vector_size(4 * Lanes)));
};

// Macros, because a function with vectors as arguments would depend on the registers there are.
#define MENSHEN_ROL(x, n) (((x) << (n)) | ((x) >> (32 - (n))))

// One chunk of each lane. `w`: its 16 words.
template <class V>
[[gnu::always_inline]] inline void compress(V* state, const V* words) {
  V w[68];
  for (int j = 0; j < 16; ++j) w[j] = words[j];
  for (int j = 16; j < 68; ++j) {
    const V x = w[j - 16] ^ w[j - 9] ^ MENSHEN_ROL(w[j - 3], 15);
    w[j] = x ^ MENSHEN_ROL(x, 15) ^ MENSHEN_ROL(x, 23) ^ MENSHEN_ROL(w[j - 13], 7) ^ w[j - 6];
  }
  V a = state[0], b = state[1], c = state[2], d = state[3];
  V e = state[4], f = state[5], g = state[6], h = state[7];
  for (int j = 0; j < 64; ++j) {
    const V a12 = MENSHEN_ROL(a, 12);
    const V sum = a12 + e + round_constants[static_cast<std::size_t>(j)];
    const V ss1 = MENSHEN_ROL(sum, 7);
    const V ff = j < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
    const V gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g);
    const V tt1 = ff + d + (ss1 ^ a12) + (w[j] ^ w[j + 4]);
    const V tt2 = gg + h + ss1 + w[j];
    d = c;
    c = MENSHEN_ROL(b, 9);
    b = a;
    a = tt1;
    h = g;
    g = MENSHEN_ROL(f, 19);
    f = e;
    e = tt2 ^ MENSHEN_ROL(tt2, 9) ^ MENSHEN_ROL(tt2, 17);
  }
  state[0] ^= a;
  state[1] ^= b;
  state[2] ^= c;
  state[3] ^= d;
  state[4] ^= e;
  state[5] ^= f;
  state[6] ^= g;
  state[7] ^= h;
}

#undef MENSHEN_ROL

// The message of one lane, cut into padded chunks.
class Lane {
 public:
  void begin(std::byte prefix, Bytes message, std::size_t index) noexcept {
    prefix_ = prefix;
    message_ = message;
    index_ = index;
    at_ = 0;
    chunks_ = (message.size() + 1 + 9 + chunk_bytes - 1) / chunk_bytes;
  }
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  [[nodiscard]] bool done() const noexcept { return at_ == chunks_; }

  // The next chunk's 64 bytes; they stand until the following call.
  const std::byte* next() noexcept {
    const std::size_t chunk = at_++;
    const std::size_t begin = chunk * chunk_bytes;  // in prefix || message
    if (chunk > 0 && begin + chunk_bytes <= message_.size() + 1) {
      return message_.data() + begin - 1;
    }
    buffer_.fill(std::byte{});
    std::size_t filled = 0;
    if (chunk == 0) buffer_[filled++] = prefix_;
    const std::size_t from = std::min(begin + filled - 1, message_.size());
    const std::size_t n = std::min(message_.size() - from, chunk_bytes - filled);
    if (n > 0) std::memcpy(buffer_.data() + filled, message_.data() + from, n);
    const std::size_t end = message_.size() + 1;  // where the padding begins
    if (end >= begin && end < begin + chunk_bytes) buffer_[end - begin] = std::byte{0x80};
    if (at_ == chunks_) {
      const std::uint64_t bits = std::uint64_t{end} * 8;
      for (unsigned i = 0; i < 8; ++i) {
        buffer_[chunk_bytes - 1 - i] = static_cast<std::byte>(bits >> (8 * i) & 0xffU);
      }
    }
    return buffer_.data();
  }

 private:
  std::byte prefix_{};
  Bytes message_;
  std::size_t index_ = 0;
  std::size_t at_ = 0;
  std::size_t chunks_ = 0;
  std::array<std::byte, chunk_bytes> buffer_{};
};

std::uint32_t load_be32(const std::byte* from) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof(value));
  return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

template <std::size_t Lanes>
[[gnu::always_inline]] inline void run(std::byte prefix, std::span<const Bytes> messages,
                                       std::span<Digest> out) {
  using V = typename VectorOf<Lanes>::Type;
  std::array<Lane, Lanes> lanes;
  alignas(64) V state[8] = {};
  alignas(64) V words[16] = {};
  std::size_t next = 0;
  std::size_t busy = 0;
  std::array<bool, Lanes> used{};
  const auto begin = [&](std::size_t lane) __attribute__((always_inline)) {
    used[lane] = next < messages.size();
    if (!used[lane]) return;
    lanes[lane].begin(prefix, messages[next], next);
    ++next;
    ++busy;
    for (std::size_t i = 0; i < 8; ++i) state[i][lane] = initial[i];
  };
  for (std::size_t lane = 0; lane < Lanes; ++lane) begin(lane);
  while (busy > 0) {
    for (std::size_t lane = 0; lane < Lanes; ++lane) {
      if (!used[lane]) continue;
      const std::byte* chunk = lanes[lane].next();
      for (std::size_t i = 0; i < 16; ++i) words[i][lane] = load_be32(chunk + 4 * i);
    }
    compress<V>(state, words);
    for (std::size_t lane = 0; lane < Lanes; ++lane) {
      if (!used[lane] || !lanes[lane].done()) continue;
      Digest& digest = out[lanes[lane].index()];
      for (std::size_t i = 0; i < 8; ++i) {
        const std::uint32_t word = state[i][lane];
        for (std::size_t k = 0; k < 4; ++k) {
          digest[4 * i + k] = static_cast<std::byte>(word >> (24 - 8 * k) & 0xffU);
        }
      }
      --busy;
      begin(lane);
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) void run_avx512(std::byte prefix,
                                                   std::span<const Bytes> messages,
                                                   std::span<Digest> out) noexcept {
  run<16>(prefix, messages, out);
}
__attribute__((target("avx2"))) void run_avx2(std::byte prefix, std::span<const Bytes> messages,
                                              std::span<Digest> out) noexcept {
  run<8>(prefix, messages, out);
}
#endif

void run_plain(std::byte prefix, std::span<const Bytes> messages, std::span<Digest> out) noexcept {
  run<4>(prefix, messages, out);
}

using Run = void (*)(std::byte, std::span<const Bytes>, std::span<Digest>) noexcept;

Run choose() noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0) return run_avx512;
  if (__builtin_cpu_supports("avx2") != 0) return run_avx2;
#endif
  return run_plain;
}

}  // namespace

void sm3_many(std::byte prefix, std::span<const Bytes> messages, std::span<Digest> out) noexcept {
  static const Run chosen = choose();
  chosen(prefix, messages, out);
}

}  // namespace menshen::audit
