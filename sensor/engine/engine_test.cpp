#include "sensor/engine/engine.hpp"

#include <catch2/catch.hpp>

#include "sensor/engine/test_conversation.hpp"

namespace menshen::sensor {
namespace {

using testing::Conversation;
using testing::EventList;

class FixedLabel final : public FlowLabeler {
 public:
  explicit FixedLabel(InspectMode mode) : mode_(mode) {}
  [[nodiscard]] FlowLabel label(const FiveTuple&) const noexcept override {
    FlowLabel label;
    label.mode = mode_;
    return label;
  }

 private:
  InspectMode mode_;
};

// Opens more requests than the parser keeps, then sends what it should never see uninspected.
Verdict behind_a_flood(bool inline_mode, InspectMode mode) {
  RuleSetBuilder builder;
  auto rules = std::make_shared<const RuleSet>(std::move(builder).build().value());
  EngineOptions options;
  options.inline_mode = inline_mode;
  const FixedLabel labeler(mode);
  EventList events;
  Engine engine(options, rules, &labeler, events);
  Conversation web(engine, 80);
  CHECK(web.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == Verdict::accept);
  std::string flood;
  for (int i = 0; i < 600; ++i) flood += "GET / HTTP/1.1\r\n\r\n";
  const Verdict at_limit = web.client(flood);
  const Verdict after = web.client("GET /attack HTTP/1.1\r\n\r\n");
  CHECK((at_limit == Verdict::accept) == (after == Verdict::accept));
  return at_limit;
}

}  // namespace

TEST_CASE("inline, nothing hides behind a parser that reached its limit") {
  CHECK(behind_a_flood(true, InspectMode::block) == Verdict::drop);
}

TEST_CASE("at a parser's limit, a flow that only alerts and a passive sensor let pass") {
  CHECK(behind_a_flood(true, InspectMode::alert) == Verdict::accept);
  CHECK(behind_a_flood(false, InspectMode::block) == Verdict::accept);
}

}  // namespace menshen::sensor
