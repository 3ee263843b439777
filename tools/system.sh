#!/bin/sh
# Programs that the tests need beside Python, from Debian's or Ubuntu's packages, when they are not there yet.
set -eu
missing=""
for program in chromium espeak-ng flite; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "expected the programs$missing; install them and try again" >&2; exit 1; }
root=""
[ "$(id -u)" = 0 ] || root="sudo"
echo "system: installing with ${root:+$root }apt-get:$missing (the browser of the pages' tests, the speech of the samples, the database of the service's tests)"
$root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing >/dev/null
