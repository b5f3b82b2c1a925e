-- Restart the TTL of a lock. KEYS: lock. ARGV: token, TTL in milliseconds. Returns 0 if the token does not hold it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
