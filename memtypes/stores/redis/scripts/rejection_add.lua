-- Store rejected texts. KEYS: records by id, times by id. ARGV: maximum number, TTL in ms, then id, time and record of each.
local records, times, limit = KEYS[1], KEYS[2], tonumber(ARGV[1])
for position = 3, #ARGV, 3 do
  redis.call('HSET', records, ARGV[position], ARGV[position + 2])
  redis.call('ZADD', times, ARGV[position + 1], ARGV[position])
end
local oldest = redis.call('ZRANGE', times, 0, -limit - 1)
for _, id in ipairs(oldest) do
  redis.call('HDEL', records, id)
  redis.call('ZREM', times, id)
end
redis.call('PEXPIRE', records, ARGV[2])
redis.call('PEXPIRE', times, ARGV[2])
return #oldest
