#!/bin/sh
# encode.sh - encodes one video.  The body of the item is its path:
#
#     tenure work videos -- ./encode.sh
#
# Being killed in the middle, or done twice, does no harm: what is written goes beside its place,
# under a name that only this take has, and is moved there when it is whole.
set -eu

IFS= read -r video || [ -n "$video" ]
if [ ! -f "$video" ]; then
    echo "there is no video $video" >&2
    exit 65 # trying again is of no use
fi

part=$video.part.$TENURE_TOKEN
trap 'rm -f "$part"' EXIT
trap 'exit 143' TERM
trap '' PIPE # when the worker is killed nobody reads our progress: that is an error, and no end
[ -z "${ENCODE_LOG:-}" ] || echo "begin $TENURE_TOKEN $TENURE_GROUP $video" >>"$ENCODE_LOG"

for percent in 20 40 60 80 100; do
    sleep "${ENCODE_STEP_S:-0.2}" # ffmpeg takes longer
    echo "$percent % of $video" >>"$part"
    echo "progress $percent" >&"$TENURE_CONTROL_FD"
done

mv "$part" "$video.encoded"
[ -z "${ENCODE_LOG:-}" ] || echo "end $TENURE_TOKEN $TENURE_GROUP $video" >>"$ENCODE_LOG"
