#!/bin/sh
# What an init of a container runs: a program with four workers.
for _ in 1 2 3 4; do sh "${0%/*}/worker.sh" & done
wait
