-- Forget shown ids. KEYS: session, ids that it was shown. ARGV: TTL in ms, now, pause in ms after the last time.
local since = redis.call('HGET', KEYS[1], 'since')
if since and ARGV[2] - since < tonumber(ARGV[3]) then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'since', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
