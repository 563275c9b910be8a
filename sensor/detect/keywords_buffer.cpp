// Sticky buffers in both spellings and the content modifiers of old rules.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/ascii.hpp"
#include "sensor/detect/keyword.hpp"
#include "sensor/proto/registry.hpp"

namespace menshen::sensor {
namespace {

constexpr Buffer none = Buffer::count;

struct Modifier {
  std::string_view name;
  Buffer to_server = none;
  Buffer to_client = none;
};

// Old rules put these after a content instead of before it.
constexpr Modifier content_modifiers[] = {
    {"http_uri", Buffer::http_uri},
    {"http_raw_uri", Buffer::http_uri_raw},
    {"http_method", Buffer::http_method},
    {"http_client_body", Buffer::http_request_body},
    {"http_server_body", none, Buffer::http_response_body},
    {"http_header", Buffer::http_request_header, Buffer::http_response_header},
    {"http_raw_header", Buffer::http_request_header_raw, Buffer::http_response_header_raw},
    {"http_cookie", Buffer::http_cookie, Buffer::http_set_cookie},
    {"http_stat_code", none, Buffer::http_stat_code},
    {"http_stat_msg", none, Buffer::http_stat_msg},
    {"http_user_agent", Buffer::http_user_agent},
    {"http_host", Buffer::http_host},
    {"http_raw_host", Buffer::http_host_raw},
};

constexpr std::pair<std::string_view, BufferKind> packet_buffers[] = {
    {"pkt_data", BufferKind::payload},          {"tcp.hdr", BufferKind::tcp_header},
    {"udp.hdr", BufferKind::udp_header},        {"ipv4.hdr", BufferKind::ipv4_header},
    {"ipv6.hdr", BufferKind::ipv6_header},      {"icmpv4.hdr", BufferKind::icmpv4_header},
    {"icmpv6.hdr", BufferKind::icmpv6_header},  {"igmp.hdr", BufferKind::igmp_header},
    {"ether.hdr", BufferKind::ethernet_header}, {"ip.src", BufferKind::ip_source},
    {"ip.dst", BufferKind::ip_destination},
};

const BufferName* buffer_named(std::string_view name) {
  const auto found = std::ranges::find(buffer_names(), name, &BufferName::name);
  return found == buffer_names().end() ? nullptr : &*found;
}

Result<void> parse_sticky(RuleDraft& draft, const KeywordUse& use) {
  if (draft.buffer_left_empty()) {
    return invalid("前一个粘滞缓冲区没有任何匹配条件", "the sticky buffer before it has no test");
  }
  const BufferName& buffer = *buffer_named(use.name);
  BufferRef ref{BufferKind::transaction, buffer.to_server, buffer.to_client};
  if (use.value == "to_server") {
    ref.to_client = none;
  } else if (use.value == "to_client") {
    ref.to_server = none;
  } else if (!use.value.empty()) {
    return invalid_value(use.value);
  }
  if (ref.to_server == none && ref.to_client == none) return invalid_value(use.value);
  draft.open_buffer(ref, buffer.many);
  return {};
}

Result<void> parse_packet_buffer(RuleDraft& draft, const KeywordUse& use) {
  const auto* found = std::find_if(std::begin(packet_buffers), std::end(packet_buffers),
                                   [&](const auto& row) { return row.first == use.name; });
  draft.open_buffer({found->second}, false);
  return {};
}

Result<void> parse_modifier(RuleDraft& draft, const KeywordUse& use) {
  const Modifier& modifier = *std::ranges::find(content_modifiers, use.name, &Modifier::name);
  return draft.move_last_content({BufferKind::transaction, modifier.to_server, modifier.to_client});
}

Result<void> parse_uricontent(RuleDraft& draft, const KeywordUse& use) {
  MENSHEN_CHECK(find_keyword("content")->parse(draft, use));
  return draft.move_last_content({BufferKind::transaction, Buffer::http_uri, Buffer::count});
}

// tls.subject:"CN=x" and the like: a content on the certificate's buffer.
template <Buffer buffer, bool whole>
Result<void> parse_tls_value(RuleDraft& draft, const KeywordUse& use) {
  Content content;
  std::string_view text = use.value;
  if (text.starts_with('!')) {
    content.negated = true;
    text = trim(text.substr(1));
  }
  content.pattern = unquote(text).value_or(text);
  if (content.pattern.empty()) return invalid_value(use.value);
  content.nocase = whole;
  content.startswith = content.endswith = whole;
  if (whole) content.pattern = ascii_lower(content.pattern);
  draft.add_test_in({BufferKind::transaction, Buffer::count, buffer}, {std::move(content)});
  return {};
}

using Value = Keyword::Value;
constexpr Keyword others[] = {
    {"uricontent", Value::required, &parse_uricontent},
    {"tls.subject", Value::required, &parse_tls_value<Buffer::tls_cert_subject, false>},
    {"tls.issuerdn", Value::required, &parse_tls_value<Buffer::tls_cert_issuer, false>},
    {"tls.fingerprint", Value::required, &parse_tls_value<Buffer::tls_cert_fingerprint, true>},
};

}  // namespace

std::span<const Keyword> buffer_keywords() {
  static const auto keywords = [] {
    std::vector<Keyword> table(std::begin(others), std::end(others));
    for (const BufferName& row : buffer_names()) {
      if (!row.hidden && std::ranges::any_of(carriers(row.proto), &is_parsed)) {
        table.push_back({row.name, Value::optional, &parse_sticky});
      }
    }
    for (const auto& row : content_modifiers)
      table.push_back({row.name, Value::none, &parse_modifier});
    for (const auto& row : packet_buffers)
      table.push_back({row.first, Value::none, &parse_packet_buffer});
    return table;
  }();
  return keywords;
}

}  // namespace menshen::sensor
