#!/bin/sh
# Makes a demonstration of a hosted instance and buys it, through the platform API:
#   platform.sh URL CLIENT_ID CLIENT_SECRET [NAME]
# For example: platform.sh http://127.0.0.1:8081 wl_cid_test_… wl_csk_test_… pier1
# Use the test environment: in live a saved card is charged.
set -eu
url=$1
name=${4:-demo$$}

# The first number or text of a member: enough for answers as these.
member() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }
call() { curl -sS --fail-with-body -H "Authorization: Bearer $token" "$@"; }

token=$(curl -sS --fail-with-body "$url/authorize/access_token" \
  -d grant_type=client_credentials --data-urlencode "client_id=$2" --data-urlencode "client_secret=$3" | member access_token)

# A quotation for a demonstration, which is free: it is there as soon as it is accepted.
order=$(call "$url/api/user/checkout" --data-urlencode 'lineItems=[{
  "productId": 17,
  "productDetails": {"account_name": "'"$name"'", "displays": 2, "is_demo": 1, "region_id": 1}
}]' | member orderId)
call "$url/api/shop/processquote/$order" -d autoPay=0 >/dev/null
instance=$(call -G "$url/api/cloud" --data-urlencode "search=accountName|$name" | member hostingId)
echo "demonstration $instance: $name"

# Buying it. The key makes it safe to send this again after a lost answer.
order=$(call "$url/api/user/checkout" -H "Idempotency-Key: buy-$name" \
  --data-urlencode 'lineItems=[{"productId": 2, "productDetails": {"upgradeId": '"$instance"', "displays": 2}}]' | member orderId)
state=$(call "$url/api/shop/processquote/$order" -H "Idempotency-Key: accept-$order" -d autoPay=1 | member state)
echo "order $order: $state"
