-- Store a snapshot unless there is a newer one. KEYS: workflow. ARGV: version, state.
local stored = redis.call('HGET', KEYS[1], 'snapshot_version')
if not stored or tonumber(stored) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'snapshot', ARGV[2], 'snapshot_version', ARGV[1])
return 1
