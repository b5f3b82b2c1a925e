-- KEYS: the list that holds a batch of evicted turns, and the target list. ARGV: the batch, and its new JSON.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {'gone'} end
redis.call('RPUSH', KEYS[2], ARGV[2])
return {'ok'}
