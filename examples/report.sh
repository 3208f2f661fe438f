#!/bin/sh
# report.sh - asks for the report of a day, and prints it.  However many ask, on however many
# machines and however often, it is queued once and made once; all get the same one.
#
#     tenure work --result reports -- ./make-report.sh
#     ./report.sh 2026-11-21
#
# The day is the id of the item: who puts it again gets the one that is there, be it waiting, at
# work, or done and remembered for another day.
set -eu

day=${1:-$(date +%F)}
printf '%s' "$day" |
    exec tenure queue put --id "report-$day" --retain 1d --wait "${REPORT_WAIT:-1h}" reports
