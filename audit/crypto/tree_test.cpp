#include "audit/crypto/tree.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <map>

using namespace menshen;
using namespace menshen::audit;

namespace {

// The tree as RFC 6962 defines it, word for word: what everything cleverer is compared with.
Digest naive_root(TreeHasher& hasher, std::span<const Digest> leaves) {
  if (leaves.empty()) return hasher.empty();
  if (leaves.size() == 1) return leaves.front();
  const std::size_t half = std::bit_floor(leaves.size() - 1);
  return hasher.node(naive_root(hasher, leaves.first(half)),
                     naive_root(hasher, leaves.subspan(half)));
}

std::vector<Digest> some_leaves(TreeHasher& hasher, std::size_t n) {
  std::vector<Digest> leaves;
  for (std::size_t i = 0; i < n; ++i) {
    leaves.push_back(hasher.leaf(as_bytes("record " + std::to_string(i))));
  }
  return leaves;
}

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

}  // namespace

TEST_CASE("the tree of known leaves has the known root") {
  auto hasher = TreeHasher::make(Profile::intl).value();
  Frontier frontier;
  CHECK(to_hex(frontier.root(hasher)) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (const char* leaf : {"", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                           "606162636465666768696a6b6c6d6e6f"}) {
    frontier.append(hasher.leaf(as_bytes(from_hex(leaf))), hasher);
  }
  CHECK(to_hex(frontier.root(hasher)) ==
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

TEST_CASE("frontier, subtrees and proofs agree with the definition at every size") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  auto hasher = TreeHasher::make(profile).value();
  constexpr std::size_t most = 40;
  const auto leaves = some_leaves(hasher, most);
  const std::span<const Digest> all(leaves);
  Frontier frontier;
  for (std::size_t size = 1; size <= most; ++size) {
    frontier.append(leaves[size - 1], hasher);
    const Digest root = naive_root(hasher, all.first(size));
    REQUIRE(frontier.root(hasher) == root);
    const RangeRoot range = [&](std::uint64_t begin, std::uint64_t end) -> Result<Digest> {
      return naive_root(hasher, all.subspan(begin, end - begin));
    };
    for (std::size_t i = 0; i < size; ++i) {
      auto path = inclusion_path(i, size, range).value();
      REQUIRE(verify_inclusion(hasher, leaves[i], i, size, path, root));
      CHECK_FALSE(verify_inclusion(hasher, leaves[(i + 1) % most], i, size, path, root));
      CHECK_FALSE(verify_inclusion(hasher, leaves[i], i + 1, size, path, root));
      path.push_back(root);
      CHECK_FALSE(verify_inclusion(hasher, leaves[i], i, size, path, root));
    }
    for (std::size_t earlier = 1; earlier <= size; ++earlier) {
      const Digest before = naive_root(hasher, all.first(earlier));
      auto path = consistency_path(earlier, size, range).value();
      REQUIRE(verify_consistency(hasher, earlier, size, path, before, root));
      CHECK_FALSE(verify_consistency(hasher, earlier, size, path, leaves[most - 1], root));
      CHECK_FALSE(verify_consistency(hasher, earlier, size, path, before, hasher.empty()));
      if (path.empty()) continue;
      path.back() = hasher.empty();
      CHECK_FALSE(verify_consistency(hasher, earlier, size, path, before, root));
    }
  }
}

TEST_CASE("what becomes whole is told, and makes up any range") {
  auto hasher = TreeHasher::make(Profile::intl).value();
  constexpr unsigned level_min = 2;
  constexpr std::size_t size = 45;
  const auto leaves = some_leaves(hasher, size);
  std::map<std::pair<unsigned, std::uint64_t>, Digest> nodes;
  const auto keep = [&](const TreeNode& n) { nodes[{n.level, n.position}] = n.hash; };
  Frontier frontier;
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    std::vector<Digest> four(leaves.begin() + static_cast<std::ptrdiff_t>(i),
                             leaves.begin() + static_cast<std::ptrdiff_t>(i + 4));
    frontier.append(level_min, hasher.perfect(four), hasher, keep);
  }
  frontier.append(leaves.back(), hasher);
  CHECK(frontier.root(hasher) == naive_root(hasher, leaves));
  CHECK(nodes.size() == 11 + 5 + 2 + 1);
  const auto perfect = [&](unsigned level, std::uint64_t position) -> Result<Digest> {
    return nodes.at({level, position});
  };
  const RangeRoot small = [&](std::uint64_t begin, std::uint64_t end) -> Result<Digest> {
    return naive_root(hasher, std::span(leaves).subspan(begin, end - begin));
  };
  for (std::size_t end = 1; end <= size; ++end) {
    CHECK(range_root(0, end, level_min, hasher, perfect, small).value() ==
          naive_root(hasher, std::span(leaves).first(end)));
  }
}

TEST_CASE("a frontier has as many peaks as its size has set bits") {
  CHECK(Frontier::make(5, std::vector<Digest>(2)));
  CHECK_FALSE(Frontier::make(5, std::vector<Digest>(3)));
  CHECK(Frontier::make(0, {}));
}

TEST_CASE("many leaves at once are the same as one by one, at every length") {
  const Profile profile = GENERATE(Profile::sm, Profile::intl);
  auto hasher = TreeHasher::make(profile).value();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 300; ++i) texts.emplace_back(i * 7 % 301, static_cast<char>(i));
  const std::vector<Bytes> records([&] {
    std::vector<Bytes> all;
    for (const std::string& text : texts) all.push_back(as_bytes(text));
    return all;
  }());
  std::vector<Digest> out(records.size());
  hasher.leaves(records, out);
  for (std::size_t i = 0; i < records.size(); ++i) CHECK(out[i] == hasher.leaf(records[i]));
  std::vector<Digest> whole(out.begin(), out.begin() + 256);
  const Digest root = naive_root(hasher, whole);
  CHECK(hasher.perfect(whole) == root);
}
