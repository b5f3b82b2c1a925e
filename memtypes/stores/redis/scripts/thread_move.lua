-- Move a batch of evicted turns. KEYS: its list, the target list. ARGV: the batch, its new JSON.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {'gone'} end
redis.call('RPUSH', KEYS[2], ARGV[2])
return {'ok'}
