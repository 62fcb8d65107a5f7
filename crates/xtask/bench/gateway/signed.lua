-- The signed scheme for ngx_lua, as gateways on nginx do such checks: keys in memory, the clock
-- looked at, one HMAC by libcrypto through FFI, a comparison in constant time, and a header that
-- says who calls. Query parameters are sorted; nothing is decoded.

local ffi = require "ffi"
local bit = require "bit"

ffi.cdef [[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *data,
                    size_t data_len, unsigned char *out, unsigned int *out_len);
]]

local libcrypto = ffi.C
if not pcall(function() return libcrypto.HMAC end) then
  libcrypto = ffi.load("libcrypto.so.3")
end

local sha256 = libcrypto.EVP_sha256()
local mac = ffi.new("unsigned char[64]")
local mac_length = ffi.new("unsigned int[1]")
local secrets = {}
local signed = {}

-- Lines of a public id, a blank and a secret.
function signed.load(file)
  for line in io.lines(file) do
    local id, secret = line:match("^(%S+) (%S+)$")
    secrets[id] = secret
  end
end

local function sorted(query)
  if not query then
    return ""
  end
  local parts = {}
  for part in ngx.re.gmatch(query:lower(), "[^&]+", "jo") do
    parts[#parts + 1] = part[0]
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

local function equal(one, other)
  local difference = 0
  for place = 1, 32 do
    difference = bit.bor(difference, bit.bxor(one:byte(place), other:byte(place)))
  end
  return difference == 0
end

function signed.check()
  local var = ngx.var
  local proof, timestamp = var.http_authentication, var.http_timestamp
  if not proof or not timestamp then
    return ngx.exit(401)
  end
  local halves = ngx.re.match(proof, "^([^:]+):(.+)$", "jo")
  local secret = halves and secrets[halves[1]]
  local seconds = ngx.parse_http_time(timestamp)
  if not secret or not seconds or math.abs(ngx.time() - seconds) > 300 then
    return ngx.exit(401)
  end
  local base = var.request_method .. "\n" .. timestamp .. "\n" .. var.uri:lower() .. "\n"
    .. sorted(var.args)
  libcrypto.HMAC(sha256, secret, #secret, base, #base, mac, mac_length)
  local theirs = ngx.decode_base64(halves[2])
  if not theirs or #theirs ~= 32 or not equal(theirs, ffi.string(mac, 32)) then
    return ngx.exit(401)
  end
  ngx.req.set_header("Wayleave-Credential", halves[1])
end

return signed
