-- KEYS: the thread.
local found = redis.call('HMGET', KEYS[1], 'version', 'name')
if not found[1] then return {'missing'} end
if found[2] and found[2] ~= '' then redis.call('DEL', found[2]) end
empty(KEYS[1])
redis.call('DEL', KEYS[1])
return {'ok'}
