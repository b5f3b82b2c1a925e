-- KEYS: the workflow. ARGV: the state's version, the state.
local taken = redis.call('HGET', KEYS[1], 'snapshot_version')
if not taken or tonumber(taken) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'snapshot', ARGV[2], 'snapshot_version', ARGV[1])
return 1
