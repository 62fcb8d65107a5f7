#!/bin/sh
# Gets a token and calls a protected path with it: token.sh URL API_KEY API_SECRET [PATH]
# For example: token.sh http://127.0.0.1:8081 wl_key_test_… wl_sec_test_… /hello
set -eu
token=$(curl -sS --fail --user "$2:$3" "$1/token" | cut -d'"' -f4)
curl -sS --fail -H "Authorization: $token" "$1${4:-/hello}"
