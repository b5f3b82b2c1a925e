-- KEYS: the thread. ARGV: the indices of the turns that count as used now.
if redis.call('EXISTS', KEYS[1]) == 1 then use(KEYS[1], ARGV) end
return {'ok'}
