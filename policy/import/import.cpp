#include "policy/import/import.hpp"

#include <fmt/format.h>

#include "policy/import/readers.hpp"
#include "policy/import/writer.hpp"

namespace menshen::policy::imports {
namespace {

Result<void> read(Format format, std::span<const Source> sources, const ImportOptions& options,
                  Writer& writer) {
  switch (format) {
    case Format::iptables:
      return read_iptables(sources, options, writer);
    case Format::nft:
      return read_nft(sources, options, writer);
    case Format::kubernetes:
      return read_kubernetes(sources, writer);
    case Format::openstack:
      return read_openstack(sources, writer);
  }
  return {};
}

Text head_of(Format format) {
  switch (format) {
    case Format::iptables:
    case Format::nft:
      return {"由防火墙规则导入；启用前请核对未导入的内容",
              "Imported from firewall rules; see what could not be carried over before use"};
    case Format::kubernetes:
    case Format::openstack:
      break;
  }
  return {
      "由云平台对象导入，地址为导入时的地址；启用前请核对未导入的内容",
      "Imported from a cloud's objects, with the addresses of that moment; see what could not be "
      "carried over before use"};
}

}  // namespace

Result<Imported> import_rules(Format format, std::span<const Source> sources,
                              const ImportOptions& options) {
  for (const Source& source : sources) {
    if (source.text.size() <= source_bytes_max) continue;
    return fail(ErrorCode::limit,
                {fmt::format("{} 超过上限 {} 字节", source.name, source_bytes_max),
                 fmt::format("{} is above the limit of {} bytes", source.name, source_bytes_max)});
  }
  Writer writer;
  MENSHEN_CHECK(read(format, sources, options, writer));
  if (writer.domains() == 0) {
    return fail(ErrorCode::invalid, {"其中没有可导入的规则或端点",
                                     "nothing in it can be carried over: no rules, no endpoints"});
  }
  return std::move(writer).finish(head_of(format));
}

std::optional<Format> parse_format(std::string_view name) {
  if (name == "iptables") return Format::iptables;
  if (name == "nft") return Format::nft;
  if (name == "kubernetes") return Format::kubernetes;
  if (name == "openstack") return Format::openstack;
  return std::nullopt;
}

std::string_view name_of(Effect effect) {
  switch (effect) {
    case Effect::none:
      return "none";
    case Effect::more_closed:
      return "more_closed";
    case Effect::more_open:
      break;
  }
  return "more_open";
}

}  // namespace menshen::policy::imports
