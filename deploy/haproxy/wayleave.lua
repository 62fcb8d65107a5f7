-- Asks Wayleave whether a request may pass.
--
--   lua-load-per-thread /etc/haproxy/wayleave.lua          (global)
--   http-request lua.wayleave http://127.0.0.1:8080        (frontend; the environment's address)
--
-- Who calls is told to the API behind in Wayleave-* headers; what the client sent under these names
-- is removed, and so is the proof. A refusal goes to the client as Wayleave said it. When Wayleave
-- does not answer, nobody passes. For HAProxy 2.6 or newer.

-- How long an answer may take, in milliseconds.
local TIMEOUT_MS = 10000

-- Headers of one connection or of the body, which the question has none of.
local NOT_ASKED = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true,
    ["upgrade"] = true,
}

-- What only this proxy may say to Wayleave, in the spelling with "-".
local DESCRIPTION = {
    ["x-original-method"] = true, ["x-original-uri"] = true, ["x-original-body"] = true,
    ["x-forwarded-method"] = true, ["x-forwarded-uri"] = true, ["x-forwarded-host"] = true,
}

-- The proof, which the API behind has no use for, and what the client may not say to it.
local NOT_PASSED = {
    ["authorization"] = true, ["authentication"] = true, ["authenticate"] = true,
    ["forwarded"] = true,
}

-- What of a refusal is of Wayleave's own connection and not for the client.
local NOT_ANSWERED = {
    ["connection"] = true, ["content-length"] = true, ["date"] = true, ["keep-alive"] = true,
    ["transfer-encoding"] = true,
}

-- An API that reads headers through CGI cannot tell "_" from "-".
local function plain(name)
    return (name:lower():gsub("_", "-"))
end

local function is_identity(name)
    return name:find("^wayleave%-") ~= nil or name:find("^x%-wayleave%-") ~= nil
end

-- HAProxy counts the lines of a header from 0.
local function lines_of(values)
    local lines = {}
    for number = 0, #values do
        lines[#lines + 1] = values[number]
    end
    return lines
end

-- The body itself is not sent along.
local function has_body(received)
    local length = received["content-length"]
    return received["transfer-encoding"] ~= nil or (length ~= nil and length[0] ~= "0")
end

local function question(txn, received)
    local headers = {}
    for name, values in pairs(received) do
        local key = plain(name)
        if not (NOT_ASKED[key] or DESCRIPTION[key] or is_identity(key)) then
            headers[name] = lines_of(values)
        end
    end
    headers["x-original-method"] = { txn.f:method() }
    headers["x-original-uri"] = { txn.f:pathq() }
    if has_body(received) then
        headers["x-original-body"] = { "yes" }
    end
    return headers
end

-- A header that Connection names does not reach an API that follows RFC 9110 section 7.6.1.
local function names_identity(values)
    return plain(table.concat(lines_of(values), ",")):find("wayleave", 1, true) ~= nil
end

local function clean(http, received)
    for name, values in pairs(received) do
        local key = plain(name)
        local disguised = key ~= name:lower() and key:find("^x%-forwarded%-")
        local names_ours = key == "connection" and names_identity(values)
        if is_identity(key) or DESCRIPTION[key] or NOT_PASSED[key] or disguised or names_ours then
            http:req_del_header(name)
        end
    end
end

local function let_pass(txn, received, answer)
    clean(txn.http, received)
    for name, values in pairs(answer.headers) do
        if is_identity(name) then
            txn.http:req_set_header(name, values[0])
        end
    end
    local id = answer.headers["request-id"]
    if id then
        txn.http:req_set_header("wayleave-request-id", id[0])
    end
end

local function refuse(txn, answer)
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for name, values in pairs(answer.headers) do
        if not NOT_ANSWERED[name] then
            for _, value in ipairs(lines_of(values)) do
                reply:add_header(name, value)
            end
        end
    end
    txn:done(reply)
end

local function no_verdict(txn)
    local reply = txn:reply({ status = 503, body = '{"title":"Service Unavailable","status":503}' })
    reply:add_header("content-type", "application/problem+json")
    reply:add_header("cache-control", "private, no-store")
    reply:add_header("retry-after", "1")
    txn:done(reply)
end

core.register_action("wayleave", { "http-req" }, function(txn, address)
    local received = txn.http:req_get_headers()
    local asked, answer = pcall(function()
        return core.httpclient():get({
            url = address .. "/auth/check",
            headers = question(txn, received),
            timeout = TIMEOUT_MS,
        })
    end)
    if not asked or not answer or not answer.status or answer.status == 0 then
        no_verdict(txn)
    elseif answer.status == 204 then
        let_pass(txn, received, answer)
    elseif answer.status >= 400 then
        refuse(txn, answer)
    else
        no_verdict(txn)
    end
end, 1)
