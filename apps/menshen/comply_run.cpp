#include "apps/menshen/comply_run.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "apps/menshen/comply_tasks.hpp"
#include "apps/menshen/product_facts.hpp"
#include "apps/menshen/wire_facts.hpp"
#include "base/file.hpp"

namespace menshen::apps {
namespace fs = std::filesystem;
namespace {

using compliance::AssessedObject;
using compliance::Inventory;
using compliance::InventoryObject;

constexpr WallTime day_ns = 86'400LL * 1'000'000'000LL;

// The time of a capture stands for the moment of collection.
class FixedClock final : public Clock {
 public:
  explicit FixedClock(WallTime time) : time_(time) {}
  [[nodiscard]] WallTime wall() const noexcept override { return time_; }
  [[nodiscard]] MonotonicTime monotonic() const noexcept override { return 0; }

 private:
  WallTime time_;
};

// 2026-11-23T08-15-30Z, as run_name writes it, back to RFC 3339.
std::string run_time(std::string name) {
  if (name.size() == 20) name[13] = name[16] = ':';
  return name;
}

AssessedObject object_of(const InventoryObject& listed) {
  AssessedObject object;
  object.id = listed.id;
  object.name = listed.name;
  object.class_id = listed.class_id;
  object.address = fmt::format("{}", fmt::join(listed.addresses, " "));
  object.responsible = listed.responsible;
  object.importance = listed.importance;
  return object;
}

// Collects the inventory's hosts into objects.
class Hosts {
 public:
  Hosts(const Cli& cli, const Settings& settings, const compliance::Catalogue& catalogue)
      : cli_(cli), settings_(settings), catalogue_(catalogue), paths_(ComplyPaths::of(settings)) {}

  void collect(const Inventory& inventory) {
    over_ssh(inventory);
    for (const InventoryObject& listed : inventory.objects)
      if (listed.collect == compliance::CollectBy::offline) from_capture(listed);
  }

  std::vector<AssessedObject> objects;
  compliance::Coverage coverage;

 private:
  void failed(const InventoryObject& listed, const Text& why, const std::string& source,
              WallTime now) {
    AssessedObject object = object_of(listed);
    object.facts.fail("host", why, compliance::make_provenance(listed.id, source, now, ""));
    objects.push_back(std::move(object));
    coverage.failed.insert(listed.id);
  }

  void taken(const InventoryObject& listed, const std::string& text, std::string_view key,
             const Clock& clock, const std::string& source) {
    const auto capture = compliance::Capture::parse(text, key);
    if (!capture) return failed(listed, capture.error().text, source, clock.wall());
    AssessedObject object = object_of(listed);
    object.facts = compliance::collect_host(*capture, catalogue_.sources, clock, listed.id);
    objects.push_back(std::move(object));
    coverage.collected.insert(listed.id);
  }

  void over_ssh(const Inventory& inventory) {
    std::vector<compliance::SshHost> hosts;
    std::map<std::string, std::string> keys;
    for (const InventoryObject& listed : inventory.objects) {
      if (listed.collect != compliance::CollectBy::ssh) continue;
      hosts.push_back({listed.id, listed.addresses.front(), listed.port,
                       listed.user.empty() ? settings_.text("compliance.ssh_user") : listed.user});
      keys[listed.id] = random_hex(compliance::seal_key_bytes);
    }
    if (hosts.empty()) return;
    compliance::SshOptions options;
    options.identity = settings_.text("compliance.ssh_identity");
    options.known_hosts = settings_.text("compliance.ssh_known_hosts");
    options.privilege = settings_.text("compliance.ssh_privilege") == "sudo"
                            ? compliance::Privilege::sudo
                            : compliance::Privilege::none;
    options.timeout = std::chrono::seconds(settings_.integer("compliance.ssh_timeout_seconds"));
    options.parallel = static_cast<unsigned>(settings_.integer("compliance.ssh_parallel"));
    const auto answers = compliance::read_fleet(
        hosts, options,
        [&](const compliance::SshHost& host) {
          return compliance::collection_script(catalogue_.sources, {host.id, keys.at(host.id), ""});
        },
        [&](const compliance::SshAnswer& answer, std::size_t done, std::size_t all) {
          print_err(fmt::format("[{}/{}] {} {}\n", done, all, answer.host.id,
                                answer.output ? cli_.say("已采集", "collected")
                                              : cli_.in(answer.output.error().text)));
        });
    for (const compliance::SshAnswer& answer : answers) {
      const InventoryObject& listed = *inventory.find(answer.host.id);
      const std::string source = fmt::format("ssh {}@{}", answer.host.user, answer.host.address);
      if (answer.output) {
        taken(listed, *answer.output, keys.at(listed.id), system_clock(), source);
      } else {
        failed(listed, answer.output.error().text, source, system_clock().wall());
      }
    }
  }

  // Without a capture the object stays open: nobody has looked yet.
  void from_capture(const InventoryObject& listed) {
    const fs::path file = paths_.captures / (listed.id + ".capture");
    const auto text = read_file(file, compliance::capture_bytes_max);
    if (!text && text.error().code == ErrorCode::not_found) return;
    const std::string source = "capture " + file.string();
    const WallTime now = system_clock().wall();
    if (!text) return failed(listed, text.error().text, source, now);
    const auto stored = read_file(paths_.captures / (listed.id + ".json"), 64U << 10U);
    const Json meta = stored ? Json::parse(*stored, nullptr, false) : Json();
    const std::string key = meta.is_object() ? meta.value("key", "") : std::string();
    const auto capture = compliance::Capture::parse(*text, key);
    if (!capture) return failed(listed, capture.error().text, source, now);
    const WallTime age = now - capture->time();
    if (age > capture_days_max * day_ns || age < -day_ns) {
      return failed(listed,
                    {fmt::format("离线采集已超过 {} 天或时间有误，须重新采集", capture_days_max),
                     fmt::format("the offline collection is older than {} days or its time is "
                                 "wrong: collect again",
                                 capture_days_max)},
                    source, now);
    }
    taken(listed, *text, key, FixedClock(capture->time()), source);
  }

  const Cli& cli_;
  const Settings& settings_;
  const compliance::Catalogue& catalogue_;
  ComplyPaths paths_;
};

// Earlier runs that are kept: their names are their times.
void add_run_facts(compliance::Facts& facts, const fs::path& folder, const std::string& host,
                   WallTime now) {
  std::size_t kept = 0;
  WallTime newest = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto time = parse_time(run_time(entry.path().stem().string()));
    if (!time || *time > now) continue;
    ++kept;
    newest = std::max(newest, *time);
  }
  Json values = {{"kept", kept}};
  if (kept > 0) values["last_age_days"] = (now - newest) / day_ns;
  compliance::add_product_facts(facts, "runs", values, host, "folder " + folder.string(), now);
}

}  // namespace

std::string run_name(WallTime time) {
  std::string name = format_utc(time).substr(0, 19) + "Z";
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

ComplyPaths ComplyPaths::of(const Settings& settings) {
  ComplyPaths paths;
  paths.root = settings.text("compliance.output");
  paths.inventory = paths.root / "inventory.csv";
  paths.offline = paths.root / "offline";
  paths.captures = paths.root / "captures";
  paths.runs = paths.root / "runs";
  return paths;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string random_hex(std::size_t bytes) {
  std::string result;
  for (std::size_t i = 0; i < bytes; ++i) {
    unsigned char byte = 0;
    // A single byte is never cut short, and the pool is ready long before this program runs.
    while (::getrandom(&byte, 1, 0) != 1) {
    }
    result += fmt::format("{:02x}", byte);
  }
  return result;
}

Result<compliance::Catalogue> load_comply_catalogue(const Cli& cli, const Settings& settings) {
  const std::string& folder = settings.text("compliance.catalogue");
  auto loaded = compliance::load_catalogue(folder);
  for (const Diagnostics& file : loaded.diagnostics) print_err(file.render(cli.lang()));
  if (loaded.catalogue) return std::move(*loaded.catalogue);
  return fail(ErrorCode::invalid,
              {"测评数据有误：" + folder, "the assessment data is wrong: " + folder});
}

Result<Inventory> load_inventory(const Cli& cli, const Settings& settings,
                                 const compliance::Catalogue& catalogue) {
  const fs::path file = ComplyPaths::of(settings).inventory;
  const auto text = read_file(file, compliance::inventory_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return Inventory();
  if (!text) return tl::make_unexpected(text.error());
  Diagnostics diagnostics(file.string(), *text);
  auto inventory = compliance::parse_inventory(*text, catalogue.classes, diagnostics);
  if (inventory) return std::move(*inventory);
  print_err(diagnostics.render(cli.lang()));
  return fail(ErrorCode::invalid, {"资产清单有误", "the inventory is wrong"});
}

Result<compliance::Assessment> run_assessment(const Cli& cli, const Settings& settings,
                                              const compliance::Catalogue& catalogue,
                                              const RunOptions& options) {
  const std::string host = host_name();
  const Clock& clock = system_clock();
  const Inventory inventory = MENSHEN_TRY(load_inventory(cli, settings, catalogue));
  Hosts hosts(cli, settings, catalogue);
  if (options.hosts) hosts.collect(inventory);

  compliance::Facts facts =
      compliance::collect_host(compliance::LocalHost(), catalogue.sources, clock, host);
  facts.merge(collect_product_facts({settings, cli.settings_file, host, clock}));
  if (!inventory.objects.empty()) {
    compliance::add_product_facts(
        facts, "scope", compliance::scope_facts(inventory, catalogue.classes, hosts.coverage), host,
        "inventory " + ComplyPaths::of(settings).inventory.string(), clock.wall());
  }
  add_wire_facts(facts, settings, inventory, host, clock.wall());
  add_run_facts(facts, ComplyPaths::of(settings).runs, host, clock.wall());

  std::vector<AssessedObject> objects;
  objects.push_back(compliance::appliance_object(host, std::move(facts)));
  for (AssessedObject& object : hosts.objects) objects.push_back(std::move(object));
  return compliance::assess(catalogue, std::move(objects),
                            {settings.text("general.name"), host, MENSHEN_VERSION}, clock.wall(),
                            options.view, TaskStore(settings).load(catalogue));
}

}  // namespace menshen::apps
