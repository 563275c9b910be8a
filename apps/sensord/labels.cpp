#include "apps/sensord/labels.hpp"

#include <fmt/format.h>

namespace menshen::apps {

std::uint32_t PolicyLabeler::Names::index_of(const std::string& name) {
  if (const auto found = indices_.find(name); found != indices_.end()) return found->second;
  if (names_.size() >= names_max_) return 0;
  names_.push_back(name);
  const auto index = static_cast<std::uint32_t>(names_.size());
  indices_.emplace(name, index);
  return index;
}

std::string_view PolicyLabeler::Names::name(std::uint32_t index) const {
  return index == 0 || index > names_.size() ? std::string_view{} : names_[index - 1];
}

void PolicyLabeler::set_policy(std::shared_ptr<const policy::Policy> policy) {
  policy_ = std::move(policy);
  domain_index_.assign(policy_ ? policy_->domains().size() + 1 : 1, 0);
  line_index_.clear();
  if (!policy_) return;
  for (policy::DomainId id = 1; id < domain_index_.size(); ++id) {
    domain_index_[id] = static_cast<std::uint16_t>(domains_.index_of(policy_->domain(id).name));
  }
  line_index_.reserve(policy_->lines().size());
  for (const policy::Line& line : policy_->lines()) {
    line_index_.push_back(
        lines_.index_of(fmt::format("{}:{}", policy_->source_name(), line.position.line)));
  }
}

sensor::FlowLabel PolicyLabeler::label(const FiveTuple& tuple) const noexcept {
  sensor::FlowLabel label;
  if (!policy_) return label;
  const policy::Decision decision =
      policy_->decide({tuple.src, tuple.dst, tuple.proto, tuple.dport, {}, {}});
  label.from_domain = domain_index_[decision.from];
  label.to_domain = domain_index_[decision.to];
  if (decision.line != policy::line_none) label.policy_line = line_index_[decision.line];
  // What reaches the queue is to be inspected, even where this policy no longer says so: the
  // stricter mode.
  if (decision.inspect == policy::Inspect::alert) label.mode = sensor::InspectMode::alert;
  return label;
}

std::string_view PolicyLabeler::domain(std::uint16_t index) const { return domains_.name(index); }

std::string_view PolicyLabeler::policy_line(std::uint32_t index) const {
  return lines_.name(index);
}

}  // namespace menshen::apps
