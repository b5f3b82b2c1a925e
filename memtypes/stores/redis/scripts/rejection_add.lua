-- Store rejected texts. KEYS: records by id, times by id. ARGV: most, TTL in ms, then id, time and record of each.
local records, times, most = KEYS[1], KEYS[2], tonumber(ARGV[1])
for at = 3, #ARGV, 3 do
  redis.call('HSET', records, ARGV[at], ARGV[at + 2])
  redis.call('ZADD', times, ARGV[at + 1], ARGV[at])
end
local oldest = redis.call('ZRANGE', times, 0, -most - 1)
for _, id in ipairs(oldest) do
  redis.call('HDEL', records, id)
  redis.call('ZREM', times, id)
end
redis.call('PEXPIRE', records, ARGV[2])
redis.call('PEXPIRE', times, ARGV[2])
return #oldest
