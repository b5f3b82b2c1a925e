-- Shared by the scripts of stored answers. KEYS: answers (record by key), times (key by time).
-- A record is "NAMESPACE/DIGEST/ANSWER" with a percent-encoded namespace. The field '' holds the bytes of all records.
local answers, times = KEYS[1], KEYS[2]
local function drop(key)
  redis.call('HINCRBY', answers, '', -redis.call('HSTRLEN', answers, key))
  redis.call('HDEL', answers, key)
  redis.call('ZREM', times, key)
end
