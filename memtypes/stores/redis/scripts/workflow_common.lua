-- Shared by the scripts of workflows. Beside the hash of a workflow are its log, its members, and its live descendants:
-- their keys by the time at which they expire. All keys of a chain are in one slot.
local PARTS = {'', ':log', ':members', ':live'}
local function is_open(status) return status == 'pending' or status == 'running' end
local function keep(key, seconds)
  if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end
-- Keep the ancestors as long as the open workflow `base`, whose TTL restarts now.
local function keep_ancestors(base, lineage, ttl)
  local expires = redis.call('TIME')[1] + ttl
  for _, key in ipairs(lineage) do
    if redis.call('EXISTS', key) == 1 then
      redis.call('ZADD', key .. ':live', expires, base)
      for _, part in ipairs(PARTS) do keep(key .. part, ttl) end
    end
  end
end
-- Keep the log of the ended workflow `base` as long as a live descendant, or for `log_ttl` from now if there is none.
local function limit_log(base, log_ttl)
  redis.call('ZREMRANGEBYSCORE', base .. ':live', '-inf', redis.call('TIME')[1])
  for _, part in ipairs(PARTS) do keep(base .. part, log_ttl) end
  if redis.call('ZCARD', base .. ':live') == 0 then redis.call('EXPIRE', base .. ':log', log_ttl) end
end
