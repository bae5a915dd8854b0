#!/bin/sh
# A worker that is no Python: leaves its daemon, then waits for words on its standard input (`idle`) or is busy with itself.
sh "${0%/*}/daemon.sh"
: >"$ORPHANS_REPORT/worker.$$"
case "$1" in
idle) exec cat ;;
*) exec sleep 1000 ;;
esac
