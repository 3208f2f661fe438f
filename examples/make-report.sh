#!/bin/sh
# make-report.sh - makes the report of the day that it reads; see report.sh.
set -eu

IFS= read -r day || [ -n "$day" ]
[ -z "${REPORT_LOG:-}" ] || echo "$day $TENURE_TOKEN" >>"$REPORT_LOG"
sleep "${REPORT_S:-0}" # hard work
echo "Report of $day, made by process $$"
