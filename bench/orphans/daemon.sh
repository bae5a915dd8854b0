#!/bin/sh
# Leaves a daemon: a grandchild with another parent and a session of its own, which ignores SIGTERM and SIGHUP and keeps nothing open.
# The folder of the run learns its pid.
setsid -f sh -c 'trap "" TERM HUP INT; : >"$ORPHANS_REPORT/daemon.$$"; exec sleep 1000' \
    </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
