-- Delete a thread. KEYS: thread.
local thread = redis.call('HMGET', KEYS[1], 'version', 'name')
if not thread[1] then return {'missing'} end
if thread[2] and thread[2] ~= '' then redis.call('DEL', thread[2]) end
empty(KEYS[1])
redis.call('DEL', KEYS[1])
return {'ok'}
