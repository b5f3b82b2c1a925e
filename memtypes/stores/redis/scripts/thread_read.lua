-- Return a thread's fields, a range of turns, and all indices by last use.
-- KEYS: thread. ARGV: first and last position, '1' to mark the turns as used.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
local indices = redis.call('ZRANGE', part(KEYS[1], 'places'), ARGV[1], ARGV[2])
local turns = texts(KEYS[1], indices)
if ARGV[3] == '1' then use(KEYS[1], indices) end
return {'ok', meta(KEYS[1]), turns, redis.call('ZRANGE', part(KEYS[1], 'used'), 0, -1)}
