// The script that reads a host. It holds no logic beyond reading: what is there is judged later.
#include <fmt/format.h>

#include "compliance/collect/capture.hpp"

namespace menshen::compliance {
namespace {

// Every function is defined before the last line runs anything, so a script that came through
// stdin is whole when it starts. `main | cat`: then file descriptor 3 is a pipe that can be opened
// by name (in /proc), whatever stdout is.
constexpr std::string_view prologue = R"sh(
LC_ALL=C; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export LC_ALL PATH
NL='
'
n=0
b64() { if command -v base64 >/dev/null 2>&1; then base64; else openssl base64; fi; }
hash() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum; else openssl dgst -sha256 -r; fi
}
say() { n=$((n + 1)); printf '%s\n' "$1"; }

# Not there, or in a folder that this user may not search?
gone() {
  d=${1%/*}
  while [ -n "$d" ] && [ ! -e "$d" ]; do d=${d%/*}; done
  if [ -n "$d" ] && [ -d "$d" ] && [ ! -x "$d" ]; then say "denied ${1#"$R"}"
  else say "absent ${1#"$R"}"; fi
}

# Passwords become their kind, values of secret keys become <set>: on this host, at once.
shadow() {
  awk 'BEGIN { FS = OFS = ":" }
    NF < 2 { next }
    { p = $2; c = substr(p, 1, 1); k = "other"
      if (p == "") k = "empty"
      else if (c == "!" || c == "*") k = "locked"
      else if (p ~ /^\$g?y\$/) k = "yescrypt"
      else if (p ~ /^\$6\$/) k = "sha512"
      else if (p ~ /^\$5\$/) k = "sha256"
      else if (p ~ /^\$2/) k = "bcrypt"
      else if (p ~ /^\$1\$/) k = "md5"
      else if (c != "$") k = (length(p) == 13 ? "des" : "locked")
      $2 = "<" k ">"; print }'
}
secrets() {
  awk -v keys="$1" -v equals="$2" 'BEGIN { m = split(tolower(keys), a, " ")
      for (i = 1; i <= m; i++) K[a[i]] = 1 }
    { t = $0; sub(/^[ \t#]*/, "", t); lead = length($0) - length(t)
      w = t; sub(/[ \t=].*/, "", w)
      if (w == "" || !(tolower(w) in K)) { print; next }
      e = equals ? index($0, "=") : 0
      if (e) print substr($0, 1, e) "<set>"
      else print substr($0, 1, lead + length(w)) " <set>" }'
}

# entry KIND PATH FILTER...
entry() {
  k=$1; p=$2; shift 2
  [ -e "$p" ] || { gone "$p"; return; }
  m=$(stat -L -c '%f %U %G %Y' "$p" 2>/dev/null) || { say "denied ${p#"$R"}"; return; }
  if [ "$k" = stat ] || [ -d "$p" ]; then say "stat $m ${p#"$R"}"; return; fi
  [ -r "$p" ] || { say "denied ${p#"$R"}"; return; }
  say "file $m ${p#"$R"}"
  { { head -c 4194305 "$p" 2>/dev/null || printf '!\n' >&4; } | "$@" | b64; } 4>&1
  echo .
}
# each KIND FOLDER PATTERN FILTER...: the folder before the first * and what the pattern finds.
each() {
  kind=$1; top=$2; pattern=$3; shift 3
  [ -e "$top" ] || { gone "$top"; return; }
  [ -r "$top" ] && [ -x "$top" ] || { say "denied ${top#"$R"}"; return; }
  say "list ${top#"$R"}"
  for f in $pattern; do
    case $f in *"$NL"*) say "denied ${top#"$R"}"; continue ;; esac
    [ -e "$f" ] || continue
    if [ "$kind" = file ] && [ -d "$f" ]; then continue; fi
    entry "$kind" "$f" "$@"
  done
}
kernel() {
  [ -e "$R$1" ] || { gone "$R$1"; return; }
  # Not `read`: a kernel setting gives its value to one whole read only.
  if v=$(cat "$R$1" 2>/dev/null); then say "line $1 ${v%%"$NL"*}"; else say "denied $1"; fi
}
processes() {
  say "list /proc"
  for p in "$R"/proc/[0-9]*; do
    if IFS= read -r v 2>/dev/null < "$p/comm"; then say "line ${p#"$R"}/comm $v"; fi
  done
}
# run NAME SECONDS PROGRAM ARGUMENTS...
run() {
  name=$1; seconds=$2; shift 2
  command -v "$1" >/dev/null 2>&1 || { say "missing $name"; return; }
  if command -v timeout >/dev/null 2>&1; then
    o=$(timeout -k 2 "$seconds" "$@" </dev/null 2>/dev/null; printf '\n%s' "$?")
  else
    o=$("$@" </dev/null 2>/dev/null; printf '\n%s' "$?")
  fi
  say "command $name ${o##*"$NL"}"
  printf '%s' "${o%"$NL"*}" | b64
  echo .
}
)sh";

constexpr std::string_view epilogue = R"sh(
main() {
  exec 3>&1
  s=$(collect | tee /proc/self/fd/3 | hash)
  s=${s%% *}
  t=$(printf '%s%s' "$KEY" "$s" | hash)
  printf 'seal %s %s\n' "$s" "${t%% *}"
}
case ${1-} in
  '') main | cat ;;
  *) umask 077; main | cat > "$1" && printf '%s\n' "$1" ;;
esac
)sh";

class Writer {
 public:
  Writer(const Sources& sources, const ScriptOptions& options)
      : sources_(sources), options_(options) {}

  std::string write() {
    out_ =
        "#!/bin/sh\n# 门神：只读采集脚本。不修改任何内容；口令与密钥在本机即被替换。\n"
        "# Menshen: reads what the lines of collect() name, changes nothing; passwords and secret\n"
        "# values are replaced on this host. As root: sh collect.sh HOST.capture\n";
    put("R='{}'\nID='{}'\nKEY='{}'\n", options_.root, options_.collection, options_.seal_key);
    out_ += prologue;
    out_ +=
        "collect() {\n  printf 'menshen-capture/1\\ncollection %s\\nhost %s\\n' \"$ID\" "
        "\"$(uname -n)\"\n  printf 'time %s\\nuid %s\\n' \"$(date +%s)\" \"$(id -u)\"\n";
    for (const HostCommand& command : sources_.commands) run(command);
    for (const std::string& path : sources_.files)
      look("file", path, path == "/etc/shadow" ? "shadow" : "cat");
    for (const SettingsFile& file : sources_.settings) settings(file);
    for (const SettingsFile& file : sources_.texts) settings(file);
    for (const std::string& path : sources_.modes) look("stat", path, "cat");
    for (const std::string& path : sources_.presence) look("stat", path, "cat");
    for (std::string key : sources_.sysctls) {
      for (char& c : key)
        if (c == '.') c = '/';
      put("  kernel /proc/sys/{}\n", key);
    }
    out_ += "  processes\n  printf 'end %s\\n' \"$n\"\n}\n";
    out_ += epilogue;
    return std::move(out_);
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
  }

  void run(const HostCommand& command) {
    put("  run {} {}", command.name,
        std::chrono::duration_cast<std::chrono::seconds>(command.timeout).count());
    for (const std::string& argument : command.arguments) put(" '{}'", argument);
    out_ += '\n';
  }

  void settings(const SettingsFile& file) {
    std::string filter = "cat";
    if (!file.secrets.empty()) {
      filter = fmt::format("secrets '{}' {}", fmt::join(file.secrets, " "),
                           file.style == SettingsStyle::equals ? 1 : 0);
    }
    for (const std::string& path : file.files) look("file", path, filter);
  }

  void look(std::string_view kind, const std::string& pattern, const std::string& filter) {
    const std::size_t star = pattern.find('*');
    if (star == std::string::npos) {
      put("  entry {} \"$R\"'{}' {}\n", kind, pattern, filter);
      return;
    }
    const std::string folder = pattern.substr(0, pattern.rfind('/', star));
    put("  each {} \"$R\"'{}' \"$R\"'{}' {}\n", kind, folder, pattern, filter);
  }

  const Sources& sources_;
  const ScriptOptions& options_;
  std::string out_;
};

}  // namespace

std::string collection_script(const Sources& sources, const ScriptOptions& options) {
  return Writer(sources, options).write();
}

}  // namespace menshen::compliance
