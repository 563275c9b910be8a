// The policy file that an import makes: domains, groups and services get names once they are used.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/import/import.hpp"
#include "policy/import/service_set.hpp"

namespace menshen::policy::imports {

// A name that a policy takes: lower case, other characters as '-', at most 63.
[[nodiscard]] std::string name_from(std::string_view text);

class Writer {
 public:
  using Ids = std::vector<std::size_t>;  // sorted

  // `wanted` is made a name of its own. Its number, from 0.
  std::size_t domain(std::string_view wanted, std::string title, std::vector<Prefix> networks);
  [[nodiscard]] std::size_t domains() const { return domains_.size(); }
  [[nodiscard]] const std::string& name(std::size_t id) const { return domains_.at(id).name; }
  // One line; two, the first for the rest, where the set is everything but some ports: then no
  // later line may speak of these ends. What it says of a domain and itself is left out.
  void line(const Ids& from, const Ids& to, const ServiceSet& services, Action action,
            std::string_view reason);
  // Losses beyond losses_max are counted.
  void loss(Effect effect, std::string place, Text text);
  [[nodiscard]] bool has_losses() const { return !losses_.empty(); }

  // `head` becomes the comment at its top. Lines that earlier ones cover are left out, as losses
  // without effect; ErrorCode::limit where the policy is too large.
  [[nodiscard]] Result<Imported> finish(const Text& head) &&;

 private:
  struct DomainText {
    std::string name;
    std::string title;
    std::vector<Prefix> networks;
  };
  std::string unique(std::string name);
  std::string ends(const Ids& ids);
  std::string services(const ServiceSet& set);
  void put(const Ids& from, const Ids& to, const std::string& services, Action action,
           std::string_view reason);
  [[nodiscard]] std::string text(const Text& head, const std::set<std::size_t>& without,
                                 std::vector<std::size_t>& line_at) const;

  std::vector<DomainText> domains_;
  std::set<std::string, std::less<>> names_;
  std::map<Ids, std::string> groups_;
  std::vector<std::pair<std::string, Ids>> group_order_;
  std::map<std::string, std::string> services_;  // name -> its map in YAML
  std::vector<std::string> lines_;
  std::vector<Loss> losses_;
  std::size_t further_losses_ = 0;
};

}  // namespace menshen::policy::imports
