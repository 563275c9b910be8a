#!/bin/sh
# Checks a Menshen evidence package with openssl 3 and standard tools alone:
#
#   sh verify-package.sh FILE [FINGERPRINT]
#
# 门神证据包独立核验脚本：只需 openssl 3 与常用命令。FINGERPRINT 形如 sm3:… 或 sha256:…，应从其他渠道取得。
# Exit status: 0 genuine, 1 not genuine, 2 could not be checked. The format: docs/formats/evidence-package.md.
# bad() ends the script, so "a && b || bad" is what it looks like.
# shellcheck disable=SC2015
set -u
LC_ALL=C
export LC_ALL
file=${1:?"usage: verify-package.sh FILE [FINGERPRINT]"}
wanted=${2:-}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

bad() { printf 'NOT genuine 验证未通过: %s\n' "$1"; exit 1; }
unable() { printf 'cannot check 无法核验: %s\n' "$1" >&2; exit 2; }
openssl version | grep -q '^OpenSSL 3' || unable 'openssl 3 is needed'
[ -r "$file" ] || unable "$file cannot be read"

# ---- the last line: what stands behind the archive, in its one form --------------------------------------------
tail -n 1 -- "$file" > "$work/line"
IFS=' ' read -r magic bytes code rest < "$work/line" || bad 'the last line is cut short'
[ "$magic" = menshen-package/1 ] && [ -z "$rest" ] || bad 'the last line is not of this form'
case $bytes in ''|0*|*[!0-9]*) bad 'the last line is not of this form' ;; esac
printf '%s' "$code" | openssl base64 -d -A > "$work/evidence" 2>/dev/null || bad 'the evidence is not base64'
{ head -c "$bytes" -- "$file"; printf '\nmenshen-package/1 %s ' "$bytes"
  openssl base64 -A -in "$work/evidence"; printf '\n'; } | cmp -s - "$file" || bad 'the last line is not of this form'
head -c "$bytes" -- "$file" > "$work/tar"

# ---- the audit store's evidence: one line of JSON, in its one form ------------------------------------------------
json=$(cat "$work/evidence")
text() { printf '%s' "$json" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
profile=$(text profile); origin=$(text origin); record=$(text record)
note=$(text checkpoint); pem=$(text public_key); fingerprint=$(text fingerprint)
number=$(printf '%s' "$json" | sed -n 's/.*"number":\([0-9]*\),.*/\1/p')
path=$(printf '%s' "$json" | sed -n 's/.*"path":\[\([^]]*\)\].*/\1/p')
printf '{"format":"menshen-proof/1","profile":"%s","origin":"%s","number":%s,"record":"%s","path":[%s],"checkpoint":"%s","public_key":"%s","fingerprint":"%s"}' \
  "$profile" "$origin" "$number" "$record" "$path" "$note" "$pem" "$fingerprint" | cmp -s - "$work/evidence" ||
  bad 'the evidence is not of this form'
case $profile in
  sm) digest=sm3 ;;
  intl) digest=sha256 ;;
  *) bad 'unknown profile' ;;
esac
hash() { openssl dgst -"$digest" -r | cut -d ' ' -f 1; }

# ---- the key and its signature on the checkpoint -----------------------------------------------------------------
printf '%b' "$pem" > "$work/key.pem"
printf '%b' "$note" > "$work/note"
openssl pkey -pubin -in "$work/key.pem" -out "$work/key2.pem" 2>/dev/null || bad 'the key cannot be read'
cmp -s "$work/key.pem" "$work/key2.pem" || bad 'the key is not of its one form'
key=$(openssl pkey -pubin -in "$work/key.pem" -outform DER | hash)
[ "$fingerprint" = "$digest:$key" ] || bad "the key's fingerprint is $digest:$key"
[ -z "$wanted" ] || [ "$wanted" = "$fingerprint" ] || bad "signed with another key: $fingerprint"
signature=$(sed -n 's/^signature //p' "$work/note")
sed '$d' "$work/note" > "$work/body"
printf '%s' "$signature" | openssl base64 -d -A > "$work/signature"
{ cat "$work/body"; printf 'signature '; openssl base64 -A -in "$work/signature"; printf '\n'; } |
  cmp -s - "$work/note" || bad 'the checkpoint is not of its one form'
if [ "$profile" = sm ]; then set -- -digest sm3 -pkeyopt distid:1234567812345678; else set --; fi
openssl pkeyutl -verify -pubin -inkey "$work/key.pem" -rawin "$@" -in "$work/body" \
  -sigfile "$work/signature" >/dev/null 2>&1 || bad "the checkpoint's signature is wrong"
field() { sed -n "s/^$1 //p" "$work/body"; }
[ "$(field origin)" = "$origin" ] && [ "$(field profile)" = "$profile" ] && [ "$(field key)" = "$key" ] ||
  bad 'checkpoint and evidence disagree'
size=$(field size)
root=$(field root)

# ---- the record stands in the signed tree (RFC 9162, section 2.1.3.2) ---------------------------------------------
binary() {
  hex=$1 octal=
  while [ -n "$hex" ]; do
    rest=${hex#??}
    octal="$octal\\0$(printf '%03o' "0x${hex%"$rest"}")"
    hex=$rest
  done
  printf '%b' "$octal"
}
node() { { printf '\001'; binary "$1"; binary "$2"; } | hash; }
printf '%s' "$record" | openssl base64 -d -A > "$work/record"
r=$({ printf '\000'; cat "$work/record"; } | hash)
fn=$((number - 1))
sn=$((size - 1))
[ "$fn" -ge 0 ] && [ "$fn" -le "$sn" ] || bad 'the record is not among those signed'
for p in $(printf '%s' "$path" | tr -d '"' | tr ',' ' '); do
  [ "$sn" -gt 0 ] || bad 'the path is too long'
  if [ $((fn % 2)) -eq 1 ] || [ "$fn" -eq "$sn" ]; then
    r=$(node "$p" "$r")
    while [ $((fn % 2)) -eq 0 ] && [ "$fn" -gt 0 ]; do
      fn=$((fn / 2)); sn=$((sn / 2))
    done
  else
    r=$(node "$r" "$p")
  fi
  fn=$((fn / 2)); sn=$((sn / 2))
done
[ "$sn" -eq 0 ] && [ "$r" = "$root" ] || bad 'the record does not stand where the checkpoint has it'

# ---- the record is of this archive -------------------------------------------------------------------------------
tar_digest=$(hash < "$work/tar")
tr -c '[:print:]' '\n' < "$work/record" > "$work/words"
grep -qx attest "$work/words" || bad 'the record vouches for no document'
grep -q "\"digest\":\"$tar_digest\"" "$work/words" || bad 'the archive is not the one that was signed'
grep -q "\"algorithm\":\"$digest\"" "$work/words" || bad 'another digest was signed'

# ---- each file is as MANIFEST says, and no other is there ----------------------------------------------------------
mkdir "$work/files"
tar -xf "$work/tar" -C "$work/files" || bad 'the archive cannot be unpacked'
cd "$work/files" || exit 2
[ -f MANIFEST ] || bad 'MANIFEST is missing'
cut -d ' ' -f 4- MANIFEST > "$work/names"
find . -type f ! -name MANIFEST | sed 's|^\./||' | sort | cmp -s - "$work/names" || {
  sort "$work/names" > "$work/sorted"
  find . -type f ! -path ./MANIFEST | sed 's|^\./||' | sort | cmp -s - "$work/sorted" || bad 'MANIFEST names other files'
}
for d in sha256 sm3; do
  if [ "$d" = sha256 ]; then column=1; else column=2; fi
  tr '\n' '\0' < "$work/names" | xargs -0 openssl dgst -"$d" -r | cut -d ' ' -f 1 > "$work/$d"
  cut -d ' ' -f "$column" MANIFEST | cmp -s - "$work/$d" || bad "a file's $d is not as MANIFEST says"
done

printf 'genuine 验证通过\n  origin 出具设备   %s\n  time 签名时间     %s\n  files 文件数      %s\n  key 密钥指纹      %s\n' \
  "$origin" "$(field time)" "$(wc -l < "$work/names" | tr -d ' ')" "$fingerprint"
[ -n "$wanted" ] || printf '  ! compare the fingerprint with one kept elsewhere 请与另行保管的指纹比对\n'
