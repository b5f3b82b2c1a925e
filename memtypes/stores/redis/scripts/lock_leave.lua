-- Leave the queue of a lock, and release it if it was acquired in the meantime. KEYS: lock, queue, seen. ARGV: token.
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
