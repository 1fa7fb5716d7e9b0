-- All operations on the leases that the proxies share. Each is atomic.
--
-- KEYS[1]: prefix of all keys, with a hash tag. ARGV[1]: the operation, then its arguments:
--   put SCOPE LEASE REQUESTS GRACE_REQUESTS LEASE_MS GRACE_MS VALUE INDEX...   -> 1
--   take SCOPE IN_GRACE                                                        -> {LEASE, VALUE}, or nothing
--   drop INDEX                                                                 -> {LEASE, VALUE, UNUSED, LEASE, ...}
--   end IN_GRACE                                                               -> the same, of those that have ended
-- SCOPE, LEASE and INDEX are hashes, VALUE is encrypted; IN_GRACE is 0 or 1.
local prefix = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = prefix .. 'ends'
-- How much longer than a lease its keys live, for it to be given back.
local MARGIN_MS = 15000
local MOST_AT_ONCE = 200

local function keep(key, milliseconds)
  if redis.call('PTTL', key) < milliseconds then redis.call('PEXPIRE', key, milliseconds) end
end

local function remove(id)
  local key = prefix .. 'lease:' .. id
  local lease = redis.call('HMGET', key, 'scope', 'indexes', 'value', 'requests', 'grace_requests')
  redis.call('ZREM', ends, id)
  if not lease[1] then return nil end
  redis.call('DEL', key)
  redis.call('LREM', prefix .. 'scope:' .. lease[1], 0, id)
  for index in string.gmatch(lease[2], '%S+') do redis.call('SREM', prefix .. 'index:' .. index, id) end
  return lease[3], lease[4] + lease[5]
end

local function remove_all(ids)
  local removed = {}
  for _, id in ipairs(ids) do
    local value, unused = remove(id)
    if value and unused > 0 then
      table.insert(removed, id)
      table.insert(removed, value)
      table.insert(removed, unused)
    end
  end
  return removed
end

local operations = {}

function operations.put(scope, id, requests, grace_requests, lease_ms, grace_ms, value, ...)
  local milliseconds = lease_ms + grace_ms + MARGIN_MS
  local key = prefix .. 'lease:' .. id
  redis.call('HSET', key, 'scope', scope, 'indexes', table.concat({ ... }, ' '), 'value', value,
    'requests', requests, 'grace_requests', grace_requests, 'ends_at', now + lease_ms, 'grace_ends_at', now + lease_ms + grace_ms)
  redis.call('PEXPIRE', key, milliseconds)
  redis.call('RPUSH', prefix .. 'scope:' .. scope, id)
  keep(prefix .. 'scope:' .. scope, milliseconds)
  for _, index in ipairs({ ... }) do
    redis.call('SADD', prefix .. 'index:' .. index, id)
    keep(prefix .. 'index:' .. index, milliseconds)
  end
  redis.call('ZADD', ends, now + lease_ms, id)
  keep(ends, milliseconds)
  return 1
end

function operations.take(scope, in_grace)
  for _, id in ipairs(redis.call('LRANGE', prefix .. 'scope:' .. scope, 0, -1)) do
    local key = prefix .. 'lease:' .. id
    local lease = redis.call('HMGET', key, 'requests', 'grace_requests', 'ends_at', 'grace_ends_at', 'value')
    if not lease[1] then
      redis.call('LREM', prefix .. 'scope:' .. scope, 0, id)
    else
      local requests, grace_requests = tonumber(lease[1]), tonumber(lease[2])
      local is_live = requests > 0 and now < tonumber(lease[3])
      if is_live or (in_grace == '1' and requests + grace_requests > 0 and now < tonumber(lease[4])) then
        if requests + grace_requests == 1 then
          remove(id)
        else
          redis.call('HINCRBY', key, requests > 0 and 'requests' or 'grace_requests', -1)
        end
        return { id, lease[5] }
      end
    end
  end
  return nil
end

function operations.drop(index)
  return remove_all(redis.call('SMEMBERS', prefix .. 'index:' .. index))
end

operations['end'] = function(in_grace)
  local ended = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, MOST_AT_ONCE)) do
    local grace_ends_at = in_grace == '1' and redis.call('HGET', prefix .. 'lease:' .. id, 'grace_ends_at')
    if not grace_ends_at or tonumber(grace_ends_at) <= now then table.insert(ended, id) end
  end
  return remove_all(ended)
end

return operations[ARGV[1]](unpack(ARGV, 2))
