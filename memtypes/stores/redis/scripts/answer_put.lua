-- Store a record unless its key has one; returns the stored record. ARGV: key, record, now, TTL, maximum bytes.
local key, record, now, ttl, max_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', now - ttl)) do drop(expired) end
local stored = redis.call('HGET', answers, key)
if stored then return stored end
redis.call('HSET', answers, key, record)
redis.call('HINCRBY', answers, '', #record)
redis.call('ZADD', times, now, key)
while tonumber(redis.call('HGET', answers, '')) > max_bytes do
  local oldest = redis.call('ZRANGE', times, 0, 0)[1]
  if oldest == key then break end
  drop(oldest)
end
redis.call('PEXPIRE', answers, ttl)
redis.call('PEXPIRE', times, ttl)
return record
