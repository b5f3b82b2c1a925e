-- Forget shown ids. KEYS: session, its shown ids. ARGV: TTL in ms, now, least pause in ms since they were last forgotten.
local since = redis.call('HGET', KEYS[1], 'since')
if since and ARGV[2] - since < tonumber(ARGV[3]) then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'since', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
