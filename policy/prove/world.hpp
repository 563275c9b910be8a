// The packet space of one proof: each field's classes, and where its bits stand in a diagram.
//
// Both sides of the proof, what the ruleset does (evaluate.hpp) and what the policy says
// (intent.hpp), are functions over this space. Its classes come from both, so that neither tells
// two values of a class apart.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "policy/model/policy.hpp"
#include "policy/nft/ruleset.hpp"
#include "policy/prove/diagram.hpp"
#include "policy/prove/packet.hpp"
#include "policy/prove/space.hpp"

namespace menshen::policy::prove {

// In the order in which a diagram asks for them. The two original addresses stand interleaved, bit
// by bit: so "the same domain at both ends" is small.
enum class Field : std::uint8_t {
  family,  // 0: IPv4, 1: IPv6
  src,
  in_interface,
  state,
  ct_mark,
  protocol,  // of the packet itself
  dst,
  out_interface,
  original_protocol,
  original_port,
  original_src,
  original_dst,
  chance,  // one bit for each rule that depends on a rate
  count,
};
inline constexpr std::size_t fields = static_cast<std::size_t>(Field::count);

enum class Family : std::uint8_t { v4, v6 };

// Class -> label; 0: nothing. As long as the field has classes.
using Labels = std::vector<std::uint32_t>;

class World {
 public:
  // The generation tells which connection marks are the ruleset's own.
  World(const Policy& policy, const nft::Ruleset& ruleset, Diagrams& diagrams);

  [[nodiscard]] const Space& space(Field field, Family family) const;
  [[nodiscard]] Class classes(Field field) const;  // of both families
  [[nodiscard]] std::span<const Level> levels(Field field) const {
    return levels_.at(static_cast<std::size_t>(field));
  }
  [[nodiscard]] Diagrams& diagrams() const { return diagrams_; }

  // The domain of each address class, by longest prefix; a class without addresses of this family
  // is taken for the domain of its number.
  [[nodiscard]] const Labels& domains(Family family) const {
    return domains_.at(static_cast<std::size_t>(family));
  }
  // For each class of ports the services that name it, as a number into service_sets(); 0: none.
  [[nodiscard]] const Labels& tcp_services() const { return tcp_services_; }
  [[nodiscard]] const Labels& udp_services() const { return udp_services_; }
  [[nodiscard]] const std::vector<std::vector<std::uint32_t>>& service_sets() const {
    return service_sets_;
  }
  // The label that stands for an interface that the policy names.
  [[nodiscard]] Class interface_class(const std::string& name) const;

  // nodes[class], as one function. All nodes must speak of later levels only.
  [[nodiscard]] Node select(Field field, std::span<const Node> nodes) const;
  // The same where nearly all classes lead to one node.
  [[nodiscard]] Node select(Field field, Node rest,
                            std::vector<std::pair<Class, Node>> others) const;
  // 1 where the label is not 0.
  [[nodiscard]] Node known(Field field, const Labels& labels) const;
  [[nodiscard]] Node family(Node v4, Node v6) const;

  // Values that exist.
  [[nodiscard]] Node inhabited() const;
  // A packet at an assignment.
  [[nodiscard]] Packet packet_at(std::span<const Bit> bits) const;
  // The classes of a packet's fields.
  [[nodiscard]] std::array<Class, fields> classes_of(const Packet& packet) const;
  [[nodiscard]] std::uint32_t outcome_at(Node node, const Packet& packet) const;

 private:
  void spaces(const Policy& policy, const nft::Ruleset& ruleset);
  void label(const Policy& policy, const std::array<std::vector<Range>, 4>& ranges);
  void lay_out();
  [[nodiscard]] Node select_bits(std::span<const Level> levels, std::span<const Node> nodes) const;

  Diagrams& diagrams_;
  std::array<std::array<Space, 2>, fields> spaces_;  // by family
  std::array<std::vector<Level>, fields> levels_;
  std::array<Labels, 2> domains_;
  Labels tcp_services_;
  Labels udp_services_;
  std::vector<std::vector<std::uint32_t>> service_sets_{{}};
};

// How many rules may depend on a rate.
inline constexpr std::size_t chances_max = 64;

[[nodiscard]] Value value_of(const IpAddr& address, Family family);
[[nodiscard]] Value value_of(const std::string& interface);

}  // namespace menshen::policy::prove
