-- Replays the prepared raw requests of a file, one after another and again from the start, and
-- ends with one line of figures for `cargo xtask bench`.
--
-- usage: wrk … -s replay.lua URL -- FILE
-- FILE holds whole requests as they go over the wire, each followed by the byte 0x1e.

local prepared = {}
local next_one = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  for one in text:gmatch("([^\30]+)\30") do
    prepared[#prepared + 1] = one
  end
  assert(#prepared > 0, "no request in " .. args[1])
end

function request()
  next_one = next_one % #prepared + 1
  return prepared[next_one]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'FIGURES {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"bad_status":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
