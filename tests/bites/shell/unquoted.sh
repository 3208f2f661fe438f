#!/bin/sh
rm -rf $1/*
[[ -n $2 ]] && echo "$2"
