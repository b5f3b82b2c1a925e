-- Add a member to a workflow that has not ended. KEYS: workflow, members. ARGV: member.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'missing'} end
if not is_open(status) then return {'ended', status} end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
return {'ok'}
