-- Delete a thread. KEYS: thread, the namespace's queue of evicted turns. ARGV: JSON of an evicted batch up to its turns,
-- which moves the turns to the queue, or '' to delete them; '1' for a thread that has expired, '0' for one that has not.
local thread = redis.call('HMGET', KEYS[1], 'version', 'name')
if (ARGV[2] == '1') == (thread[1] ~= false) then return {'missing'} end
if ARGV[1] ~= '' then queue(KEYS[2], ARGV[1], all(KEYS[1])) end
if thread[2] and thread[2] ~= '' then redis.call('DEL', thread[2]) end
empty(KEYS[1])
local _, index, id = place_of(KEYS[1])
redis.call('ZREM', index, id)
redis.call('DEL', KEYS[1])
return {'ok'}
