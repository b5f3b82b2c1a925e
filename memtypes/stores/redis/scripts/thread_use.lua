-- Mark turns as used. KEYS: thread. ARGV: indices.
if redis.call('EXISTS', KEYS[1]) == 1 then use(KEYS[1], ARGV) end
return {'ok'}
