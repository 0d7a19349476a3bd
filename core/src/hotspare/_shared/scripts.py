"""The Lua scripts of the Redis store. Each touches the one key that it is passed, so that they run on a cluster too.

Times are in milliseconds of the server's clock; only durations are sent to clients. Every key expires. Needs Redis 6.2 or newer, or Valkey.
"""

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

_FACTS = (
    _NOW
    + """
local key, schema = KEYS[1], redis.call('HGET', KEYS[1], 'schema')
if schema and schema ~= '1' then return redis.error_reply('SCHEMA ' .. schema) end
local function read(place)
  local raw = redis.call('HGET', key, place)
  local ok, fact = pcall(cjson.decode, raw or '')
  if ok and type(fact) == 'table' and tonumber(fact.u) and tonumber(fact.a) and fact.u > now then return fact end
end
local function touch(until_ms)
  redis.call('HSET', key, 'schema', '1', 'version', string.format('%.0f', t[1] * 1000000 + t[2]))
  local left = redis.call('PTTL', key)
  if until_ms - now > left then redis.call('PEXPIRE', key, math.ceil(until_ms - now)) end
end
local function tell(channel, place, fact)
  redis.call('PUBLISH', channel, cjson.encode({p = place, k = fact.k, r = fact.u - now, a = now - fact.a, n = fact.n, c = fact.c, l = fact.l}))
end
local function keep(channel, place, fact)
  redis.call('HSET', key, place, cjson.encode(fact))
  touch(fact.u)
  tell(channel, place, fact)
end
"""
)

SYNC = (
    _NOW
    + """
local schema, version = redis.call('HGET', KEYS[1], 'schema'), redis.call('HGET', KEYS[1], 'version') or ''
if schema and schema ~= '1' then return redis.error_reply('SCHEMA ' .. schema) end
if version == ARGV[1] then return {version, string.format('%.0f', now)} end
return {version, string.format('%.0f', now), redis.call('HGETALL', KEYS[1])}
"""
)
"""Facts: return the version and the time, and all facts if the version differs from the given one."""

WRITE = (
    _FACTS
    + """
for _, new in ipairs(cjson.decode(ARGV[2])) do
  local place, old = new.p, read(new.p)
  local fact = {k = new.k, u = now + new.r, a = now - new.a, n = new.n, c = new.c, l = new.l}
  local wins = true
  if old then
    if old.k == fact.k and (fact.k == 'open' or fact.k == 'limited') then
      wins = fact.u > old.u + 100
    else
      wins = fact.a > old.a
    end
    if wins and old.k == fact.k and old.a > fact.a then fact.a, fact.l = old.a, math.max(old.l, fact.l) end
  end
  if wins then keep(ARGV[1], place, fact) end
end
local all, gone = redis.call('HGETALL', key), {}
for i = 1, #all, 2 do
  if all[i] ~= 'schema' and all[i] ~= 'version' and not read(all[i]) then gone[#gone + 1] = all[i] end
end
if #gone > 0 then redis.call('HDEL', key, unpack(gone, 1, math.min(#gone, 1000))) end
return 1
"""
)
"""Facts: write and publish those that supersede the stored ones, and drop expired ones."""

LEASE = (
    _FACTS
    + """
local place, holder, ms = ARGV[2], ARGV[3], tonumber(ARGV[4])
local old = read(place)
if old and old.c ~= holder then return {old.c, string.format('%.0f', old.u - now)} end
keep(ARGV[1], place, {k = 'lease', u = now + ms, a = now, n = ARGV[5], c = holder, l = 0})
return {holder, ARGV[4]}
"""
)
"""Facts: acquire or renew the lease of a probe."""

RELEASE = (
    _FACTS
    + """
local place, old = ARGV[2], read(ARGV[2])
if not old or old.c ~= ARGV[3] then return 0 end
redis.call('HDEL', key, place)
touch(now)
old.u = now
tell(ARGV[1], place, old)
return 1
"""
)
"""Facts: release a lease."""

ALIVE = (
    _NOW
    + """
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
)
"""Members: record that this process is alive, and return the number of live ones. ZADD comes first: a server without free memory rejects a
script only at its first write."""

TAKE = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, least, used, horizon = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local arrival = math.max(0, (tonumber(redis.call('GET', KEYS[1])) or now) - now)
arrival = math.max(0, arrival + used * interval)
local units, wait = 0, 0
if want > 0 then
  local needed = math.min(least, burst)
  local first = math.max(0, arrival + (needed - burst) * interval)
  if first > horizon then
    wait = first - horizon
  else
    local free = math.floor((horizon - arrival) / interval + burst + 1e-9)
    units = math.max(least, math.min(want, free))
    wait = arrival + (1 - burst) * interval
    arrival = arrival + units * interval
  end
end
redis.call('SET', KEYS[1], string.format('%.6f', now + arrival), 'PX', math.ceil(arrival * 1000) + 1000)
return {string.format('%.6f', units), string.format('%.6f', wait)}
"""
"""A bucket: the generic cell rate algorithm, like `memory.take_from`."""

TAKE_DAILY = """
local t = redis.call('TIME')
local now, key, sum, hours = t[1] + t[2] / 1000000, KEYS[1], 0, {}
local limit, want, least, used = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local all, this = redis.call('HGETALL', key), math.floor(now / 3600)
for i = 1, #all, 2 do
  local hour, count = tonumber(all[i]), tonumber(all[i + 1])
  if hour and count and hour + 25 > now / 3600 then
    hours[#hours + 1], sum = {hour, count}, sum + count
  else
    redis.call('HDEL', key, all[i])
  end
end
local units, wait = 0, 0
if want > 0 then
  local excess = sum + used + math.min(least, limit) - limit
  if excess <= 1e-6 then
    units = math.max(least, math.min(want, math.floor(limit - sum - used + 1e-6)))
  else
    wait = 86400
    table.sort(hours, function(a, b) return a[1] < b[1] end)
    for _, one in ipairs(hours) do
      excess = excess - one[2]
      if excess <= 1e-6 then wait = (one[1] + 25) * 3600 - now break end
    end
  end
end
local count = (tonumber(redis.call('HGET', key, this)) or 0) + used + units
redis.call('HSET', key, this, string.format('%.6f', count))
redis.call('EXPIRE', key, 90000)
return {string.format('%.6f', units), string.format('%.6f', wait)}
"""
"""A daily limit: units used per hour, like `memory.take_daily`. An hour is dropped 24 hours after its end."""
