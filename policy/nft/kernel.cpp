#include "policy/nft/kernel.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "policy/nft/attributes.hpp"
#include "policy/nft/batch.hpp"
#include "policy/nft/live.hpp"
#include "policy/nft/others.hpp"
#include "policy/nft/reason.hpp"

namespace menshen::policy::nft {
namespace {

constexpr std::size_t receive_bytes = 1U << 18U;
// A dump that another writer disturbs is started again this often.
constexpr int read_back_tries = 20;
constexpr std::string_view trial_table = "menshen_trial";

enum class Interrupted : bool { no, yes };

struct Answer {
  std::uint32_t sequence = 0;
  int error = 0;  // 0: done
  std::string kernel_text;
};

// The kernel's own words, where it gave some.
std::string kernel_text(const nlmsghdr* message) {
  constexpr std::uint16_t words = NLM_F_ACK_TLVS | NLM_F_CAPPED;
  if ((message->nlmsg_flags & words) != words) return {};
  const auto attributes = attributes_of<NLMSGERR_ATTR_MAX>(message, sizeof(nlmsgerr));
  const nlattr* text = attributes[NLMSGERR_ATTR_MSG];
  if (text == nullptr || mnl_attr_validate(text, MNL_TYPE_NUL_STRING) < 0) return {};
  return escape_controls(mnl_attr_get_str(text));
}

std::optional<Answer> read_answer(const nlmsghdr* message) {
  if (message->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr))
    return std::nullopt;
  nlmsgerr error{};
  std::memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
  return Answer{message->nlmsg_seq, -error.error, kernel_text(message)};
}

ErrorCode code_of(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return ErrorCode::denied;
    case EOPNOTSUPP:
      return ErrorCode::unavailable;
    case ERESTART:
      return ErrorCode::exists;
    case ENFILE:
    case ENOSPC:
    case ENOMEM:
      return ErrorCode::limit;
    default:
      return ErrorCode::io;
  }
}

tl::unexpected<Error> refused(const Answer& answer, const std::string& step) {
  const std::string said =
      answer.kernel_text.empty() ? "" : fmt::format(" ({})", answer.kernel_text);
  const char* name = ::strerrorname_np(answer.error);
  const std::string error = fmt::format(
      "{} {}{}", name == nullptr ? "errno" : name,
      ::strerrordesc_np(answer.error) == nullptr ? "" : ::strerrordesc_np(answer.error), said);
  return fail(code_of(answer.error), {fmt::format("内核拒绝了规则集，步骤“{}”：{}", step, error),
                                      fmt::format("the kernel refused \"{}\": {}", step, error)});
}

tl::unexpected<Error> answer_lost() {
  return fail(ErrorCode::unavailable,
              {"内核应答丢失，无法确定规则集是否已生效，请读回核对",
               "the kernel's answer was lost; read the ruleset back to learn which one holds"});
}

std::uint32_t live_generation(const Ruleset& ruleset) {
  const auto marks = std::find_if(ruleset.sets.begin(), ruleset.sets.end(),
                                  [](const Set& set) { return set.name == "marks"; });
  if (marks == ruleset.sets.end() || marks->elements.empty()) return 0;
  std::optional<std::uint32_t> generation;
  for (const Element& element : marks->elements) {
    std::uint32_t mark = 0;
    std::memcpy(&mark, element.first.bytes.data(), sizeof(mark));
    if (generation && *generation != mark >> 8) return 0;
    generation = mark >> 8;
  }
  return *generation;
}

}  // namespace

struct NftKernel::State {
  explicit State(std::unique_ptr<NetlinkPort> p) : port(std::move(p)), buffer(receive_bytes) {}

  using OnMessage = std::function<void(const nlmsghdr*)>;

  Result<std::vector<Answer>> transact(const Batch& batch);
  Result<void> run(const Batch& batch);
  Result<Interrupted> dump(std::uint16_t type, const std::string& table, const std::string& set,
                           const OnMessage& on_message);
  // Of every table of every family.
  Result<Interrupted> dump_all(std::uint16_t type, const OnMessage& on_message);
  // Gives the replies to request `number` to `take`, one by one, until it says this was the last.
  Result<void> replies(std::uint32_t number, const std::function<bool(const nlmsghdr*)>& take);
  Result<Interrupted> read_dump(std::uint32_t number, const std::string& what,
                                const OnMessage& on_message);
  Result<std::uint32_t> generation();
  Result<bool> has_table(const std::string& table, bool& dormant);
  Result<Interrupted> read(const std::string& table, LiveReader& reader);
  Result<Interrupted> read_counters(const std::string& table, LiveReader& reader);
  Result<bool> knows_queue(QueueKind kind);
  std::uint32_t next_sequence(std::size_t count) {
    const std::uint32_t first = sequence;
    sequence += static_cast<std::uint32_t>(count);
    return first;
  }

  std::unique_ptr<NetlinkPort> port;
  std::vector<std::byte> buffer;
  std::uint32_t sequence = 1;
  std::optional<std::uint16_t> dump_generation;
  QueueKind queue = QueueKind::native;
};

// Reads answers up to the one of the batch's last message. The kernel has queued all of them by the
// time send() returns, so that after an answer for the whole batch nothing else can follow.
Result<std::vector<Answer>> NftKernel::State::transact(const Batch& batch) {
  MENSHEN_CHECK(port->send(batch.bytes()));
  std::vector<Answer> answers;
  for (;;) {
    const auto received = port->receive(buffer, answers.empty() ? answer_timeout_ms : 0);
    if (!received) return answer_lost();
    std::size_t bytes = *received;
    if (bytes == 0 && answers.empty()) return answer_lost();
    if (bytes == 0) return answers;
    int left = static_cast<int>(bytes);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      const auto answer = read_answer(message);
      if (!answer || answer->sequence - batch.first() > batch.last() - batch.first()) continue;
      answers.push_back(*answer);
      if (answer->sequence == batch.last()) return answers;
    }
  }
}

Result<void> NftKernel::State::run(const Batch& batch) {
  const auto answers = MENSHEN_TRY(transact(batch));
  for (const Answer& answer : answers)
    if (answer.error != 0) return refused(answer, batch.step(answer.sequence));
  if (answers.back().sequence != batch.last()) return answer_lost();
  return {};
}

Result<Interrupted> NftKernel::State::dump(std::uint16_t type, const std::string& table,
                                           const std::string& set, const OnMessage& on_message) {
  std::vector<char> request(4096);
  const std::uint32_t number = next_sequence(1);
  nlmsghdr* message = nftnl_nlmsg_build_hdr(request.data(), type, NFPROTO_INET, NLM_F_DUMP, number);
  // NFTA_*_TABLE is 1 for rules, sets, elements and objects; chains take no filter.
  if (type != NFT_MSG_GETCHAIN) mnl_attr_put_strz(message, NFTA_RULE_TABLE, table.c_str());
  if (!set.empty()) mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set.c_str());
  MENSHEN_CHECK(port->send(std::as_bytes(std::span(request).first(message->nlmsg_len))));
  return read_dump(number, table, on_message);
}

Result<Interrupted> NftKernel::State::dump_all(std::uint16_t type, const OnMessage& on_message) {
  std::vector<char> request(4096);
  const std::uint32_t number = next_sequence(1);
  const nlmsghdr* message =
      nftnl_nlmsg_build_hdr(request.data(), type, NFPROTO_UNSPEC, NLM_F_DUMP, number);
  MENSHEN_CHECK(port->send(std::as_bytes(std::span(request).first(message->nlmsg_len))));
  return read_dump(number, "all", on_message);
}

Result<void> NftKernel::State::replies(std::uint32_t number,
                                       const std::function<bool(const nlmsghdr*)>& take) {
  for (;;) {
    const std::size_t bytes = MENSHEN_TRY(port->receive(buffer, answer_timeout_ms));
    if (bytes == 0) return answer_lost();
    int left = static_cast<int>(bytes);
    for (const auto* each = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(each, left); each = mnl_nlmsg_next(each, &left)) {
      if (each->nlmsg_seq == number && take(each)) return {};
    }
  }
}

// The kernel's count of transactions.
Result<std::uint32_t> NftKernel::State::generation() {
  std::vector<char> request(4096);
  const std::uint32_t number = next_sequence(1);
  const nlmsghdr* message =
      nftnl_nlmsg_build_hdr(request.data(), NFT_MSG_GETGEN, NFPROTO_UNSPEC, NLM_F_ACK, number);
  MENSHEN_CHECK(port->send(std::as_bytes(std::span(request).first(message->nlmsg_len))));
  std::uint32_t out = 0;
  std::optional<Answer> answer;
  MENSHEN_CHECK(replies(number, [&](const nlmsghdr* each) {
    answer = read_answer(each);
    if (answer) return true;
    const auto attributes = attributes_of<NFTA_GEN_MAX>(each, sizeof(nfgenmsg));
    if (const nlattr* id = attributes[NFTA_GEN_ID]) out = ntohl(mnl_attr_get_u32(id));
    return false;
  }));
  if (answer->error != 0) return refused(*answer, "read the ruleset's generation");
  return out;
}

Result<Interrupted> NftKernel::State::read_dump(std::uint32_t number, const std::string& table,
                                                const OnMessage& on_message) {
  auto interrupted = Interrupted::no;
  std::optional<Answer> failure;
  MENSHEN_CHECK(replies(number, [&](const nlmsghdr* each) {
    if ((each->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = Interrupted::yes;
    if (each->nlmsg_type == NLMSG_DONE) return true;
    if (const auto answer = read_answer(each)) {
      if (answer->error != 0) failure = answer;
      return failure.has_value();
    }
    if (mnl_nlmsg_get_payload_len(each) < sizeof(nfgenmsg)) return false;
    const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(each));
    // The kernel stamps each message with its ruleset's generation: all dumps must tell of the
    // same.
    if (dump_generation.value_or(header->res_id) != header->res_id) interrupted = Interrupted::yes;
    dump_generation = header->res_id;
    on_message(each);
    return false;
  }));
  if (!failure) return interrupted;
  if (failure->error == EINTR || failure->error == ENOENT) return Interrupted::yes;
  return refused(*failure, "read back " + table);
}

Result<bool> NftKernel::State::has_table(const std::string& table, bool& dormant) {
  std::vector<char> request(4096);
  const std::uint32_t number = next_sequence(1);
  nlmsghdr* message =
      nftnl_nlmsg_build_hdr(request.data(), NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK, number);
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, table.c_str());
  MENSHEN_CHECK(port->send(std::as_bytes(std::span(request).first(message->nlmsg_len))));
  std::optional<Answer> answer;
  MENSHEN_CHECK(replies(number, [&](const nlmsghdr* each) {
    answer = read_answer(each);
    if (answer) return true;
    const auto attributes = attributes_of<NFTA_TABLE_MAX>(each, sizeof(nfgenmsg));
    if (const nlattr* flags = attributes[NFTA_TABLE_FLAGS])
      dormant = (ntohl(mnl_attr_get_u32(flags)) & NFT_TABLE_F_DORMANT) != 0;
    return false;
  }));
  if (answer->error == ENOENT) return false;
  if (answer->error != 0) return refused(*answer, "read table inet " + table);
  return true;
}

Result<Interrupted> NftKernel::State::read_counters(const std::string& table, LiveReader& reader) {
  return dump(NFT_MSG_GETOBJ, table, {}, [&](const nlmsghdr* m) { reader.counter(m); });
}

Result<Interrupted> NftKernel::State::read(const std::string& table, LiveReader& reader) {
  auto interrupted = Interrupted::no;
  const auto step = [&](Interrupted now) {
    if (now == Interrupted::yes) interrupted = Interrupted::yes;
  };
  step(MENSHEN_TRY(dump(NFT_MSG_GETCHAIN, table, {}, [&](const nlmsghdr* m) { reader.chain(m); })));
  step(MENSHEN_TRY(dump(NFT_MSG_GETRULE, table, {}, [&](const nlmsghdr* m) { reader.rule(m); })));
  step(MENSHEN_TRY(dump(NFT_MSG_GETSET, table, {}, [&](const nlmsghdr* m) { reader.set(m); })));
  for (const std::string& name : reader.set_names()) {
    step(MENSHEN_TRY(
        dump(NFT_MSG_GETSETELEM, table, name, [&](const nlmsghdr* m) { reader.elements(m); })));
  }
  step(MENSHEN_TRY(read_counters(table, reader)));
  return interrupted;
}

// Lets the kernel check a queueing rule in a transaction that is never committed.
Result<bool> NftKernel::State::knows_queue(QueueKind kind) {
  Batch batch(next_sequence(8));
  if (!batch.add_trial(std::string(trial_table), Queue{0, false}, kind))
    return fail(ErrorCode::limit, {"内存不足", "out of memory"});
  batch.finish(Batch::End::try_only);
  const auto answers = MENSHEN_TRY(transact(batch));
  for (const Answer& answer : answers) {
    if (answer.error == EPERM || answer.error == EACCES)
      return fail(ErrorCode::denied, {"修改内核规则集需要 CAP_NET_ADMIN 权限",
                                      "changing the kernel's ruleset needs CAP_NET_ADMIN"});
    if (answer.error != 0) return false;
  }
  return true;
}

NftKernel::NftKernel(std::unique_ptr<State> state) : state_(std::move(state)) {}
NftKernel::~NftKernel() = default;

Result<std::unique_ptr<NftKernel>> NftKernel::open() { return open(MENSHEN_TRY(open_netlink())); }

Result<std::unique_ptr<NftKernel>> NftKernel::open(std::unique_ptr<NetlinkPort> port) {
  auto state = std::make_unique<State>(std::move(port));
  if (!MENSHEN_TRY(state->knows_queue(QueueKind::native))) {
    if (!MENSHEN_TRY(state->knows_queue(QueueKind::xt_target))) {
      return fail(ErrorCode::unavailable,
                  {"内核既不支持 nftables queue 表达式，也不支持 xt NFQUEUE 目标，无法检测流量",
                   "the kernel has neither nftables' queue expression nor the xt NFQUEUE target: "
                   "flows cannot be inspected"});
    }
    state->queue = QueueKind::xt_target;
  }
  return std::unique_ptr<NftKernel>(new NftKernel(std::move(state)));
}

bool NftKernel::native_queue() const { return state_->queue == QueueKind::native; }

Result<void> NftKernel::commit(const Ruleset& ruleset) {
  Ruleset next = ruleset;
  bool dormant = false;
  if (MENSHEN_TRY(state_->has_table(ruleset.table, dormant))) {
    LiveReader live(ruleset.table);
    static_cast<void>(MENSHEN_TRY(state_->read_counters(ruleset.table, live)));
    for (Counter& counter : next.counters) {
      for (const Counter& old : live.counters())
        if (old.name == counter.name) counter.value = old.value;
    }
  }
  Batch batch(state_->next_sequence(0));
  batch.add_table(next.table);  // so that there is one to delete
  batch.delete_table(next.table);
  batch.add_table(next.table);
  if (!batch.add_ruleset(next, state_->queue)) {
    return fail(ErrorCode::invalid, {"规则集含有无法写入内核的表达式",
                                     "the ruleset holds an expression that cannot be written"});
  }
  batch.finish(Batch::End::commit);
  state_->sequence = batch.last() + 2;
  return state_->run(batch);
}

Result<void> NftKernel::change(const LiveRuleset& live, const Ruleset& ruleset) {
  if (!live.present || live.dormant || live.ruleset.table != ruleset.table) return commit(ruleset);
  Batch batch(state_->next_sequence(0));
  batch.require_generation(live.kernel_generation);
  if (!batch.add_change(live.ruleset, ruleset, state_->queue)) return commit(ruleset);
  batch.finish(Batch::End::commit);
  state_->sequence = batch.last() + 2;
  return state_->run(batch);
}

std::uint32_t NftKernel::address() const { return state_->port->address(); }

Result<std::vector<Text>> NftKernel::others(const std::string& table) {
  std::vector<Text> out;
  for (int tries = 0; tries < read_back_tries; ++tries) {
    out.clear();
    state_->dump_generation.reset();
    const auto chains = MENSHEN_TRY(state_->dump_all(NFT_MSG_GETCHAIN, [&](const nlmsghdr* m) {
      if (auto other = describe_chain(m, table)) out.push_back(*std::move(other));
    }));
    const auto flowtables = MENSHEN_TRY(state_->dump_all(
        NFT_MSG_GETFLOWTABLE, [&](const nlmsghdr* m) { out.push_back(describe_flowtable(m)); }));
    if (chains == Interrupted::no && flowtables == Interrupted::no) return out;
  }
  return fail(ErrorCode::unavailable, {"读回期间内核规则集不断变化",
                                       "the kernel's ruleset keeps changing while it is read"});
}

Result<void> NftKernel::remove(const std::string& table) {
  Batch batch(state_->next_sequence(8));
  batch.add_table(table);
  batch.delete_table(table);
  batch.finish(Batch::End::commit);
  return state_->run(batch);
}

Result<LiveRuleset> NftKernel::read_back(const std::string& table) {
  for (int tries = 0; tries < read_back_tries; ++tries) {
    state_->dump_generation.reset();
    LiveRuleset live;
    live.kernel_generation = MENSHEN_TRY(state_->generation());
    live.present = MENSHEN_TRY(state_->has_table(table, live.dormant));
    live.ruleset.table = table;
    if (!live.present) return live;
    LiveReader reader(table);
    if (MENSHEN_TRY(state_->read(table, reader)) == Interrupted::yes) continue;
    // The messages carry the generation's lower half.
    const std::uint16_t low = htons(static_cast<std::uint16_t>(live.kernel_generation & 0xffffU));
    if (state_->dump_generation.value_or(low) != low) continue;
    live.ruleset = std::move(reader).finish();
    live.ruleset.generation = live_generation(live.ruleset);
    return live;
  }
  return fail(ErrorCode::unavailable, {"读回期间内核规则集不断变化",
                                       "the kernel's ruleset keeps changing while it is read"});
}

Result<Counters> NftKernel::counters(const std::string& table) {
  bool dormant = false;
  if (!MENSHEN_TRY(state_->has_table(table, dormant))) {
    return fail(ErrorCode::not_found, {fmt::format("内核中没有表 inet {}", table),
                                       fmt::format("the kernel has no table inet {}", table)});
  }
  for (int tries = 0; tries < read_back_tries; ++tries) {
    state_->dump_generation.reset();
    LiveReader reader(table);
    if (MENSHEN_TRY(state_->read_counters(table, reader)) == Interrupted::yes) continue;
    Counters out{};
    for (const Counter& counter : reader.counters()) {
      if (const auto reason = parse_reason(counter.name))
        out[static_cast<std::size_t>(*reason)] = counter.value;
    }
    return out;
  }
  return fail(ErrorCode::unavailable, {"读取期间内核规则集不断变化",
                                       "the kernel's ruleset keeps changing while it is read"});
}

}  // namespace menshen::policy::nft
