#!/bin/sh
# The tests of the ruleset in a real kernel. Exit status 77: skipped.
set -eu
tests=$1

skip() {
  echo "skipped: $1"
  [ "${CI:-}" = true ] && exit 1
  exit 77
}

[ "$(id -u)" = 0 ] || skip "needs root for network namespaces"
for tool in ip nft ping; do
  command -v "$tool" >/dev/null || skip "needs $tool"
done
ip netns add "menshen-try-$$" 2>/dev/null || skip "this machine allows no network namespaces"
entered=0
ip -n "menshen-try-$$" link show >/dev/null 2>&1 || entered=$?
ip netns del "menshen-try-$$"
if [ "$entered" != 0 ]; then
  # ip makes the root's mount private, and the root of a chroot is none: again, in a root that is one.
  [ -z "${MENSHEN_OWN_ROOT:-}" ] || skip "ip cannot enter network namespaces here"
  # shellcheck disable=SC2016 # the inner shell expands them
  MENSHEN_OWN_ROOT=1 exec unshare --mount --propagation unchanged \
    sh -c 'mount --rbind / /mnt && exec chroot /mnt "$0" "$1"' "$0" "$tests"
fi

# The tests clean up after themselves; this is for a run that crashed.
"$tests" "[.netns]" &
pid=$!
status=0
wait "$pid" || status=$?
for name in gate fin tax por; do
  ip netns del "menshen-pt-$pid-$name" 2>/dev/null || true
done
exit "$status"
