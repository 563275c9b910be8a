// What common programs say, read into the fields of a record: sshd, sudo and PAM, auditd (also
// libvirt's VIRT_ events), nginx, PostgreSQL and pgaudit, OpenStack's API (request log and CADF
// events), packet filters' log lines (iptables, nftables).
//
// Fills who, what, to what, how it ended and between which addresses; leaves the record as it was
// where no form fits. Linear in the text; thread-safe.
#pragma once

#include "audit/collect/syslog.hpp"
#include "audit/record/record.hpp"

namespace menshen::audit {

// The form's name ("sshd"); empty: none fits.
[[nodiscard]] std::string_view read_form(const SyslogMessage& message, Record& record);

// RFC 5424's severities as ours.
[[nodiscard]] Severity severity_of(std::uint8_t syslog_severity);

}  // namespace menshen::audit
