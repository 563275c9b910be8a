#include "sensor/packet/defrag.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/ip.hpp"
#include "sensor/packet/checksum.hpp"

namespace menshen::sensor {

namespace {

constexpr std::uint32_t none = 0xffff'ffff;
constexpr WallTime second = 1'000'000'000;
constexpr std::size_t block_bytes = 8;  // what fragment offsets count in
constexpr std::size_t page_blocks = 64;
constexpr std::size_t page_bytes = page_blocks * block_bytes;
constexpr std::size_t datagram_bytes_max = 65'535;
constexpr std::size_t datagram_pages_max = datagram_bytes_max / page_bytes + 1;
// Of IPv6: what stands before the fragment header; a longer chain of headers is not put together.
constexpr std::size_t header_bytes_max = 512;
constexpr std::size_t source_slots = 4096;

// Where the part that owns a block begins and ends, in blocks.
struct Owner {
  std::uint16_t begin = 0;
  std::uint16_t end = 0;
  [[nodiscard]] Extent extent() const noexcept { return {begin, end}; }
};

struct Page {
  std::array<std::byte, page_bytes> bytes;
  std::array<Owner, page_blocks> owners;
  std::uint64_t known = 0;  // bit by block
  std::uint32_t next_free = none;
};

struct Key {
  FiveTuple addresses;  // source, destination, protocol, attachment
  std::uint64_t tenant = 0;
  std::array<std::uint16_t, vlan_tags_max> vlan{};
  std::uint16_t version = 0;
  std::uint32_t identification = 0;
  bool operator==(const Key&) const = default;
};

struct Links {
  std::uint32_t older = none;
  std::uint32_t newer = none;
};

struct Datagram {
  Key key;
  WallTime first = 0;
  std::uint32_t bucket = 0;
  std::uint32_t chain = none;  // next of the same bucket, or of the free list
  std::uint32_t slot = 0;      // of its source
  Links age;
  Links of_source;
  std::uint32_t parts = 0;
  std::uint32_t pages = 0;
  std::uint32_t blocks = 0;        // known
  std::uint32_t blocks_whole = 0;  // of the whole datagram; 0: its last part has not come
  std::uint32_t bytes_whole = 0;
  std::uint16_t header_bytes = 0;  // 0: its first part has not come
  std::uint16_t next_header_at = 0;
  HostPolicy policy = HostPolicy::first;
  std::array<std::uint32_t, datagram_pages_max> page;
  std::array<std::byte, header_bytes_max> header;
};

struct List {
  std::uint32_t oldest = none;
  std::uint32_t newest = none;
};

struct Source {
  List datagrams;
  std::uint32_t pages = 0;
};

// A part, as its header says.
struct Part {
  Key key;
  std::uint32_t begin = 0;  // bytes
  bool more = false;
  Bytes bytes;
  Bytes header;  // of the datagram: for IPv6 up to the fragment header
  std::uint16_t next_header_at = 0;
  std::uint8_t next_header = 0;  // IPv6: what the fragment header says follows
};

// The fragment header of an IPv6 packet that decode() has walked: it stands before the payload.
Part ipv6_part(const PacketMeta& packet) noexcept {
  Part part;
  const std::size_t at = packet.payload_offset - std::size_t{8};
  ByteReader reader(packet.frame().subspan(at));
  part.next_header = reader.u8();
  reader.skip(1);
  const std::uint16_t place = reader.be16();
  part.key.identification = reader.be32();
  part.begin = place & 0xfff8U;
  part.more = (place & 1U) != 0;
  part.header = packet.frame().subspan(packet.network_offset, at - packet.network_offset);
  // Which octet says that a fragment header follows.
  std::size_t next_at = 6;
  std::size_t header = 40;
  while (header < part.header.size()) {
    const bool authentication = part.header[next_at] == std::byte{51};
    next_at = header;
    const auto units = std::to_integer<std::size_t>(part.header[header + 1]);
    header += authentication ? (units + 2) * 4 : (units + 1) * 8;
  }
  part.next_header_at = static_cast<std::uint16_t>(next_at);
  return part;
}

Part ipv4_part(const PacketMeta& packet) noexcept {
  Part part;
  ByteReader reader(packet.frame().subspan(packet.network_offset));
  reader.skip(4);
  part.key.identification = reader.be16();
  const std::uint16_t place = reader.be16();
  part.begin = (place & 0x1fffU) * std::uint32_t{8};
  part.more = (place & 0x2000U) != 0;
  part.header =
      packet.frame().subspan(packet.network_offset, packet.payload_offset - packet.network_offset);
  return part;
}

Part part_of(const PacketMeta& packet, std::uint64_t tenant) noexcept {
  Part part = packet.ip_version == 4 ? ipv4_part(packet) : ipv6_part(packet);
  part.bytes = packet.payload();
  part.key.addresses = tuple_of(packet);
  // RFC 8200 4.5: only the first part's next header counts, so the others may differ.
  if (packet.ip_version == 6) part.key.addresses.proto = IpProto{};
  part.key.tenant = tenant;
  part.key.vlan = packet.vlan;
  part.key.version = packet.ip_version;
  return part;
}

}  // namespace

struct Defragmenter::State {
  DefragOptions options;
  DefragCounters counters;
  std::vector<Datagram> datagrams;  // grows up to datagrams_max
  std::vector<std::unique_ptr<Page[]>> page_groups;
  std::vector<std::uint32_t> buckets;
  std::vector<Source> sources;
  List ages;
  std::uint32_t free_datagram = none;
  std::uint32_t free_page = none;
  std::uint32_t pages_made = 0;
  WallTime now = 0;

  static constexpr std::uint32_t group_pages = 256;

  explicit State(const DefragOptions& wanted)
      : options(wanted),
        buckets(std::bit_ceil(std::max<std::uint32_t>(wanted.datagrams_max, 1)), none),
        sources(source_slots) {}

  Page& page_at(std::uint32_t index) noexcept {
    return page_groups[index / group_pages][index % group_pages];
  }

  // ---- lists ------------------------------------------------------------------------------------

  void append(List& list, Links Datagram::*links, std::uint32_t index) noexcept {
    Links& own = datagrams[index].*links;
    own = {list.newest, none};
    (list.newest == none ? list.oldest : (datagrams[list.newest].*links).newer) = index;
    list.newest = index;
  }

  void remove(List& list, Links Datagram::*links, std::uint32_t index) noexcept {
    const Links own = datagrams[index].*links;
    (own.older == none ? list.oldest : (datagrams[own.older].*links).newer) = own.newer;
    (own.newer == none ? list.newest : (datagrams[own.newer].*links).older) = own.older;
  }

  // ---- pages ------------------------------------------------------------------------------------

  // none: all are in use.
  std::uint32_t take_page() {
    if (free_page == none) {
      if (pages_made + group_pages > options.pages_max) return none;
      page_groups.push_back(std::make_unique_for_overwrite<Page[]>(group_pages));
      for (std::uint32_t i = group_pages; i-- > 0;) {
        page_at(pages_made + i).next_free = free_page;
        free_page = pages_made + i;
      }
      pages_made += group_pages;
    }
    const std::uint32_t index = free_page;
    free_page = page_at(index).next_free;
    page_at(index).known = 0;
    ++counters.pages;
    return index;
  }

  void give_back(std::uint32_t index) noexcept {
    page_at(index).next_free = free_page;
    free_page = index;
    --counters.pages;
  }

  // The page for these blocks of the datagram; others give way. Null: only this one could.
  Page* page_for(std::uint32_t index, std::uint32_t number) {
    if (const std::uint32_t known = datagrams[index].page[number]; known != none) {
      return &page_at(known);
    }
    Source& source = sources[datagrams[index].slot];
    while (source.pages >= options.source_pages_max) {
      if (!displace(source.datagrams, &Datagram::of_source, index)) return nullptr;
    }
    std::uint32_t page = take_page();
    while (page == none) {
      if (!displace(ages, &Datagram::age, index)) return nullptr;
      page = take_page();
    }
    ++source.pages;
    ++datagrams[index].pages;
    datagrams[index].page[number] = page;
    return &page_at(page);
  }

  // Ends the oldest of `list` but the one that needs room. False: there is no other.
  bool displace(const List& list, Links Datagram::*links, std::uint32_t needy) {
    std::uint32_t victim = list.oldest;
    if (victim == needy) victim = (datagrams[victim].*links).newer;
    if (victim == none) return false;
    ++counters.displaced;
    end(victim);
    return true;
  }

  // ---- datagrams --------------------------------------------------------------------------------

  [[nodiscard]] std::uint64_t hash(const Key& key) const noexcept {
    const std::uint64_t own = key.tenant ^ std::uint64_t{key.identification} << 32U ^
                              std::uint64_t{key.vlan[0]} << 16U ^ key.vlan[1] ^ key.version;
    return hash_flow(key.addresses, options.seed ^ own * 0x9e3779b97f4a7c15U);
  }

  std::uint32_t find(const Key& key, std::uint32_t bucket) noexcept {
    for (std::uint32_t i = buckets[bucket]; i != none; i = datagrams[i].chain) {
      if (datagrams[i].key == key) return i;
    }
    return none;
  }

  std::uint32_t allocate() {
    if (free_datagram == none && datagrams.size() < options.datagrams_max) {
      datagrams.emplace_back();
      return static_cast<std::uint32_t>(datagrams.size() - 1);
    }
    if (free_datagram == none) {
      ++counters.displaced;
      end(ages.oldest);
    }
    const std::uint32_t index = free_datagram;
    free_datagram = datagrams[index].chain;
    return index;
  }

  std::uint32_t begin(const Key& key, std::uint32_t bucket) {
    const std::uint32_t index = allocate();
    Datagram& datagram = datagrams[index];
    datagram.key = key;
    datagram.policy = options.hosts.of(key.addresses.dst);
    datagram.first = now;
    datagram.bucket = bucket;
    datagram.chain = buckets[bucket];
    buckets[bucket] = index;
    datagram.parts = datagram.pages = datagram.blocks = 0;
    datagram.blocks_whole = datagram.bytes_whole = 0;
    datagram.header_bytes = 0;
    datagram.page.fill(none);
    FiveTuple source;
    source.src = key.addresses.src;
    source.attachment = key.addresses.attachment;
    datagram.slot =
        static_cast<std::uint32_t>(hash_flow(source, options.seed ^ key.tenant)) % source_slots;
    append(ages, &Datagram::age, index);
    append(sources[datagram.slot].datagrams, &Datagram::of_source, index);
    ++counters.incomplete;
    return index;
  }

  void end(std::uint32_t index) noexcept {
    Datagram& datagram = datagrams[index];
    std::uint32_t* link = &buckets[datagram.bucket];
    while (*link != index) link = &datagrams[*link].chain;
    *link = datagram.chain;
    remove(ages, &Datagram::age, index);
    remove(sources[datagram.slot].datagrams, &Datagram::of_source, index);
    sources[datagram.slot].pages -= datagram.pages;
    for (std::size_t i = 0; datagram.pages != 0; ++i) {
      if (datagram.page[i] == none) continue;
      give_back(datagram.page[i]);
      --datagram.pages;
    }
    datagram.chain = free_datagram;
    free_datagram = index;
    --counters.incomplete;
  }

  void expire() noexcept {
    while (ages.oldest != none &&
           datagrams[ages.oldest].first + WallTime{options.timeout_seconds} * second <= now) {
      ++counters.timeouts;
      end(ages.oldest);
    }
  }

  // ---- parts ------------------------------------------------------------------------------------

  // False: no part of any datagram.
  bool sound(PacketMeta& packet, Part& part) {
    const bool v4 = packet.ip_version == 4;
    const std::size_t header = v4 ? part.header.size() : 0;
    if (header + part.begin + part.bytes.size() > datagram_bytes_max) {
      packet.note(v4 ? Anomaly::ipv4_frag_pkt_too_large : Anomaly::ipv6_frag_pkt_too_large);
      return false;
    }
    // Only the last part may end within a block; IPv4 receivers take the whole blocks, IPv6's none.
    if (part.more && part.bytes.size() % block_bytes != 0) {
      if (!v4) return false;
      part.bytes = part.bytes.first(part.bytes.size() / block_bytes * block_bytes);
    }
    return !part.bytes.empty() && part.header.size() <= header_bytes_max;
  }

  // Copies what the policy gives to this part. False: memory is full of this datagram alone, or
  // (refuse_overlaps) its bytes differ from known ones.
  enum class Stored : std::uint8_t { yes, no_room, differs };
  Stored store(std::uint32_t index, const Part& part, bool& overlaps) {
    const HostPolicy policy = datagrams[index].policy;
    const auto first = part.begin / block_bytes;
    const auto last = (part.begin + part.bytes.size() + block_bytes - 1) / block_bytes;
    const Owner fresh{static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
    if (options.refuse_overlaps && differs(index, part, first, last)) return Stored::differs;
    for (std::size_t block = first; block < last; ++block) {
      Page* page = page_for(index, static_cast<std::uint32_t>(block / page_blocks));
      if (page == nullptr) return Stored::no_room;
      const std::size_t at = block % page_blocks;
      const std::uint64_t bit = std::uint64_t{1} << at;
      const bool known = (page->known & bit) != 0;
      overlaps = overlaps || known;
      if (known && !newer_fragment_wins(policy, page->owners[at].extent(), fresh.extent())) {
        continue;
      }
      const Bytes piece = part.bytes.subspan((block - first) * block_bytes);
      std::byte* place = page->bytes.data() + at * block_bytes;
      std::memset(place, 0, block_bytes);  // what the last part leaves of its block
      std::memcpy(place, piece.data(), std::min(piece.size(), block_bytes));
      page->owners[at] = fresh;
      page->known |= bit;
      if (!known) ++datagrams[index].blocks;
    }
    return Stored::yes;
  }

  [[nodiscard]] bool differs(std::uint32_t index, const Part& part, std::size_t first,
                             std::size_t last) noexcept {
    for (std::size_t block = first; block < last; ++block) {
      const std::uint32_t number = datagrams[index].page[block / page_blocks];
      if (number == none) continue;
      const Page& page = page_at(number);
      const std::size_t at = block % page_blocks;
      if ((page.known >> at & 1U) == 0) continue;
      const Bytes piece = part.bytes.subspan((block - first) * block_bytes);
      if (std::memcmp(page.bytes.data() + at * block_bytes, piece.data(),
                      std::min(piece.size(), block_bytes)) != 0) {
        return true;
      }
    }
    return false;
  }

  void learn(Datagram& datagram, const Part& part) noexcept {
    if (!part.more) {
      const auto end = static_cast<std::uint32_t>(part.begin + part.bytes.size());
      // A last part that contradicts an earlier one: the longer datagram stays incomplete.
      if (end > datagram.bytes_whole) {
        datagram.bytes_whole = end;
        datagram.blocks_whole = static_cast<std::uint32_t>((end + block_bytes - 1) / block_bytes);
      }
    }
    if (part.begin != 0 || datagram.header_bytes != 0) return;
    datagram.header_bytes = static_cast<std::uint16_t>(part.header.size());
    std::memcpy(datagram.header.data(), part.header.data(), part.header.size());
    datagram.next_header_at = part.next_header_at;
    if (part.next_header_at != 0) {
      datagram.header[part.next_header_at] = static_cast<std::byte>(part.next_header);
    }
  }

  [[nodiscard]] bool complete(const Datagram& datagram) noexcept {
    if (datagram.header_bytes == 0 || datagram.blocks_whole == 0 ||
        datagram.blocks < datagram.blocks_whole) {
      return false;
    }
    // Parts beyond the end that the last part states count as blocks, but fill no hole.
    for (std::size_t begin = 0; begin < datagram.blocks_whole; begin += page_blocks) {
      const std::uint32_t page = datagram.page[begin / page_blocks];
      const std::size_t wanted = std::min(page_blocks, datagram.blocks_whole - begin);
      const std::uint64_t all =
          wanted == page_blocks ? ~std::uint64_t{0} : (std::uint64_t{1} << wanted) - 1;
      if (page == none || (page_at(page).known & all) != all) return false;
    }
    return true;
  }

  // The whole, with a header that speaks of no fragment.
  Bytes assemble(const Datagram& datagram, std::vector<std::byte>& buffer) {
    const std::size_t header = datagram.header_bytes;
    buffer.resize(header + datagram.bytes_whole);
    std::memcpy(buffer.data(), datagram.header.data(), header);
    for (std::size_t at = 0; at < datagram.bytes_whole; at += page_bytes) {
      const Page& page = page_at(datagram.page[at / page_bytes]);
      std::memcpy(buffer.data() + header + at, page.bytes.data(),
                  std::min<std::size_t>(page_bytes, datagram.bytes_whole - at));
    }
    const bool v4 = datagram.key.version == 4;
    const std::size_t length = datagram.bytes_whole + (v4 ? header : header - 40);
    const std::size_t length_at = v4 ? 2 : 4;
    buffer[length_at] = static_cast<std::byte>(length >> 8U & 0xffU);
    buffer[length_at + 1] = static_cast<std::byte>(length & 0xffU);
    if (!v4) return buffer;
    for (const std::size_t at : {6U, 7U, 10U, 11U}) buffer[at] = std::byte{0};
    const auto sum = static_cast<std::uint16_t>(~checksum_sum(Bytes(buffer).first(header)));
    buffer[10] = static_cast<std::byte>(sum >> 8U);
    buffer[11] = static_cast<std::byte>(sum & 0xffU);
    return buffer;
  }

  std::optional<Bytes> refuse(PacketMeta& packet, DropReason reason) {
    const bool v4 = packet.ip_version == 4;
    ++counters.refused;
    packet.note(v4 ? Anomaly::ipv4_frag_ignored : Anomaly::ipv6_frag_ignored);
    packet.refuse(Verdict::drop, reason);
    return std::nullopt;
  }

  std::optional<Bytes> add(PacketMeta& packet, std::uint64_t tenant,
                           std::vector<std::byte>& buffer) {
    now = std::max(now, packet.time);
    expire();
    ++counters.parts;
    Part part = part_of(packet, tenant);
    if (!sound(packet, part)) {
      ++counters.refused;
      return std::nullopt;
    }
    const auto bucket = static_cast<std::uint32_t>(hash(part.key) & (buckets.size() - 1));
    std::uint32_t index = find(part.key, bucket);
    if (index == none) index = begin(part.key, bucket);
    if (datagrams[index].parts == options.parts_max) {
      return refuse(packet, DropReason::fragment_memory);
    }
    ++datagrams[index].parts;
    const bool v4 = packet.ip_version == 4;
    bool overlaps = false;
    const Stored stored = store(index, part, overlaps);
    if (stored == Stored::differs) {
      ++counters.overlaps;
      packet.note(v4 ? Anomaly::ipv4_frag_overlap : Anomaly::ipv6_frag_overlap);
      return refuse(packet, DropReason::fragment_overlap);
    }
    if (overlaps) {
      ++counters.overlaps;
      packet.note(v4 ? Anomaly::ipv4_frag_overlap : Anomaly::ipv6_frag_overlap);
    }
    if (stored == Stored::no_room) return refuse(packet, DropReason::fragment_memory);
    learn(datagrams[index], part);
    if (!complete(datagrams[index])) return std::nullopt;
    const Bytes whole = assemble(datagrams[index], buffer);
    end(index);
    ++counters.datagrams;
    return whole;
  }
};

Defragmenter::Defragmenter(const DefragOptions& options)
    : state_(std::make_unique<State>(options)) {}
Defragmenter::~Defragmenter() = default;

std::optional<Bytes> Defragmenter::add(PacketMeta& packet, std::uint64_t tenant,
                                       std::vector<std::byte>& buffer) {
  return state_->add(packet, tenant, buffer);
}

const DefragCounters& Defragmenter::counters() const noexcept { return state_->counters; }

}  // namespace menshen::sensor
