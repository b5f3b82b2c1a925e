-- Shared by the scripts of workflows. Beside the hash of a workflow are its log, its members, and its live descendants:
-- their keys by the time at which they expire. All keys of a chain are in one slot. The set of open workflows of a
-- namespace has the keys of all by the time at which they expire; they stay LEAVING seconds longer, to be ended.
local LEAVING = 7 * 24 * 3600
local PARTS = {'', ':log', ':members', ':live'}
local function is_open(status) return status == 'pending' or status == 'running' end
local function keep(key, seconds)
  if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end
local function open_set(base) return string.match(base, '^(rm:{.-}:)') .. 'workflows-open' end
-- Restart the TTL of the open workflow `base`.
local function keep_open(base, ttl)
  redis.call('ZADD', open_set(base), redis.call('TIME')[1] + ttl, base)
  keep(open_set(base), ttl + LEAVING)
  for _, part in ipairs(PARTS) do redis.call('EXPIRE', base .. part, ttl + LEAVING) end
end
-- Keep the ancestors as long as the open workflow `base`, whose TTL restarts now.
local function keep_ancestors(base, lineage, ttl)
  local expires = redis.call('TIME')[1] + ttl
  for _, key in ipairs(lineage) do
    if redis.call('EXISTS', key) == 1 then
      redis.call('ZADD', key .. ':live', expires, base)
      local open = redis.call('ZSCORE', open_set(key), key)
      if open then redis.call('ZADD', open_set(key), 'GT', expires, key) end
      for _, part in ipairs(PARTS) do keep(key .. part, open and ttl + LEAVING or ttl) end
    end
  end
end
-- Keep the log of the ended workflow `base` as long as a live descendant, or for `log_ttl` from now if there is none.
local function limit_log(base, log_ttl)
  redis.call('ZREMRANGEBYSCORE', base .. ':live', '-inf', redis.call('TIME')[1])
  for _, part in ipairs(PARTS) do keep(base .. part, log_ttl) end
  if redis.call('ZCARD', base .. ':live') == 0 then redis.call('EXPIRE', base .. ':log', log_ttl) end
end
